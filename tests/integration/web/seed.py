"""Rows for the tests of the web edge, written the way the engine writes them: ingest, claim, checkpoint."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import AttemptStatus, Decision, RunStatus
from engine.store import (
    AttemptRow,
    CheckpointRecord,
    ClaimedRun,
    IngestRecord,
    NewRun,
    RunUpdate,
    Store,
)

VERSION = "3f" * 32
SCRIPT = "<script>alert(1)</script>"
encode = msgspec.json.encode


class Seed:
    """Makes events, runs and attempts."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._worker: UUID | None = None

    async def event(
        self,
        type: str = "issues.opened",
        *,
        body: bytes = b'{"action": "opened"}',
        content_type: str = "application/json",
        source: str = "github",
        path: str = "github",
        decisions: list[Decision] | None = None,
        runs: list[NewRun] | None = None,
        delivery_id: str | None = None,
    ) -> Event:
        """A stored event with its decisions and runs."""
        event = Event(
            id=uuid7(),
            source=source,
            type=type,
            received_at=datetime.now(UTC),
            path=path,
            headers={"content-type": content_type, "x-note": SCRIPT},
            body=body,
            delivery_id=delivery_id,
        )
        placed = [msgspec.structs.replace(run, event_id=event.id) for run in runs or []]
        await self.store.ingest(IngestRecord(event=event, runs=placed, decisions=decisions or []))
        return event

    def new_run(self, pipeline: str = "triage", *, inputs: Any = None, **values: Any) -> NewRun:
        """A run that is not stored yet."""
        values = {"trigger": "github.webhook", "version": VERSION} | values
        return NewRun(id=uuid7(), pipeline=pipeline, inputs=encode(inputs or {}), **values)

    async def run(self, pipeline: str = "triage", **values: Any) -> UUID:
        """A queued run."""
        new = self.new_run(pipeline, **values)
        await self.store.ingest(IngestRecord(runs=[new]))
        return new.id

    async def claim(self, run_id: UUID) -> ClaimedRun:
        """Take the run up, as a worker would."""
        if self._worker is None:
            self._worker = await self.store.register_worker("worker", "test", os.getpid())
        (claimed,) = await self.store.claim([run_id], self._worker, 1)
        return claimed

    async def write(self, run: ClaimedRun, *attempts: AttemptRow, update: RunUpdate | None = None) -> None:
        """Checkpoint the run."""
        record = CheckpointRecord(run_id=run.id, turn=run.turn, attempts=list(attempts), run=update)
        assert await self.store.checkpoint(record)

    async def succeeded(self, pipeline: str = "triage", **values: Any) -> UUID:
        """A run with two steps, the first of which needed two attempts."""
        run_id = await self.run(pipeline, **values)
        claimed = await self.claim(run_id)
        attempts = [
            attempt("classify", 1, 0, 300, status="failed", error={"type": "rate_limited", "message": f"429 {SCRIPT}"}),
            attempt(
                "classify",
                2,
                1200,
                900,
                output={"label": "bug", "html": SCRIPT, "text": "${{ secrets.TOKEN }}"},
                usage={"model": "small", "input_tokens": 1200, "output_tokens": 34},
            ),
            attempt("notify", 1, 2110, 180, output={"status": 200}),
        ]
        update = RunUpdate(status=RunStatus.SUCCEEDED, vars=b'{"repo": "acme/web"}', outputs=b'{"label":"bug"}')
        await self.write(claimed, *attempts, update=update)
        return run_id

    async def failed(self, pipeline: str = "triage", *, message: str = "no such repository", **values: Any) -> UUID:
        """A run whose only step failed."""
        run_id = await self.run(pipeline, **values)
        claimed = await self.claim(run_id)
        error = {"type": "http.404", "message": message, "step": "fetch", "attempt": 1}
        await self.write(
            claimed,
            attempt("fetch", 1, 0, 80, status="failed", error=error),
            update=RunUpdate(status=RunStatus.FAILED, error=encode(error)),
        )
        return run_id

    async def waiting(self, pipeline: str = "triage", *, seconds: float = 3600, **values: Any) -> UUID:
        """A run that waits for its second attempt."""
        run_id = await self.run(pipeline, **values)
        claimed = await self.claim(run_id)
        due = datetime.now(UTC) + timedelta(seconds=seconds)
        error = {"type": "network", "message": "connection refused"}
        await self.write(
            claimed,
            attempt("fetch", 1, 0, 80, status="failed", error=error, due_at=due),
            update=RunUpdate(status=RunStatus.WAITING, due_at=due, waiting_for="attempt 2 of step fetch"),
        )
        return run_id

    async def running(self, pipeline: str = "triage", **values: Any) -> ClaimedRun:
        """A run that a worker holds, in the middle of its step."""
        run_id = await self.run(pipeline, **values)
        claimed = await self.claim(run_id)
        await self.write(claimed, attempt("fetch", 1, 0, None, status="running"))
        return claimed


def attempt(
    step: str,
    number: int,
    start_ms: float,
    length_ms: float | None,
    *,
    status: str = "succeeded",
    input: Any = None,
    output: Any = None,
    error: Any = None,
    usage: Any = None,
    due_at: datetime | None = None,
    begin: datetime | None = None,
) -> AttemptRow:
    """One try, so many milliseconds after `begin` (four seconds ago)."""
    start = (begin or datetime.now(UTC) - timedelta(seconds=4)) + timedelta(milliseconds=start_ms)
    return AttemptRow(
        step=step,
        number=number,
        status=AttemptStatus(status),
        input=encode(input if input is not None else {"step": step, "key": {"$secret": "API_KEY"}}),
        output=None if output is None else encode(output),
        error=None if error is None else encode(error),
        usage=None if usage is None else encode(usage),
        started_at=start,
        finished_at=None if length_ms is None else start + timedelta(milliseconds=length_ms),
        due_at=due_at,
    )


def decision(pipeline: str = "triage", *, matched: bool = False, reason: str = "matched", **detail: Any) -> Decision:
    """What the trigger `github.webhook` said."""
    return Decision(pipeline=pipeline, trigger="github.webhook", matched=matched, reason=reason, detail=detail)
