"""What a run, or a step of it, has to get through before it may go on: one limit with its key."""

import hashlib
from typing import NamedTuple
from uuid import UUID

CONCURRENCY, RATE = "concurrency", "rate"
ALL_RUNS, ALL_STEPS = "", "/"  # scopes of keys that all pipelines share


class GateRequest(NamedTuple):
    """Who wants through which gate, and by which rule. The newest request of a gate decides how many may.

    scope: the pipeline, or `pipeline/step`; ALL_RUNS or ALL_STEPS if the key is shared between pipelines.
    key: empty if the limit has none. period: seconds, of a rate limit; burst: how many at once after a pause.
    """

    kind: str
    scope: str
    key: str
    most: int
    on_limit: str = "queue"
    max_queued: int | None = None
    period: float | None = None
    burst: int | None = None

    @property
    def id(self) -> UUID:
        """Of the gate: 128 bits of a hash, since senders choose the key."""
        text = f"{self.kind} {len(self.scope)}:{self.scope}{self.key}".encode("utf-8", "surrogatepass")
        return UUID(bytes=hashlib.sha256(text).digest()[:16])

    @property
    def name(self) -> str:
        """As people call it."""
        what = "rate limit" if self.kind == RATE else "concurrency"
        if self.key:
            return f"{what} key `{self.key}`"
        return what if self.scope in (ALL_RUNS, ALL_STEPS) else f"{what} of {self.scope}"

    @property
    def pace(self) -> str:
        """How many it lets through."""
        return f"{self.most} in {self.period:g} s" if self.period is not None else f"{self.most} at a time"
