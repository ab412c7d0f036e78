"""What a step raises to say how it went wrong, or that the run is over. `engine.plugin` re-exports these."""

from typing import Any


class StepError(Exception):
    """A step failed. `type` as in docs/steps.md, e.g. `network`, `rate_limited`, `http.404`, `auth`."""

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        type: str = "failed",
        after: float | None = None,
        data: Any = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.type = type
        self.after = after  # seconds the other side asked to wait
        self.data = data  # JSON-plain, for `error.data`
        if retryable is not None:
            self.retryable = retryable


class Fail(StepError):
    """Failed for good: trying again would not help."""


class Retry(StepError):
    """Failed for now: worth another attempt."""

    retryable = True

    def __init__(
        self, message: str, *, type: str = "server_error", after: float | None = None, data: Any = None
    ) -> None:
        super().__init__(message, type=type, after=after, data=data)


class Stop(Exception):
    """End the whole run as succeeded."""

    def __init__(self, message: str = "", *, output: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.output = output
