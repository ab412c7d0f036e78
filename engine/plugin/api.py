"""The names plugin developers use; `engine.plugin` re-exports them.

A step is an async function plus a config Struct:

    class GreetConfig(StepConfig):
        '''Say hello.'''
        name: str

    async def greet(config: GreetConfig, context: StepContext) -> str: ...

    @hookimpl
    def register_steps(register):
        register("demo.greet", greet, config=GreetConfig, effect="pure")
"""

from collections.abc import Mapping
from typing import Annotated, Any, Protocol
from uuid import UUID

import httpx
import msgspec
import structlog
from msgspec import Meta

from engine.core.failure import Fail, Retry, StepError, Stop
from engine.plugin.config import Duration, SecretText, StepConfig, WholeConfig

__all__ = [
    "Cache",
    "Documents",
    "Duration",
    "Fail",
    "Retry",
    "Runs",
    "SecretText",
    "StartedRun",
    "StepConfig",
    "StepContext",
    "StepError",
    "Stop",
    "WholeConfig",
]


class Cache(Protocol):
    """A cache over all workers. Values are JSON-plain. Unreachable: reads miss, writes and deletes raise Retry."""

    async def get(self, key: str) -> tuple[bool, Any]:
        """(True, value) if the key is there, else (False, None)."""

    async def set(self, key: str, value: Any, ttl: float) -> None:
        """Keep the value for ttl seconds."""

    async def delete(self, *keys: str) -> int:
        """How many of the keys were there."""


class Documents(Protocol):
    """JSON documents in PostgreSQL, in named collections."""

    async def put(self, collection: str, key: str, value: Any, ttl: float | None = None) -> None:
        """Insert or replace; ttl in seconds, None: kept for ever."""

    async def get(self, collection: str, key: str) -> tuple[bool, Any]:
        """(True, value), or (False, None) if absent or expired."""

    async def query(
        self, collection: str, where: Mapping[str, Any], *, prefix: str, limit: int, newest_first: bool
    ) -> list[dict[str, Any]]:
        """Documents that contain `where`: [{"key", "value", "updated_at"}], in the order of keys or newest first."""

    async def delete(self, collection: str, key: str) -> bool:
        """Whether it was there."""


class StartedRun(msgspec.Struct, frozen=True):
    """A run that a step has started."""

    run_id: Annotated[str, Meta(description="Its id.")]
    url: Annotated[str, Meta(description="Where people look at it.")]


class Runs(Protocol):
    """Starts runs of other pipelines without waiting for them."""

    async def start(
        self, pipeline: str, inputs: Mapping[str, Any] | None = None, *, labels: Mapping[str, str] | None = None
    ) -> StartedRun:
        """Start a run, once for each call in a step, however often the step is tried. Fail says what does not fit."""


class StepContext(msgspec.Struct, kw_only=True):
    """What a step may use. Plugins fetch nothing themselves."""

    run_id: UUID
    pipeline: str
    step: str  # the step's key
    attempt: int  # 1 = first
    idempotency_key: str  # the same for every attempt and after a crash
    timeout: float  # seconds this attempt may take
    log: structlog.stdlib.BoundLogger
    http: httpx.AsyncClient  # shared; outbound addresses are checked
    cache: Cache
    documents: Documents
    runs: Runs  # start other pipelines
    options: Mapping[str, str]  # process settings for plugins, e.g. "ai.base_url", "smtp.url"
    emitted: list[tuple[str, Any]] = []  # filled by emit()
    used: dict[str, Any] = {}  # filled by usage()

    def __repr__(self) -> str:  # without `options`, which hold passwords
        return f"StepContext(run_id={self.run_id}, step={self.step!r}, attempt={self.attempt})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("run_id", self.run_id), ("step", self.step), ("attempt", self.attempt)]

    def emit(self, type: str, body: Any) -> None:
        """Record an internal event; it is stored with this step's checkpoint, at most once per step."""
        self.emitted.append((type, body))

    def usage(self, **figures: Any) -> None:
        """Record what this attempt used, e.g. input_tokens=12, output_tokens=3, model="..."."""
        self.used.update(figures)
