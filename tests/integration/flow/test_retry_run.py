"""Runs that ended badly go on, for real: over the tables, with workers, several people and other versions."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from engine.core.run import ErrorInfo, RunStatus, split_round
from engine.errors import BadRequest, Conflict, NotFound
from engine.flow.advance import fail_run
from engine.flow.cancel import cancel_run
from engine.flow.execution import Hold
from engine.flow.migrate_run import CannotMigrateError, migrate_run
from engine.flow.resume_run import resume_run
from engine.flow.retry_run import retry_run
from engine.store import AuditFilter
from tests.integration.flow.conftest import Fail, House, Retry, decode
from tests.integration.flow.test_resume import die, until_gate

THREE = """
    id: test
    steps:
      - {id: one, uses: test.effect, with: "${{ uuid() }}", compensate: [{id: undo, uses: test.effect}]}
      - {id: two, uses: test.effect, with: {at: "${{ now() }}"}}
      - {id: three, uses: test.effect, with: "${{ steps.two.output }}"}
    finally: [{id: last, uses: test.effect, with: "${{ run.outcome }}"}]
    outputs: {three: "${{ steps.three.output }}"}
"""


async def counting(house: House, run_id: UUID) -> list[tuple[str, int, str]]:
    return [row for row in await house.statuses(run_id) if split_round(row[0])[0] is None]


async def test_a_failed_run_goes_on_at_the_failed_step(house: House) -> None:
    """With the same inputs and key; what was undone is done again, the row is as of a run that never ended."""
    await house.deploy(THREE)
    house.probe.script["two"] = [Fail("no")]
    run_id = (await house.finish()).id
    done = await retry_run(house.runtime, run_id, by="ann")
    assert (done.round, done.goes_on) == (1, ["one", "two"])
    run = await house.run(run_id)
    assert (run.status, run.finished_at, run.error, run.outputs, run.rounds) == ("queued", None, None, None, 1)
    before = len(house.probe.calls)
    assert await house.turn(run_id)
    run = await house.run(run_id)
    assert run.status == "succeeded"
    assert [call[0] for call in house.probe.calls[before:]] == ["one", "two", "three", "last"]
    twos = [call for call in house.probe.calls if call[0] == "two"]
    assert twos[0][1:3] == twos[1][1:3]
    rows = await house.statuses(run_id)
    assert ("~1/two", 1, "failed") in rows
    assert ("~1/last", 1, "succeeded") in rows
    assert ("~1/undo", 1, "succeeded") in rows
    trail, _ = await house.runtime.store.list_audit(AuditFilter(run_id=run_id))
    assert [(row.by, row.action) for row in trail] == [("ann", "run.retry")]


async def test_of_two_who_retry_at_once_one_wins(house: House) -> None:
    """The other one is told; there is one trace."""
    await house.deploy(THREE)
    house.probe.script["two"] = [Fail("no")]
    run_id = (await house.finish()).id
    results = await asyncio.gather(
        *(retry_run(house.runtime, run_id, by=name) for name in ("ann", "bob", "cy")), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "Conflict", "Reopened"]
    trail, _ = await house.runtime.store.list_audit(AuditFilter(run_id=run_id))
    assert len(trail) == 1


async def test_only_what_ended_badly_can_be_retried(house: House) -> None:
    """Not what is open, nor what has succeeded, nor what is not there."""
    await house.deploy(THREE)
    run_id = await house.start()
    with pytest.raises(Conflict, match="is queued"):
        await retry_run(house.runtime, run_id, by="ann")
    await house.turn(run_id)
    with pytest.raises(Conflict, match="is succeeded"):
        await retry_run(house.runtime, run_id, by="ann")
    with pytest.raises(NotFound):
        await retry_run(house.runtime, UUID(int=1), by="ann")


async def test_a_cancelled_run_goes_on_where_it_was(house: House) -> None:
    """Cancelled before it began, or in the middle of a step."""
    await house.deploy(THREE.replace("{id: two, uses: test.effect", "{id: two, uses: test.gate"))
    run_id = await house.start()
    await cancel_run(house.runtime, run_id)
    await retry_run(house.runtime, run_id, by="ann")
    hold = Hold()
    house.probe.entered.clear()
    house.probe.gate = asyncio.Event()
    task = asyncio.create_task(house.turn(run_id, hold))
    await house.probe.entered.wait()
    await cancel_run(house.runtime, run_id)
    hold.reason = "cancel"
    task.cancel()
    await task
    assert (await house.run(run_id)).status == "cancelled"
    house.probe.gate = None
    assert (await retry_run(house.runtime, run_id, by="ann")).goes_on == ["one", "two"]
    assert await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"


async def test_a_run_that_goes_on_survives_a_crash(house: House) -> None:
    """What is superseded does not come back."""
    await house.deploy(THREE.replace("{id: three, uses: test.effect", "{id: three, uses: test.gate"))
    house.probe.script["two"] = [Fail("no")]
    run_id = (await house.finish()).id
    await retry_run(house.runtime, run_id, by="ann")
    hold = Hold()
    await die(house, await until_gate(house, run_id, hold), hold)
    house.probe.gate = None
    assert await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"
    assert [house.probe.count(step) for step in ("one", "two", "three", "last")] == [2, 2, 2, 2]


async def test_a_run_that_was_out_of_time_gets_its_time_again(house: House) -> None:
    """Its timeout counts from the moment it was reopened."""
    await house.deploy("id: test\ntimeout: 1s\nsteps: [{id: gate, uses: test.gate}]")
    house.probe.gate = asyncio.Event()
    run_id = (await house.finish()).id
    assert decode((await house.run(run_id)).error)["type"] == "timeout"
    house.probe.gate = None
    await retry_run(house.runtime, run_id, by="ann")
    await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"


async def test_an_end_that_was_not_its_own_leaves_nothing_that_seems_to_run(house: House) -> None:
    """A run that was given up in the middle of a step."""
    await house.deploy(THREE.replace("{id: two, uses: test.effect", "{id: two, uses: test.gate"))
    run_id, hold = await house.start(), Hold()
    task = await until_gate(house, run_id, hold)
    worker = house.worker
    assert worker is not None
    hold.reason = "lost"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await house.runtime.store.rescue(6.0, now=datetime.now(UTC) + timedelta(seconds=60))
    house.worker = None
    [claimed] = await house.runtime.store.claim([run_id], await house.new_worker(), 1)
    await fail_run(house.runtime, claimed, ErrorInfo(type="internal", message="a defect"))
    house.probe.gate = None
    await retry_run(house.runtime, run_id, by="ann")
    assert not [row for row in await counting(house, run_id) if row[2] == "running"]
    await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"


async def test_who_waits_for_its_end_hears_of_each(house: House) -> None:
    """A run that ends twice is announced twice."""
    await house.deploy(THREE)
    await house.deploy(
        "id: after\ntriggers: [{uses: run.finished, with: {pipelines: [test]}}]\n"
        'steps: [{id: note, uses: test.effect, with: "${{ event.body.run.outcome }}"}]',
        "after",
    )
    house.probe.script["two"] = [Fail("no")]
    run_id = (await house.finish()).id
    await retry_run(house.runtime, run_id, by="ann")
    await house.turn(run_id)
    rows, _ = await house.runtime.store.list_runs(filter_of("after"))
    for row in rows:
        await house.turn(row.id)
    assert sorted(call[1] for call in house.probe.calls if call[0] == "note") == ["failed", "succeeded"]


def filter_of(pipeline: str) -> Any:
    from engine.store import RunFilter

    return RunFilter(pipeline=pipeline)


# Resume


@pytest.mark.parametrize(
    ("kind", "value", "calls", "output"),
    [
        ("output", {"x": 1}, ["three", "last"], {"x": 1}),
        ("input", {"value": 5}, ["two", "three", "last"], 5),
        ("retry", None, ["two", "three", "last"], None),
    ],
)
async def test_a_failed_run_goes_on_with_a_decision(
    house: House, kind: str, value: Any, calls: list[str], output: Any
) -> None:
    """About the failed step; the trace says which."""
    await house.deploy("""
        id: test
        steps:
          - {id: two, uses: test.strict, with: {value: 3}}
          - {id: three, uses: test.effect, with: "${{ steps.two.output }}"}
        finally: [{id: last, uses: test.effect}]
        outputs: {three: "${{ steps.three.output }}"}
    """)
    house.probe.script["two"] = [Fail("no")]
    run_id = (await house.finish()).id
    before = len(house.probe.calls)
    await resume_run(house.runtime, run_id, by="ann", kind=kind, step="two", value=value)
    await house.turn(run_id)
    run = await house.run(run_id)
    assert run.status == "succeeded"
    assert [call[0] for call in house.probe.calls[before:]] == calls
    assert decode(run.outputs) == {"three": output if kind != "retry" else 3}
    trail, _ = await house.runtime.store.list_audit(AuditFilter(run_id=run_id))
    expected = {"step": "two", "decision": kind} | ({} if kind == "retry" else {"value": value})
    assert decode(trail[0].detail) == expected


async def test_decisions_that_do_not_fit_are_refused(house: House) -> None:
    """And change nothing."""
    await house.deploy(
        "id: test\nsteps: [{id: one, uses: test.effect}, {id: two, uses: test.strict, with: {value: 3}}]"
    )
    house.probe.script["two"] = [Fail("no")]
    run_id = (await house.finish()).id
    before = await house.run(run_id)

    async def resume(**values: Any) -> None:
        await resume_run(house.runtime, run_id, by="ann", **values)

    with pytest.raises(BadRequest, match="Expected `int`"):
        await resume(kind="input", step="two", value={"value": "x"})
    with pytest.raises(Conflict, match="failed at `two`; `one` is none of them"):
        await resume(kind="skip", step="one")
    with pytest.raises(BadRequest, match="bytes"):
        await resume(kind="output", step="two", value="x" * 11_000_000)
    assert await house.run(run_id) == before
    trail, _ = await house.runtime.store.list_audit(AuditFilter(run_id=run_id))
    assert trail == []


async def test_a_run_that_waits_goes_on_with_a_decision(house: House) -> None:
    """A wait is over, a retry in an hour is not awaited."""
    await house.deploy("""
        id: test
        steps:
          - {id: pause, wait: 3d}
          - {id: flaky, uses: test.effect, with: 7, retry: {attempts: 2, delay: 1h, max_delay: 2h, jitter: false}}
        outputs: {pause: "${{ steps.pause.output }}", flaky: "${{ steps.flaky.output }}"}
    """)
    house.probe.script["flaky"] = [Retry("busy")]
    run_id = await house.start()
    await house.turn(run_id)
    assert (await house.run(run_id)).status == "waiting"
    await resume_run(house.runtime, run_id, by="ann", kind="output", value={"timed_out": False, "event": None})
    assert await house.turn(run_id)
    assert (await house.run(run_id)).status == "waiting"
    assert not await house.turn(run_id)
    await resume_run(house.runtime, run_id, by="ann", kind="retry", step="flaky")
    assert await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.status, run.rounds) == ("succeeded", 2)
    assert decode(run.outputs)["flaky"] == 7


async def test_a_wait_for_an_event_that_a_person_ended_takes_no_event(house: House) -> None:
    """Nobody waits for it any more."""
    await house.deploy("""
        id: test
        steps:
          - {id: paid, wait: {events: [{source: emit, type: paid}], timeout: 3d}}
          - {id: more, wait: 3d}
    """)
    run_id = await house.start()
    await house.turn(run_id)
    await resume_run(house.runtime, run_id, by="ann", kind="skip", step="paid")
    assert await house.turn(run_id)
    assert "more" in (await house.run(run_id)).waiting_for
    rows = await house.runtime.store._database.fetch("select open from wait where run_id = $1", run_id)
    assert [row["open"] for row in rows] == [False]


async def test_a_decision_about_an_outcome_that_nobody_knows(house: House) -> None:
    """The step runs again, or counts as done."""
    await house.deploy("""
        id: test
        steps: [{id: gate, uses: test.gate, on_unknown: ask, with: 1}, {id: after, uses: test.effect}]
    """)
    for kind, count in (("retry", 2), ("output", 1), ("skip", 1)):
        house.probe.calls.clear()
        run_id, hold = await house.start(), Hold()
        await die(house, await until_gate(house, run_id, hold), hold)
        house.probe.gate = None
        await house.turn(run_id)
        assert "a decision about" in (await house.run(run_id)).waiting_for
        await resume_run(house.runtime, run_id, by="ann", kind=kind, value=1)
        assert await house.turn(run_id)
        assert ((await house.run(run_id)).status, house.probe.count("gate")) == ("succeeded", count)


# Migrate

OLD = """
    id: test
    inputs: {n: {type: integer, default: 1}}
    steps:
      - {id: one, uses: test.effect, with: {a: 1}}
      - {id: pause, wait: 3d}
      - {id: two, uses: test.effect, with: "${{ steps.one.output.a }}"}
