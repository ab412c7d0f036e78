"""One holder at a time: claims, checkpoints, zombies, rescue, cancellation."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from engine.core.run import AttemptStatus, RunStatus
from engine.store import CheckpointRecord, IngestRecord, InvalidData, RunUpdate, Store, connect
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

LATER = timedelta(seconds=60)


def later() -> datetime:
    """A moment at which today's heartbeats are long ago."""
    return datetime.now(UTC) + LATER


async def test_claim_hands_over_everything(store: Store) -> None:
    """A claimed run comes with its event and what it was started with."""
    worker = await store.register_worker("worker", "here", 1)
    event = make_event(body=b"\x00raw", path_params={"a": "b"})
    record = make_record(event=event, labels={"team": "core"}, inputs=b'{"a": 1}', scheduled_at=event.received_at)
    await store.ingest(record)
    [run] = await store.claim([record.runs[0].id], worker, 16)
    assert run.event == event
    assert (run.turn, run.trigger, run.labels, run.inputs) == (1, "github", {"team": "core"}, b'{"a": 1}')
    assert (run.vars, run.attempts, run.cancel_requested, run.replay_of) == (None, [], False, None)
    assert run.scheduled_at == event.received_at
    assert run.created_at <= run.started_at
    stored = await store.get_run(run.id)
    assert stored is not None
    assert (stored.status, stored.worker) == (RunStatus.RUNNING, worker)


async def test_run_is_claimed_once(store: Store, database_url: str) -> None:
    """Of many claimers at once each run goes to exactly one."""
    other = await connect(database_url)
    ids = await ingest_runs(store, 40)
    workers = [await store.register_worker("worker", "here", number) for number in range(2)]
    claims = [each.claim(ids, worker, 40) for each, worker in zip((store, other), workers, strict=True)]
    taken = [run.id for runs in await asyncio.gather(*claims, *[store.claim(ids, workers[0], 5)]) for run in runs]
    await other.close()
    assert sorted(taken) == sorted(ids)


async def test_claim_takes_no_more_than_asked(store: Store) -> None:
    """The limit holds, oldest first."""
    ids = await ingest_runs(store, 5)
    worker = await store.register_worker("worker", "here", 1)
    assert [run.id for run in await store.claim(ids, worker, 2)] == sorted(ids)[:2]


async def test_unknown_worker_claims_nothing(store: Store) -> None:
    """A worker that was declared dead must register again first."""
    worker = await store.register_worker("worker", "here", 1)
    assert await store.rescue(now=later()) == []
    assert await store.claim(await ingest_runs(store), worker, 16) == []
    assert not (await store.heartbeat(worker)).known


async def test_checkpoint_writes_attempts_and_the_run(store: Store) -> None:
    """What a turn has come to can be read back, and by the next turn."""
    worker, run = await claim_one(store)
    first = make_attempt(input=b'{"a": 1}', output=b"[1]", usage=b'{"tokens": 3}', cached=True)
    wait = RunUpdate(status=RunStatus.WAITING, vars=b'{"v": 1}', due_at=datetime.now(UTC), waiting_for="a retry")
    assert await store.checkpoint(make_checkpoint(run, first, update=wait))
    stored = await store.get_run(run.id)
    assert stored is not None
    assert (stored.status, stored.worker, stored.waiting_for) == (RunStatus.WAITING, None, "a retry")
    [again] = await store.claim([run.id], worker, 16)
    assert (again.turn, again.vars, again.started_at) == (2, b'{"v": 1}', run.started_at)
    [attempt] = again.attempts
    assert (attempt.input, attempt.output, attempt.usage, attempt.cached) == (
        b'{"a": 1}',
        b"[1]",
        b'{"tokens": 3}',
        True,
    )
    done = finished(RunStatus.FAILED, error=b'{"type": "x"}', outputs=b"{}", message="over")
    assert await store.checkpoint(make_checkpoint(again, update=done))
    stored = await store.get_run(run.id)
    assert stored is not None
    assert (stored.status, stored.vars, stored.error, stored.outputs, stored.message, stored.due_at) == (
        RunStatus.FAILED, b'{"v": 1}', b'{"type": "x"}', b"{}", "over", None,
    )  # fmt: skip
    assert stored.finished_at is not None


