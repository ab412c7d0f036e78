"""Waits for events: what ends them, what does not, and that nothing is missed."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import RunStatus
from engine.flow.cancel import cancel_run
from engine.flow.execution import Hold
from engine.flow.record import record_event
from engine.flow.retry_run import retry_run
from tests.integration.flow.conftest import House, decode

PAID = """
    id: test
    inputs: {invoice: {type: string, default: a}}
    steps:
      - id: before
        uses: test.gate
      - id: paid
        wait:
          events: [{source: "str*", type: "invoice.*", if: incoming.body.id == inputs.invoice}]
          timeout: 1h
      - {id: after, uses: test.effect, with: "${{ steps.paid.output.event.body.id }}"}
"""
PICKY = PAID.replace("inputs.invoice}", "inputs.invoice and incoming.body.paid}")


async def happen(
    house: House, id_: str = "a", type_: str = "invoice.paid", source: str = "stripe", *, paid: bool = True
) -> Any:
    body = msgspec.json.encode({"id": id_, "paid": paid})
    event = Event(id=uuid7(), source=source, type=type_, received_at=datetime.now(UTC), body=body)
    recorded = await record_event(house.runtime, event, [], dedup_scope="test")
    await house.runtime.listener.idle()
    return recorded


async def is_due(house: House, run_id: Any) -> bool:
    due_at = (await house.run(run_id)).due_at
    return due_at is not None and due_at <= datetime.now(UTC)


async def status(house: House, run_id: Any) -> str:
    return str((await house.run(run_id)).status)


async def test_an_event_wakes_the_run(house: House) -> None:
    """It waits without a worker, says for what, and goes on with the event."""
    await house.deploy(PAID)
    run = await house.finish()
    assert run.status == RunStatus.WAITING
    assert run.waiting_for.startswith(
        "an event for step `paid`: str* invoice.* where incoming.body.id == 'a'; times out at 20"
    )
    await happen(house)
    assert await is_due(house, run.id)
    assert await house.turn(run.id)
    assert await status(house, run.id) == "succeeded"
    assert house.probe.calls[-1][1] == "a"


async def test_a_false_condition_keeps_waiting(house: House) -> None:
    """The run looks, and waits on; what has another source, type or value does not even wake it."""
    await house.deploy(PICKY)
    run = await house.finish()
    for other in ({"source": "github"}, {"type_": "charge.paid"}, {"id_": "b"}):
        await happen(house, **other)
        assert not await is_due(house, run.id)
    await happen(house, paid=False)
    assert await house.turn(run.id)
    assert await status(house, run.id) == "waiting"
    assert not await house.turn(run.id)
    await happen(house)
    assert await house.turn(run.id)
    assert await status(house, run.id) == "succeeded"


@pytest.mark.parametrize(("since", "expected"), [("run_start", "succeeded"), ("now", "waiting")])
async def test_what_came_before_the_wait(house: House, since: str, expected: str) -> None:
    """It counts from the start of the run, or not at all."""
    await house.deploy(PAID.replace("timeout: 1h", f"timeout: 1h\n          since: {since}"))
    run_id = await house.start()
    await happen(house)
    await house.turn(run_id)
    assert await status(house, run_id) == expected


async def test_what_came_before_the_run_does_not_count(house: House) -> None:
    """A run looks back to its own start."""
    await house.deploy(PAID)
    await happen(house)
    assert (await house.finish()).status == RunStatus.WAITING


async def test_an_emit_wakes_the_run(house: House) -> None:
    """Internal events end waits like any other."""
    await house.deploy(PAID.replace('"str*"', "internal"))
    await house.deploy("id: other\nsteps: [{uses: emit, with: {type: invoice.paid, body: {id: a}}}]", name="other")
    run = await house.finish()
    await house.finish("other")
    await house.runtime.listener.idle()
    assert await house.turn(run.id)
    assert await status(house, run.id) == "succeeded"


@pytest.mark.parametrize(("more", "expected"), [("", "failed"), ("\n          on_timeout: continue", "succeeded")])
async def test_time_is_over(house: House, more: str, expected: str) -> None:
    """The step fails, or says so in its output. What comes later does not count."""
    await house.deploy(PAID.replace("timeout: 1h", "timeout: 1ms" + more).replace(
        "steps.paid.output.event.body.id", "steps.paid.output"
    ))  # fmt: skip
    run = await house.finish()
    if run.status == RunStatus.WAITING:
        await happen(house)
        await house.turn(run.id)
        run = await house.run(run.id)
    assert run.status == expected
    if more:
        assert house.probe.calls[-1][1] == {"timed_out": True, "event": None}
    else:
        assert decode(run.error)["type"] == "timeout"


TWO = """
    id: test
    steps:
      - parallel:
          a: [{id: one, wait: {events: [{type: go}], timeout: 1h}}]
          b: [{id: two, wait: {events: [{type: go}], timeout: 1h}}]
