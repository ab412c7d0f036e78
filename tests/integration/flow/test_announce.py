"""Runs that have ended start the pipelines that wait for it: once each, whatever dies in between."""

import asyncio
from typing import Any

import msgspec
import pytest

from engine.core.ids import uuid7
from engine.core.run import RunStatus
from engine.flow.advance import advance_in
from engine.flow.announce import announce, announce_owed, is_awaited
from engine.flow.cancel import cancel_run
from engine.flow.chain import MAX_DEPTH
from engine.flow.deploy import deploy_stored, load_pipeline
from engine.flow.environment import LiveEnvironment
from engine.flow.execution import Hold
from engine.flow.replay import replay_event
from engine.flow.upkeep import Upkeep
from engine.pipeline.checking.events import FINISHED_RUN
from engine.pipeline.deployment import Deployment
from engine.store import CheckpointRecord, EventFilter, RunFilter, RunSummary, RunUpdate
from tests.integration.flow.conftest import Fail, House

WORK = """
    id: test
    inputs: {n: {type: integer, default: 1}}
    labels: {team: core}
    steps: [{id: act, uses: test.effect, with: "${{ inputs.n }}"}]
    outputs: {n: "${{ inputs.n }}"}
"""
WATCH = """
    id: watch
    triggers:
      - uses: run.finished
        with: {pipelines: ['*', '!watch']}
        if: event.body.run.labels.team == 'core'
    steps: [{id: heard, uses: test.effect, with: "${{ event.body }}"}]
"""
LOOP = """
    id: loop
    triggers: [{uses: run.finished, with: {pipelines: [loop]}}]
    steps: [{uses: value}]
"""


async def runs_of(house: House, pipeline: str) -> list[RunSummary]:
    return (await house.runtime.store.list_runs(RunFilter(pipeline=pipeline)))[0]


async def events_of(house: House) -> list[Any]:
    return (await house.runtime.store.list_events(EventFilter(source="hookwright")))[0]


async def heard(house: House) -> Any:
    """What the only run of `watch` was told."""
    [run] = await runs_of(house, "watch")
    assert await house.turn(run.id)
    [call] = [call for call in house.probe.calls if call[0] == "heard"]
    return call[1]


async def end_and_die(house: House) -> Any:
    """A run whose worker ends it and dies before it says so."""
    run_id = await house.start()
    [run] = await house.runtime.store.claim([run_id], house.worker or await house.new_worker(), 1)
    pipeline = await load_pipeline(house.runtime, run.version)
    assert await advance_in(LiveEnvironment(house.runtime), run, pipeline, Hold())
    return run_id


async def test_a_run_that_succeeded_is_announced(house: House) -> None:
    """The event says which run it was and what came out of it; the debt is settled."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    run = await house.finish(n=7)
    body = await heard(house)
    assert (body["error"], body["outputs"]) == (None, {"n": 7})
    told = body["run"]
    assert (told["id"], told["pipeline"], told["version"]) == (str(run.id), "test", run.version)
    assert (told["outcome"], told["trigger"], told["labels"]) == ("succeeded", "manual", {"team": "core"})
    assert told["url"].endswith(f"/runs/{run.id}")
    assert set(told) == set(FINISHED_RUN), "what the checker knows is what there is"
    assert told["created_at"] <= told["started_at"] <= told["finished_at"]
    [event] = await events_of(house)
    assert (event.type, event.delivery_id) == ("run.finished", str(run.id))
    assert await house.runtime.store.owed_announcements(0.0, 10) == []


async def test_a_run_that_failed_is_announced_with_its_error(house: House) -> None:
    """Type, message, step and attempt are always there."""
    house.probe.script["act"] = [Fail("no such repo")]
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    assert (await house.finish()).status == "failed"
    body = await heard(house)
    assert body["run"]["outcome"] == "failed"
    assert body["outputs"] is None
    error = body["error"]
    assert (error["message"], error["step"], error["attempt"]) == ("no such repo", "act", 1)
    assert set(error) == {"type", "message", "step", "attempt", "data"}


async def test_a_run_that_is_cancelled_is_announced(house: House) -> None:
    """Also one that had not begun: nobody ever holds it."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    assert await cancel_run(house.runtime, await house.start()) == "cancelled"
    body = await heard(house)
    assert (body["run"]["outcome"], body["run"]["started_at"]) == ("cancelled", None)


