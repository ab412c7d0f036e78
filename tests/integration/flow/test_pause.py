"""Pause and resume: no event is lost, nothing new begins, and everything runs afterwards."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.errors import NotFound
from engine.flow.cancel import cancel_run
from engine.flow.execution import now
from engine.flow.pause import bring_back, pause, resume, set_aside
from engine.flow.record import record_event
from engine.flow.upkeep import Upkeep
from engine.store import AuditFilter
from tests.integration.flow.conftest import House

PLAIN = """
    id: test
    triggers: [{uses: event, with: {type: order.*}}]
    steps: [{id: act, uses: test.effect, with: 1}]
"""
OTHER = PLAIN.replace("id: test", "id: other")
SLEEPS = "id: test\nsteps: [{id: nap, wait: 1h}, {id: act, uses: test.effect}]"


async def send(house: House) -> list[tuple[UUID, str]]:
    event = Event(uuid7(), "internal", "order.new", now(), headers={"content-type": "application/json"}, body=b"{}")
    bindings = house.runtime.deployments.current.events
    return (await record_event(house.runtime, event, bindings, dedup_scope="test")).runs


async def execute(house: House, statement: str, *arguments: Any) -> None:
    await house.runtime.store._database.fetch(statement, *arguments)


async def test_a_paused_pipeline_takes_events_and_starts_nothing(house: House) -> None:
    """Its runs are there and say why they wait; others go on. Resume lets all of them run."""
    await house.deploy(PLAIN)
    await house.deploy(OTHER, "other")
    assert await pause(house.runtime, "pipeline", "test", by="ann", reason="the shop is down")
    runs = await send(house)
    assert sorted(name for _, name in runs) == ["other", "test"]
    [mine] = [run_id for run_id, name in runs if name == "test"]
    [others] = [run_id for run_id, name in runs if name == "other"]
    assert not await house.turn(mine)
    assert await house.turn(others)
    assert await set_aside(house.runtime) == 1
    row = await house.run(mine)
    assert (row.status, row.turn, row.due_at) == ("queued", 0, None)
    assert row.waiting_for is not None
    assert row.waiting_for.startswith("paused: pipeline `test` by ann since 2")
    assert row.waiting_for.endswith("UTC (the shop is down)")
    assert await house.runtime.store.due_unrung(0, 10) == []
    assert await bring_back(house.runtime) == 0
    assert await resume(house.runtime, "pipeline", "test", by="ann")
    assert (await house.run(mine)).waiting_for is None
    assert await house.turn(mine)
    assert (await house.run(mine)).status == "succeeded"


async def test_runs_that_have_begun_go_on(house: House) -> None:
    """Of a pipeline and of a source: what has started ends."""
    await house.deploy(SLEEPS)
    run_id = await house.start()
    await house.turn(run_id)
    await pause(house.runtime, "pipeline", "test", by="ann")
    await execute(house, "update run set due_at = now() where id = $1", run_id)
    assert await set_aside(house.runtime) == 0
    assert await house.turn(run_id)


async def test_nothing_of_a_paused_queue_is_claimed(house: House) -> None:
    """Not even what has begun; it goes on where it was."""
    await house.deploy(SLEEPS)
    run_id = await house.start()
    await house.turn(run_id)
    await pause(house.runtime, "queue", "default", by="ann")
    await execute(house, "update run set due_at = now() where id = $1", run_id)
    assert not await house.turn(run_id)
    assert await set_aside(house.runtime) == 1
    row = await house.run(run_id)
    assert (row.status, row.waiting_for[:21]) == ("waiting", "paused: queue `defaul")
    await house.runtime.store.wake([run_id])  # something it waits for happens meanwhile
    assert not await house.turn(run_id)
    assert await set_aside(house.runtime) == 1
    await resume(house.runtime, "queue", "default", by="ann")
    assert await house.turn(run_id)


async def test_a_paused_source(house: House) -> None:
    """Runs of its events wait, those started by hand do not."""
    await house.deploy(PLAIN)
    await pause(house.runtime, "source", "internal", by="ann")
    [(run_id, _)] = await send(house)
    assert not await house.turn(run_id)
    assert (await house.finish()).status == "succeeded"
    await set_aside(house.runtime)
    assert (await house.run(run_id)).waiting_for.startswith("paused: source `internal`")
    await resume(house.runtime, "source", "internal", by="ann")
    assert await house.turn(run_id)


async def test_a_run_of_two_pauses_waits_for_both(house: House) -> None:
    """Resuming one is not enough."""
    await house.deploy(PLAIN)
    await pause(house.runtime, "pipeline", "test", by="ann")
    await pause(house.runtime, "queue", "default", by="bob")
    [(run_id, _)] = await send(house)
    await set_aside(house.runtime)
    await resume(house.runtime, "pipeline", "test", by="ann")
    assert not await house.turn(run_id)
    assert await set_aside(house.runtime) == 0
    await resume(house.runtime, "queue", "default", by="bob")
    assert await house.turn(run_id)


async def test_a_run_set_aside_can_be_cancelled(house: House) -> None:
    """And resuming does not bring it back."""
    await house.deploy(PLAIN)
    await pause(house.runtime, "pipeline", "test", by="ann")
    [(run_id, _)] = await send(house)
    await set_aside(house.runtime)
    assert await cancel_run(house.runtime, run_id) == "cancelled"
    await resume(house.runtime, "pipeline", "test", by="ann")
    assert await bring_back(house.runtime) == 0
    assert (await house.run(run_id)).status == "cancelled"


async def test_pausing_twice_and_resuming_twice(house: House) -> None:
    """The first word counts; the second changes nothing."""
    await house.deploy(PLAIN)
    assert await pause(house.runtime, "pipeline", "test", by="ann", reason="one")
    assert not await pause(house.runtime, "pipeline", "test", by="bob", reason="two")
    [found] = await house.runtime.store.list_pauses()
    assert (found.by, found.reason) == ("ann", "one")
    assert await resume(house.runtime, "pipeline", "test", by="bob")
    assert not await resume(house.runtime, "pipeline", "test", by="bob")
    rows, _ = await house.runtime.store.list_audit(AuditFilter())
    assert [row.action for row in rows] == ["pipeline.resume", "pipeline.pause"]


async def test_what_does_not_exist_cannot_be_paused(house: House) -> None:
    """The message names what there is."""
    await house.deploy(PLAIN)
    with pytest.raises(NotFound, match="there is no pipeline tset; there is: test"):
        await pause(house.runtime, "pipeline", "tset", by="ann")
    with pytest.raises(NotFound, match="there is no source githb"):
        await pause(house.runtime, "source", "githb", by="ann")


async def test_upkeep_finds_what_a_crash_left_behind(house: House) -> None:
    """A process that dies after the pause is deleted, or a writer that comes late, leaves runs aside for a moment."""
    await house.deploy(PLAIN)
    await pause(house.runtime, "pipeline", "test", by="ann")
    [(run_id, _)] = await send(house)
    upkeep = Upkeep(house.runtime)
    await upkeep.lead()
    assert (await house.run(run_id)).due_at is None
    await house.runtime.store.resume("pipeline", "test")  # and then it dies
    await upkeep.lead()
    assert await house.turn(run_id)


async def test_runs_come_while_it_is_paused_and_resumed(house: House) -> None:
    """Whatever falls between: each run is done once."""
    await house.deploy(PLAIN)
    done: set[UUID] = set()
    runs: list[UUID] = []

    async def feed() -> None:
        for _ in range(60):
            runs.extend(run_id for run_id, _ in await send(house))

    async def toggle() -> None:
        for _ in range(10):
            await pause(house.runtime, "pipeline", "test", by="ann")
            await set_aside(house.runtime)
            await resume(house.runtime, "pipeline", "test", by="ann")

    async def work() -> None:
        while len(done) < 60:
            await bring_back(house.runtime)
            for run_id in [one for one in runs if one not in done]:
                if await house.turn(run_id):
                    done.add(run_id)

    async with asyncio.timeout(60):
        await asyncio.gather(feed(), toggle(), work())
    assert house.probe.count("act") == 60
