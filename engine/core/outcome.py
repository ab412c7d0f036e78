"""What an attempt came to, and what follows from it. Pure: no clock, no I/O."""

from typing import Any

import msgspec

from engine.core.retry import RetryPolicy
from engine.core.run import ErrorInfo


class Succeeded(msgspec.Struct, frozen=True):
    """The step has an output."""

    output: Any = None
    usage: dict[str, Any] | None = None
    cached: bool = False


class Failed(msgspec.Struct, frozen=True):
    """The step has an error. `after`: seconds the other side asked to wait."""

    error: ErrorInfo
    retryable: bool = False
    after: float | None = None
    usage: dict[str, Any] | None = None
    timed_out: bool = False


class Stopped(msgspec.Struct, frozen=True):
    """The step ended the whole run as succeeded (`stop`)."""

    message: str = ""
    output: Any = None


Outcome = Succeeded | Failed | Stopped


class Proceed(msgspec.Struct, frozen=True):
    """Go on with the next step."""


class RetryAfter(msgspec.Struct, frozen=True):
    """Try this step again after so many seconds."""

    seconds: float


class GiveUp(msgspec.Struct, frozen=True):
    """No further attempt: hand the error to the step's `on_error`."""


class EndRun(msgspec.Struct, frozen=True):
    """The run is over and has succeeded."""


Verdict = Proceed | RetryAfter | GiveUp | EndRun


def decide(
    outcome: Outcome, *, attempt: int, policy: RetryPolicy, elapsed: float = 0.0, allowed: bool = True
) -> Verdict:
    """What follows from an outcome.

    attempt: number of the attempt that just ended, 1 = first. elapsed: seconds since the first attempt began.
    allowed: what the step's `retry.when` said.
    """
    if isinstance(outcome, Succeeded):
        return Proceed()
    if isinstance(outcome, Stopped):
        return EndRun()
    if attempt >= policy.attempts or not allowed or not policy.covers(outcome.error.type, outcome.retryable):
        return GiveUp()
    seconds = policy.seconds(attempt, after=outcome.after)
    if policy.max_elapsed is not None and elapsed + seconds > policy.max_elapsed:
        return GiveUp()
    return RetryAfter(seconds)