async def test_a_run_that_cannot_be_carried_out_is_announced(house: House) -> None:
    """A version that cannot be loaded fails the run, and that is an end as well."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    run_id = await house.start()
    house.runtime.deployments.versions.clear()
    await house.runtime.store._database.fetch("delete from pipeline_version where pipeline = 'test'")
    assert await house.turn(run_id)
    [event] = await events_of(house)
    assert event.delivery_id == str(run_id)


@pytest.mark.parametrize(
    "settings", ["{outcomes: [failed, cancelled]}", "{pipelines: ['!test']}", "{pipelines: [other]}"]
)
async def test_a_run_that_nobody_named_leaves_no_event(house: House, settings: str) -> None:
    """Neither an event nor a debt is written."""
    await house.deploy(WATCH.replace("{pipelines: ['*', '!watch']}", settings), name="watch")
    await house.deploy(WORK)
    await house.finish()
    assert await events_of(house) == []
    assert await house.runtime.store.owed_announcements(0.0, 10) == []


async def test_a_condition_that_is_false_leaves_the_reason(house: House) -> None:
    """The trigger named the run: the event is kept, and says why it started nothing."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK.replace("core", "shop"))
    await house.finish()
    [event] = await events_of(house)
    decisions = await house.runtime.store.list_decisions(event.id)
    assert [(found.pipeline, found.reason) for found in decisions] == [("watch", "condition_false")]
    assert await runs_of(house, "watch") == []


async def test_a_crash_after_the_end_loses_nothing(house: House) -> None:
    """The debt is committed with the end; upkeep pays it, once."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    run_id = await end_and_die(house)
    assert await events_of(house) == []
    assert await announce_owed(house.runtime, 60.0) == 0, "whoever ended it may still be at it"
    assert await announce_owed(house.runtime, 0.0) == 1
    assert await announce_owed(house.runtime, 0.0) == 0
    assert (await heard(house))["run"]["id"] == str(run_id)


async def test_a_crash_after_the_event_starts_nothing_twice(house: House) -> None:
    """The event was recorded, the debt was not settled: it is settled without another event."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    run_id = await end_and_die(house)
    await asyncio.gather(*(announce(house.runtime, run_id) for _ in range(20)), announce_owed(house.runtime, 0.0))
    assert len(await events_of(house)) == len(await runs_of(house, "watch")) == 1
    assert await house.runtime.store.owed_announcements(0.0, 10) == []


async def test_a_checkpoint_that_is_written_again_owes_nothing_more(house: House) -> None:
    """The answer to the first commit was lost; its repetition must not bring the debt back."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    run_id = await house.start()
    [run] = await house.runtime.store.claim([run_id], house.worker or await house.new_worker(), 1)
    record = CheckpointRecord(run_id=run_id, turn=run.turn, run=RunUpdate(status=RunStatus.SUCCEEDED, announce=True))
    assert await house.runtime.store.checkpoint(record)
    assert await announce_owed(house.runtime, 0.0) == 1
    assert await house.runtime.store.checkpoint(record)
    assert await announce_owed(house.runtime, 0.0) == 0
    assert len(await runs_of(house, "watch")) == 1


async def test_a_worker_that_knows_no_deployment_leaves_it_to_upkeep(house: House) -> None:
    """It cannot know who waits: it writes the debt, and whoever knows decides."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    run_id = await house.start()
    known = house.runtime.deployments
    known.current, known.loaded = Deployment(), False
    assert await house.turn(run_id)
    assert await events_of(house) == []
    await deploy_stored(house.runtime)
    assert await announce_owed(house.runtime, 0.0) == 1
    assert len(await runs_of(house, "watch")) == 1


