"""New runs from old ones: on a chosen version, from a step, with the old idempotency keys."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.errors import BadRequest, NotFound
from engine.flow.record import record_event
from engine.flow.replay import Wanted, plan_run, replay_event, start
from engine.flow.takeover import CannotTakeOver
from engine.store import RunSummary
from tests.integration.flow.conftest import Fail, House

ORDER = """
id: order
triggers: [{uses: event, with: {type: order.*}, inputs: {n: "${{ event.body.n }}"}}]
inputs: {n: integer}
vars: {twice: "${{ inputs.n * 2 }}", at: "${{ now() }}"}
steps:
  - {id: look, uses: test.pure, with: "${{ vars.twice }}"}
  - id: charge
    uses: test.effect
    with: "${{ steps.look.output }} at ${{ vars.at }}"
  - {if: inputs.n > 100, uses: test.effect, with: large}
  - steps:
      - {id: inner, uses: test.effect, with: "inner ${{ steps.charge.output }}"}
      - {id: send, uses: test.effect, with: "${{ steps.charge.output }}"}
  - {id: last, uses: test.effect, with: "${{ steps.send.output }}"}
"""


async def receive(house: House, n: int = 4) -> UUID:
    """Record an order as an event; its id."""
    body, headers = msgspec.json.encode({"n": n}), {"content-type": "application/json"}
    event = Event(uuid7(), "internal", "order.new", datetime.now(UTC), headers=headers, body=body)
    await record_event(house.runtime, event, house.runtime.deployments.current.events, dedup_scope="t")
    return event.id


async def run_of(house: House, event_id: UUID) -> RunSummary:
    return (await house.runtime.store.runs_of_event(event_id))[-1]


async def replay(house: House, event_id: UUID, **wanted: Any) -> UUID:
    """Replay and advance; the new run."""
    replayed = await replay_event(house.runtime, event_id, Wanted(**wanted))
    ((run_id, _),) = replayed.runs
    assert await house.turn(run_id)
    return run_id


def calls(house: House, step: str) -> list[Any]:
    return [call[1] for call in house.probe.calls if call[0] == step]


@pytest.fixture
async def failed(house: House) -> UUID:
    """An event whose run failed at `send`."""
    house.probe.script["send"] = [Fail("no way")]
    await house.deploy(ORDER)
    event_id = await receive(house)
    await house.turn((await run_of(house, event_id)).id)
    assert (await run_of(house, event_id)).status == "failed"
    return event_id


async def test_a_replay_from_a_step_takes_over_what_came_before(house: House, failed: UUID) -> None:
    """Earlier steps are not called again, their outputs and the variables are the old run's."""
    before = calls(house, "charge")
    run_id = await replay(house, failed, from_step="send")
    assert (await house.run(run_id)).status == "succeeded"
    assert calls(house, "charge") == before
    assert calls(house, "inner") == [f"inner {before[0]}"]
    assert calls(house, "send") == [before[0], before[0]]
    assert calls(house, "last") == [before[0]]
    old = await run_of(house, failed)
    statuses = {row.step: row.status for row in await house.attempts(run_id)}
    assert statuses["look"] == statuses["charge"] == "succeeded"
    assert statuses["steps[2]"] == "skipped"
    assert old.id == run_id


async def test_idempotency_keys_are_new_unless_they_are_to_be_the_old_ones(house: House, failed: UUID) -> None:
    """Reused keys go back to the first run, however often it is repeated."""
    first = (await run_of(house, failed)).id
    own = await replay(house, failed)
    again = await replay(house, failed, run=first, reuse_keys=True)
    once_more = await replay(house, failed, run=again, reuse_keys=True, from_step="send")
    assert [call[2] for call in house.probe.calls if call[0] == "send"] == [
        f"{first}/send",
        f"{own}/send",
        f"{first}/send",
        f"{first}/send",
    ]
    assert (await house.run(once_more)).replay_of == again


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('with: "${{ vars.twice }}"', 'with: "${{ vars.twice + 1 }}"', {"look": "it has changed: with"}),
        ("inputs.n * 2", "inputs.n * 3", {"vars.twice": "it has changed"}),
        ("${{ event.body.n }}", "${{ event.body.n + 1 }}", {"inputs.n": "it is another value now"}),
        (
            "  - {id: look",
            "  - {id: early, uses: test.pure, with: 1}\n  - {id: look",
            {"early": "it is new, the old run has no output of it"},
        ),
    ],
)
async def test_what_has_changed_before_the_step_is_listed(
    house: House, failed: UUID, old: str, new: str, expected: dict[str, str]
) -> None:
    """Nothing is started, and every difference is named. What comes later may change."""
    assert await house.deploy(ORDER.replace(old, new)) == []
    with pytest.raises(CannotTakeOver) as caught:
        await replay_event(house.runtime, failed, Wanted(from_step="send"))
    found = {item["name"]: item["message"] for item in caught.value.problems}
    assert expected.items() <= found.items()
    assert len(await house.runtime.store.runs_of_event(failed)) == 1


async def test_what_comes_after_the_step_may_change(house: House, failed: UUID) -> None:
    """That is what a replay from a step is for; comments and lines before it do not count."""
    text = "# a comment\n" + ORDER.replace('{id: last, uses: test.effect, with: "${{ steps.send.output }}"}', "")
    text = text.rstrip(" -\n") + '\n  - {id: end, uses: test.effect, with: "the end"}\n'
    assert await house.deploy(text) == []
    assert (await house.run(await replay(house, failed, from_step="send"))).status == "succeeded"
    assert calls(house, "end") == ["the end"]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("nobody", "has no step `nobody`; there are: look, charge"),
        ("last", "cannot go on from `last`: steps.3.: it failed in the old run"),
    ],
)
async def test_a_step_at_which_nothing_can_begin_is_refused(
    house: House, failed: UUID, step: str, message: str
) -> None:
    """The answer says which step would do."""
    with pytest.raises((NotFound, CannotTakeOver), match=message):
        await replay_event(house.runtime, failed, Wanted(from_step=step))


