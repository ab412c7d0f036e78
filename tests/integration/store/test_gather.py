"""Bursts and batches in the tables: however events interleave over processes, each is in exactly one."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.ids import uuid7
from engine.core.run import Decision
from engine.flow.gather import in_order
from engine.store import Firing, Gathering, GatherRow, Ingested, IngestRecord, RunFilter, Store, connect
from tests.conftest import run_apart
from tests.integration.store.records import make_event, make_run

NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LATE = NOON + timedelta(days=999)
PROCESSES = 3
numbers = itertools.count()


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


async def join(store: Store, pipeline: str, key: str, seconds: float, **values: Any) -> tuple[UUID, Ingested]:
    """An event that joins the burst or batch of its key."""
    event = make_event(received_at=at(seconds))
    rule = {"kind": "batch", "period": None, "max_wait": None, "max_size": None, **values}
    gathering = Gathering(pipeline=pipeline, trigger="t", key=key, at=at(seconds), **rule)
    decision = Decision(pipeline, "t", matched=True, reason="batched")
    answer = await store.ingest(IngestRecord(event=event, decisions=[decision], gatherings=[gathering]))
    return event.id, answer


def make_firing(row: GatherRow) -> IngestRecord:
    """A run of it, as the use case makes them."""
    batched = row.kind == "batch"
    run = make_run(
        id=uuid7(), pipeline=row.pipeline, trigger=row.trigger, batched=batched, labels={"key": row.key},
        event_id=None if batched else row.last_event,
    )  # fmt: skip
    return IngestRecord(runs=[run], firing=Firing(row.id, row.size, row.last_event, run.id if batched else None))


async def fire(store: Store, until: datetime) -> int:
    """Make runs of all that are due; how many this process made."""
    rows = await store.due_gathers(until, 1000)
    answers = await store.fire(in_order([make_firing(row) for row in rows])) if rows else []
    return sum(isinstance(answer, Ingested) and not answer.duplicate for answer in answers)


async def read_batches(store: Store, pipeline: str) -> dict[str, list[list[UUID]]]:
    """The events of all runs by key, oldest run first."""
    found: dict[str, list[list[UUID]]] = defaultdict(list)
    runs, _ = await store.list_runs(RunFilter(pipeline=pipeline, limit=500))
    for run in runs[::-1]:
        events = [run.event_id] if run.event_id is not None else await store.events_of_run(run.id)
        found[run.labels["key"]].append(events)
    return found


def with_stores(database_url: str, work: Callable[[list[Store]], Awaitable[None]]) -> None:
    """Several processes, as far as the database can tell."""

    async def connected() -> None:
        stores = [await connect(database_url) for _ in range(PROCESSES)]
        try:
            await work(stores)
        finally:
            await asyncio.gather(*(store.close() for store in stores))

    run_apart(connected)


# Every example has a pipeline of its own in the same tables.
SHARED = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
PROCESS = st.integers(0, PROCESSES - 1)
KEY = st.sampled_from("abc")
STEP = st.one_of(
    st.tuples(st.just("event"), PROCESS, KEY),
    st.tuples(st.just("event"), PROCESS, KEY),
    st.tuples(st.just("pass"), st.integers(1, 25), st.just("")),
    st.tuples(st.just("fire"), PROCESS, st.just("")),
)


@SHARED
@given(steps=st.lists(STEP, max_size=60), size=st.integers(1, 5))
def test_each_event_is_in_one_batch(database_url: str, steps: list[tuple[str, int, str]], size: int) -> None:
    """In the order in which they came, none too big, and a batch ends by its time."""

    async def work(stores: list[Store]) -> None:
        pipeline, seconds = f"batch-{next(numbers)}", 0
        sent: dict[str, list[tuple[UUID, int]]] = defaultdict(list)
        for what, number, key in steps:
            if what == "event":
                event_id, _ = await join(stores[number], pipeline, key, seconds, max_size=size, max_wait=30.0)
                sent[key].append((event_id, seconds))
            elif what == "pass":
                seconds += number
            else:
                await fire(stores[number], at(seconds))
        await fire(stores[0], LATE)
        batches = await read_batches(stores[0], pipeline)
        assert {key: list(itertools.chain(*found)) for key, found in batches.items()} == {
            key: [event_id for event_id, _ in events] for key, events in sent.items()
        }
        times = {event_id: moment for events in sent.values() for event_id, moment in events}
        for batch in itertools.chain(*batches.values()):
            assert 1 <= len(batch) <= size
            assert times[batch[-1]] - times[batch[0]] <= 30
        for key, events in sent.items():  # no batch ends without a reason
            for batch, following in itertools.pairwise(batches[key]):
                assert len(batch) == size or times[following[0]] - times[batch[0]] >= 30, (key, events)

    with_stores(database_url, work)


@SHARED
@given(steps=st.lists(STEP, max_size=60), longest=st.sampled_from([None, 30, 50]))
def test_each_burst_is_one_run(database_url: str, steps: list[tuple[str, int, str]], longest: int | None) -> None:
    """With the last event, when it has been quiet for 20 seconds, or after `max_wait`."""

    async def work(stores: list[Store]) -> None:
        pipeline, seconds = f"debounce-{next(numbers)}", 0
        bursts: dict[str, list[list[Any]]] = defaultdict(list)  # [first, due, last event]: what is expected
        fired_at = -1
        for what, number, key in steps:
            if what == "event":
                rule = {"kind": "debounce", "period": 20.0, "max_wait": longest}
                event_id, _ = await join(stores[number], pipeline, key, seconds, **rule)
                last = bursts[key][-1] if bursts[key] else None
                if last is None or last[1] < seconds or last[1] <= fired_at:
                    bursts[key].append([seconds, seconds + 20, event_id])
                else:
                    last[1:] = [min(seconds + 20, last[0] + (longest or 1e9)), event_id]
            elif what == "pass":
                seconds += number
            else:
                await fire(stores[number], at(seconds))
                fired_at = seconds
        await fire(stores[0], LATE)
        found = await read_batches(stores[0], pipeline)
        assert found == {key: [[burst[2]] for burst in expected] for key, expected in bursts.items()}

    with_stores(database_url, work)


async def test_many_at_once(store: Store, database_url: str) -> None:
    """Processes that write and processes that make runs all the time, at once."""
    stores = [store, *[await connect(database_url) for _ in range(PROCESSES)]]
    done = asyncio.Event()

    async def keep_firing(one: Store) -> int:
        made = 0
        while not done.is_set():
            made += await fire(one, at(0))
            await asyncio.sleep(0)
        return made

    firing = [asyncio.create_task(keep_firing(one)) for one in stores[:2]]
    joined = await asyncio.gather(
        *(
            join(stores[number % len(stores)], "many", f"k{number % 7}", 0, max_size=5, max_wait=30.0)
            for number in range(1200)
        )
    )
    done.set()
    made = sum(await asyncio.gather(*firing)) + await fire(store, LATE)
    batches = list(itertools.chain(*(await read_batches(store, "many")).values()))
    assert made == len(batches)
    assert sorted(itertools.chain(*batches)) == sorted(event_id for event_id, _ in joined)
    assert sorted({len(batch) for batch in batches})[-1] == 5
    assert len(batches) <= 1200 // 5 + 7
    assert sum(len(answer.ready) for _, answer in joined) == sum(len(batch) == 5 for batch in batches)
    await asyncio.gather(*(one.close() for one in stores[1:]))


async def test_nothing_is_left(store: Store) -> None:
    """The members of a batch go with it."""
    for number in range(5):
        await join(store, "left", "k", number, max_size=3)
    [full] = await store.due_gathers(LATE, 10)
    assert (full.size, full.due_at) == (3, at(2))
    assert await fire(store, LATE) == 1
    [answer] = await store.fire([make_firing(full)])
    assert isinstance(answer, Ingested)
    assert answer.duplicate
    [open_one] = await store.endless_gathers(10)
    assert (open_one.size, open_one.due_at) == (2, None)
    assert await store.gathered_events(full.id) == []
    assert len(await store.gathered_events(open_one.id)) == 2


async def test_the_first_of_two_failures_leaves_everything(store: Store) -> None:
    """A statement that fails in the middle has changed nothing: the batch is still there, whole."""
    for number in range(3):
        await join(store, "fails", "k", number, max_size=3)
    [row] = await store.due_gathers(LATE, 10)
    record = make_firing(row)
    broken = IngestRecord(runs=[*record.runs, *record.runs], firing=record.firing)  # the same key twice
    with pytest.raises(asyncpg.UniqueViolationError):
        await store.fire([broken])
    assert await store.due_gathers(LATE, 10) == [row]
    assert len(await store.gathered_events(row.id)) == 3
    assert await fire(store, LATE) == 1