async def test_a_debt_that_nobody_wants_any_more_is_forgotten(house: House) -> None:
    """The trigger was removed before upkeep came."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    await end_and_die(house)
    await house.deploy("id: watch\nsteps: [{uses: value}]\n", name="watch")
    assert await announce_owed(house.runtime, 0.0) == 1
    assert await announce_owed(house.runtime, 0.0) == 0
    assert await events_of(house) == []


async def test_a_debt_that_cannot_be_paid_does_not_hold_up_the_others(house: House) -> None:
    """The row of its run is gone: there is nothing to tell."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    await house.runtime.store._database.fetch("insert into announcement values ($1, now())", uuid7())
    await end_and_die(house)
    assert await announce_owed(house.runtime, 0.0) == 2
    assert len(await runs_of(house, "watch")) == 1


async def test_nothing_is_asked_where_no_trigger_listens(house: House) -> None:
    """Without such a trigger, or with a disabled one, an end is an end."""
    await house.deploy(WORK)
    assert not is_awaited(house.runtime, "test", RunStatus.FAILED)
    await house.deploy(WATCH + "    enabled: false\n", name="watch")
    assert not is_awaited(house.runtime, None, RunStatus.FAILED)
    await house.deploy(WATCH, name="watch")
    assert is_awaited(house.runtime, "test", RunStatus.FAILED)
    assert not is_awaited(house.runtime, "watch", RunStatus.FAILED)


async def test_a_chain_is_cut(house: House) -> None:
    """A pipeline that waits for its own end runs a few times; the last event says why it starts nothing."""
    await house.deploy(LOOP, name="loop")
    waiting, turned = [await house.start("loop")], 0
    while waiting:
        turned += await house.turn(waiting.pop())
        waiting += [row.id for row in await runs_of(house, "loop") if row.status == "queued"]
        assert turned <= MAX_DEPTH + 1
    assert turned == MAX_DEPTH + 1
    last, *earlier = await events_of(house)
    assert len(earlier) == MAX_DEPTH
    [decision] = await house.runtime.store.list_decisions(last.id)
    assert (decision.matched, decision.reason) == (False, "chain_too_long")
    assert decision.detail == {"depth": MAX_DEPTH + 1, "limit": MAX_DEPTH}


async def test_a_chain_of_ends_and_emits_is_cut_as_well(house: House) -> None:
    """Two pipelines that wake each other in different ways are one chain."""
    await house.deploy("id: test\ntriggers: [{uses: event, with: {type: ping}}]\nsteps: [{uses: value}]\n")
    await house.deploy(
        "id: pong\ntriggers: [{uses: run.finished, with: {pipelines: [test]}}]\n"
        "steps: [{uses: emit, with: {type: ping, body: {}}}]\n",
        name="pong",
    )
    waiting, turned = [await house.start()], 0
    while waiting:
        turned += await house.turn(waiting.pop())
        for name in ("test", "pong"):
            waiting += [row.id for row in await runs_of(house, name) if row.status == "queued"]
        assert turned <= MAX_DEPTH + 1
    assert turned == MAX_DEPTH + 1


async def test_an_emitted_event_cannot_pretend_that_a_run_has_ended(house: House) -> None:
    """`emit` may name any type; only the engine says that a run has ended."""
    await house.deploy(WATCH, name="watch")
    body = {"run": {"pipeline": "other", "outcome": "failed", "labels": {"team": "core"}}}
    step = {"uses": "emit", "with": {"type": "run.finished", "body": body}}
    await house.deploy("id: test\nsteps: [" + msgspec.json.encode(step).decode() + "]\n")
    await house.finish()
    assert await runs_of(house, "watch") == []


async def test_an_end_can_be_replayed(house: House) -> None:
    """The event is like any other: a replay makes a new run of it."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    await house.finish()
    [event] = await events_of(house)
    replayed = await replay_event(house.runtime, event.id)
    assert [name for _, name in replayed.runs] == ["watch"]
    assert len(await runs_of(house, "watch")) == 2


async def test_upkeep_pays_what_is_left_out(house: House) -> None:
    """A round of upkeep finds a debt that is old enough."""
    await house.deploy(WATCH, name="watch")
    await house.deploy(WORK)
    await end_and_die(house)
    await house.runtime.store._database.fetch("update announcement set owed_at = now() - interval '1 minute'")
    await Upkeep(house.runtime).lead()
    assert len(await runs_of(house, "watch")) == 1
