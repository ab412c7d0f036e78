"""A pipeline as the engine executes it: parsed, checked and compiled once per version."""

from collections.abc import Callable
from typing import Any

import msgspec

from engine.core.retry import RetryPolicy
from engine.pipeline.expression import Expression, Template

Validator = Callable[[Any], list[str]]  # what is wrong with a value; nothing: it is valid

DEFAULT_STEP_TIMEOUT = 300.0  # seconds per attempt, unless the step or its type says otherwise
DEFAULT_RUN_TIMEOUT = 30 * 86400.0  # seconds of wall clock for a run, waits included


class Position(msgspec.Struct, frozen=True):
    """Where something stands in its file; both start at 1."""

    line: int
    column: int


class Limit(msgspec.Struct, frozen=True):
    """`concurrency:` or `rate_limit:`. Without a key one limit holds for everything of its place together."""

    limit: Template | int = 1
    key: Template | None = None
    on_limit: str = "queue"  # queue | drop | cancel_running | keep_latest
    max_queued: int | None = None
    scope: str = "pipeline"  # pipeline | global: the key is shared between pipelines
    period: float = 0.0  # seconds; rate_limit only
    burst: int | None = None  # rate_limit only


class Dedup(msgspec.Struct, frozen=True):
    """A trigger's `dedup:`. key None: the delivery id of the trigger's type."""

    key: Template | None = None
    window: float = 86400.0  # seconds


class Debounce(msgspec.Struct, frozen=True):
    """A trigger's `debounce:`: run after `period` seconds of quiet, with the last event."""

    period: float
    key: Template | None = None
    max_wait: float | None = None  # seconds


class Batch(msgspec.Struct, frozen=True):
    """A trigger's `batch:`: run with `events` instead of `event`. At least one of the two limits is there."""

    key: Template | None = None
    max_size: int | None = None
    max_wait: float | None = None  # seconds


class Respond(msgspec.Struct, frozen=True):
    """A trigger's `respond:`."""

    mode: str = "async"  # async | sync
    timeout: float = 10.0  # seconds; then 202 and the Location of the run
    after: str | None = None  # id of a step: answer once it is done
    status: Template | int | None = None
    headers: dict[str, Template] = {}
    body: Template | None = None


class Trigger(msgspec.Struct, frozen=True):
    """What starts runs. `config` is the validated Struct once secrets are bound, see Deployment."""

    id: str
    uses: str
    with_: Template  # may use `secrets` and `env` only
    condition: Expression | None
    inputs: dict[str, Template]
    position: Position
    dedup: Dedup | None = None
    debounce: Debounce | None = None
    batch: Batch | None = None
    respond: Respond | None = None


class Retry(msgspec.Struct, frozen=True):
    """A step's `retry:`."""

    policy: RetryPolicy
    when: Expression | None = None  # `error` in scope


class Cache(msgspec.Struct, frozen=True):
    """A step's `cache:`. key None: the step type, its version and the resolved `with`."""

    ttl: float
    key: Template | None = None


class OnError(msgspec.Struct, frozen=True):
    """What happens after the last attempt. Exactly one of the four is meant: mode tells which."""

    mode: str = "fail"  # fail | continue | output | steps
    output: Template | None = None
    steps: tuple["Step", ...] = ()


class ForEach(msgspec.Struct, frozen=True):
    """A step's `for_each:`."""

    items: Template
    name: str = "item"  # `as:`, the current item in expressions; `index` is there as well
    key: Template | None = None  # identity of an item; None: its index
    concurrency: int = 1  # items at a time
    on_item_error: str = "fail"  # fail | continue
    max_errors: int | None = None  # fail once more items than this have failed
    max_errors_percent: float | None = None  # the same as a share of all items, 0 to 100


class Repeat(msgspec.Struct, frozen=True):
    """A step's `repeat:`: run again until `result` satisfies `until`."""

    until: Expression
    every: float = 10.0  # seconds between the end of one run and the next
    max: int | None = None  # runs
    max_elapsed: float | None = None  # seconds


class Case(msgspec.Struct, frozen=True):
    """One branch of a `switch:`. condition None: it is `else`."""

    condition: Expression | None
    steps: tuple["Step", ...]


class WaitEvent(msgspec.Struct, frozen=True):
    """One event that ends a wait. source and type are globs; None: any."""

    source: str | None = None
    type: str | None = None
    condition: Expression | None = None  # `incoming` in scope


