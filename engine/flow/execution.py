"""One visit of a worker to a run: what is known, what is pending, what is in scope."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.core.event import view
from engine.core.run import AttemptStatus, ErrorInfo, RunStatus
from engine.errors import HookwrightError, Unavailable
from engine.pipeline.spec import Pipeline, Step
from engine.runtime import Runtime
from engine.store import AttemptRow, CheckpointRecord, ClaimedRun, RunUpdate, StoredAttempt

RECONNECT = 0.5  # seconds between tries of a checkpoint while PostgreSQL is away
MAX_ERROR_TEXT = 4000  # characters of an error's message that are kept


class TakenOver(HookwrightError):
    """Another worker holds this run now."""


class StepGaveUp(HookwrightError):
    """A step failed for good."""

    def __init__(self, error: ErrorInfo) -> None:
        super().__init__(error.message)
        self.error = error


class RunStopped(HookwrightError):
    """A `stop` step ended the run."""

    def __init__(self, message: str, output: Any) -> None:
        super().__init__(message)
        self.message = message
        self.output = output


class RunReleased(HookwrightError):
    """The run waits and is held by nobody."""


@dataclass
class Hold:
    """A worker's grip on one run; how others ask it to let go."""

    reason: str = ""  # "", "cancel" (finish as cancelled), "stop" (give the attempt back), "lost" (write nothing more)
    draining: bool = False  # release at the next step boundary


class Scope(Mapping[str, Any]):
    """Roots of expressions; the event is only parsed when somebody reads it."""

    __slots__ = ("_event", "roots")

    def __init__(self, roots: dict[str, Any], event: Any) -> None:
        self.roots = roots
        self._event = event

    def __getitem__(self, name: str) -> Any:
        if name == "event" and "event" not in self.roots and self._event is not None:
            self.roots["event"] = view(self._event)
        return self.roots[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.roots)

    def __len__(self) -> int:
        return len(self.roots)

    def extended(self, **more: Any) -> "Scope":
        """The same scope with more roots, for `result` and `error`."""
        if self._event is not None and "event" in self.roots:
            return Scope({**self.roots, **more}, None)
        return Scope({**self.roots, **more}, self._event)


@dataclass
class Execution:
    """Everything one visit works with."""

    runtime: Runtime
    run: ClaimedRun
    pipeline: Pipeline
    hold: Hold
    scope: Scope = field(init=False)
    steps: dict[str, dict[str, Any]] = field(init=False)  # what `steps.ID` shows
    stored: dict[str, list[StoredAttempt]] = field(init=False)  # earlier attempts by step key, oldest first
    pending: list[AttemptRow] = field(default_factory=list)  # finished rows that no commit has been asked for yet
    outputs: dict[str, Any] = field(default_factory=dict)  # by step key, of steps that have one
    unconfirmed: bool = False  # finished rows were handed to the writer and nobody has awaited their commit
    vars: bytes | None = None  # evaluated in this visit and not stored yet

    def __post_init__(self) -> None:
        run = self.run
        self.stored = {}
        for attempt in run.attempts:
            self.stored.setdefault(attempt.step, []).append(attempt)
        for attempts in self.stored.values():
            attempts.sort(key=lambda attempt: attempt.number)
        self.steps = {step.id: {"status": "pending"} for step in every_step(self.pipeline) if step.id is not None}
        inputs = msgspec.json.decode(run.inputs) if run.inputs else {}
        started = (run.started_at or run.created_at).isoformat().replace("+00:00", "Z")
        roots: dict[str, Any] = {
            "inputs": inputs,
            "vars": {},
            "env": self.runtime.environment,
            "steps": self.steps,
            "run": {
                "id": str(run.id),
                "url": f"{self.runtime.settings.url}/runs/{run.id}",
                "pipeline": run.pipeline,
                "version": run.version,
                "started_at": started,
                "scheduled_at": run.scheduled_at.isoformat().replace("+00:00", "Z") if run.scheduled_at else None,
                "trigger": run.trigger,
                "labels": run.labels,
                "replay_of": str(run.replay_of) if run.replay_of else None,
            },
        }
        self.scope = Scope(roots, run.event)

    # Writing. Every write names the turn it belongs to and says whether it won.

    def record(self, update: RunUpdate | None = None) -> CheckpointRecord:
        """All that is pending, as one record."""
        rows, self.pending = self.pending, []
        if self.vars is not None:
            update = msgspec.structs.replace(update or RunUpdate(status=RunStatus.RUNNING), vars=self.vars)
            self.vars = None
        return CheckpointRecord(run_id=self.run.id, turn=self.run.turn, attempts=rows, run=update)

    async def checkpoint(self, update: RunUpdate | None = None) -> None:
        """Commit all that is pending, and a change of the run. TakenOver if somebody else holds the run by now."""
        record = self.record(update)
        if not record.attempts and record.run is None:
            return
        while True:
            try:
                won = await self.runtime.store.checkpoint(record)
                break
            except Unavailable:  # the lease outlives a short absence; after a long one the write loses
                await asyncio.sleep(RECONNECT)
        if not won:
            raise TakenOver
        self.unconfirmed = False
        if update is not None and update.status != RunStatus.RUNNING:
            self.runtime.queue.changed(self.run.id, self.run.pipeline, update.status)

    def checkpoint_later(self) -> None:
        """Let all that is pending ride on the next commit."""
        record = self.record()
        if record.attempts or record.run is not None:
            self.runtime.store.checkpoint_later(record)
            self.unconfirmed = self.unconfirmed or any(row.status != AttemptStatus.RUNNING for row in record.attempts)

    def encode(self, value: Any) -> bytes:
        """JSON as it is stored: secret values masked."""
        return self.runtime.secrets.redact(msgspec.json.encode(value))

    def error(self, error: ErrorInfo) -> ErrorInfo:
        """The error as it may be kept and shown."""
        message = self.runtime.secrets.redact_text(error.message)
        if len(message) > MAX_ERROR_TEXT:
            message = message[: MAX_ERROR_TEXT - 1] + "…"
        data = msgspec.json.decode(self.encode(error.data)) if error.data is not None else None
        return msgspec.structs.replace(error, message=message, data=data)

    def show(self, step: Step, status: str, **more: Any) -> None:
        """Set what `steps.ID` shows, and the output that a fallback hands on."""
        if "output" in more:
            self.outputs[step.key] = more["output"]
        if step.id is not None:
            self.steps[step.id] = {"status": status, **more}


def every_step(pipeline: Pipeline) -> Iterator[Step]:
    """All steps of all sections, fallbacks included."""

    def walk(steps: tuple[Step, ...]) -> Iterator[Step]:
        for step in steps:
            yield step
            yield from walk(step.on_error.steps)

    for section in (pipeline.steps, pipeline.on_error, pipeline.finally_):
        yield from walk(section)


def counted(attempts: list[StoredAttempt]) -> int:
    """Attempts that count as tries: a clean stop gives its attempt back, see architecture promise 6."""
    return sum(attempt.status != AttemptStatus.INTERRUPTED for attempt in attempts)


def now() -> datetime:
    """The time, with zone."""
    return datetime.now(UTC)
