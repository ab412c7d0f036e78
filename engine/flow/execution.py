"""One visit of a worker to a run: what is known, what is pending, and the world it happens in."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec
import structlog

from engine.core.catalog import Catalog, StepType
from engine.core.clock import CLOCK
from engine.core.event import Event, view
from engine.core.outcome import Outcome
from engine.core.run import AttemptStatus, ErrorInfo, RunStatus
from engine.errors import Unavailable
from engine.flow.frame import Frame, Parked, Scope, TakenOver, pending
from engine.flow.pool import Pool
from engine.pipeline.spec import Pipeline, Step
from engine.plugin.api import StartedRun
from engine.plugin.observers import Observers
from engine.store import AttemptRow, CheckpointRecord, ClaimedRun, RunUpdate, StoredAttempt

NEVER = datetime.max.replace(tzinfo=UTC)  # due when it is woken
RECONNECT = 0.5  # seconds between tries of a checkpoint while PostgreSQL is away
MAX_ERROR_TEXT = 4000  # characters of an error's message that are kept


@dataclass
class Hold:
    """A worker's grip on one run; how others ask it to let go."""

    reason: str = ""  # "", "cancel" (finish as cancelled), "stop" (give the attempt back), "lost" (write nothing more)
    draining: bool = False  # release at the next step boundary
    closing: bool = False  # it has heard that it is cancelled, and undoes what it did: do not tell it again


