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


class Trigger(msgspec.Struct, frozen=True):
    """What starts runs. `config` is the validated Struct once secrets are bound, see Deployment."""

    id: str
    uses: str
    with_: Template  # may use `secrets` and `env` only
    condition: Expression | None
    inputs: dict[str, Template]
    position: Position


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


class Step(msgspec.Struct, frozen=True):
    """One action. `key` is unique in the file and stable within a version; attempts are stored under it."""

    key: str  # the id, or a path such as `steps[2]`, `classify.on_error[0]`, `finally[1]`
    id: str | None
    name: str
    uses: str
    with_: Template
    position: Position
    condition: Expression | None = None
    retry: Retry | None = None  # None: 3 attempts if the type is idempotent or pure, else 1
    timeout: float | None = None
    on_error: OnError = OnError()
    output: Template | None = None  # `result` in scope
    cache: Cache | None = None
    idempotency_key: Template | None = None


class Input(msgspec.Struct, frozen=True):
    """One declared input: a JSON Schema; required if it has no default."""

    schema: dict[str, Any]
    required: bool
    default: Any = None
    validator: Validator | None = None  # built once; None: anything goes


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
    source: bytes  # stored as the version; JSON {"file", "yaml", "files", "env"}, read back by load_version()
    secrets: tuple[str, ...] = ()  # names used anywhere in it
    files: tuple[str, ...] = ()  # what file() and template() read, relative to the root
    env: tuple[str, ...] = ()  # environment variables its expressions name, all of them allowed