class Approval(msgspec.Struct, frozen=True):
    """A wait's `approval:`."""

    prompt: Template
    approvers: Template | None = None  # a list of users and `group:NAME`
    exclude: Template | None = None
    form: dict[str, "Input"] = {}
    notify: tuple["Step", ...] = ()  # run once the links exist; `approval` in scope


class Wait(msgspec.Struct, frozen=True):
    """A step's `wait:`. Durations may be expressions, so they are Templates that yield a duration's text."""

    for_: Template | None = None  # a duration
    until: Template | None = None  # a time
    events: tuple[WaitEvent, ...] = ()
    approval: Approval | None = None
    timeout: Template | None = None  # a duration
    on_timeout: str = "fail"  # fail | continue
    on_reject: str = "fail"  # fail | continue
    since: str = "run_start"  # run_start | now


class Step(msgspec.Struct, frozen=True):
    """One step in one of its six shapes. Attempts are stored under `key`, which is unique and stable in a version.

    action: uses, with_; call: uses, with_, pipeline; group: steps; parallel: branches; switch: cases; wait: wait.
    """

    key: str  # the id, or a path such as `steps[2]`, `classify.on_error[0]`, `finally[1]`
    id: str | None
    name: str
    uses: str  # empty for shapes without `uses`
    with_: Template
    position: Position
    condition: Expression | None = None
    retry: Retry | None = None  # None: 3 attempts if the type is idempotent or pure, else 1
    timeout: float | None = None
    on_error: OnError = OnError()
    output: Template | None = None  # `result` in scope
    cache: Cache | None = None
    idempotency_key: Template | None = None
    on_unknown: str = "retry"  # fail | ask | retry: after an attempt whose outcome nobody knows
    shape: str = "action"  # action | call | group | parallel | switch | wait
    pipeline: str | None = None  # call: id of the called pipeline
    steps: tuple["Step", ...] = ()  # group
    branches: dict[str, tuple["Step", ...]] = {}  # parallel, in the order of the file
    cases: tuple[Case, ...] = ()  # switch
    wait: Wait | None = None
    for_each: ForEach | None = None  # action, call, group
    repeat: Repeat | None = None  # action, call
    compensate: tuple["Step", ...] = ()
    sensitive: bool | tuple[str, ...] = False  # True: the whole output; or paths in it
    queue: Template | None = None
    concurrency: Limit | None = None
    rate_limit: Limit | None = None


class Input(msgspec.Struct, frozen=True):
    """One declared input: a JSON Schema; required if it has no default."""

    schema: dict[str, Any]
    required: bool
    default: Any = None
    validator: Validator | None = None  # built once; None: anything goes


class QueueRule(msgspec.Struct, frozen=True):
    """A queue of project.yaml."""

    priority: int = 0  # workers of several queues prefer the higher one
    concurrency: int | None = None  # how many of its steps are carried out at a time, by all workers together


class Connection(msgspec.Struct, frozen=True):
    """A named connection of project.yaml."""

    uses: str
    with_: Template  # may use `secrets` and `env` only


class Pipeline(msgspec.Struct, frozen=True):
    """One pipeline in one version."""

    id: str
    version: str  # SHA-256 (hex) of the canonical source and the files it reads
    name: str
    description: str
    enabled: bool
    labels: dict[str, Template]
    triggers: tuple[Trigger, ...]
    inputs: dict[str, Input]
    vars: dict[str, Template]  # in the order of the file
    steps: tuple[Step, ...]
    on_error: tuple[Step, ...]
    finally_: tuple[Step, ...]
    outputs: dict[str, Template]
    timeout: float
    file: str  # for people
    source: bytes  # stored as the version; JSON, made by make_source() and read back by load_version()
    secrets: tuple[str, ...] = ()  # names used anywhere in it
    files: tuple[str, ...] = ()  # what file() and template() read, relative to the root
    env: tuple[str, ...] = ()  # environment variables its expressions name, all of them allowed
    concurrency: Limit | None = None
    rate_limit: Limit | None = None
    start_timeout: float | None = None  # seconds between the making of a run and its first turn
    called: dict[str, "Pipeline"] = {}  # by id, those that its steps call: pinned with this version
    uses: tuple[str, ...] = ()  # step types anywhere in it
