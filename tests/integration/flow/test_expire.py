"""`start_timeout`: a run that has not begun in time ends, and it is either that or begun."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from engine.flow.execution import now
from engine.flow.expire import expire_runs
from engine.flow.pause import pause, resume
from engine.flow.upkeep import Upkeep
from engine.store import RunFilter, connect
from tests.integration.flow.conftest import House, decode

SOON = "id: test\nstart_timeout: 10m\nsteps: [{id: act, uses: test.effect}]"
WATCH = """
    id: watch
    triggers: [{uses: run.finished, with: {pipelines: [test], outcomes: [cancelled]}}]
    steps: [{id: see, uses: test.effect, with: "${{ event.body.error.type }}"}]
"""


async def make_late(house: House, *run_ids: UUID) -> None:
    await execute(house, "update run set expires_at = now() - interval '1 second' where id = any($1)", list(run_ids))


async def execute(house: House, statement: str, *arguments: Any) -> None:
    await house.runtime.store._database.fetch(statement, *arguments)


async def test_a_run_that_has_not_begun_in_time_is_cancelled(house: House) -> None:
    """No step of it runs, and the error says when its time was over."""
    assert await house.deploy(SOON) == []
    run_id = await house.start()
    assert await expire_runs(house.runtime) == 0
    await make_late(house, run_id)
    assert not await house.turn(run_id)
    assert await expire_runs(house.runtime) == 1
    row = await house.run(run_id)
    error = decode(row.error)
    assert (row.status, row.due_at, error["type"]) == ("cancelled", None, "expired")
    assert error["message"].startswith("the run had not begun by 2")
    assert await expire_runs(house.runtime) == 0
    assert house.probe.calls == []


async def test_it_counts_from_the_making_of_the_run(house: House) -> None:
    """And there is none without the key."""
    await house.deploy(SOON)
    run_id = await house.start()
    [row] = await house.runtime.store._database.fetch("select created_at, expires_at from run where id = $1", run_id)
    assert abs(row["expires_at"] - row["created_at"] - timedelta(minutes=10)) < timedelta(seconds=5)
    await house.deploy(SOON.replace("start_timeout: 10m\n", ""))
    run_id = await house.start()
    [row] = await house.runtime.store._database.fetch("select expires_at from run where id = $1", run_id)
    assert row["expires_at"] is None


async def test_a_run_that_has_begun_does_not_expire(house: House) -> None:
    """Not while it waits, nor when its worker died."""
    await house.deploy(SOON.replace("steps: [", "steps: [{id: nap, wait: 1h}, "))
    run_id = await house.start()
    await house.turn(run_id)
    await make_late(house, run_id)
    assert await expire_runs(house.runtime) == 0
    await execute(house, "update run set status = 'queued', due_at = now() where id = $1", run_id)
    assert await expire_runs(house.runtime) == 0
    assert await house.turn(run_id)


async def test_a_paused_run_expires_too(house: House) -> None:
    """The error says what it waited for; resuming finds nothing."""
    await house.deploy(SOON)
    run_id = await house.start()
    await pause(house.runtime, "pipeline", "test", by="ann")
    await make_late(house, run_id)
    await Upkeep(house.runtime).lead()
    assert "; paused: pipeline `test` by ann since" in decode((await house.run(run_id)).error)["message"]
    await resume(house.runtime, "pipeline", "test", by="ann")
    assert not await house.turn(run_id)


async def test_who_waits_for_the_end_of_the_run_hears_of_it(house: House) -> None:
    """Like any other end; `run.finished` has the error."""
    await house.deploy(SOON)
    await house.deploy(WATCH, "watch")
    run_id = await house.start()
    await make_late(house, run_id)
    assert await expire_runs(house.runtime) == 1
    [watching] = (await house.runtime.store.list_runs(RunFilter(pipeline="watch")))[0]
    await house.turn(watching.id)
    assert house.probe.calls[0][1] == "expired"
    assert sum((await house.runtime.store.count_ended(1)).values()) == 2


async def test_claims_and_the_end_of_time_at_once(house: House, database_url: str) -> None:
    """Each run is either begun or expired, never both."""
    await house.deploy(SOON)
    run_ids = [await house.start() for _ in range(60)]
    await execute(house, "update run set expires_at = $1", now() + timedelta(milliseconds=150))
    await make_late(house, *run_ids[:10])
    await execute(house, "update run set expires_at = null where id = any($1)", run_ids[-10:])
    stores = [await connect(database_url) for _ in range(2)]
    worker = await house.new_worker()
    claimed: list[UUID] = []
    expired: list[UUID] = []

    async def claim() -> None:
        for run_id in run_ids:
            claimed.extend(run.id for run in await stores[0].claim([run_id], worker, 1))
            await asyncio.sleep(0.005)

    async def expire() -> None:
        async with asyncio.timeout(30):
            while len(claimed) + len(expired) < len(run_ids):
                expired.extend(run.id for run in await stores[1].expire(10))

    await asyncio.gather(claim(), expire())
    assert sorted(claimed + expired) == sorted(run_ids)
    assert set(run_ids[:10]) <= set(expired)
    assert set(run_ids[-10:]) <= set(claimed)
    await asyncio.gather(*(store.close() for store in stores))