async def test_running_mark_and_result_become_one_attempt(store: Store) -> None:
    """The result keeps the input of the mark; a mark that comes late does not undo the result."""
    _, run = await claim_one(store)
    mark = make_attempt(status=AttemptStatus.RUNNING, input=b"1", finished_at=None)
    store.checkpoint_later(make_checkpoint(run, mark))
    assert await store.checkpoint(make_checkpoint(run, make_attempt(output=b"2")))
    assert await store.checkpoint(make_checkpoint(run, mark))
    [attempt] = await store.get_attempts(run.id)
    assert (attempt.status, attempt.input, attempt.output) == (AttemptStatus.SUCCEEDED, b"1", b"2")


async def test_later_record_is_written_without_company(store: Store) -> None:
    """A record that nobody awaits does not wait for ever."""
    _, run = await claim_one(store)
    store.checkpoint_later(make_checkpoint(run, make_attempt()))
    async with asyncio.timeout(5):
        while not await store.get_attempts(run.id):
            await asyncio.sleep(0)


async def test_later_records_ride_on_the_next_commit(store: Store) -> None:
    """Ten records of one turn and the final one need one commit, and the last word counts."""
    _, run = await claim_one(store)
    before = store.checkpoint_writer.commits
    for number in range(10):
        store.checkpoint_later(make_checkpoint(run, make_attempt(number=number + 1, output=b"%d" % number)))
    store.checkpoint_later(make_checkpoint(run, update=RunUpdate(status=RunStatus.RUNNING, vars=b'{"a": 1}')))
    assert await store.checkpoint(make_checkpoint(run, make_attempt(number=1, output=b'"last"'), update=finished()))
    assert store.checkpoint_writer.commits - before == 1
    attempts = {attempt.number: attempt.output for attempt in await store.get_attempts(run.id)}
    assert attempts == {1: b'"last"', **{number + 1: b"%d" % number for number in range(1, 10)}}
    stored = await store.get_run(run.id)
    assert stored is not None
    assert (stored.status, stored.vars) == (RunStatus.SUCCEEDED, b'{"a": 1}')


async def test_close_writes_what_is_waiting(store: Store, database_url: str) -> None:
    """A record that nobody awaits survives a clean stop."""
    other = await connect(database_url)
    _, run = await claim_one(other)
    other.checkpoint_later(make_checkpoint(run, make_attempt()))
    await other.close()
    assert len(await store.get_attempts(run.id)) == 1


async def test_concurrent_checkpoints_share_commits(store: Store) -> None:
    """A hundred runs that finish at once need a handful of commits."""
    ids = await ingest_runs(store, 100)
    worker = await store.register_worker("worker", "here", 1)
    runs = await store.claim(ids, worker, 100)
    before = store.checkpoint_writer.commits
    records = [make_checkpoint(run, make_attempt(), update=finished()) for run in runs]
    assert all(await asyncio.gather(*map(store.checkpoint, records)))
    assert store.checkpoint_writer.commits - before <= 3
    assert (await store.count_ended(24)).popitem()[1] == 100


async def test_zombie_writes_nothing_and_its_neighbours_are_unaffected(store: Store) -> None:
    """A worker whose run was taken over is told so; the others of the same batch win."""
    _, zombie = await claim_one(store)
    await store.rescue(now=later())
    _, good = await claim_one(store)
    worker = await store.register_worker("worker", "here", 2)
    [taken] = await store.claim([zombie.id], worker, 16)
    assert taken.turn == 2
    late = make_checkpoint(zombie, make_attempt(output=b'"late"'), update=finished())
    records = [make_checkpoint(good, make_attempt()), late, make_checkpoint(taken, make_attempt(output=b'"mine"'))]
    assert await asyncio.gather(*map(store.checkpoint, records)) == [True, False, True]
    assert [attempt.output for attempt in await store.get_attempts(zombie.id)] == [b'"mine"']


