"""Cancelling a run, wherever it stands, and however often it is told."""

import asyncio
from uuid import UUID

import pytest

from engine.core.run import FINISHED
from engine.errors import Conflict
from engine.flow.cancel import cancel_run
from engine.flow.retry_run import retry_run
from engine.worker import Holder
from tests.integration.flow.conftest import Fail, House, Retry

SAGA = """
    id: test
    steps:
      - {id: a, uses: test.effect, compensate: [{id: undo_a, uses: test.effect}]}
      - {id: b, uses: test.effect, compensate: [{id: undo_b, uses: test.gate}, {id: told_b, uses: test.effect}]}
      - {id: c, uses: test.LAST}
    on_error: [{id: sorry, uses: test.effect}]
    finally: [{id: last, uses: test.effect, with: ["${{ run.outcome }}", "${{ run.compensated }}"]}]
"""


async def hold(house: House, run_id: UUID) -> Holder:
    """A worker that has taken the run up."""
    holder = Holder(house.runtime, await house.new_worker())
    house.probe.entered.clear()
    await holder.take(None, run_ids=[str(run_id)])
    return holder


async def enter(house: House) -> None:
    async with asyncio.timeout(10):
        await house.probe.entered.wait()
    house.probe.entered.clear()


async def until_ended(house: House, run_id: UUID, holder: Holder) -> str:
    """Beat as a worker does, until the run has ended."""
    async with asyncio.timeout(10):
        while True:
            await holder.beat()
            run = await house.run(run_id)
            if run.status in FINISHED:
                return str(run.status)
            await asyncio.sleep(0.01)  # beats follow one another


async def test_a_run_that_undoes_what_it_did_is_not_cancelled_again_by_each_beat(house: House) -> None:
    """It has heard it: what takes longer than a beat is carried out to its end."""
    await house.deploy(SAGA.replace("test.LAST", "test.hang"))
    house.probe.gate = asyncio.Event()
    run_id = await house.start()
    holder = await hold(house, run_id)
    async with asyncio.timeout(10):
        while not house.probe.count("c"):
            await asyncio.sleep(0.002)
    await cancel_run(house.runtime, run_id)
    await holder.beat()
    await enter(house)  # undo_b is under way
    for _ in range(3):
        await holder.beat()
        await asyncio.sleep(0)
    house.probe.gate.set()
    assert await until_ended(house, run_id, holder) == "cancelled"
    assert [call[0] for call in house.probe.calls] == ["a", "b", "c", "undo_b", "told_b", "undo_a", "last"]
    assert house.probe.calls[-1][1] == ["cancelled", ["b", "a"]]


async def test_cancelling_a_run_that_undoes_what_it_did_since_it_failed(house: House) -> None:
    """All of it is undone all the same, and nothing twice that was undone already."""
    await house.deploy(SAGA.replace("test.LAST", "test.effect"))
    house.probe.script["c"] = [Fail("no")]
    house.probe.gate = asyncio.Event()
    run_id = await house.start()
    holder = await hold(house, run_id)
    await enter(house)  # undo_b is under way, since c has failed
    await cancel_run(house.runtime, run_id)
    await holder.beat()
    await enter(house)  # it was interrupted, and is begun again
    house.probe.gate.set()
    assert await until_ended(house, run_id, holder) == "cancelled"
    calls = [call[0] for call in house.probe.calls]
    assert calls == ["a", "b", "c", "undo_b", "undo_b", "told_b", "undo_a", "last"]
    assert house.probe.calls[-1][1] == ["cancelled", ["b", "a"]]


async def test_cancelling_between_two_compensations(house: House) -> None:
    """The one that is done is not repeated."""
    await house.deploy(SAGA.replace("test.LAST", "test.effect").replace(
        "{id: undo_a, uses: test.effect}", "{id: undo_a, uses: test.hang}"))  # fmt: skip
    house.probe.script["c"] = [Fail("no")]
    run_id = await house.start()
    holder = await hold(house, run_id)
    async with asyncio.timeout(10):
        while not house.probe.count("undo_a"):
            await asyncio.sleep(0.002)
    await house.deploy("id: other\nsteps: [{id: x, uses: test.effect}]", "other")
    catalog = house.runtime.catalog
    catalog.steps["test.hang"], before = catalog.steps["test.effect"], catalog.steps["test.hang"]
    try:
        await cancel_run(house.runtime, run_id)
        assert await until_ended(house, run_id, holder) == "cancelled"
    finally:
        catalog.steps["test.hang"] = before
    calls = [call[0] for call in house.probe.calls]
    assert calls == ["a", "b", "c", "undo_b", "told_b", "undo_a", "undo_a", "last"]


