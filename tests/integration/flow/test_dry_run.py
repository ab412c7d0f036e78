"""What a stored event would come to in another version, without doing anything."""

import socket
from typing import Any
from uuid import UUID

import pytest

from engine.flow.approval_decision import decide_approval
from engine.flow.replay import Wanted, plan_event, replay_event
from engine.flow.takeover import CannotTakeOver
from engine.simulation.differences import Difference
from engine.simulation.dry_run import dry_run
from tests.integration.flow.conftest import Fail, House, Retry
from tests.integration.flow.test_replay import ORDER, receive, run_of
from tests.integration.flow.test_waits import happen


async def rehearse(house: House, event_id: UUID, **wanted: Any) -> Difference:
    """The only difference of a dry run, which must not call anything."""
    chosen, before = Wanted(**wanted), len(house.probe.calls)
    runs = len(await house.runtime.store.runs_of_event(event_id))
    found = await dry_run(house.runtime, await plan_event(house.runtime, event_id, chosen), chosen)
    effects = [call for call in house.probe.calls[before:] if call[0] not in ("look", "pure")]
    assert effects == []
    assert len(await house.runtime.store.runs_of_event(event_id)) == runs
    assert len(found) == 1
    return found[0]


def told(difference: Difference) -> dict[str, tuple[Any, ...]]:
    """What differs of each step: what, statuses, paths."""
    return {
        step.step: (step.what, step.before, step.after, *(change.path for change in step.changes))
        for step in difference.steps
    }


@pytest.fixture
async def done(house: House) -> UUID:
    """An event whose run has succeeded."""
    house.probe.script["charge"] = ["ch_1"]
    await house.deploy(ORDER)
    event_id = await receive(house)
    await house.turn((await run_of(house, event_id)).id)
    assert (await run_of(house, event_id)).status == "succeeded"
    return event_id


async def test_the_same_version_differs_in_nothing(house: House, done: UUID) -> None:
    """Not even where a clock is read, and the outputs of effects are those of the old run."""
    found = await rehearse(house, done)
    assert (found.same, found.steps, found.changes, found.notes) == (True, [], [], [])
    assert (found.before, found.after, found.unchanged) == ("succeeded", "succeeded", 7)