async def test_zombie_of_a_queued_run_writes_nothing(store: Store) -> None:
    """Rescued, not yet taken over: the old holder has lost already."""
    _, zombie = await claim_one(store)
    await store.rescue(now=later())
    for update in (None, finished(), RunUpdate(status=RunStatus.QUEUED)):
        assert not await store.checkpoint(make_checkpoint(zombie, make_attempt(), update=update))
    assert await store.get_attempts(zombie.id) == []


async def test_repeated_final_checkpoint_is_won_again(store: Store) -> None:
    """The answer to the first was lost: the second is not taken for a zombie's, and counts once."""
    _, run = await claim_one(store)
    record = make_checkpoint(run, make_attempt(), update=finished())
    assert await store.checkpoint(record)
    assert await store.checkpoint(record)
    assert not await store.checkpoint(make_checkpoint(run, update=finished(RunStatus.FAILED)))
    assert sum((await store.count_ended(24)).values()) == 1


async def test_words_after_letting_go_are_refused(store: Store) -> None:
    """Once a turn has released its run, it has nothing more to say, in the same batch or later."""
    _, run = await claim_one(store)
    release = make_checkpoint(run, update=RunUpdate(status=RunStatus.WAITING, due_at=later()))
    afterwards = make_checkpoint(run, make_attempt())
    assert await asyncio.gather(*map(store.checkpoint, [release, afterwards])) == [True, False]
    assert not await store.checkpoint(afterwards)


async def test_one_bad_checkpoint_does_not_fail_its_neighbours(store: Store) -> None:
    """Only the guilty caller hears of it, and can write something else then."""
    _, bad = await claim_one(store)
    _, good = await claim_one(store)
    answers = await asyncio.gather(
        store.checkpoint(make_checkpoint(bad, make_attempt(output=b"{"))),
        store.checkpoint(make_checkpoint(good, make_attempt(output=b"{}"))),
        return_exceptions=True,
    )
    assert isinstance(answers[0], InvalidData)
    assert answers[1] is True
    assert await store.checkpoint(make_checkpoint(bad, make_attempt(output=b"{}")))


async def test_heartbeat_keeps_runs(store: Store) -> None:
    """Who beats is not rescued from."""
    worker, run = await claim_one(store)
    assert (await store.heartbeat(worker)).known
    assert await store.rescue() == []
    assert await store.checkpoint(make_checkpoint(run, make_attempt()))


async def test_runs_of_a_dead_worker_are_queued_again(store: Store) -> None:
    """Its running attempts count as interrupted, finished ones stay."""
    _, run = await claim_one(store)
    done, running = make_attempt("first"), make_attempt("second", status=AttemptStatus.RUNNING, finished_at=None)
    await store.checkpoint(make_checkpoint(run, done, running))
    assert await store.rescue(now=later()) == [run.id]
    assert await store.rescue(now=later()) == []
    worker = await store.register_worker("worker", "here", 2)
    [again] = await store.claim([run.id], worker, 16)
    assert [(attempt.step, attempt.status) for attempt in again.attempts] == [
        ("first", AttemptStatus.SUCCEEDED),
        ("second", AttemptStatus.INTERRUPTED),
    ]


async def test_unregistered_worker_gives_its_runs_back_at_once(store: Store) -> None:
    """A goodbye does not have to be waited for."""
    worker, run = await claim_one(store)
    await store.unregister_worker(worker)
    stored = await store.get_run(run.id)
    assert stored is not None
    assert stored.status == RunStatus.QUEUED
    assert not (await store.heartbeat(worker)).known


