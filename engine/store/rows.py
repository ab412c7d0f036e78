"""What crosses the seam of the store: records to write, rows that were read. JSON columns are encoded bytes."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from engine.core.event import Event
from engine.core.gate import GateRequest
from engine.core.run import AttemptStatus, Decision, RunStatus
from engine.errors import HookwrightError

DEFAULT_QUEUE = "default"


class InvalidData(HookwrightError, ValueError):
    """PostgreSQL cannot hold this value."""


# Ingest


class RunKey(NamedTuple):
    """At most one run of a trigger has this key for so many seconds from the time on."""

    text: str
    at: datetime
    seconds: float


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run to create. `due_at` None: due at once. `key`: only if no earlier run of its trigger has it.

    `held`: nobody may claim it until something else makes it due. `turn_key`: see the table. `gates`: the limits that
    a held run has to get through, see engine.flow.limits.admit.
    """

    id: UUID
    pipeline: str
    version: str
    trigger: str | None = None  # None: started by hand
    event_id: UUID | None = None
    labels: dict[str, str] = {}
    inputs: bytes = b"{}"
    idempotency_key: str | None = None
    replay_of: UUID | None = None
    scheduled_at: datetime | None = None
    due_at: datetime | None = None
    key: RunKey | None = None
    held: bool = False
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    turn_key: UUID | None = None
    expires_at: datetime | None = None
    batched: bool = False
    parent: UUID | None = None
    events: tuple[UUID, ...] = ()  # of a batched run, unless they are those of a Firing
    gates: tuple[GateRequest, ...] = ()


class Dedup(NamedTuple):
    """The first event with this scope and key wins for so many seconds."""

    scope: str
    key: str
    seconds: float


class Gathering(NamedTuple):
    """One event joins the burst or batch of its key. Times are seconds; None: there is no such limit."""

    pipeline: str
    trigger: str
    kind: str  # debounce | batch
    key: str
    at: datetime
    period: float | None
    max_wait: float | None
    max_size: int | None
    run_key: RunKey | None = None  # of the trigger's own `dedup`: if an earlier event has it, this one does not join


class Firing(NamedTuple):
    """What is written only if this burst or batch is still in this state; it is gone then.

    event_id: of which the decisions are. run_id: the run that gets the events of the batch; None: none does.
    """

    gather_id: UUID
    size: int
    event_id: UUID
    run_id: UUID | None = None


class IngestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one accepted delivery, call or tick of a schedule leaves behind. `dedup` needs an event.

    The decision that goes with a run whose key is taken is stored as `duplicate`, with the run that has it; the same
    for an event that joins a burst or batch, with the event that has the key. `gatherings`: the decisions of their
    triggers get the time at which a run comes of it. `firing`: runs and decisions are written if it wins.
    """

    event: Event | None = None
    dedup: Dedup | None = None
    runs: list[NewRun] = []
    decisions: list[Decision] = []
    gatherings: list[Gathering] = []
    firing: Firing | None = None

    def __post_init__(self) -> None:
        if self.event is None and (self.dedup is not None or self.gatherings):
            raise ValueError("dedup needs an event, and so do bursts and batches")
        if self.decisions and (self.event is None) == (self.firing is None):
            raise ValueError("decisions need an event")


class Ingested(msgspec.Struct, frozen=True):
    """What is in the tables now. A duplicate wrote nothing: these are the first one's event and runs.

    A run whose key is taken was not written and is not among them. `rings`: what is to be rung and in which queue; the
    leader rings the others in their turn.
    """

    event_id: UUID | None
    runs: list[tuple[UUID, str]]  # run id, pipeline; sorted
    duplicate: bool = False
    rings: list[tuple[UUID, str]] = []
    ready: list[UUID] = []  # bursts and batches that became due with this


class GatherRow(NamedTuple):
    """A burst or a batch as somebody has seen it."""

    id: UUID
    pipeline: str
    trigger: str
    kind: str
    key: str
    first_at: datetime
    due_at: datetime | None  # None: when it is full
    last_event: UUID
    size: int


# Claims and checkpoints


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One try of one step, inserted or replaced by (run, step, number). `input` None keeps the stored one."""

    step: str
    number: int
    status: AttemptStatus
    input: bytes | None = None
    output: bytes | None = None
    error: bytes | None = None
    usage: bytes | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cached: bool = False
    due_at: datetime | None = None  # when the next attempt may start


class StoredAttempt(AttemptRow, frozen=True, kw_only=True):
    """An attempt as it was read."""


class RunUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a run. None keeps what is stored; a status other than running releases the worker.

    `due_at` counts for queued and waiting only. None there: queued is due at once, waiting has no time. Either is due
    at once if the run was woken meanwhile. `queue`: whose workers go on with it.
    `announce` counts for an end: it is owed an event, see engine.store.announcements.
    """

    status: RunStatus
    vars: bytes | None = None
    outputs: bytes | None = None
    error: bytes | None = None
    due_at: datetime | None = None
    waiting_for: str | None = None
    message: str | None = None
    announce: bool = False
    queue: str | None = None


class CheckpointRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one turn of a run has come to so far."""

    run_id: UUID
    turn: int
    attempts: list[AttemptRow] = []
    run: RunUpdate | None = None


class ClaimedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run this worker holds now, with all it needs to go on."""

    id: UUID
    pipeline: str
    version: str
    turn: int
    trigger: str | None
    labels: dict[str, str]
    inputs: bytes
    vars: bytes | None
    event: Event | None
    attempts: list[StoredAttempt]  # empty in the first turn; by started_at, then number
    created_at: datetime
    started_at: datetime
    scheduled_at: datetime | None
    replay_of: UUID | None
    cancel_requested: bool
    queue: str = DEFAULT_QUEUE
    batched: bool = False
    parent: UUID | None = None
    deaths: int = 0  # of workers that held it
    gated: bool = False  # it, or a step of it, has been at a limit
    events: tuple[Event, ...] | None = None  # of a batched run
    key_run: UUID | None = None  # whose idempotency keys its steps have; None: its own
    reopened_at: datetime | None = None  # its time counts from then


class HeartbeatReply(msgspec.Struct, frozen=True):
    """`known` False: this worker was declared dead; its runs belong to others now, register again."""

    known: bool
    at: datetime  # PostgreSQL's time
    cancelled_runs: list[UUID] = []  # running here, and somebody asked to cancel them


# Reads


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run as lists show it."""

    id: UUID
    pipeline: str
    version: str
    status: RunStatus
    trigger: str | None
    labels: dict[str, str]
    event_id: UUID | None
    replay_of: UUID | None
    turn: int
    created_at: datetime
    scheduled_at: datetime | None
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    waiting_for: str | None
    message: str | None
    error: bytes | None
    cancel_requested: bool
    queue: str = DEFAULT_QUEUE
    parent: UUID | None = None


class RunRow(RunSummary, frozen=True, kw_only=True):
    """A run with everything."""

    inputs: bytes
    vars: bytes | None
    outputs: bytes | None
    idempotency_key: str | None
    worker: UUID | None
    batched: bool = False
    rounds: int = 0
    reopened_at: datetime | None = None


class Lineage(msgspec.Struct, frozen=True):
    """How many runs above a run started one another, the first of them, and its event if one started it."""

    parents: int
    first: UUID
    event_id: UUID | None = None


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs to list, newest first. All conditions must hold; None is no condition."""

    pipeline: str | None = None
    status: RunStatus | None = None
    labels: dict[str, str] | None = None  # the run has all of these
    since: datetime | None = None  # created then or later
    until: datetime | None = None  # created before
    event_id: UUID | None = None
    cursor: UUID | None = None  # as the previous page returned it
    limit: int = 50


class EventSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An event without headers and body."""

    id: UUID
    source: str
    type: str
    received_at: datetime
    method: str
    path: str
    delivery_id: str | None
    replay_of: UUID | None
    size: int  # bytes of the body


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to list, newest first. All conditions must hold; None is no condition."""

    source: str | None = None
    type: str | None = None
    path: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    cursor: UUID | None = None
    limit: int = 50


class Stats(msgspec.Struct, frozen=True):
    """How much is open."""

    queued: int
    running: int
    waiting: int
    oldest_due: float  # seconds the longest overdue queued or waiting run is late; 0.0: none is
    workers: int  # seen in the last 10 s


class QueueSettings(msgspec.Struct, frozen=True):
    """A queue of project.yaml. Workers of several queues prefer the one with the higher priority."""

    priority: int = 0
    concurrency: int | None = None  # how many of its steps all workers carry out at a time; None: any number


class PipelineRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline of the deployed set. `problem`: why the file in force is not the newest."""

    id: str
    version: str
    name: str
    description: str = ""
    enabled: bool = True
    file: str = ""
    triggers: bytes = b"[]"
    problem: str | None = None
    rolled_back_from: str | None = None  # the version of its file, which a rollback has put out of force


class DecisionCount(NamedTuple):
    """How the triggers decided about one event. `reason`: the last one's."""

    decided: int
    matched: int
    reason: str


class ScheduleEntry(NamedTuple):
    """When a schedule fires next. A changed spec (cron text and zone) replaces the stored time."""

    pipeline: str
    trigger: str
    spec: str
    next_at: datetime


class ReplayRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a run takes over from the one it repeats. `key_run`: whose idempotency keys its steps have."""

    run_id: UUID
    key_run: UUID | None = None
    vars: bytes | None = None  # as the old run evaluated them; read, never written
    from_step: str | None = None


class AttemptMark(NamedTuple):
    """How an attempt stands. `due`: another one follows."""

    step: str
    number: int
    status: AttemptStatus
    due: bool


class ReplayFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to replay, oldest first. All conditions must hold; None is no condition."""

    since: datetime
    until: datetime
    source: str | None = None
    without: tuple[str, ...] = ()  # sources that are left out, unless `source` names one
    type: str | None = None  # may have `*` and `?`
    path: str | None = None
    cursor: UUID | None = None
    limit: int = 50


class DeployedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A change of what is in force. `version` None: the pipeline was removed; `previous` None: it is new."""

    number: int
    at: datetime
    kind: str  # files | deploy | rollback
    pipeline: str
    version: str | None
    previous: str | None
    by: str
    commit: str | None
    author: str | None


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored version without its source."""

    hash: str
    pipeline: str
    created_at: datetime
    commit: str | None
    author: str | None


class NewAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done by hand. by: the name of a token or session, see engine.flow.audit.

    target: what it was done to, for people; run_id and event_id to find it again. detail: JSON-plain.
    """

    by: str
    action: str
    target: str = ""
    run_id: UUID | None = None
    event_id: UUID | None = None
    detail: dict[str, Any] = {}


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done, as it was read."""

    id: UUID
    at: datetime
    by: str
    action: str
    target: str
    run_id: UUID | None
    event_id: UUID | None
    detail: bytes


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What to list of the audit, newest first. All conditions must hold; None is no condition."""

    run_id: UUID | None = None
    event_id: UUID | None = None
    action: str | None = None
    by: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    cursor: UUID | None = None
    limit: int = 50


class PauseRow(NamedTuple):
    """What is paused, by whom, and why."""

    kind: str  # pipeline | source | queue
    name: str
    by: str
    reason: str
    at: datetime


class ApiKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without the token: only its hash is stored."""

    id: UUID
    name: str
    kind: str  # token | session | login
    created_at: datetime
    expires_at: datetime | None
