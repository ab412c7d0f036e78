"""Events, runs and decisions go in together, once, and many callers share a commit."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from engine.core.ids import uuid7
from engine.core.run import RunStatus
from engine.store import Dedup, IngestRecord, InvalidData, Store, connect
from tests.integration.store.records import DAY, ingest_runs, make_event, make_record, make_run


async def test_event_runs_and_decisions_are_stored_as_given(store: Store) -> None:
    """Everything of a record can be read back."""
    event = make_event(
        headers={"x": "ä\0"}, path_params={"id": "7"}, query="a=1", body=b"\x00\xff{", delivery_id="d-1", method="PUT"
    )
    record = make_record(event=event, labels={"team": "core"}, inputs=b'{"a":"\\u0000"}', runs=2)
    ingested = await store.ingest(record)
    assert ingested.event_id == event.id
    assert ingested.runs == sorted((run.id, "triage") for run in record.runs)
    assert not ingested.duplicate
    assert await store.get_event(event.id) == event
    assert await store.list_decisions(event.id) == record.decisions
    run = await store.get_run(record.runs[0].id)
    assert run is not None
    assert (run.status, run.turn, run.event_id, run.labels) == (RunStatus.QUEUED, 0, event.id, {"team": "core"})
    assert run.inputs == b'{"a":"\\u0000"}'
    assert run.created_at.tzinfo is UTC or run.created_at.utcoffset() == timedelta(0)


async def test_second_delivery_with_a_key_gets_the_first_ones_answer(store: Store) -> None:
    """A duplicate writes nothing."""
    first = await store.ingest(make_record("d-1", runs=2))
    again = make_record("d-1", runs=2)
    second = await store.ingest(again)
    assert second.duplicate
    assert (second.event_id, second.runs) == (first.event_id, first.runs)
    assert again.event is not None
    assert await store.get_event(again.event.id) is None
    assert await store.get_run(again.runs[0].id) is None
    assert await store.list_decisions(again.event.id) == []


async def test_same_key_counts_in_its_own_scope_only(store: Store) -> None:
    """Two sources may use the same delivery id."""
    for scope in ("github", "stripe"):
        event = make_event()
        assert not (await store.ingest(IngestRecord(event=event, dedup=Dedup(scope, "1", DAY)))).duplicate


async def test_key_is_free_again_after_its_window(store: Store) -> None:
    """An expired key is taken over by the next event."""
    expired = IngestRecord(event=make_event(), dedup=Dedup("github", "d-1", -1.0))
    await store.ingest(expired)
    fresh = await store.ingest(make_record("d-1"))
    assert not fresh.duplicate
    assert (await store.ingest(make_record("d-1"))).event_id == fresh.event_id


async def test_prune_removes_expired_keys_only(store: Store) -> None:
    """What is still in its window stays."""
    await store.ingest(IngestRecord(event=make_event(), dedup=Dedup("github", "old", -1.0)))
    await store.ingest(make_record("new"))
    assert await store.prune_dedup() == 1
    assert (await store.ingest(make_record("new"))).duplicate


async def test_duplicates_of_one_batch_resolve_to_the_first(store: Store) -> None:
    """Fifty deliveries of the same thing at once: one event, everybody gets its id."""
    answers = await asyncio.gather(*(store.ingest(make_record("d-1")) for _ in range(50)))
    assert sum(not answer.duplicate for answer in answers) == 1
    assert len({(answer.event_id, tuple(answer.runs)) for answer in answers}) == 1
    assert store.ingest_writer.commits <= 3


async def test_duplicates_of_several_processes_resolve_to_the_first(store: Store, database_url: str) -> None:
    """Two stores with the same keys in opposite order: one event for each key, and no deadlock."""
    other = await connect(database_url)
    keys = [f"d-{number}" for number in range(100)]
    answers = await asyncio.gather(
        *(store.ingest(make_record(key)) for key in keys), *(other.ingest(make_record(key)) for key in reversed(keys))
    )
    await other.close()
    assert sum(not answer.duplicate for answer in answers) == len(keys)
    by_key = zip(answers[: len(keys)], reversed(answers[len(keys) :]), strict=True)
    assert all(mine.event_id == theirs.event_id and mine.runs == theirs.runs for mine, theirs in by_key)


async def test_concurrent_callers_share_commits(store: Store) -> None:
    """Two hundred callers at once need a handful of commits."""
    await store.ingest(make_record())  # connect and prepare
    before = store.ingest_writer.commits
    answers = await asyncio.gather(*(store.ingest(make_record(str(number))) for number in range(200)))
    assert len({answer.event_id for answer in answers}) == 200
    assert store.ingest_writer.commits - before <= 4


async def test_idempotency_key_returns_the_existing_run(store: Store) -> None:
    """The same key starts one run per pipeline; another pipeline has keys of its own."""
    first = make_run(idempotency_key="k", trigger=None)
    assert not (await store.ingest(IngestRecord(runs=[first]))).duplicate
    again = await store.ingest(IngestRecord(runs=[make_run(idempotency_key="k", trigger=None)]))
    assert again.duplicate
    assert again.runs == [(first.id, "triage")]
    assert again.event_id is None
    other = await store.ingest(IngestRecord(runs=[make_run(idempotency_key="k", pipeline="other")]))
    assert not other.duplicate


async def test_idempotency_keys_of_one_batch_start_one_run(store: Store) -> None:
    """Concurrent calls with the same key get the same run."""
    records = [IngestRecord(runs=[make_run(idempotency_key="k")]) for _ in range(20)]
    answers = await asyncio.gather(*(store.ingest(record) for record in records))
    assert len({answer.runs[0][0] for answer in answers}) == 1
    assert sum(not answer.duplicate for answer in answers) == 1


@pytest.mark.parametrize("key", ["k" * 5000, "nul\0", "\ud800", "'; drop table run; --", ""])
async def test_odd_keys_are_told_apart(store: Store, key: str) -> None:
    """Senders and callers choose these texts: any text works, as dedup key and as idempotency key."""
    event = make_event()
    await store.ingest(IngestRecord(event=event, dedup=Dedup("s", key, DAY), runs=[make_run(idempotency_key=key)]))
    assert (await store.ingest(IngestRecord(event=make_event(), dedup=Dedup("s", key, DAY)))).event_id == event.id
    assert (await store.ingest(IngestRecord(runs=[make_run(idempotency_key=key)]))).duplicate
    assert not (await store.ingest(IngestRecord(runs=[make_run(idempotency_key=key + "x")]))).duplicate


async def test_odd_texts_are_made_storable(store: Store) -> None:
    """NUL, lone surrogates and endless texts in indexed fields are replaced; the body is kept byte for byte."""
    event = make_event(
        type="a\0b", path="\ud800" + "p" * 90_000, query="\0", delivery_id="x\0", source="s" * 3000, body=b"\0"
    )
    await store.ingest(make_record("k", event=event, labels={"a": "\0", "b" * 9000: "c" * 9000}))
    stored = await store.get_event(event.id)
    assert stored is not None
    assert (stored.type, stored.query, stored.body) == ("a\ufffdb", "\ufffd", b"\0")
    assert stored.path.startswith("?ppp")
    assert len(stored.path) == 500


async def test_one_bad_record_does_not_fail_its_neighbours(store: Store) -> None:
    """Only the guilty caller hears of it."""
    good = [make_record(str(number)) for number in range(10)]
    bad = make_record("bad", inputs=b"{not json")
    answers = await asyncio.gather(*map(store.ingest, [*good[:5], bad, *good[5:]]), return_exceptions=True)
    assert isinstance(answers.pop(5), InvalidData)
    assert [answer.event_id for answer in answers if not isinstance(answer, BaseException)] == [
        record.event.id for record in good if record.event
    ]
    assert not (await store.ingest(make_record("bad"))).duplicate


async def test_caller_that_gives_up_does_not_disturb_the_others(store: Store) -> None:
    """A cancelled caller's record may be written or not; everybody else gets an answer."""
    tasks = [asyncio.create_task(store.ingest(make_record())) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers.pop(3), asyncio.CancelledError)
    assert all(not isinstance(answer, BaseException) for answer in answers)


