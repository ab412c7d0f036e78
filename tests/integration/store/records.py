"""Records as the use cases make them, with as little as a test has to say."""

import itertools
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import AttemptStatus, Decision, RunStatus
from engine.store import AttemptRow, CheckpointRecord, ClaimedRun, Dedup, IngestRecord, NewRun, RunUpdate, Store

numbers = itertools.count(1)
DAY = 86400.0


def make_event(**values: Any) -> Event:
    """A small GitHub event."""
    defaults: dict[str, Any] = {
        "id": uuid7(),
        "source": "github",
        "type": "issues.opened",
        "received_at": datetime.now(UTC),
        "path": "github",
        "headers": {"content-type": "application/json"},
        "body": b'{"number": 7}',
    }
    return Event(**{**defaults, **values})


def make_run(**values: Any) -> NewRun:
    """A run of pipeline `triage`."""
    return NewRun(**{"id": uuid7(), "pipeline": "triage", "version": "v1", "trigger": "github", **values})


def make_record(key: str | None = None, *, runs: int = 1, event: Event | None = None, **values: Any) -> IngestRecord:
    """An event with runs and a decision for each; a key makes it unique for a day."""
    event = event or make_event()
    return IngestRecord(
        event=event,
        dedup=Dedup("github", key, DAY) if key is not None else None,
        runs=[make_run(event_id=event.id, **values) for _ in range(runs)],
        decisions=[Decision("triage", "github", True, "matched", {"number": number}) for number in range(runs)],
    )


async def ingest_runs(store: Store, count: int = 1, **values: Any) -> list[UUID]:
    """Ids of queued runs."""
    ids = []
    for _ in range(count):
        run = make_run(**values)
        await store.ingest(IngestRecord(runs=[run]))
        ids.append(run.id)
    return ids


async def claim_one(store: Store, **values: Any) -> tuple[UUID, ClaimedRun]:
    """A new worker and the new run it holds."""
    worker = await store.register_worker("worker", "here", next(numbers))
    [claimed] = await store.claim(await ingest_runs(store, **values), worker, 16)
    return worker, claimed


def make_attempt(step: str = "first", number: int = 1, **values: Any) -> AttemptRow:
    """A try that succeeded."""
    now = datetime.now(UTC)
    defaults: dict[str, Any] = {"status": AttemptStatus.SUCCEEDED, "started_at": now, "finished_at": now}
    return AttemptRow(step=step, number=number, **{**defaults, **values})


def make_checkpoint(run: ClaimedRun, *attempts: AttemptRow, update: RunUpdate | None = None) -> CheckpointRecord:
    """What this turn has come to."""
    return CheckpointRecord(run_id=run.id, turn=run.turn, attempts=list(attempts), run=update)


def finished(status: RunStatus = RunStatus.SUCCEEDED, **values: Any) -> RunUpdate:
    """The run is over."""
    return RunUpdate(status=status, **values)
