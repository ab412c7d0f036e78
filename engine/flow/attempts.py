"""Rows of attempts, and who hears of them."""

from datetime import datetime
from typing import Any

import msgspec

from engine.core.outcome import Failed, Succeeded
from engine.core.run import AttemptStatus, ErrorInfo
from engine.flow.execution import Call, Execution
from engine.flow.frame import StepGaveUp
from engine.pipeline.spec import Step
from engine.store import AttemptRow, StoredAttempt

ENDED = (AttemptStatus.SUCCEEDED, AttemptStatus.FAILED, AttemptStatus.TIMED_OUT)
FAILURES = (AttemptStatus.FAILED, AttemptStatus.TIMED_OUT)


def make_row(
    execution: Execution,
    call: Call,
    number: int,
    status: AttemptStatus,
    started: datetime,
    output: Any = None,
    error: ErrorInfo | None = None,
    *,
    outcome: Succeeded | Failed | None = None,
    due_at: datetime | None = None,
) -> AttemptRow:
    """An attempt that has just ended."""
    usage = outcome.usage if outcome is not None else None
    return AttemptRow(
        step=call.key,
        number=number,
        status=status,
        input=call.stored,
        output=execution.encode(output) if status == AttemptStatus.SUCCEEDED else None,
        error=msgspec.json.encode(error) if error is not None else None,
        usage=msgspec.json.encode(usage) if usage else None,
        started_at=started,
        finished_at=execution.environment.now(),
        cached=isinstance(outcome, Succeeded) and outcome.cached,
        due_at=due_at,
    )


def skip(execution: Execution, key: str) -> None:
    """Record that the step's condition was false."""
    moment = execution.environment.now()
    row = AttemptRow(step=key, number=1, status=AttemptStatus.SKIPPED, finished_at=moment)
    execution.pending.append(row)


def refuse(
    execution: Execution, step: Step, key: str, type_: str, message: str, *, number: int | None = None
) -> StepGaveUp:
    """A failure of our own making, recorded as an attempt."""
    error = execution.error(ErrorInfo(type=type_, message=message, step=step.id or key))
    moment = execution.environment.now()
    execution.pending.append(
        AttemptRow(
            step=key,
            number=number or len(execution.stored.get(key, ())) + 1,
            status=AttemptStatus.FAILED,
            error=msgspec.json.encode(error),
            started_at=moment,
            finished_at=moment,
        )
    )
    return StepGaveUp(error)


def failure_of(row: StoredAttempt) -> StepGaveUp:
    """The failure that this attempt came to."""
    known = msgspec.json.decode(row.error, type=ErrorInfo) if row.error else None
    return StepGaveUp(known or ErrorInfo(type="unknown", message="the step failed"))


def observe(execution: Execution, call: Call, row: AttemptRow, count: int, error: ErrorInfo | None = None) -> None:
    """Tell the log and the observers that an attempt ended: one wide line."""
    environment = execution.environment
    if error is None and not environment.observers.attempt_finished:
        return
    seconds = (row.finished_at - row.started_at).total_seconds() if row.finished_at and row.started_at else 0.0
    facts = {
        "run_id": str(execution.run.id),
        "pipeline": execution.run.pipeline,
        "step": row.step,
        "uses": call.step.uses,
        "number": count,
        "status": str(row.status),
        "error": error.type if error else None,
        "seconds": seconds,
        "usage": msgspec.json.decode(row.usage) if row.usage else None,
    }
    if error is not None:
        environment.log.info("attempt.finished", **facts, message=error.message)
    environment.observers.notify("attempt_finished", attempt=facts)


def as_text(moment: datetime | None) -> str | None:
    """A time as expressions see it."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None
