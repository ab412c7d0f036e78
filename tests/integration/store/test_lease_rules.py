"""Whatever workers, deaths and rescues do in whatever order: one holder at a time, and nobody else's write counts."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from engine.core.run import RunStatus
from engine.store import ClaimedRun, RunUpdate, Store, connect
from tests.integration.store.records import finished, ingest_runs, make_attempt, make_checkpoint

RUNS, WORKERS = 3, 2


class Leases(RuleBasedStateMachine):
    """A model of who holds what, beside the tables."""

    url = ""
    claims = Bundle("claims")  # every claim ever won, those of zombies too

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store: Store = self.run(connect(self.url))
        self.holders: dict[UUID, int] = {}  # run -> turn that holds it
        self.turns: dict[UUID, int] = {}
        self.open: set[UUID] = set()
        self.written: dict[tuple[UUID, int], int] = {}  # (run, turn) -> attempts accepted

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize()
    def start(self) -> None:
        self.run(self.store._database.fetch("truncate run, attempt, worker, tally"))
        self.runs = self.run(ingest_runs(self.store, RUNS))
        self.open = set(self.runs)
        self.turns = dict.fromkeys(self.runs, 0)
        self.workers = [self.run(self.store.register_worker("worker", "here", number)) for number in range(WORKERS)]
        self.belongs: dict[UUID, UUID] = {}

    @rule(target=claims, number=st.integers(0, WORKERS - 1), limit=st.integers(1, RUNS))
    def claim(self, number: int, limit: int) -> Any:
        free = sorted(self.open - set(self.holders))
        claimed = self.run(self.store.claim(self.runs, self.workers[number], limit))
        assert [run.id for run in claimed] == free[:limit]
        for run in claimed:
            self.turns[run.id] += 1
            assert run.turn == self.turns[run.id]
            assert len(run.attempts) == sum(n for (id_, _), n in self.written.items() if id_ == run.id)
            self.holders[run.id] = run.turn
            self.belongs[run.id] = self.workers[number]
        return multiple(*claimed)

    @rule(run=claims)
    def write(self, run: ClaimedRun) -> None:
        number = self.written.get((run.id, run.turn), 0) + 1
        attempt = make_attempt(f"turn {run.turn}", number)
        won = self.run(self.store.checkpoint(make_checkpoint(run, attempt)))
        assert won == (self.holders.get(run.id) == run.turn)
        if won:
            self.written[run.id, run.turn] = number

    @rule(run=claims, status=st.sampled_from([RunStatus.QUEUED, RunStatus.WAITING]))
    def release(self, run: ClaimedRun, status: RunStatus) -> None:
        update = RunUpdate(status=status, due_at=datetime.now(UTC) - timedelta(seconds=1))
        won = self.run(self.store.checkpoint(make_checkpoint(run, update=update)))
        assert won == (self.holders.get(run.id) == run.turn)
        if won:
            del self.holders[run.id]

    @rule(run=claims)
    def finish(self, run: ClaimedRun) -> None:
        mine = self.holders.get(run.id) == run.turn
        repeated = run.id not in self.open and self.turns[run.id] == run.turn
        won = self.run(self.store.checkpoint(make_checkpoint(run, update=finished())))
        assert won == (mine or repeated)
        if mine:
            del self.holders[run.id]
            self.open.discard(run.id)

    @rule(number=st.integers(0, WORKERS - 1))
    def die_and_come_back(self, number: int) -> None:
        """The worker misses its heartbeats, is rescued from, and registers again; its old tasks go on as zombies."""
        dead = self.workers[number]
        lost = sorted(run_id for run_id in self.holders if self.belongs[run_id] == dead)
        self.run(
            self.store._database.fetch("update worker set seen_at = now() - interval '1 minute' where id = $1", dead)
        )
        assert self.run(self.store.rescue()) == lost
        for run_id in lost:
            del self.holders[run_id]
        assert not self.run(self.store.heartbeat(dead)).known
        self.workers[number] = self.run(self.store.register_worker("worker", "here", number))

    @invariant()
    def tables_agree(self) -> None:
        rows = self.run(self.store._database.fetch("select id, turn, worker, status from run"))
        for row in rows:
            assert (row["status"] == "running") == (row["id"] in self.holders)
            assert row["turn"] == self.turns[row["id"]]

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()


@pytest.mark.timeout(300)
def test_one_holder_at_a_time(database_url: str) -> None:
    """Random sequences of claims, writes, releases, deaths and rescues keep the rules."""
    Leases.url = database_url
    run_state_machine_as_test(
        Leases,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
