"""Limits of runs: never more than may, in order, whoever asks at the same time; every word of `on_limit`."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from engine.core.gate import CONCURRENCY, RATE, GateRequest
from engine.core.run import RunStatus
from engine.store import CheckpointRecord, IngestRecord, RunRow, RunUpdate, Store, connect
from tests.integration.store.records import make_event, make_record, make_run, numbers

NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
STATE = "select run_id, held, fresh from ticket where gate_id = $1 order by number"
COUNTS = "select held, queued, most from gate where id = $1"


def slot(key: str = "acme", most: int = 1, **values: Any) -> GateRequest:
    return GateRequest(CONCURRENCY, "triage", key, most, **values)


def pace(most: int = 1, period: float = 60.0, **values: Any) -> GateRequest:
    return GateRequest(RATE, "triage", "acme", most, period=period, **values)


async def insert(store: Store, *gates: GateRequest, **values: Any) -> UUID:
    run = make_run(gates=gates, held=True, **values)
    await store.ingest(IngestRecord(runs=[run]))
    return run.id


async def start(store: Store, *gates: GateRequest, at: datetime | None = None, **values: Any) -> UUID:
    run_id = await insert(store, *gates, **values)
    await store.admit(run_id, at=at)
    return run_id


async def find(store: Store, run_id: UUID) -> RunRow:
    row = await store.get_run(run_id)
    assert row is not None
    return row


async def claim(store: Store, run_id: UUID) -> bool:
    worker = await store.register_worker("worker", "here", next(numbers))
    return bool(await store.claim([run_id], worker, 1))


async def end(store: Store, run_id: UUID, status: RunStatus = RunStatus.SUCCEEDED) -> None:
    """Claim and finish it."""
    worker = await store.register_worker("worker", "here", next(numbers))
    [run] = await store.claim([run_id], worker, 1)
    record = CheckpointRecord(run_id=run_id, turn=run.turn, run=RunUpdate(status=status))
    assert await store.checkpoint(record)


async def finish(store: Store, run_id: UUID) -> list[UUID]:
    """Claim, finish and release it; who may go on."""
    await end(store, run_id)
    return [row.run_id for row in await store.release(run_id) if row.what == "ring"]


async def holders(store: Store, gate: GateRequest) -> list[UUID]:
    return [row["run_id"] for row in await store._database.fetch(STATE, gate.id) if row["held"]]


async def counts(store: Store, gate: GateRequest) -> tuple[int, int, int]:
    [row] = await store._database.fetch(COUNTS, gate.id)
    return tuple(row)


async def error_of(store: Store, run_id: UUID) -> dict[str, Any]:
    row = await find(store, run_id)
    assert (row.status, row.due_at) == (RunStatus.CANCELLED, None)
    found: dict[str, Any] = msgspec.json.decode(row.error or b"null")
    return found


@pytest.fixture
async def others(store: Store, database_url: str) -> AsyncIterator[list[Store]]:
    """Further processes."""
    stores = [await connect(database_url, pool_size=2) for _ in range(4)]
    yield [store, *stores]
    for each in stores:
        await each.close()


async def test_one_runs_and_the_others_wait_in_order(store: Store) -> None:
    """Each end lets exactly the next one in, and rings it."""
    runs = [await start(store, slot()) for _ in range(4)]
    assert [await claim(store, run_id) for run_id in runs[1:]] == [False, False, False]
    why = f"a slot of concurrency key `acme` (1 at a time), held by run {runs[0]}"
    assert (await find(store, runs[2])).waiting_for == why
    assert await counts(store, slot()) == (1, 3, 1)
    rung = [await finish(store, run_id) for run_id in runs]
    assert rung == [[runs[1]], [runs[2]], [runs[3]], []]
    assert await counts(store, slot()) == (0, 0, 1)


async def test_a_run_cannot_begin_before_it_is_decided_on(store: Store) -> None:
    """Between its commit and the decision it is held; the decision makes it due."""
    run_id = await insert(store, slot())
    assert not await claim(store, run_id)
    [news] = await store.admit(run_id)
    assert (news.run_id, news.what) == (run_id, "ring")
    assert await claim(store, run_id)


async def test_keys_do_not_hinder_each_other(store: Store) -> None:
    """A slot of one key says nothing about another one's."""
    runs = [await start(store, slot(key)) for key in ("a", "b", "a")]
    assert [(await find(store, run_id)).due_at is not None for run_id in runs] == [True, True, False]