async def test_due_runs_are_rung_again_after_a_while_only(store: Store) -> None:
    """Fresh runs were rung by whoever made them; a lost ring is repeated; a repeated one waits again."""
    ids = await ingest_runs(store, 3)
    assert await store.due_unrung(4.0, 100) == []
    assert sorted(await store.due_unrung(4.0, 100, now=later())) == sorted(ids)
    assert await store.due_unrung(4.0, 100) == []
    assert len(await store.due_unrung(-1.0, 2)) == 2


async def test_waiting_run_is_rung_when_its_time_comes(store: Store) -> None:
    """Not before, and then at once, without the delay for lost rings."""
    _, run = await claim_one(store)
    due_at = datetime.now(UTC) + timedelta(seconds=30)
    await store.checkpoint(make_checkpoint(run, update=RunUpdate(status=RunStatus.WAITING, due_at=due_at)))
    assert await store.due_unrung(4.0, 100) == []
    assert await store.due_unrung(4.0, 100, now=later()) == [run.id]


async def test_waiting_run_without_a_time_is_left_alone(store: Store) -> None:
    """It waits for something else."""
    worker, run = await claim_one(store)
    await store.checkpoint(make_checkpoint(run, update=RunUpdate(status=RunStatus.WAITING, waiting_for="an event")))
    assert await store.due_unrung(0.0, 100, now=later()) == []
    assert await store.claim([run.id], worker, 16) == []


async def test_run_given_back_is_rung_at_once(store: Store) -> None:
    """A graceful stop queues what it held; whoever does the upkeep rings it."""
    _, run = await claim_one(store)
    await store.checkpoint(make_checkpoint(run, update=RunUpdate(status=RunStatus.QUEUED)))
    assert await store.due_unrung(4.0, 100) == [run.id]


async def test_cancel_of_a_run_that_nobody_holds(store: Store) -> None:
    """One that has not begun is cancelled at once; nobody can claim it any more."""
    worker = await store.register_worker("worker", "here", 1)
    [run_id] = await ingest_runs(store)
    assert await store.request_cancel(run_id) == "cancelled"
    assert await store.claim([run_id], worker, 16) == []
    assert await store.request_cancel(run_id) == "finished"
    assert list((await store.count_ended(24)).values()) == [1]


async def test_cancel_of_a_run_that_waits_after_it_has_begun(store: Store) -> None:
    """It may have something to undo: it is due at once, and who claims it is told."""
    worker, run = await claim_one(store)
    await store.checkpoint(make_checkpoint(run, update=RunUpdate(status=RunStatus.WAITING, due_at=later())))
    assert await store.request_cancel(run.id) == "queued"
    assert await store.due_unrung(4.0, 100) == [run.id]
    [again] = await store.claim([run.id], worker, 16)
    assert again.cancel_requested


async def test_cancel_of_a_run_that_is_held(store: Store) -> None:
    """The holder learns of it from its heartbeat and has the last word."""
    worker, run = await claim_one(store)
    assert await store.request_cancel(run.id) == "running"
    assert (await store.heartbeat(worker)).cancelled_runs == [run.id]
    assert await store.checkpoint(make_checkpoint(run, update=finished(RunStatus.CANCELLED)))
    assert (await store.heartbeat(worker)).cancelled_runs == []


async def test_cancel_of_a_run_that_is_just_let_go(store: Store) -> None:
    """The holder released it without having heard: it is due at once, and the next holder is told."""
    worker, run = await claim_one(store)
    await store.request_cancel(run.id)
    await store.checkpoint(make_checkpoint(run, update=RunUpdate(status=RunStatus.WAITING, due_at=later())))
    [again] = await store.claim([run.id], worker, 16)
    assert again.cancel_requested


async def test_cancel_of_nothing(store: Store) -> None:
    """There is no such run."""
    assert await store.request_cancel(make_event().id) is None


