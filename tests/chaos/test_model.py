"""Runs, leases and turns against a model of a few dozen lines: whatever comes in whatever order, both say the same."""

import asyncio
from typing import Any
from uuid import UUID

import hypothesis
import hypothesis.strategies as st
import pytest
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from engine.core.run import AttemptStatus, RunStatus
from engine.store import AttemptRow, CheckpointRecord, IngestRecord, RunUpdate, Store, connect
from tests.integration.store.records import make_run

ENDS = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED)
BACK = st.sampled_from([0, 0, 0, 1, 2])  # turns ago: mostly the present one


class Expected:
    """What a run should be."""

    def __init__(self) -> None:
        self.status = RunStatus.QUEUED
        self.turn = 0
        self.worker: UUID | None = None
        self.due = True
        self.woken = False
        self.cancel = False
        self.steps: dict[str, AttemptStatus] = {}

    @property
    def over(self) -> bool:
        return self.status in ENDS

    def free(self, status: RunStatus, *, due: bool) -> None:
        """Nobody holds it any more."""
        self.status, self.worker = status, None
        self.due = not self.over and (due or self.cancel or self.woken)


class Leases(RuleBasedStateMachine):
    """Anybody may try anything at any time, also with turns that are long over."""

    runs = Bundle("runs")
    workers = Bundle("workers")

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store) -> None:
        super().__init__()
        self.loop, self.store = loop, store
        self.model: dict[UUID, Expected] = {}
        self.alive: set[UUID] = set()

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @rule(target=runs, count=st.integers(1, 2))
    def ingest(self, count: int) -> Any:
        new = [make_run() for _ in range(count)]
        self.do(self.store.ingest(IngestRecord(runs=new)))
        self.model.update((run.id, Expected()) for run in new)
        return multiple(*(run.id for run in new))

    @rule(target=workers)
    def register(self) -> UUID:
        worker: UUID = self.do(self.store.register_worker("worker", "here", 1))
        self.alive.add(worker)
        return worker

    @rule(worker=workers, wanted=st.lists(runs, min_size=1, max_size=4, unique=True), limit=st.integers(1, 4))
    def claim(self, worker: UUID, wanted: list[UUID], limit: int) -> None:
        able = [i for i in sorted(wanted) if not self.model[i].over and self.model[i].due and not self.model[i].worker]
        expected = able[:limit] if worker in self.alive else []
        claimed = self.do(self.store.claim(wanted, worker, limit))
        assert [run.id for run in claimed] == expected
        for run in claimed:
            known = self.model[run.id]
            known.status, known.worker, known.due, known.woken = RunStatus.RUNNING, worker, False, False
            known.turn += 1
            assert (run.turn, run.cancel_requested) == (known.turn, known.cancel)
            assert {row.step: row.status for row in run.attempts} == known.steps

    def holds(self, run_id: UUID, back: int) -> bool:
        known = self.model[run_id]
        return back == 0 and known.worker is not None

    def record(self, run_id: UUID, back: int, **values: Any) -> CheckpointRecord:
        return CheckpointRecord(run_id=run_id, turn=self.model[run_id].turn - back, **values)

    @rule(run_id=runs, back=BACK, step=st.sampled_from("abc"), status=st.sampled_from(AttemptStatus))
    def write_a_step(self, run_id: UUID, back: int, step: str, status: AttemptStatus) -> None:
        won = self.do(
            self.store.checkpoint(self.record(run_id, back, attempts=[AttemptRow(step=step, number=1, status=status)]))
        )
        assert won == self.holds(run_id, back)
        if won and (status != AttemptStatus.RUNNING or self.model[run_id].steps.get(step) in (None, status)):
            self.model[run_id].steps[step] = status

    @rule(run_id=runs, back=BACK, status=st.sampled_from(ENDS))
    def end(self, run_id: UUID, back: int, status: RunStatus) -> None:
        known = self.model[run_id]
        repeated = back == 0 and known.status == status  # an answer that was lost on its way
        won = self.do(self.store.checkpoint(self.record(run_id, back, run=RunUpdate(status=status))))
        assert won == (self.holds(run_id, back) or repeated)
        if self.holds(run_id, back):
            known.free(status, due=False)

    @rule(run_id=runs, back=BACK, status=st.sampled_from([RunStatus.QUEUED, RunStatus.WAITING]))
    def let_go(self, run_id: UUID, back: int, status: RunStatus) -> None:
        holds = self.holds(run_id, back)
        assert self.do(self.store.checkpoint(self.record(run_id, back, run=RunUpdate(status=status)))) == holds
        if holds:
            self.model[run_id].free(status, due=status == RunStatus.QUEUED)

    @rule(run_ids=st.lists(runs, min_size=1, max_size=3, unique=True))
    def wake(self, run_ids: list[UUID]) -> None:
        rung = self.do(self.store.wake(run_ids))
        assert sorted(rung) == sorted(i for i in run_ids if not self.model[i].over and not self.model[i].worker)
        for run_id in run_ids:
            known = self.model[run_id]
            if not known.over:
                known.woken = True
                known.due = known.worker is None

    @rule(run_id=runs)
    def cancel(self, run_id: UUID) -> None:
        known = self.model[run_id]
        status = self.do(self.store.request_cancel(run_id))
        if known.over:
            assert status == "finished"
            return
        known.cancel = True
        if known.worker is None:
            known.free(RunStatus.QUEUED if known.turn else RunStatus.CANCELLED, due=True)
        assert status == known.status

    @rule(worker=workers)
    def die(self, worker: UUID) -> None:
        """Its lease ends; upkeep frees what it held."""
        self.do(self.store._leasing.fetch("update worker set seen_at = 'epoch' where id = $1", worker))
        freed = self.do(self.store.rescue(3600.0))
        mine = [run_id for run_id, known in self.model.items() if known.worker == worker]
        assert sorted(freed) == sorted(mine)
        self.alive.discard(worker)
        for run_id in mine:
            known = self.model[run_id]
            known.free(RunStatus.QUEUED, due=True)
            for step, status in known.steps.items():
                if status == AttemptStatus.RUNNING:
                    known.steps[step] = AttemptStatus.INTERRUPTED

    @rule(worker=workers)
    def beat(self, worker: UUID) -> None:
        reply = self.do(self.store.heartbeat(worker))
        assert reply.known == (worker in self.alive)
        expected = [run_id for run_id, known in self.model.items() if known.worker == worker and known.cancel]
        assert sorted(reply.cancelled_runs) == sorted(expected)

    @invariant()
    def tables_and_model_agree(self) -> None:
        rows = self.do(
            self.store._leasing.fetch(
                "select id, status, turn, worker, due_at is not null as due, woken, cancel_requested, "
                "finished_at is not null as over from run where id = any($1::uuid[])",
                list(self.model),
            )
        )
        for row in rows:
            known = self.model[row["id"]]
            assert (row["status"], row["turn"], row["worker"]) == (known.status, known.turn, known.worker)
            assert (row["due"], row["over"]) == (known.due and known.worker is None, known.over)
            assert row["cancel_requested"] == known.cancel


@pytest.mark.timeout(0)
def test_leases_follow_the_model(database_url: str) -> None:
    """Fifty steps at a time."""
    with asyncio.Runner() as runner:
        store = runner.run(connect(database_url))
        settings = hypothesis.settings(max_examples=200, stateful_step_count=50, deadline=None, derandomize=True)
        run_state_machine_as_test(lambda: Leases(runner.get_loop(), store), settings=settings)
        runner.run(store.close())