async def test_a_dry_run_opens_no_socket(house: House, done: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is offline: what would be sent is only compared."""
    plan = await plan_event(house.runtime, done, Wanted())

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "socketpair", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    found = await dry_run(house.runtime, plan, Wanted())
    assert [difference.same for difference in found] == [True]


async def test_what_would_differ_is_listed_by_step(house: House, done: UUID) -> None:
    """Changed inputs, steps that would run or not any more, with the values of both sides."""
    text = ORDER.replace("inputs.n > 100", "inputs.n > 1").replace('with: "inner ${{', 'with: "within ${{')
    text = text.replace(
        '{id: last, uses: test.effect, with: "${{ steps.send.output }}"}', "{id: end, uses: test.effect, with: x}"
    )
    assert await house.deploy(text) == []
    found = await rehearse(house, done)
    assert told(found) == {
        "steps[2]": ("new", "skipped", "succeeded", "with"),
        "inner": ("changed", "succeeded", "succeeded", "with"),
        "end": ("new", None, "succeeded", "with"),
        "last": ("gone", "succeeded", None),
    }
    assert not found.same
    inner = next(step for step in found.steps if step.step == "inner")
    assert str(inner.changes[0].before).startswith("inner ")
    assert str(inner.changes[0].after).startswith("within ")
    end = next(step for step in found.steps if step.step == "end")
    assert (end.changes[0].after, end.note) == ("x", "nobody knows what it would answer: null is assumed")


async def test_the_outcome_is_foretold(house: House, done: UUID) -> None:
    """A version that would fail says where and with what."""
    text = ORDER.replace('with: "${{ steps.charge.output }}"', 'with: "${{ steps.charge.output.nothing }}"')
    await house.deploy(text)
    found = await rehearse(house, done)
    assert (found.before, found.after) == ("succeeded", "failed")
    assert [change.path for change in found.changes] == ["error"]
    assert found.changes[0].after["type"] == "expression"
    assert told(found)["last"] == ("gone", "succeeded", None)


async def test_an_event_that_would_not_start_a_run_any_more(house: House, done: UUID) -> None:
    """The reason is the trigger's decision."""
    await house.deploy(ORDER.replace("triggers: [{uses: event,", "triggers: [{if: event.body.n > 10, uses: event,"))
    found = await rehearse(house, done)
    assert (found.before, found.after, found.version) == ("succeeded", None, None)
    assert "`event.body.n > 10` is false; `event.body.n` is 4" in found.reason


async def test_an_event_that_had_started_nothing(house: House) -> None:
    """Everything is new, and nobody knows what effects would answer."""
    await house.deploy(ORDER.replace("order.*", "another.*"))
    event_id = await receive(house)
    await house.deploy(ORDER.replace("inner ${{ steps.charge.output }}", "within"))
    found = await rehearse(house, event_id)
    assert (found.old_run, found.before, found.after, found.same) == (None, None, "succeeded", False)
    await house.deploy(ORDER)
    found = await rehearse(house, event_id)
    assert (found.after, len(found.notes)) == ("failed", 1)  # a text cannot be made of a null
    assert {step.what for step in found.steps} == {"new"}


async def test_a_step_with_another_id_is_answered_by_its_input(house: House, done: UUID) -> None:
    """A renamed step asks what the old one asked."""
    await house.deploy(ORDER.replace("{id: last,", "{id: final,"))
    found = await rehearse(house, done)
    assert told(found) == {
        "final": ("new", None, "succeeded", "with"),
        "last": ("gone", "succeeded", None),
    }
    assert found.steps[0].note == "it is answered as `last` was, which was given the same"


async def test_retries_and_failures_come_again(house: House) -> None:
    """Each attempt of the old run answers the same one of the new run, in no time."""
    await house.deploy(
        ORDER.replace("{id: last,", "{retry: {attempts: 3, delay: 1h}, on_error: {output: no}, id: last,")
    )
    house.probe.script["last"] = [Retry("busy"), Fail("no")]
    event_id = await receive(house)
    run_id = (await run_of(house, event_id)).id
    await house.turn(run_id)
    await house.runtime.store.wake([run_id])
    rows = [row for row in await house.attempts(run_id) if row.step == "last"]
    assert [row.status for row in rows] == ["failed"]
    found = await rehearse(house, event_id)
    assert found.notes == ["the old run has not ended, it is waiting: what it has not come to yet looks new"]


async def test_a_dry_run_says_that_a_step_cannot_be_begun_at(house: House, done: UUID) -> None:
    """The same error as the replay itself."""
    await house.deploy(ORDER.replace("inputs.n * 2", "inputs.n * 3"))
    wanted = Wanted(from_step="send")
    with pytest.raises(CannotTakeOver, match="twice: it has changed"):
        await dry_run(house.runtime, await plan_event(house.runtime, done, wanted), wanted)


async def test_loops_calls_and_waits(house: House) -> None:
    """Items are compared one by one, inner steps of called pipelines by their path, and waits take no time."""
    page = 'id: page\ninputs: {n: integer}\nsteps: [{id: alert, uses: test.effect, with: "${{ inputs.n }}"}]\n'
    text = """
        id: order
        triggers: [{uses: event, with: {type: order.*}}]
        steps:
          - {id: each, for_each: [1, 2, 3], uses: test.effect, with: "${{ item }}"}
          - {id: nap, wait: {for: 1s}}
          - {id: call, uses: "pipeline:page", with: {n: 7}}
    """
    await house.deploy(page, name="page")
    await house.deploy(text)
    event_id = await receive(house)
    await house.turn((await run_of(house, event_id)).id)
    assert (await run_of(house, event_id)).status == "succeeded"
    found = await rehearse(house, event_id)
    assert [(change.path, change.before, change.after) for step in found.steps for change in step.changes] == []
    await house.deploy(text.replace("[1, 2, 3]", "[1, 5, 3, 4]").replace("n: 7", "n: 8"))
    found = await rehearse(house, event_id)
    differing = told(found)
    assert differing["each[1]"] == ("changed", "succeeded", "succeeded", "with")
    assert differing["each[3]"][0] == "new"
    assert differing["call/alert"] == ("changed", "succeeded", "succeeded", "with")
    assert "each[0]" not in differing


async def test_what_a_run_waited_for_comes_again(house: House) -> None:
    """The event that ended a wait, and what somebody decided, at the time at which it was."""
    await house.deploy("""
        id: order
        triggers: [{uses: event, with: {type: order.*}}]
        steps:
          - {id: ask, wait: {approval: {prompt: Go on?}, timeout: 3d, on_reject: continue}}
          - {id: paid, wait: {events: [{source: stripe, if: incoming.body.id == 'a'}], timeout: 1h}}
          - {id: told, uses: test.effect, with: "${{ steps.ask.output.by }} ${{ steps.paid.output.event.body.id }}"}
    """)
    event_id = await receive(house)
    run_id = (await run_of(house, event_id)).id
    await house.turn(run_id)
    (question,) = await house.runtime.store.approvals_of_run(run_id)
    await decide_approval(house.runtime, question.id, approved=True, person="ann", via="api")
    await house.turn(run_id)
    await happen(house)
    assert await house.turn(run_id)
    assert [call[1] for call in house.probe.calls if call[0] == "told"] == ["ann a"]
    found = await rehearse(house, event_id)
    assert (found.before, found.after) == ("succeeded", "succeeded")
    assert "told" not in told(found)
    assert found.notes == []


async def test_a_chosen_version_stays_chosen_in_a_queue(house: House) -> None:
    """Also of an event that had started nothing: waiting for a turn, runs of triggers take the newest version."""
    text = ORDER.replace("inputs: {n: integer}", "inputs: {n: integer}\nconcurrency: {key: x}")
    await house.deploy(text.replace("order.*", "another.*"))
    event_id = await receive(house)
    await house.deploy(text)
    version = house.runtime.deployments.current.pipelines["order"].version
    await house.deploy(text.replace("with: large", "with: larger"))
    replayed = await replay_event(house.runtime, event_id, Wanted(version=version))
    ((run_id, _),) = replayed.runs
    assert await house.turn(run_id)
    assert (await house.run(run_id)).version == version