async def test_cancelling_a_run_that_is_finishing(house: House) -> None:
    """In its `finally`, after all has gone well: that is begun again, and it ends as cancelled."""
    await house.deploy("""
        id: test
        steps: [{id: a, uses: test.effect, compensate: [{id: undo, uses: test.effect}]}]
        finally: [{id: first, uses: test.effect}, {id: gate, uses: test.gate, with: "${{ run.outcome }}"}]
    """)
    house.probe.gate = asyncio.Event()
    run_id = await house.start()
    holder = await hold(house, run_id)
    await enter(house)
    await cancel_run(house.runtime, run_id)
    await holder.beat()
    await enter(house)
    house.probe.gate.set()
    assert await until_ended(house, run_id, holder) == "cancelled"
    assert [call[0] for call in house.probe.calls] == ["a", "first", "gate", "undo", "gate"]


@pytest.mark.parametrize("step", ["wait: 3d", "wait: {events: [{source: x, type: y}], timeout: 3d}",
                                  "wait: {approval: {prompt: ok}, timeout: 3d}",
                                  "uses: test.effect, retry: {attempts: 2, delay: 1h, jitter: false}"])  # fmt: skip
async def test_a_run_that_waits_is_undone(house: House, step: str) -> None:
    """Whatever it waits for; it can be retried, and then waits again."""
    await house.deploy(f"""
        id: test
        steps:
          - {{id: a, uses: test.effect, compensate: [{{id: undo, uses: test.effect}}]}}
          - {{id: w, {step}}}
        finally: [{{id: last, uses: test.effect}}]
    """)
    house.probe.script["w"] = [Retry("busy")]
    run_id = await house.start()
    await house.turn(run_id)
    reason = (await house.run(run_id)).waiting_for
    assert await cancel_run(house.runtime, run_id) == "running"
    assert await house.turn(run_id), "it is due at once"
    assert (await house.run(run_id)).status == "cancelled"
    assert [call[0] for call in house.probe.calls if call[0] != "w"] == ["a", "undo", "last"]
    with pytest.raises(Conflict):
        await cancel_run(house.runtime, run_id)
    await retry_run(house.runtime, run_id, by="ann")
    await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.status, run.waiting_for.split(" times out")[0]) == ("waiting", reason.split(" times out")[0])


async def test_a_decision_nobody_makes_is_no_obstacle(house: House) -> None:
    """A run that asks about an unknown outcome is cancelled too; the step is not run again for it."""
    from engine.flow.execution import Hold
    from tests.integration.flow.test_resume import die, until_gate

    await house.deploy("""
        id: test
        steps: [{id: gate, uses: test.gate, on_unknown: ask}]
        finally: [{id: last, uses: test.effect}]
    """)
    run_id, grip = await house.start(), Hold()
    await die(house, await until_gate(house, run_id, grip), grip)
    await house.turn(run_id)
    assert "a decision about" in (await house.run(run_id)).waiting_for
    await cancel_run(house.runtime, run_id)
    await house.turn(run_id)
    assert (await house.run(run_id)).status == "cancelled"
    assert (house.probe.count("gate"), house.probe.count("last")) == (1, 1)


async def test_a_run_that_waits_for_its_turn_ends_at_once(house: House) -> None:
    """It has not begun; who waits behind it goes on when the slot is free."""
    await house.deploy("id: test\nconcurrency: {limit: 1}\nsteps: [{id: pause, wait: 1d}]")
    holder, queued, behind = [await house.start() for _ in range(3)]
    await house.turn(holder)
    assert "a slot of" in (await house.run(queued)).waiting_for
    assert await cancel_run(house.runtime, queued) == "cancelled"
    assert not await house.turn(behind)
    await cancel_run(house.runtime, holder)
    assert await house.turn(holder)
    assert await house.turn(behind)
