"""Who tells the waits of an event: the process that recorded it, or the sweep if it could not."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

import engine.listener
from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import RunStatus
from engine.flow.record import record_event
from engine.flow.replay import replay_event
from engine.flow.schedule import fire_due, plan
from engine.flow.upkeep import Upkeep
from engine.listener import Listener
from engine.store import IngestRecord, connect
from tests.integration.flow.conftest import House

WAIT = """
    id: test
    inputs: {order: {type: string, default: a}}
    steps:
      - id: paid
        wait: {events: [{source: shop, type: "order.*", if: incoming.body.order == inputs.order and incoming.body.ok}]}
"""


def paid(order: str = "a", *, ok: bool = True, **values: Any) -> Event:
    body = msgspec.json.encode({"order": order, "ok": ok})
    defaults = {"id": uuid7(), "source": "shop", "type": "order.paid", "received_at": datetime.now(UTC), "body": body}
    return Event(**{**defaults, **values})


def id_at(at: datetime) -> UUID:
    return UUID(int=(int(at.timestamp() * 1000) << 80) | uuid7().int >> 64)


async def commit(house: House, event: Event) -> None:
    """As a process that is killed before it tells anybody."""
    await house.runtime.store.ingest(IngestRecord(event=event))


async def is_woken(house: House, run_id: UUID) -> bool:
    due_at = (await house.run(run_id)).due_at
    return due_at is not None and due_at <= datetime.now(UTC)


async def test_a_process_that_died_before_it_told_is_made_good_for(house: House) -> None:
    """The leader's upkeep finds the event and wakes the run."""
    await house.deploy(WAIT)
    run = await house.finish()
    await commit(house, paid())
    assert not await is_woken(house, run.id)
    await Upkeep(house.runtime).lead()
    assert await house.turn(run.id)
    assert (await house.run(run.id)).status == RunStatus.SUCCEEDED


async def test_a_new_leader_goes_on_where_the_last_one_stopped(house: House) -> None:
    """However long nobody swept: what the waits have not heard of is found."""
    await house.deploy(WAIT)
    run = await house.finish()
    await house.runtime.listener.sweep()
    for statement in ("update wait_sweep set position", "update wait set created_at"):
        await house.runtime.store._database.fetch(f"{statement} = now() - interval '1 hour'")
    at = datetime.now(UTC) - timedelta(minutes=50)
    await commit(house, paid(id=id_at(at)))
    assert await Listener(house.runtime.store, house.runtime.queue).sweep() == 1
    assert await is_woken(house, run.id)


async def test_what_was_refused_is_not_told_again(house: House) -> None:
    """Neither by the next sweep nor by another leader."""
    await house.deploy(WAIT)
    run = await house.finish()
    await commit(house, paid(ok=False))
    assert await house.runtime.listener.sweep() == 1
    assert await house.turn(run.id)
    assert not await is_woken(house, run.id)
    assert await house.runtime.listener.sweep() == 0
    assert await Listener(house.runtime.store, house.runtime.queue).sweep() == 1
    assert not await is_woken(house, run.id)


