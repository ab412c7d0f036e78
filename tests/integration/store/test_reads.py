"""Lists are paged by a cursor and served by indexes; everything else that pages and the API ask."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.core.run import Decision, RunStatus
from engine.store import Dedup, EventFilter, IngestRecord, RunFilter, RunUpdate, Store
from engine.store.database import Database
from engine.store.events import Events
from engine.store.runs import Runs
from tests.integration.store.records import (
    claim_one,
    finished,
    ingest_runs,
    make_attempt,
    make_checkpoint,
    make_event,
    make_record,
    make_run,
)

HOUR = timedelta(hours=1)


async def test_runs_come_in_pages(store: Store) -> None:
    """Newest first; the cursor leads through all of them, once."""
    ids = await ingest_runs(store, 25)
    seen, cursor, pages = [], None, 0
    while True:
        rows, cursor = await store.list_runs(RunFilter(cursor=cursor, limit=10))
        seen += [row.id for row in rows]
        pages += 1
        if cursor is None:
            break
    assert seen == sorted(ids, reverse=True)
    assert pages == 3


async def test_last_page_that_is_full_has_no_cursor(store: Store) -> None:
    """No link to an empty page."""
    await ingest_runs(store, 10)
    rows, cursor = await store.list_runs(RunFilter(limit=10))
    assert (len(rows), cursor) == (10, None)


async def test_runs_are_filtered(store: Store) -> None:
    """Each filter, and two of them together."""
    record = make_record(labels={"team": "core", "tier": "1"}, pipeline="labelled")
    await store.ingest(record)
    labelled = record.runs[0].id
    [other] = await ingest_runs(store)
    _, failed = await claim_one(store, pipeline="broken")
    await store.checkpoint(make_checkpoint(failed, update=finished(RunStatus.FAILED, error=b'{"type": "x"}')))
    _, waiting = await claim_one(store)
    await store.checkpoint(make_checkpoint(waiting, update=RunUpdate(status=RunStatus.WAITING, waiting_for="rain")))
    now = datetime.now(UTC)

    async def found(**values: Any) -> set[Any]:
        return {row.id for row in (await store.list_runs(RunFilter(**values)))[0]}

    everything = {labelled, other, failed.id, waiting.id}
    assert await found() == everything
    assert await found(pipeline="labelled") == {labelled}
    assert await found(labels={"team": "core"}) == {labelled}
    assert await found(labels={"team": "core", "tier": "2"}) == set()
    assert await found(status=RunStatus.QUEUED) == {labelled, other}
    assert await found(status=RunStatus.FAILED) == {failed.id}
    assert await found(status=RunStatus.FAILED, pipeline="labelled") == set()
    assert await found(status=RunStatus.WAITING) == {waiting.id}
    assert await found(status=RunStatus.SUCCEEDED) == set()
    assert await found(event_id=record.runs[0].event_id) == {labelled}
    assert await found(since=now - HOUR) == everything
    assert await found(since=now + HOUR) == set()
    assert await found(until=now - HOUR) == set()
    assert await found(until=now + HOUR) == everything
    assert await found(pipeline="nul\0") == set()
    [row] = (await store.list_runs(RunFilter(status=RunStatus.FAILED)))[0]
    assert (row.status, row.error) == (RunStatus.FAILED, b'{"type": "x"}')


async def test_events_are_filtered_and_paged(store: Store) -> None:
    """Each filter, and a page of one."""
    events = [
        make_event(source="github", type="push", path="a", body=b"12345"),
        make_event(source="stripe", type="charge", path="b"),
        make_event(source="stripe", type="charge", path="c"),
    ]
    for event in events:
        await store.ingest(make_record(event=event, runs=0))

    async def found(**values: Any) -> list[Any]:
        return [row.id for row in (await store.list_events(EventFilter(**values)))[0]]

    newest_first = sorted((event.id for event in events), reverse=True)
    assert await found() == newest_first
    assert await found(source="github") == [events[0].id]
    assert await found(type="charge", path="c") == [events[2].id]
    assert await found(since=datetime.now(UTC) + HOUR) == []
    rows, cursor = await store.list_events(EventFilter(limit=1))
    assert [rows[0].id, cursor] == newest_first[:1] * 2
    assert await found(cursor=cursor) == newest_first[1:]
    [row] = (await store.list_events(EventFilter(source="github")))[0]
    assert (row.size, row.type, row.path) == (5, "push", "a")


async def test_decisions_of_an_event(store: Store) -> None:
    """In the order they were made, and counted for lists."""
    event = make_event()
    decisions = [
        Decision("a", "github", True, "matched"),
        Decision("b", "github", False, "condition_false", {"condition": "event.body.x == 1", "values": {"x": "\0"}}),
        Decision("c", "github", False, "disabled"),
    ]
    await store.ingest(IngestRecord(event=event, decisions=decisions))
    silent = make_event()
    await store.ingest(IngestRecord(event=silent))
    assert await store.list_decisions(event.id) == decisions
    assert await store.count_decisions([event.id, silent.id]) == {event.id: (3, 1, "disabled")}
    assert await store.count_decisions([]) == {}


async def test_runs_of_an_event_include_replays(store: Store) -> None:
    """Everything the event has ever started."""
    record = make_record(runs=2)
    first = await store.ingest(record)
    replay = make_run(event_id=first.event_id, replay_of=record.runs[0].id)
    await store.ingest(IngestRecord(runs=[replay]))
    assert first.event_id is not None
    rows = await store.runs_of_event(first.event_id)
    assert sorted(row.id for row in rows) == sorted([replay.id, *(run.id for run in record.runs)])


async def test_what_is_not_there(store: Store) -> None:
    """None or nothing, never an error."""
    unknown = make_event().id
    assert await store.get_run(unknown) is None
    assert await store.get_event(unknown) is None
    assert await store.get_attempts(unknown) == []
    assert await store.runs_of_event(unknown) == []
    assert await store.get_version("nope") is None
    assert (await store.stats()).oldest_due == 0.0


async def test_attempts_come_in_the_order_they_began(store: Store) -> None:
    """Whatever the steps are called."""
    _, run = await claim_one(store)
    tries = [("z", 1), ("a", 1), ("a", 2), ("m", 1)]
    began = datetime.now(UTC)
    attempts = [
        make_attempt(step, number, started_at=began + timedelta(seconds=place))
        for place, (step, number) in enumerate(tries)
    ]
    await store.checkpoint(make_checkpoint(run, *reversed(attempts)))
    assert [(row.step, row.number) for row in await store.get_attempts(run.id)] == tries


async def test_ended_runs_are_counted_by_hour(store: Store) -> None:
    """Counters are kept, not computed."""
    for status in (RunStatus.SUCCEEDED, RunStatus.SUCCEEDED, RunStatus.FAILED):
        _, run = await claim_one(store)
        await store.checkpoint(make_checkpoint(run, update=finished(status)))
    counts = await store.count_ended(24)
    assert sorted((status, runs) for (_, status), runs in counts.items()) == [("failed", 1), ("succeeded", 2)]
    assert all(hour.minute == hour.second == 0 and hour.utcoffset() == timedelta(0) for hour, _ in counts)


class Explaining(Database):
    """Collects the plans of the queries instead of running them."""

    def __init__(self, url: str) -> None:
        super().__init__(url, 1)
        self.plan = ""

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        rows = await super().fetch(f"explain {statement}", *arguments)
        self.plan = "\n".join(row[0] for row in rows)
        return []


@pytest.fixture
async def filled_url(store: Store, database_url: str) -> str:
    """A database with enough rows that the planner cares."""
    await store._database.fetch(
        """
        insert into run (id, pipeline, version, event_id, status, labels, inputs, created_at, due_at, rung_at)
        select gen_random_uuid(), 'p' || n % 7, 'v', gen_random_uuid(),
            case when n % 50 = 0 then 'failed' when n % 100 = 1 then 'queued' else 'succeeded' end,
            case when n % 500 = 0 then jsonb_build_object('n', n::text) else '{}' end, '{}', now(), now(), now()
        from generate_series(1, 20000) as n
        """
    )
    await store._database.fetch(
        """
        insert into event (id, source, type, received_at, method, path, query, headers, path_params, body)
        select first_id(now() - make_interval(secs => n)),
            's' || n % 7, 't' || n % 9, now(), 'POST', 'p' || n % 11, '', '{}', '{}', ''
        from generate_series(1, 20000) as n
        """
    )
    for table in ("run", "event"):
        await store._database.fetch(f"analyze {table}")
    return database_url


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (RunFilter(), "run_pkey"),
        (RunFilter(pipeline="p3"), "run_pipeline"),
        (RunFilter(pipeline="none"), "run_pipeline"),
        (RunFilter(status=RunStatus.QUEUED), "run_open"),
        (RunFilter(status=RunStatus.WAITING), "run_open"),
        (RunFilter(status=RunStatus.FAILED), "run_ended_badly"),
        (RunFilter(status=RunStatus.CANCELLED), "run_ended_badly"),
        (RunFilter(event_id=make_event().id), "run_event"),
        (RunFilter(labels={"n": "500"}), "run_labels"),
        (RunFilter(since=datetime(2030, 1, 1, tzinfo=UTC)), "run_pkey"),
        (EventFilter(), "event_pkey"),
        (EventFilter(source="s1"), "event_source"),
        (EventFilter(type="t1"), "event_type"),
        (EventFilter(path="none"), "event_path"),
    ],
)
async def test_every_filter_is_served_by_an_index(filled_url: str, wanted: Any, index: str) -> None:
    """No page scans or sorts a table."""
    database = Explaining(filled_url)
    if isinstance(wanted, RunFilter):
        reader = Runs()
        reader._database = database
        await reader.list_runs(wanted)
    else:
        events = Events()
        events._database = database
        await events.list_events(wanted)
    await database.close()
    assert index in database.plan, database.plan
    empty = [f"Seq Scan on event_{week}" for week in ("2", "other")]  # partitions without a row
    scans = [line for line in database.plan.splitlines() if "Seq Scan" in line]
    assert [line for line in scans if not any(name in line for name in empty)] == [], database.plan


async def test_dedup_needs_an_event() -> None:
    """A key without an event would have nothing to point to."""
    with pytest.raises(ValueError, match="dedup needs an event"):
        IngestRecord(dedup=Dedup("s", "k", 1.0))