"""


async def wait_in_pause(house: House) -> UUID:
    await house.deploy(OLD)
    run_id = await house.start()
    await house.turn(run_id)
    assert (await house.run(run_id)).status == "waiting"
    return run_id


async def test_a_waiting_run_moves_to_the_newest_version(house: House) -> None:
    """And goes on waiting there until its time has come."""
    run_id = await wait_in_pause(house)
    before = await house.run(run_id)
    await house.deploy(
        OLD.replace("steps.one.output.a }}", "steps.one.output.a + inputs.extra }}").replace(
            "{n:", "{extra: {type: integer, default: 5}, n:"
        )
    )
    done = await migrate_run(house.runtime, run_id, by="ann")
    assert done.changed
    assert await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.status, run.due_at, run.version == before.version) == ("waiting", before.due_at, False)
    await resume_run(house.runtime, run_id, by="ann", kind="output")
    await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"
    assert house.probe.calls[-1][:2] == ("two", 6)


async def test_what_differs_is_listed_and_nothing_changes(house: House) -> None:
    """With places; asked for a check, it is no error."""
    run_id = await wait_in_pause(house)
    before = await house.run(run_id)
    await house.deploy(OLD.replace("{id: one, uses: test.effect", "{id: one, uses: test.pure"))
    with pytest.raises(CannotMigrateError) as refused:
        await migrate_run(house.runtime, run_id, by="ann")
    [problem] = refused.value.problems
    assert problem["name"] == "one"
    assert "`test.pure` there (pipelines/test.yaml:5:5)" in problem["message"]
    checked = await migrate_run(house.runtime, run_id, by="ann", check=True)
    assert (len(checked.differences), checked.changed) == (1, False)
    assert await house.run(run_id) == before


async def test_a_run_at_work_is_not_migrated(house: House) -> None:
    """Nor is one that a worker takes between the comparison and the write."""
    run_id = await wait_in_pause(house)
    await house.deploy(OLD.replace("3d}", "3d}\n      - {id: new, uses: test.effect}"))
    store = house.runtime.store
    read = store.get_attempts

    async def read_late(run_id: UUID) -> Any:
        rows = await read(run_id)
        await store.wake([run_id])
        [_] = await store.claim([run_id], await house.new_worker(), 1)
        return rows

    store.get_attempts = read_late  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="changed just now"):
        await migrate_run(house.runtime, run_id, by="ann")
    store.get_attempts = read  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="is at work"):
        await migrate_run(house.runtime, run_id, by="ann")


async def test_a_failed_run_goes_on_in_the_newest_version(house: House) -> None:
    """With the step as it is mended there; what has not changed keeps its call."""
    await house.deploy(OLD.replace("wait: 3d", "wait: 1ms").replace("output.a", "output.b"))
    run_id = (await house.finish()).id
    assert (await house.run(run_id)).status == RunStatus.FAILED
    await house.deploy(OLD.replace("wait: 3d", "wait: 1ms"))
    done = await retry_run(house.runtime, run_id, by="ann", latest=True)
    await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.status, run.version) == (RunStatus.SUCCEEDED, done.version)
    assert house.probe.calls[-1][:2] == ("two", 1)
    assert house.probe.count("one") == 1


# Limits


async def test_a_run_that_goes_on_gets_through_its_limits_again(house: House) -> None:
    """It queues behind who has its slot meanwhile, and holds it afterwards."""
    await house.deploy("""
        id: test
        inputs: {who: string}
        concurrency: {key: "${{ inputs.who }}", limit: 1}
        steps: [{id: one, uses: test.effect}, {id: pause, wait: 1d}]
    """)
    house.probe.script["one"] = [Fail("no")]
    first = await house.start(who="ann")
    await house.turn(first)
    assert (await house.run(first)).status == "failed"
    second = await house.start(who="ann")
    await house.turn(second)
    assert (await house.run(second)).status == "waiting"
    await retry_run(house.runtime, first, by="ann")
    run = await house.run(first)
    assert (run.status, run.due_at) == ("queued", None)
    assert "a slot of" in run.waiting_for
    assert not await house.turn(first)
    await cancel_run(house.runtime, second)
    assert await house.turn(second)
    assert await house.turn(first), "the slot is free"
    assert (await house.run(first)).status == "waiting"
    third = await house.start(who="ann")
    assert not await house.turn(third), "and taken again"