async def test_run_due_later_is_not_claimed_before(store: Store) -> None:
    """A scheduled run waits for its time."""
    worker = await store.register_worker("worker", "here", 1)
    [run_id] = await ingest_runs(store, due_at=datetime.now(UTC) + timedelta(hours=1))
    assert await store.claim([run_id], worker, 16) == []


async def test_replayed_run_is_not_part_of_the_first_answer(store: Store) -> None:
    """A duplicate of a delivery that was replayed in between is told about the first runs only."""
    record = make_record("d-1")
    first = await store.ingest(record)
    await store.ingest(IngestRecord(runs=[make_run(event_id=first.event_id, replay_of=record.runs[0].id)]))
    assert (await store.ingest(make_record("d-1"))).runs == first.runs


async def test_large_batch_of_runs_and_a_large_body(store: Store) -> None:
    """One event may start many runs and carry a megabyte."""
    event = make_event(body=b"x" * 1_000_000)
    ingested = await store.ingest(make_record(event=event, runs=500))
    assert len(ingested.runs) == 500
    stored = await store.get_event(event.id)
    assert stored is not None
    assert len(stored.body) == 1_000_000


async def test_ids_are_ours(store: Store) -> None:
    """PostgreSQL 14 has no uuidv7(): nothing relies on it."""
    [run_id] = await ingest_runs(store)
    assert isinstance(run_id, UUID)
    assert run_id.version == uuid7().version == 7
