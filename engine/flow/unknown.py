"""Attempts of which nobody knows what they came to, and what a person has said about them.

The worker died while the step was at work: the row of the attempt is `interrupted` and has no error. Or the answer
got lost, and the attempt would be followed by another one: it is `interrupted` with an error of type UNKNOWN_OUTCOME.
A clean stop writes GIVEN_BACK there, so may a person who decides that the step is tried again. Other decisions are rows
of their own, numbered on: `succeeded` with the output, or `skipped`.
"""

from collections.abc import Sequence

import msgspec

from engine.core.catalog import Effect, StepType
from engine.core.outcome import Failed
from engine.core.run import AttemptStatus, ErrorInfo
from engine.pipeline.spec import Step
from engine.store import AttemptRow, StoredAttempt

LOST = ("timeout", "network")  # types of errors after which nobody knows whether the other side has acted
UNKNOWN_OUTCOME = "unknown_outcome"  # type of the error of a step with `on_unknown: fail`
GIVEN_BACK = "given_back"  # type of the note at an interrupted attempt that may be repeated without a word


def is_unknown(attempts: Sequence[StoredAttempt]) -> bool:
    """Whether the last of a step's attempts may or may not have done what it does."""
    if not attempts or attempts[-1].status != AttemptStatus.INTERRUPTED:
        return False
    error = attempts[-1].error
    return error is None or msgspec.json.decode(error, type=ErrorInfo).type == UNKNOWN_OUTCOME


def lost_answer(outcome: Failed) -> bytes | None:
    """What goes into `error` of an attempt whose answer got lost; None: it is clear that it failed."""
    if not outcome.timed_out and outcome.error.type not in LOST:
        return None
    return msgspec.json.encode(msgspec.structs.replace(outcome.error, type=UNKNOWN_OUTCOME))


def may_repeat(message: str) -> bytes:
    """What goes into `error` of an interrupted attempt so that the step is tried again. message: who says so."""
    return msgspec.json.encode(ErrorInfo(type=GIVEN_BACK, message=message))


def cares(step: Step, type_: StepType) -> bool:
    """Whether the step must not be repeated after an unknown outcome."""
    return step.on_unknown != "retry" and type_.effect != Effect.PURE


def describe(step: Step, last: AttemptRow) -> str:
    """`step `charge`: its outcome is unknown (...)`."""
    at = last.finished_at or last.started_at
    why = "its worker stopped" + (f" at {at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "")
    if last.error is not None:
        why = msgspec.json.decode(last.error, type=ErrorInfo).message
    return f"step `{step.id or last.step}`: its outcome is unknown ({why})"


def counted_deaths(attempts: Sequence[StoredAttempt]) -> int:
    """How often a worker died while this step was at work."""
    return sum(row.status == AttemptStatus.INTERRUPTED and row.error is None for row in attempts)