async def test_the_newest_limit_counts(store: Store) -> None:
    """Who waits profits from a higher one at once, and goes first."""
    first, second = [await start(store, slot()) for _ in range(2)]
    third = await start(store, slot(most=2))
    assert await holders(store, slot()) == [first, second]
    assert (await find(store, third)).due_at is None
    assert await counts(store, slot()) == (2, 1, 2)
    await start(store, slot(most=1))
    assert await finish(store, first) == []
    assert await finish(store, second) == [third]


async def test_drop_ends_the_new_one(store: Store) -> None:
    """It ends as cancelled and names key and holder; the decision of its trigger says so, too."""
    gate = slot(on_limit="drop")
    first = await start(store, gate)
    event = make_event()
    record = make_record(event=event, gates=(gate,), held=True)
    await store.ingest(record)
    second = record.runs[0].id
    news = await store.admit(second, announce=True)
    assert [(row.run_id, row.what, row.by) for row in news] == [(second, "ended", first)]
    error = await error_of(store, second)
    assert error["type"] == "dropped"
    text = f"dropped: 1 at a time by concurrency key `acme`, held by run {first}, and `on_limit` is `drop`"
    assert error["message"] == text
    [decision] = await store.list_decisions(event.id)
    assert (decision.matched, decision.reason) == (False, "dropped")
    assert decision.detail["run"] == str(second)
    assert decision.detail["by"] == str(first)
    assert await store.owed_announcements(0, 10) == [second]
    assert await store.exited(0, 10) == []
    await finish(store, first)
    third = await start(store, gate)
    assert await holders(store, gate) == [third]


async def test_more_than_max_queued_are_refused(store: Store) -> None:
    """They end as dropped; there is room again when one has left the queue."""
    gate = slot(max_queued=2)
    runs = [await start(store, gate) for _ in range(4)]
    assert "2 may wait" in (await error_of(store, runs[3]))["message"]
    await finish(store, runs[0])
    fifth = await start(store, gate)
    assert await counts(store, gate) == (1, 2, 1)
    assert (await find(store, fifth)).status == RunStatus.QUEUED


async def test_keep_latest_keeps_one_waiting(store: Store) -> None:
    """A newer one takes the place of the one that waits."""
    gate = slot(on_limit="keep_latest")
    runs = [await start(store, gate) for _ in range(4)]
    for old, new in ((1, 2), (2, 3)):
        error = await error_of(store, runs[old])
        assert error["type"] == "superseded"
        assert error["message"] == f"superseded: run {runs[new]} took its place in concurrency key `acme`"
    assert await counts(store, gate) == (1, 1, 1)
    assert await finish(store, runs[0]) == [runs[3]]


async def test_cancel_running_asks_the_holder_to_end(store: Store) -> None:
    """The new one waits for its end and runs then; what waited before it is superseded."""
    gate = slot(on_limit="cancel_running")
    first = await start(store, gate)
    worker = await store.register_worker("worker", "here", next(numbers))
    [run] = await store.claim([first], worker, 1)
    second, third = [await start(store, gate) for _ in range(2)]
    assert (await store.heartbeat(worker)).cancelled_runs == [first]
    assert (await error_of(store, second))["type"] == "superseded"
    assert not await claim(store, third)
    update = RunUpdate(status=RunStatus.CANCELLED)
    await store.checkpoint(CheckpointRecord(run_id=first, turn=run.turn, run=update))
    assert [row.run_id for row in await store.release(first) if row.what == "ring"] == [third]
    assert (await find(store, first)).message == f"superseded: run {second} took its place in concurrency key `acme`"


async def test_cancel_running_ends_at_once_what_has_not_begun(store: Store) -> None:
    """Its slot is free for the newer one without anybody having to look."""
    gate = slot(on_limit="cancel_running")
    first, second = [await start(store, gate) for _ in range(2)]
    assert (await error_of(store, first))["type"] == "superseded"
    assert await holders(store, gate) == [second]
    assert await counts(store, gate) == (1, 0, 1)