@dataclass(frozen=True, slots=True)
class Call:
    """A step made ready: its inputs are rendered, once for all attempts."""

    step: Step
    key: str  # under which its attempts are stored, the prefix of its frame included
    type: StepType
    rendered: Any  # may hold Secret leaves
    stored: bytes  # the same as JSON with secrets as references
    idempotency_key: str
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What one attempt came to, and the events it emitted."""

    outcome: Outcome
    emitted: list[tuple[str, Any]] = field(default_factory=list)


class Environment(Protocol):
    """Everything a visit needs of the world. See engine/flow/environment.py."""

    sleeps_through: bool  # long delays are slept here in place of letting the run go
    jitter: bool  # delays of retries are drawn, not the full computed ones

    @property
    def pool(self) -> Pool: ...  # which queues are served, here and elsewhere
    @property
    def catalog(self) -> Catalog: ...
    @property
    def variables(self) -> Mapping[str, str]: ...  # what `env` shows
    @property
    def log(self) -> structlog.stdlib.BoundLogger: ...
    @property
    def observers(self) -> Observers: ...

    def now(self) -> datetime: ...
    def run_url(self, run_id: UUID) -> str: ...
    def redact(self, data: bytes) -> bytes: ...
    def redact_text(self, text: str) -> str: ...
    def lookup_secret(self, name: str) -> str | None: ...

    async def checkpoint(self, record: CheckpointRecord) -> bool: ...
    def checkpoint_later(self, record: CheckpointRecord) -> None: ...
    def changed(self, run_id: UUID, pipeline: str, status: str) -> None: ...
    def is_awaited(self, pipeline: str, status: RunStatus) -> bool: ...

    async def sleep(self, seconds: float) -> None: ...
    async def perform(self, execution: "Execution", frame: Frame, call: Call, attempt: int) -> Done: ...
    async def cache_get(self, key: str) -> tuple[bool, Any]: ...
    async def cache_set(self, key: str, value: Any, ttl: float) -> None: ...
    async def emit(self, execution: "Execution", call: Call, emitted: list[tuple[str, Any]]) -> None: ...
    async def start(
        self,
        execution: "Execution",
        call: Call,
        key: str,
        pipeline: str,
        inputs: dict[str, Any],
        labels: dict[str, str],
    ) -> StartedRun: ...
    async def stand_in(self, execution: "Execution", frame: Frame, call: Call, attempt: int) -> Done | None: ...
    async def wait(
        self, execution: "Execution", frame: Frame, step: Step, key: str, began: datetime, until: datetime | None
    ) -> Any: ...
    def alone(self) -> AbstractAsyncContextManager[None]: ...
    def slot(self, execution: "Execution", frame: Frame, step: Step, key: str) -> AbstractAsyncContextManager[None]: ...


class Undo(NamedTuple):
    """A step that has succeeded and knows how to be undone."""

    finished_at: datetime
    frame: Frame
    step: Step


class Parking(NamedTuple):
    """Why a branch waits and until when. None: the worker stops.

    hop: it goes on at once, with workers of that queue. yields: it could go on here and makes room for one that hops.
    """

    due_at: datetime | None
    reason: str = ""
    hop: str | None = None
    yields: bool = False
    since: float = 0.0  # time.monotonic()


@dataclass
class Execution:
    """Everything one visit works with."""

    environment: Environment
    run: ClaimedRun
    pipeline: Pipeline
    hold: Hold
    root: Frame = field(init=False)
    stored: dict[str, list[StoredAttempt]] = field(init=False)  # earlier attempts by key, oldest first
    pending: list[AttemptRow] = field(default_factory=list)  # rows that no commit has been asked for yet
    vars: bytes | None = None  # evaluated in this visit and not stored yet
    undo: dict[str, Undo] = field(default_factory=dict)  # by key, steps with a compensation that have succeeded
    deadlines: list[datetime] = field(default_factory=list)  # of the run and of the groups that are open
    open_calls: list[Frame] = field(default_factory=list)  # called pipelines a cancellation went through, inner first
    closing: bool = False  # it ends as cancelled: it is not let go any more
    active: int = 1  # branches that are at work; the others are parked or wait for branches of their own
    parked: dict[object, Parking] = field(default_factory=dict)
    moved: bool = False  # this visit has begun to carry out a step
    kept: list[AttemptRow] | None = None  # rows written since the pipeline's own steps are over, see keep()
    released: RunUpdate | None = None  # what becomes of the run, once everybody is parked
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)  # of the wait that looks: an event ends only one
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # awaited commits of one run follow one another
    _leaving: asyncio.Event = field(default_factory=asyncio.Event)  # all are parked: the run is let go
    _handed: int = 0  # records with finished rows that were handed to the writer without awaiting their commit
    _confirmed: int = 0  # how many of them are known to be committed
    _begun: int = 0  # awaited commits so far
    _settled: int = 0  # the last of them that succeeded

    def __post_init__(self) -> None:
        run = self.run
        self.stored = {}
        for attempt in run.attempts:
            self.stored.setdefault(attempt.step, []).append(attempt)
        for attempts in self.stored.values():
            attempts.sort(key=lambda attempt: attempt.number)
        steps = pending(self.pipeline.steps, self.pipeline.on_error, self.pipeline.finally_)
        started = (run.started_at or run.created_at).isoformat().replace("+00:00", "Z")
        roots: dict[str, Any] = {
            "inputs": msgspec.json.decode(run.inputs) if run.inputs else {},
            "vars": {},
            "env": self.environment.variables,
            "steps": steps,
            "run": {
                "id": str(run.id),
                "url": self.environment.run_url(run.id),
                "pipeline": run.pipeline,
                "version": run.version,
                "started_at": started,
                "scheduled_at": run.scheduled_at.isoformat().replace("+00:00", "Z") if run.scheduled_at else None,
                "trigger": run.trigger,
                "labels": run.labels,
                "parent": str(run.parent) if run.parent else None,
                "replay_of": str(run.replay_of) if run.replay_of else None,
            },
        }
        if (events := getattr(run, "events", None)) is not None:  # of a batch; a simulation has views already
            roots["events"] = [view(event) if isinstance(event, Event) else event for event in events]
        self.root = Frame(self.pipeline, Scope(roots, run.event), steps)

    # Writing. Every write names the turn it belongs to and says whether it won.

    @property
    def unconfirmed(self) -> bool:
        """Whether anything finished is not known to be committed."""
        if self._handed > self._confirmed or self._lock.locked() or self.vars is not None:
            return True
        return any(row.status != AttemptStatus.RUNNING for row in self.pending)

    def record(self, update: RunUpdate | None = None) -> CheckpointRecord:
        """All that is pending, as one record."""
        rows, self.pending = self.pending, []
        if self.kept is not None:
            self.kept += rows
        if self.vars is not None:
            update = msgspec.structs.replace(update or RunUpdate(status=RunStatus.RUNNING), vars=self.vars)
            self.vars = None
        return CheckpointRecord(run_id=self.run.id, turn=self.run.turn, attempts=rows, run=update)

    async def checkpoint(self, update: RunUpdate | None = None) -> None:
        """Commit all that is pending, and a change of the run. TakenOver if somebody else holds the run by now.

        On return everything that was pending when this was called is committed, by whichever branch asked first.
        """
        mine = self._begun + 1  # the commit that what is pending now goes into, unless it fails
        async with self._lock:
            if update is None and self._settled >= mine:  # or every branch would commit what the one before it left
                return
            record = self.record(update)
            if not record.attempts and record.run is None:
                return
            self._begun += 1
            handed = self._handed
            try:
                won = await self._commit(record)
            except asyncio.CancelledError:  # it may not have been written; writing it again changes nothing
                self.pending = [*record.attempts, *self.pending]
                self.vars = record.run.vars if record.run is not None else None
                raise
            if not won:
                raise TakenOver
            self._settled = self._begun
            self._confirmed = max(self._confirmed, handed)
        if update is not None and update.status != RunStatus.RUNNING:
            self.environment.changed(self.run.id, self.run.pipeline, update.status)

    async def _commit(self, record: CheckpointRecord) -> bool:
        while True:
            try:
                return await self.environment.checkpoint(record)
            except Unavailable:  # the lease outlives a short absence; after a long one the write loses
                await asyncio.sleep(RECONNECT)

    def checkpoint_later(self) -> None:
        """Let all that is pending ride on the next commit."""
        record = self.record()
        if record.attempts or record.run is not None:
            self.environment.checkpoint_later(record)
            if any(row.status != AttemptStatus.RUNNING for row in record.attempts):
                self._handed += 1

    def keep(self) -> None:
        """From here on remember what is written: a cancellation may have to go through the same sections again."""
        if self.kept is None:
            self.kept = []

    def recall_kept(self) -> None:
        """Take what this visit has written as stored."""
        for row in (*(self.kept or ()), *self.pending):
            rows = self.stored.setdefault(row.step, [])
            rows[:] = [other for other in rows if other.number != row.number]
            rows.append(StoredAttempt(**{name: getattr(row, name) for name in AttemptRow.__struct_fields__}))
            rows.sort(key=lambda attempt: attempt.number)

    # Letting go. A branch that has to wait for long parks; once all are parked, the run is released.

    async def park(
        self,
        due_at: datetime | None,
        reason: str,
        *,
        recheck: float | None = None,
        bell: asyncio.Event | None = None,
    ) -> None:
        """Wait here while others of this run work, until it is time. Parked: nobody works any more.

        due_at None: the worker stops; do not begin anything new. NEVER: until the run is woken, see Store.wake.
        recheck: seconds to wait here at most, since what is waited for may happen while others keep the run here.
        bell: somebody in this process sets it when that happens.
        """
        left = recheck
        if due_at is not None and due_at != NEVER:
            until = max(0.0, (due_at - self.environment.now()).total_seconds())
            left = until if recheck is None else min(until, recheck)
        await self._park(Parking(due_at, reason), left, bell)

    async def hop(self, queue: str, *, yields: bool = False) -> None:
        """Wait here while others of this run work, then go on with a worker of that queue. Parked: as above."""
        await self._park(Parking(NEVER, hop=queue, yields=yields, since=time.monotonic()), None)

    def wants_to_leave(self, patience: float) -> bool:
        """Whether a branch has waited so many seconds to go on elsewhere, and this visit was not in vain."""
        if not self.parked or not self.moved:
            return False
        return any(
            parking.hop is not None and not parking.yields and time.monotonic() - parking.since > patience
            for parking in self.parked.values()
        )

    async def _park(self, parking: Parking, seconds: float | None, bell: asyncio.Event | None = None) -> None:
        if self.active > 1:
            self.checkpoint_later()
        me = object()
        self.parked[me] = parking
        self.active -= 1
        kept = False
        try:
            self.check_parked()
            if not await self._all_leave(seconds, bell):
                return
            kept = True
            raise Parked
        finally:
            self.active += 1
            if not kept:
                del self.parked[me]

    async def _all_leave(self, seconds: float | None, bell: asyncio.Event | None) -> bool:
        """Whether everybody leaves, within so many seconds and before the bell."""
        signals = [self._leaving] if bell is None else [self._leaving, bell]
        waits = [asyncio.ensure_future(signal.wait()) for signal in signals]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self._leaving.is_set()

    def check_parked(self) -> None:
        """Let everybody leave if nobody works any more."""
        if self.active == 0 and self.parked:
            self.released = self._release()
            self._leaving.set()

    def _release(self) -> RunUpdate:
        places = self.parked.values()
        if self.hold.draining or any(parking.due_at is None for parking in places):
            return RunUpdate(status=RunStatus.QUEUED)
        if hops := {parking.hop for parking in places if parking.hop is not None and not parking.yields}:
            return RunUpdate(status=RunStatus.QUEUED, queue=next_queue(self.run.queue, hops))
        first = min(places, key=lambda parking: (parking.due_at, parking.reason))
        at = min([parking.due_at for parking in places if parking.due_at] + self.deadlines)
        return RunUpdate(status=RunStatus.WAITING, due_at=None if at == NEVER else at, waiting_for=first.reason)

    # Keeping

    def encode(self, value: Any) -> bytes:
        """JSON as it is stored: secret values masked."""
        return self.environment.redact(msgspec.json.encode(value))

    def error(self, error: ErrorInfo) -> ErrorInfo:
        """The error as it may be kept and shown."""
        message = self.environment.redact_text(error.message)
        if len(message) > MAX_ERROR_TEXT:
            message = message[: MAX_ERROR_TEXT - 1] + "…"
        data = msgspec.json.decode(self.encode(error.data)) if error.data is not None else None
        return msgspec.structs.replace(error, message=message, data=data)


def counted(attempts: list[StoredAttempt]) -> int:
    """Attempts that count as tries: a clean stop gives its attempt back, see architecture promise 6."""
    return sum(attempt.status != AttemptStatus.INTERRUPTED for attempt in attempts)


def next_queue(current: str, wanted: Iterable[str]) -> str:
    """The queue that is visited next, round and round in the order of their names: none is left out."""
    return min(wanted, key=lambda queue: (queue <= current, queue))


def now() -> datetime:
    """The time, with zone. A visit to a run asks its environment instead."""
    return CLOCK.now()