"""


async def test_one_event_ends_one_wait_of_a_run(house: House) -> None:
    """Two branches wait for the same: each needs an event of its own. Another run gets the same events."""
    await house.deploy(TWO)
    runs = [await house.finish(), await house.finish()]
    for expected in ("waiting", "succeeded"):
        await happen(house, type_="go")
        for run in runs:
            assert await house.turn(run.id)
            assert await status(house, run.id) == expected
    for run in runs:
        taken = {decode(row.output)["event"]["id"] for row in await house.attempts(run.id) if row.step in "one two"}
        assert len(taken) == 2


async def test_a_loop_of_waits(house: House) -> None:
    """Reminders in a loop: each wait looks back, none takes the event of another."""
    await house.deploy("""
        id: test
        steps:
          - id: chase
            for_each: {items: [1, 2, 3], as: n}
            steps:
              - id: outcome
                wait: {events: [{type: go}], timeout: 1h, on_timeout: continue}
              - {uses: test.effect, with: "${{ n }}"}
    """)
    run = await house.finish()
    for done in (1, 2, 3):
        await happen(house, type_="go")
        assert await house.turn(run.id)
        assert len(house.probe.calls) == done
    assert await status(house, run.id) == "succeeded"


async def test_cancel_while_waiting(house: House) -> None:
    """Nothing else happens."""
    await house.deploy(PAID)
    run = await house.finish()
    await cancel_run(house.runtime, run.id)
    assert await house.turn(run.id)
    assert await status(house, run.id) == "cancelled"
    assert house.probe.count("after") == 0


async def test_a_crash_after_the_event_was_taken(house: House) -> None:
    """What the store has decided ends the wait, not what came since."""
    await house.deploy(PAID)
    run = await house.finish()
    first = await happen(house)
    worker = await house.new_worker()
    [claimed] = await house.runtime.store.claim([run.id], worker, 1)
    assert await house.runtime.store.close_wait(run.id, "paid", claimed.turn, first.event_id)
    await happen(house)
    await house.runtime.store.rescue(0.0)
    await house.new_worker()
    assert await house.turn(run.id)
    output = {row.step: decode(row.output) for row in await house.attempts(run.id)}["paid"]
    assert output["event"]["id"] == str(first.event_id)


async def test_an_event_while_the_run_is_held(house: House) -> None:
    """A run that was woken while somebody held it is due as soon as it is let go."""
    await house.deploy(PICKY)
    run = await house.finish()
    await happen(house, paid=False)
    worker = await house.new_worker()
    [claimed] = await house.runtime.store.claim([run.id], worker, 1)
    await happen(house)
    await house.runtime.store.rescue(0.0)
    await house.new_worker()
    assert claimed.turn == 2
    assert await house.turn(run.id)
    assert await status(house, run.id) == "succeeded"


async def test_no_event_is_missed(house: House) -> None:
    """However a wait that begins and an event that comes fall together, the event ends the wait."""
    await house.deploy(PAID)
    await house.new_worker()
    for number in range(150):
        run_id = await house.start(invoice=f"i{number}")

        async def later(name: str, turns: int = number) -> None:
            for _ in range(turns % 50):
                await asyncio.sleep(0)
            await happen(house, name)

        await asyncio.gather(house.turn(run_id, Hold()), later(f"i{number}"))
        if await status(house, run_id) == "waiting":
            assert await house.turn(run_id), f"missed in round {number}"
        assert await status(house, run_id) == "succeeded"


async def test_a_crash_at_any_point(house: House) -> None:
    """Wherever the worker dies, while it registers, looks back or takes the event: the next one ends the wait once."""
    await house.deploy(PAID)
    store = house.runtime.store
    for number in range(60):
        run_id = await house.start(invoice=f"i{number}")
        event_id = (await happen(house, f"i{number}")).event_id
        hold = Hold()
        await house.new_worker()
        task = asyncio.create_task(house.turn(run_id, hold))
        async with asyncio.timeout(10):
            while not await store.get_attempts(run_id) and not task.done():
                await asyncio.sleep(0)
        for _ in range(number * 2):
            await asyncio.sleep(0)
        hold.reason = "lost"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if await status(house, run_id) != "succeeded":
            await store.rescue(0.0)
            await house.new_worker()
            async with asyncio.timeout(10):  # a late commit of the dead one may have the row: a claim passes it by
                while not await house.turn(run_id) and await status(house, run_id) != "succeeded":
                    await asyncio.sleep(0)
        assert await status(house, run_id) == "succeeded"
        output = {row.step: decode(row.output) for row in await house.attempts(run_id)}["paid"]
        assert output["event"]["id"] == str(event_id)


async def test_a_reopened_run_takes_no_event_twice(house: House) -> None:
    """What a wait of its first try has taken is not there for a wait of the second, however long it had ended."""
    await house.deploy("""
        id: test
        steps:
          - {id: one, wait: {events: [{type: go}], timeout: 1h}}
          - {id: two, wait: {events: [{type: go}], timeout: 1h}}
    """)
    run = await house.finish()
    await happen(house, type_="go")
    await house.turn(run.id)
    await cancel_run(house.runtime, run.id)
    await house.turn(run.id)
    assert await house.runtime.store.prune_waits() == 1
    await retry_run(house.runtime, run.id, by="me")
    await house.turn(run.id)
    assert await status(house, run.id) == "waiting"
    await happen(house, type_="go")
    await house.turn(run.id)
    assert await status(house, run.id) == "succeeded"
