"""History by weeks: made in advance, dropped whole, never while something open goes back to it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from engine.core.run import RunStatus
from engine.store import CheckpointRecord, RunUpdate, Store
from engine.store.database import first_id
from tests.integration.store.records import claim_one, make_attempt, make_event, make_record

WEEK = timedelta(days=7)


def id_of(moment: datetime, number: int = 1) -> UUID:
    """A key as it was made at that time."""
    return UUID(int=first_id(moment).int | 0x7 << 76 | 0b10 << 62 | number)


async def end_of_first(store: Store) -> datetime:
    """When the partition of everything old ends."""
    return (await store.list_weeks())[0].until


async def ended_run(store: Store, moment: datetime, number: int = 1) -> tuple[UUID, UUID]:
    """Event and run of that time, finished."""
    event = make_event(id=id_of(moment, number), received_at=moment)
    record = make_record(event=event, id=id_of(moment + timedelta(milliseconds=1), number))
    await store.ingest(record)
    worker = await store.register_worker("worker", "here", number)
    [run] = await store.claim([record.runs[0].id], worker, 1)
    update = RunUpdate(status=RunStatus.SUCCEEDED)
    await store.checkpoint(CheckpointRecord(run_id=run.id, turn=run.turn, attempts=[make_attempt()], run=update))
    return event.id, run.id


async def count(url: str, table: str) -> int:
    """Rows in a table or partition."""
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(f'select count(*) from "{table}"'))
    finally:
        await connection.close()


async def test_weeks_are_made_in_advance_and_used(store: Store, database_url: str) -> None:
    """Rows go to the partition of their week; making it again changes nothing."""
    moment = (await end_of_first(store)) + 5 * WEEK + timedelta(days=3)
    assert await store.make_weeks(1, now=moment) == 6
    assert await store.make_weeks(1, now=moment) == 0
    event_id, _ = await ended_run(store, moment)
    year, week, _ = moment.isocalendar()
    for table in ("event", "attempt"):
        assert await count(database_url, f"{table}_{year}w{week:02}") == 1
    assert (await store.get_event(event_id)) is not None


async def test_rows_of_no_week_are_kept_and_move_to_theirs(store: Store, database_url: str) -> None:
    """A clock that is far off costs nothing but tidiness."""
    moment = (await end_of_first(store)) + 20 * WEEK
    event_id, run_id = await ended_run(store, moment)
    assert await count(database_url, "event_other") == 1
    await store.make_weeks(0, now=moment)
    assert await count(database_url, "event_other") == 0
    assert (await store.get_event(event_id)) is not None
    assert len(await store.get_attempts(run_id)) == 1


async def test_an_old_week_goes_with_all_that_belonged_to_it(store: Store, database_url: str) -> None:
    """Its runs are deleted, its partitions dropped; what is newer stays."""
    bound = await end_of_first(store)
    old_event, old_run = await ended_run(store, bound - timedelta(days=1))
    new_event, new_run = await ended_run(store, bound + timedelta(days=1), 2)
    [first, *_] = await store.list_weeks()
    assert await store.count_needed(bound) == 0
    assert await store.delete_runs(bound) == 1
    assert await store.delete_runs(bound) == 0
    assert await store.drop_week(first)
    assert bound not in [week.until for week in await store.list_weeks()]
    assert (await store.get_run(old_run), await store.get_event(old_event)) == (None, None)
    assert await store.get_run(new_run) is not None
    assert await store.get_event(new_event) is not None
    assert len(await store.get_attempts(new_run)) == 1


async def test_what_is_open_keeps_its_week(store: Store) -> None:
    """A run that waits for long needs its attempts, and a replayed one its event."""
    bound = await end_of_first(store)
    _, run = await claim_one(store)
    assert run.created_at < bound
    assert await store.count_needed(bound) == 1
    await store.checkpoint(
        CheckpointRecord(run_id=run.id, turn=run.turn, run=RunUpdate(status=RunStatus.WAITING, waiting_for="x"))
    )
    assert await store.count_needed(bound) == 1
    await store.delete_runs(bound)
    assert await store.get_run(run.id) is not None


async def test_open_run_of_an_old_event_keeps_the_week(store: Store) -> None:
    """A replay is newer than its event."""
    bound = await end_of_first(store)
    event = make_event()
    await store.ingest(make_record(event=event, id=id_of(bound + WEEK)))
    assert await store.count_needed(bound) == 1


async def test_a_week_in_use_is_left_for_later(store: Store, database_url: str) -> None:
    """Dropping waits for nobody for long."""
    [first, *_] = await store.list_weeks()
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():
        await connection.fetch("select from event limit 1")
        assert not await store.drop_week(first)
    await connection.close()
    assert await store.drop_week(first)


async def test_ingest_goes_on_while_a_week_is_dropped(store: Store) -> None:
    """And afterwards, with the statements that were prepared before."""
    await store.ingest(make_record("a"))
    [*_, last] = await store.list_weeks()
    assert await store.drop_week(last)
    assert not (await store.ingest(make_record("b"))).duplicate
    assert (await store.ingest(make_record("a"))).duplicate
    assert await store.make_weeks(3, now=datetime.now(UTC)) > 0