async def test_a_run_that_waits_is_cancelled_by_a_newer_one(store: Store) -> None:
    """It is due at once, so that whoever claims it can end it."""
    gate = slot(on_limit="cancel_running")
    first = await start(store, gate)
    worker = await store.register_worker("worker", "here", next(numbers))
    [run] = await store.claim([first], worker, 1)
    waiting = RunUpdate(status=RunStatus.WAITING, due_at=NOON)
    await store.checkpoint(CheckpointRecord(run_id=first, turn=run.turn, run=waiting))
    run_id = await insert(store, gate)
    assert [(row.run_id, row.what) for row in await store.admit(run_id)] == [(first, "ring")]
    row = await find(store, first)
    assert row.cancel_requested
    assert row.due_at is not None
    assert row.due_at < NOON
    assert await holders(store, gate) == [first]


async def test_a_cancelled_run_leaves_the_queue(store: Store) -> None:
    """Its place is free for `max_queued`, and it is never started."""
    gate = slot(max_queued=1)
    first, second = [await start(store, gate) for _ in range(2)]
    assert await store.request_cancel(second) == "cancelled"
    await store.release(second)
    third = await start(store, gate)
    assert await counts(store, gate) == (1, 1, 1)
    assert await finish(store, first) == [third]


async def test_a_run_that_was_cancelled_meanwhile_is_passed_over(store: Store) -> None:
    """Even if nobody has told the gate yet."""
    first, second, third = [await start(store, slot()) for _ in range(3)]
    await store.request_cancel(second)
    assert await finish(store, first) == [third]


async def test_what_a_dead_process_held_is_found(store: Store) -> None:
    """The end of a run leaves a note in its own commit: whoever looks frees the slot."""
    first, second = [await start(store, slot()) for _ in range(2)]
    await end(store, first, RunStatus.FAILED)
    assert await holders(store, slot()) == [first]
    assert await store.exited(60.0, 10) == []
    assert await store.exited(0.0, 10) == [first]
    assert [row.run_id for row in await store.release(first)] == [second]
    assert await store.exited(0.0, 10) == []
    assert await store.release(first) == []


async def test_a_run_that_has_not_ended_keeps_its_slot(store: Store) -> None:
    """Whatever somebody believes."""
    first = await start(store, slot())
    await store.release(first)
    assert await holders(store, slot()) == [first]


async def test_runs_nobody_decided_on_are_found(store: Store) -> None:
    """A process that dies between the commit and the decision leaves fresh tickets."""
    run_id = await insert(store, slot())
    assert await store.undecided(10) == [run_id]
    await store.admit(run_id)
    assert await store.undecided(10) == []


async def test_wrong_counts_are_mended(store: Store) -> None:
    """And what they kept from going on goes on; tickets of runs that are gone are noticed."""
    first, second = [await start(store, slot()) for _ in range(2)]
    await store._database.fetch("update gate set held = 5")
    await store._database.fetch("delete from ticket where run_id = $1", first)
    assert [row.run_id for row in await store.mend_gates(10)] == [second]
    assert await counts(store, slot()) == (1, 0, 1)
    await store._database.fetch("delete from run where id = $1", second)
    await store.mend_gates(10)
    assert await store.exited(0.0, 10) == [second]


async def test_idle_gates_are_swept_away(store: Store) -> None:
    """And come back when they are needed."""
    first = await start(store, slot())
    await start(store, slot("b"))
    await finish(store, first)
    await store.sweep_gates()
    assert [row["key"] for row in await store._database.fetch("select key from gate")] == ["b"]
    second = await start(store, slot())
    assert await holders(store, slot()) == [second]


async def test_a_rate_limit_spaces_starts(store: Store) -> None:
    """After the burst each gets its time; a pause fills the burst again."""
    gate = pace(2, 60.0)
    runs = [await start(store, gate, at=NOON) for _ in range(4)]
    rows = [await find(store, run_id) for run_id in runs]
    assert [row.due_at for row in rows[2:]] == [NOON + timedelta(seconds=seconds) for seconds in (30, 60)]
    assert all(row.due_at is not None and row.due_at < NOON for row in rows[:2])
    assert rows[2].waiting_for == "its turn in rate limit key `acme` (2 in 60 s)"
    later = await start(store, gate, at=NOON + timedelta(minutes=10))
    assert (await find(store, later)).waiting_for is None


