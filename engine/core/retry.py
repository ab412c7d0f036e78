"""The one retry policy."""

import random
from collections.abc import Callable
from fnmatch import fnmatchcase

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often and how fast a step is tried again. Times are seconds."""

    attempts: int = 1  # including the first
    delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 300.0
    max_elapsed: float | None = None
    jitter: bool = True  # full jitter: uniform between 0 and the computed delay
    errors: tuple[str, ...] | None = None  # globs of error types; None: those the plugin calls retryable

    def seconds(self, attempt: int, *, after: float | None = None, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait after the given attempt (1 = first); `after` is the server's Retry-After, a lower bound."""
        computed = min(self.max_delay, self.delay * self.factor ** min(attempt - 1, 64))
        if self.jitter:
            computed *= draw()
        return max(computed, after or 0.0)

    def covers(self, error_type: str, retryable: bool) -> bool:
        """Whether an error of this type may be tried again."""
        if self.errors is None:
            return retryable
        return any(fnmatchcase(error_type, pattern) for pattern in self.errors)