async def test_a_sweep_with_much_to_do_is_done_in_parts(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each goes on where the last one stopped, and none is left out."""
    monkeypatch.setattr(engine.listener, "SWEPT", 3)
    monkeypatch.setattr(engine.listener, "SWEPT_MOST", 4)
    await house.deploy(WAIT)
    runs = [await house.finish(order=str(number)) for number in range(10)]
    start = datetime.now(UTC)
    for number in range(10):
        await commit(house, paid(str(number), id=id_at(start + timedelta(seconds=5 * number))))
    counts = [await house.runtime.listener.sweep() for _ in range(4)]
    assert counts == [4, 4, 2, 0]
    assert all([await is_woken(house, run.id) for run in runs])


async def test_an_event_that_was_late_is_found(house: House) -> None:
    """Its id is older than those of events that a sweep has seen."""
    await house.deploy(WAIT)
    run = await house.finish()
    await commit(house, paid("b"))
    assert await house.runtime.listener.sweep() == 1
    await commit(house, paid(id=id_at(datetime.now(UTC) - timedelta(seconds=20))))
    assert await house.runtime.listener.sweep() == 1
    assert await is_woken(house, run.id)


async def test_nobody_sweeps_while_nobody_waits(house: House) -> None:
    """It asks once, and leaves the events alone."""
    await commit(house, paid())
    assert await house.runtime.listener.sweep() == 0
    await house.deploy(WAIT)
    await house.finish()
    assert await house.runtime.listener.sweep() == 1


async def test_a_repeated_delivery_is_told_as_well(house: House) -> None:
    """The process that took the first one may have died before it told."""
    await house.deploy(WAIT)
    run = await house.finish()
    first = paid(delivery_id="1")
    await record_event(house.runtime, first, [], dedup_scope="test")
    await house.runtime.store._database.fetch("delete from arrival")
    await house.runtime.listener.idle()
    assert await house.turn(run.id)
    again = await house.finish()
    assert again.status == RunStatus.WAITING
    repeated = await record_event(house.runtime, paid(delivery_id="1"), [], dedup_scope="test")
    assert repeated.duplicate
    await house.runtime.listener.idle()
    rows = await house.runtime.store._database.fetch("select event_id from arrival where run_id = $1", again.id)
    assert [row["event_id"] for row in rows] == [first.id]


async def test_a_replay_ends_no_wait(house: House) -> None:
    """It starts runs anew and tells nobody of the old event."""
    await house.deploy("id: other\ntriggers: [{uses: event, with: {type: x}}]\nsteps: [{uses: value}]", name="other")
    await house.deploy(WAIT.replace("source: shop, ", "").replace("order.*", "x"))
    event = paid(type="x", source="internal")
    await record_event(house.runtime, event, [], dedup_scope="test")
    await house.runtime.listener.idle()
    run = await house.finish()
    await replay_event(house.runtime, event.id)
    await record_event(house.runtime, paid(type="x", replay_of=event.id), [], dedup_scope="test")
    await house.runtime.listener.idle()
    await house.runtime.listener.sweep()
    await house.turn(run.id)  # the sweep may tell it of the old event, which came before it
    assert (await house.run(run.id)).status == RunStatus.WAITING


async def test_the_end_of_another_run_ends_a_wait(house: House) -> None:
    """`run.finished` is an event like any other, once somebody has it announced."""
    await house.deploy(
        "id: heir\ntriggers: [{uses: run.finished, with: {pipelines: [other]}}]\nsteps: [{uses: value}]", name="heir"
    )
    await house.deploy("id: other\nsteps: [{uses: value}]", name="other")
    await house.deploy("id: test\nsteps: [{wait: {events: [{type: run.finished}]}}]")
    run = await house.finish()
    await house.finish("other")
    await house.runtime.listener.idle()
    assert await house.turn(run.id)
    assert (await house.run(run.id)).status == RunStatus.SUCCEEDED


async def test_a_tick_ends_a_wait(house: House) -> None:
    """So does the tick of a schedule."""
    await house.deploy(
        "id: other\ntriggers: [{uses: schedule, with: {cron: '* * * * *'}}]\nsteps: [{uses: value}]", name="other"
    )
    await house.deploy("id: test\nsteps: [{wait: {events: [{type: schedule.tick}]}}]")
    await plan(house.runtime)
    run = await house.finish()
    assert await fire_due(house.runtime, datetime.now(UTC) + timedelta(minutes=2)) == 1
    await house.runtime.listener.idle()
    assert await house.turn(run.id)
    assert (await house.run(run.id)).status == RunStatus.SUCCEEDED


async def test_waits_and_events_of_several_processes_do_not_miss_each_other(house: House) -> None:
    """Others record events while runs begin to wait: every run gets its event, whoever was first."""
    await house.deploy(WAIT)
    stores = [await connect(house.runtime.settings.database_url or "") for _ in range(3)]
    listeners = [Listener(store, house.runtime.queue) for store in stores]
    await house.new_worker()

    async def other(number: int) -> None:
        for _ in range(number * 7 % 60):
            await asyncio.sleep(0)
        store, event = stores[number % 3], paid(str(number))
        await store.ingest(IngestRecord(event=event))
        listeners[number % 3].hear(event)

    for start in range(0, 120, 20):
        runs = {number: await house.start(order=str(number)) for number in range(start, start + 20)}
        await asyncio.gather(*(house.turn(run_id) for run_id in runs.values()), *(other(number) for number in runs))
        await asyncio.gather(*(listener.idle() for listener in listeners))
        for number, run_id in runs.items():
            await house.turn(run_id)
            assert (await house.run(run_id)).status == RunStatus.SUCCEEDED, number
    for listener, store in zip(listeners, stores, strict=True):
        await listener.close()
        await store.close()


async def test_what_is_too_much_to_keep_is_left_to_the_sweep(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of events takes no memory without end."""
    monkeypatch.setattr(engine.listener, "KEPT", 2)
    await house.deploy(WAIT)
    runs = [await house.finish(order=str(number)) for number in range(5)]
    events = [paid(str(number)) for number in range(5)]
    await asyncio.gather(*(commit(house, event) for event in events))
    for event in events:
        house.runtime.listener.hear(event)
    await house.runtime.listener.idle()
    woken = [await is_woken(house, run.id) for run in runs]
    assert woken.count(True) == 2
    await house.runtime.listener.sweep()
    assert all([await is_woken(house, run.id) for run in runs])