async def test_burst_is_how_many_start_at_once(store: Store) -> None:
    """Without it, it is the limit."""
    gate = pace(6, 60.0, burst=1)
    runs = [await start(store, gate, at=NOON) for _ in range(3)]
    due = [(await find(store, run_id)).due_at for run_id in runs[1:]]
    assert due == [NOON + timedelta(seconds=seconds) for seconds in (10, 20)]


async def test_a_rate_limit_drops(store: Store) -> None:
    """What is dropped does not count."""
    gate = pace(1, 60.0, on_limit="drop")
    first, second = [await start(store, gate, at=NOON) for _ in range(2)]
    assert (await find(store, first)).status == RunStatus.QUEUED
    error = await error_of(store, second)
    assert error["type"] == "dropped"
    assert error["message"] == "dropped: 1 in 60 s by rate limit key `acme`, and `on_limit` is `drop`"
    third = await start(store, gate, at=NOON + timedelta(seconds=60))
    assert (await find(store, third)).status == RunStatus.QUEUED


async def test_so_many_may_wait_for_a_rate_limit(store: Store) -> None:
    """Those whose time has come wait no more."""
    gate = pace(1, 60.0, max_queued=2)
    runs = [await start(store, gate, at=NOON) for _ in range(4)]
    assert "2 may wait" in (await error_of(store, runs[3]))["message"]
    later = await start(store, gate, at=NOON + timedelta(seconds=61))
    assert (await find(store, later)).due_at == NOON + timedelta(seconds=180)


async def test_the_latest_takes_over_the_time_of_the_one_that_waits(store: Store) -> None:
    """One waits at most."""
    gate = pace(1, 60.0, on_limit="keep_latest")
    runs = [await start(store, gate, at=NOON) for _ in range(3)]
    assert (await error_of(store, runs[1]))["type"] == "superseded"
    assert (await find(store, runs[2])).due_at == NOON + timedelta(seconds=60)


async def test_the_rate_comes_before_the_slot(store: Store) -> None:
    """A run that the rate limit puts off takes no slot before its time."""
    gates = (pace(1, 60.0), slot())
    first, second = [await start(store, *gates, at=NOON) for _ in range(2)]
    assert await counts(store, slot()) == (1, 0, 1)
    await finish(store, first)
    assert await holders(store, slot()) == []
    assert await store.next_decision(at=NOON) == NOON + timedelta(seconds=60)
    assert await store.undecided(10, at=NOON + timedelta(seconds=59)) == []
    third = await start(store, slot(), at=NOON + timedelta(seconds=30))
    moment = NOON + timedelta(seconds=60)
    assert await store.undecided(10, at=moment) == [second]
    await store.admit(second, at=moment)
    assert await holders(store, slot()) == [third]
    assert await finish(store, third) == [second]


async def test_many_processes_never_exceed_the_limit(others: list[Store]) -> None:
    """Runs that come and go at once in five processes: never more than three at a time, and in order."""
    store = others[0]
    gate = slot(most=3)
    ids = [(await insert(store, gate)) for _ in range(60)]
    working: set[UUID] = set()
    most = 0
    begun: list[UUID] = []

    async def work(process: Store, run_id: UUID) -> None:
        nonlocal most
        worker = await process.register_worker("worker", "here", next(numbers))
        while not (claimed := await process.claim([run_id], worker, 1)):
            await asyncio.sleep(0.005)
        working.add(run_id)
        begun.append(run_id)
        most = max(most, len(working))
        assert len(await holders(process, gate)) <= 3
        working.remove(run_id)
        update = RunUpdate(status=RunStatus.SUCCEEDED)
        await process.checkpoint(CheckpointRecord(run_id=run_id, turn=claimed[0].turn, run=update))
        await process.release(run_id)

    admitted = asyncio.gather(*(others[n % 5].admit(run_id) for n, run_id in enumerate(ids)))
    async with asyncio.timeout(60):
        await asyncio.gather(*(work(others[n % 5], run_id) for n, run_id in enumerate(ids)))
    await admitted
    assert 1 < most <= 3
    place = {run_id: number for number, run_id in enumerate(ids)}
    assert all(place[run_id] <= number + 3 for number, run_id in enumerate(begun))
    assert await counts(store, gate) == (0, 0, 3)
