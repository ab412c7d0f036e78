"""The tables. Constraints and indexes that Piccolo has no words for are raw SQL in `migrations/`.

Piccolo wants one primary key column: attempt, schedule and kv have a composite key in the database, whose first
column is marked here.

Not here, since only raw SQL reads them: `audit`; `wait`, `awaited`, `wait_kind`, `arrival`, `wait_sweep`; `replay`,
`deployed`; `gate`, `ticket`, `gate_exit`; `queue`.
"""

from piccolo.columns import JSON, JSONB, UUID, Boolean, Bytea, Integer, SmallInt, Text, Timestamptz
from piccolo.table import Table

from engine.store.piccolo_engine import DB


class Event(Table, tablename="event", db=DB):
    """The accepted fact. `body` is what was sent, byte for byte."""

    id = UUID(primary_key=True, default=None)
    source = Text(null=False, default=None)
    type = Text(null=False, default=None)
    received_at = Timestamptz(null=False, default=None)
    method = Text(null=False, default=None)
    path = Text(null=False, default=None)
    query = Text(null=False, default=None)
    headers = JSON(null=False, default=None)
    path_params = JSON(null=False, default=None)
    body = Bytea(null=False, default=None)
    delivery_id = Text(null=True, default=None)
    replay_of = UUID(null=True, default=None)


class Dedup(Table, tablename="dedup", db=DB):
    """Who was first. `id` is a hash of scope and key."""

    id = UUID(primary_key=True, default=None)
    event_id = UUID(null=False, default=None)
    expires_at = Timestamptz(null=False, default=None)


class RunKey(Table, tablename="run_key", db=DB):
    """Keys of a trigger's own `dedup`: which run has it. `id` is a hash of pipeline, trigger and key."""

    id = UUID(primary_key=True, default=None)
    run_id = UUID(null=False, default=None)
    claimed_at = Timestamptz(null=False, default=None)
    expires_at = Timestamptz(null=False, default=None, index=True)


class Decision(Table, tablename="decision", db=DB):
    """Why a trigger did or did not start a run for an event."""

    id = UUID(primary_key=True, default=None)
    event_id = UUID(null=False, default=None)
    pipeline = Text(null=False, default=None)
    trigger = Text(null=False, default=None)
    matched = Boolean(null=False, default=None)
    reason = Text(null=False, default=None)
    detail = JSON(null=False, default=None)


class Run(Table, tablename="run", db=DB):
    """One execution of one pipeline."""

    id = UUID(primary_key=True, default=None)
    pipeline = Text(null=False, default=None)
    version = Text(null=False, default=None)
    event_id = UUID(null=True, default=None)
    trigger = Text(null=True, default=None)
    status = Text(null=False, default=None)
    turn = Integer(null=False, default=0)
    worker = UUID(null=True, default=None)
    labels = JSONB(null=False, default=None)
    inputs = JSON(null=False, default=None)
    vars = JSON(null=True, default=None)
    outputs = JSON(null=True, default=None)
    error = JSON(null=True, default=None)
    message = Text(null=True, default=None)
    waiting_for = Text(null=True, default=None)
    idempotency_key = Text(null=True, default=None)
    replay_of = UUID(null=True, default=None)
    cancel_requested = Boolean(null=False, default=False)
    created_at = Timestamptz(null=False, default=None)
    scheduled_at = Timestamptz(null=True, default=None)
    due_at = Timestamptz(null=True, default=None)
    rung_at = Timestamptz(null=True, default=None)
    started_at = Timestamptz(null=True, default=None)
    finished_at = Timestamptz(null=True, default=None)
    woken = Boolean(null=False, default=False)  # something it waits for has happened since it was claimed
    queue = Text(null=False, default="default")  # which workers take it next
    priority = SmallInt(null=False, default=0)  # higher goes first
    turn_key = UUID(null=True, default=None)  # runs of different keys take turns; None: its pipeline's
    expires_at = Timestamptz(null=True, default=None)  # if it has not begun by then, it is cancelled
    batched = Boolean(null=False, default=False)  # it has `events` in place of `event`
    parent = UUID(null=True, default=None)  # the run that started it
    deaths = SmallInt(null=False, default=0)  # of workers that held it since it last waited
    gated = Boolean(null=False, default=False)  # it, or a step of it, has been at a limit
    rounds = Integer(null=False, default=0)  # how often a person has changed its course
    reopened_at = Timestamptz(null=True, default=None)  # since then its time counts