async def test_a_step_that_was_undone_is_not_taken_over(house: House) -> None:
    """Its output stands for something that is not there any more."""
    await house.deploy("""
        id: order
        triggers: [{uses: event, with: {type: order.*}}]
        steps:
          - {id: charge, uses: test.effect, with: 1, compensate: [{id: refund, uses: test.effect, with: 2}]}
          - {id: send, uses: test.effect, with: 3}
    """)
    house.probe.script["send"] = [Fail("no way")]
    event_id = await receive(house)
    await house.turn((await run_of(house, event_id)).id)
    with pytest.raises(CannotTakeOver, match="charge: the old run has undone it"):
        await replay_event(house.runtime, event_id, Wanted(from_step="send"))


async def test_a_replay_takes_any_stored_version(house: House, failed: UUID) -> None:
    """By the beginning of its hash, whether it is in force, replaced or its pipeline removed."""
    old = (await run_of(house, failed)).version
    await house.deploy(ORDER.replace("with: large", "with: larger"))
    newest = house.runtime.deployments.current.pipelines["order"].version
    assert (await house.run(await replay(house, failed))).version == newest
    assert (await house.run(await replay(house, failed, version=old[:8]))).version == old
    (house.folder / "test.yaml").unlink()
    await house.deploy("id: other\nsteps: []\n", name="other")
    assert (await house.run(await replay(house, failed, version=old, pipeline="order"))).version == old
    with pytest.raises(NotFound, match="no trigger of any pipeline listens"):
        await replay_event(house.runtime, failed)


async def test_a_version_that_cannot_be_told_is_an_error(house: House, failed: UUID) -> None:
    """Unknown, ambiguous, too short: each says what to do."""
    for letter in "ab":
        await house.runtime.store.upsert_version("abcd" + letter * 60, "order", b"{}")
    for version, kind, message in [
        ("abcd", BadRequest, r"ambiguous: abcd\w+ \(order, .*\), abcd"),
        ("abc", BadRequest, "give 4 or more hexadecimal digits"),
        ("not-hex", BadRequest, "hexadecimal"),
        ("0" * 64, NotFound, "`hookwright pipeline history` lists them"),
    ]:
        with pytest.raises(kind, match=message):
            await replay_event(house.runtime, failed, Wanted(version=version))


async def test_a_run_that_nobody_triggered_can_be_replayed(house: House) -> None:
    """It gets the same inputs."""
    await house.deploy(ORDER.replace("triggers:", "x-triggers:"))
    old = await house.finish("order", n=3)
    wanted = Wanted(from_step="charge")
    replayed = await start(house.runtime, await plan_run(house.runtime, old.id, wanted), wanted)
    ((run_id, _),) = replayed.runs
    assert await house.turn(run_id)
    again = await house.run(run_id)
    assert (again.status, again.replay_of, again.inputs, again.trigger) == ("succeeded", old.id, old.inputs, "manual")
    assert calls(house, "charge")[0] == calls(house, "charge")[1]
    assert len(calls(house, "look")) == 1


async def test_the_same_replay_twice_starts_once(house: House, failed: UUID) -> None:
    """A replay with a key that is known is told the first one's run."""
    first = await replay_event(house.runtime, failed, Wanted(key="batch"))
    again = await replay_event(house.runtime, failed, Wanted(key="batch"))
    assert first.runs == again.runs
    assert len(await house.runtime.store.runs_of_event(failed)) == 2


async def test_called_pipelines_and_loops_are_taken_over_whole(house: House) -> None:
    """Their inner attempts come along, so that nothing in them is done again."""
    await house.deploy("id: page\nsteps: [{id: alert, uses: test.effect, with: x}]\n", name="page")
    await house.deploy("""
        id: order
        triggers: [{uses: event, with: {type: order.*}}]
        steps:
          - {id: each, for_each: [1, 2, 3], uses: test.effect, with: "${{ item }}"}
          - {id: call, uses: "pipeline:page"}
          - {uses: test.effect, with: a, on_error: {output: 5}, id: shaky}
          - {id: send, uses: test.effect, with: "${{ steps.each.output[2] }} ${{ steps.shaky.output }}"}
    """)
    house.probe.script["shaky"] = [Fail("no")]
    event_id = await receive(house)
    await house.turn((await run_of(house, event_id)).id)
    told = len(house.probe.calls)
    run_id = await replay(house, event_id, from_step="send")
    assert [call[:2] for call in house.probe.calls[told:]] == [("send", "3 5")]
    rows = {row.step for row in await house.attempts(run_id)}
    assert {"each", "each[0]", "each[2]", "call", "call/alert", "shaky"} <= rows


async def test_changing_a_called_pipeline_changes_the_call(house: House) -> None:
    """Its text belongs to the step."""
    page = "id: page\nsteps: [{id: alert, uses: test.effect, with: x}]\n"
    await house.deploy(page, name="page")
    await house.deploy("""
        id: order
        triggers: [{uses: event, with: {type: order.*}}]
        steps: [{id: call, uses: "pipeline:page"}, {id: send, uses: test.effect, with: 1}]
    """)
    event_id = await receive(house)
    await house.turn((await run_of(house, event_id)).id)
    await house.deploy(page.replace("with: x", "with: y"), name="page")
    with pytest.raises(CannotTakeOver, match="call: it has changed: pipeline:page"):
        await replay_event(house.runtime, event_id, Wanted(from_step="send"))