async def test_one_process_leads(store: Store, database_url: str) -> None:
    """The others take over when it has gone."""
    other = await connect(database_url)
    assert await store.try_lead()
    assert await store.try_lead()
    assert not await other.try_lead()
    await store.close()
    async with asyncio.timeout(5):
        while not await other.try_lead():
            await asyncio.sleep(0)
    await other.close()


@pytest.mark.parametrize("status", ["queued", "running", "waiting"])
async def test_stats_count_what_is_open(store: Store, status: str) -> None:
    """Counts by status, and how late the oldest is."""
    worker, run = await claim_one(store)
    [queued] = await ingest_runs(store)
    past = datetime.now(UTC) - timedelta(seconds=100)
    if status == "waiting":
        await store.checkpoint(make_checkpoint(run, update=RunUpdate(status=RunStatus.WAITING, due_at=past)))
    if status == "running":
        await store.claim([queued], worker, 1)
    stats = await store.stats()
    expected = {"queued": (1, 1, 0), "running": (0, 2, 0), "waiting": (1, 0, 1)}[status]
    assert (stats.queued, stats.running, stats.waiting) == expected
    assert stats.workers == 1
    assert (stats.oldest_due > 99) == (status == "waiting")


async def test_cancelled_claim_gives_back_what_it_may_have_taken(store: Store) -> None:
    """A claim whose answer nobody heard must not leave runs that nobody works on."""
    worker, held = await claim_one(store)
    ids = await ingest_runs(store, 5)
    task = asyncio.create_task(store.claim([*ids, held.id], worker, 16))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await store.heartbeat(worker)).known
    claimed = await store.claim(ids, worker, 16)
    assert sorted(run.id for run in claimed) == sorted(ids)
    assert await store.checkpoint(make_checkpoint(held, make_attempt()))


async def test_unknown_run(store: Store) -> None:
    """A checkpoint of a run that does not exist is not won."""
    record = CheckpointRecord(run_id=make_run().id, turn=1, attempts=[make_attempt()])
    assert not await store.checkpoint(record)
    assert await store.claim([record.run_id], await store.register_worker("worker", "here", 1), 1) == []
    assert (await store.ingest(IngestRecord())).runs == []


async def test_wake_makes_a_waiting_run_due_at_once(store: Store) -> None:
    """A run without a time of its own is free to be claimed once it is woken."""
    _, run = await claim_one(store)
    waiting = RunUpdate(status=RunStatus.WAITING, waiting_for="an event")
    assert await store.checkpoint(CheckpointRecord(run_id=run.id, turn=run.turn, run=waiting))
    worker = await store.register_worker("worker", "here", 2)
    assert await store.claim([run.id], worker, 1) == []
    assert await store.wake([run.id]) == [run.id]
    [again] = await store.claim([run.id], worker, 1)
    assert again.turn == run.turn + 1


async def test_no_wake_up_is_missed(store: Store) -> None:
    """A run that is woken while it is held is due as soon as its holder lets go of it."""
    _, run = await claim_one(store)
    assert await store.wake([run.id]) == []
    waiting = RunUpdate(status=RunStatus.WAITING, waiting_for="an event")
    assert await store.checkpoint(CheckpointRecord(run_id=run.id, turn=run.turn, run=waiting))
    worker = await store.register_worker("worker", "here", 2)
    [again] = await store.claim([run.id], worker, 1)
    assert await store.checkpoint(CheckpointRecord(run_id=run.id, turn=again.turn, run=waiting))
    assert await store.claim([run.id], worker, 1) == []


async def test_held_run_is_not_claimed_before_it_is_woken(store: Store) -> None:
    """`held` keeps a new run back, for upkeep too."""
    record = make_record(held=True, queue="ai", priority=3)
    await store.ingest(record)
    worker = await store.register_worker("worker", "here", 1)
    assert await store.claim([record.runs[0].id], worker, 1) == []
    assert await store.due_unrung(0, 10, now=later()) == []
    await store.wake([record.runs[0].id])
    [run] = await store.claim([record.runs[0].id], worker, 1)
    assert run.queue == "ai"