class Attempt(Table, tablename="attempt", db=DB):
    """One try of one step. Key: run_id, step, number."""

    run_id = UUID(primary_key=True, default=None)
    step = Text(null=False, default=None)
    number = Integer(null=False, default=None)
    status = Text(null=False, default=None)
    input = JSON(null=True, default=None)
    output = JSON(null=True, default=None)
    error = JSON(null=True, default=None)
    usage = JSON(null=True, default=None)
    started_at = Timestamptz(null=True, default=None)
    finished_at = Timestamptz(null=True, default=None)
    cached = Boolean(null=False, default=False)
    due_at = Timestamptz(null=True, default=None)


class Tally(Table, tablename="tally", db=DB):
    """Runs that ended in an hour. Key: hour, status, slot; each process has a slot, so that none waits for another."""

    hour = Timestamptz(primary_key=True, default=None)
    status = Text(null=False, default=None)
    slot = Integer(null=False, default=None)
    runs = Integer(null=False, default=0)


class Announcement(Table, tablename="announcement", db=DB):
    """An ended run whose `run.finished` event is not recorded yet. Empty but for moments."""

    run_id = UUID(primary_key=True, default=None)
    owed_at = Timestamptz(null=False, default=None)


class PipelineVersion(Table, tablename="pipeline_version", db=DB):
    """The source of every version that ever had a run."""

    hash = Text(primary_key=True, default=None)
    pipeline = Text(null=False, default=None)
    source = Bytea(null=False, default=None)
    created_at = Timestamptz(null=False, default=None)
    commit = Text(null=True, default=None)
    author = Text(null=True, default=None)


class Pipeline(Table, tablename="pipeline", db=DB):
    """The deployed set."""

    id = Text(primary_key=True, default=None)
    version = Text(null=False, default=None)
    name = Text(null=False, default=None)
    description = Text(null=False, default=None)
    enabled = Boolean(null=False, default=True)
    file = Text(null=False, default=None)
    triggers = JSON(null=False, default=None)
    problem = Text(null=True, default=None)
    rolled_back_from = Text(null=True, default=None)


class Schedule(Table, tablename="schedule", db=DB):
    """When a schedule trigger fires next. Key: pipeline, trigger."""

    pipeline = Text(primary_key=True, default=None)
    trigger = Text(null=False, default=None)
    spec = Text(null=False, default=None)
    next_at = Timestamptz(null=False, default=None)


class Worker(Table, tablename="worker", db=DB):
    """A process that advances runs: all its leases hang on this row's seen_at."""

    id = UUID(primary_key=True, default=None)
    kind = Text(null=False, default=None)
    host = Text(null=False, default=None)
    pid = Integer(null=False, default=None)
    started_at = Timestamptz(null=False, default=None)
    seen_at = Timestamptz(null=False, default=None)


class ApiKey(Table, tablename="api_key", db=DB):
    """A key to the API or the dashboard: the hash of its token."""

    id = UUID(primary_key=True, default=None)
    name = Text(null=False, default=None)
    kind = Text(null=False, default=None)
    hash = Bytea(null=False, default=None, unique=True)
    created_at = Timestamptz(null=False, default=None)
    expires_at = Timestamptz(null=True, default=None)


class Kv(Table, tablename="kv", db=DB):
    """Documents of the `store.*` steps. Key: collection, key."""

    collection = Text(primary_key=True, default=None)
    key = Text(null=False, default=None)
    value = JSONB(null=False, default=None)
    updated_at = Timestamptz(null=False, default=None)
    expires_at = Timestamptz(null=True, default=None)
