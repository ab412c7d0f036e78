"""A pipeline from its variables to its `finally`: the run's own, or one that is called."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from engine.core.run import ErrorInfo, RunStatus
from engine.flow.execution import Execution
from engine.flow.frame import Frame, OutOfTime, RunStopped, StepGaveUp
from engine.flow.undo import take_undo
from engine.pipeline.expression import ExpressionError
from engine.pipeline.spec import Step

FAR = 86400.0  # seconds; an end further away is looked at again in a later visit
AFTERMATH = 3600.0  # seconds that `on_error`, `finally` and a compensation may take, beyond the run's own time

T = TypeVar("T")
RunSteps = Callable[[Execution, Frame, tuple[Step, ...]], Awaitable[None]]


class Verdict(msgspec.Struct):
    """How a pipeline ends."""

    status: RunStatus = RunStatus.SUCCEEDED
    error: ErrorInfo | None = None
    message: str | None = None
    outputs: Any = None


async def carry_out(
    execution: Execution, frame: Frame, began: datetime, run_steps: RunSteps, *, seconds: float
) -> Verdict:
    """Steps and outputs of the frame's pipeline, within so many seconds; what they came to."""
    pipeline = frame.pipeline

    async def body(inside: Frame) -> Verdict:
        await run_steps(execution, inside, pipeline.steps)
        return Verdict(outputs={name: template.render(frame.scope) for name, template in pipeline.outputs.items()})

    try:
        return await within(execution, frame, began, seconds, body)
    except StepGaveUp as failure:
        return Verdict(RunStatus.FAILED, failure.error)
    except RunStopped as stopped:
        return Verdict(message=stopped.message or None, outputs=stopped.output)
    except ExpressionError as error:
        return Verdict(RunStatus.FAILED, ErrorInfo(type="expression", message=str(error)))
    except OutOfTime:
        if frame.recalling:
            raise
        text = (
            f"{'the call' if frame.depth else 'the run'} took longer than its timeout of {timedelta(seconds=seconds)}"
        )
        return Verdict(RunStatus.FAILED, ErrorInfo(type="timeout", message=text))


async def within(
    execution: Execution, frame: Frame, began: datetime, seconds: float | None, body: Callable[[Frame], Awaitable[T]]
) -> T:
    """Carry out something in a frame within its time. OutOfTime: it is over.

    If it was over before, only what is stored is taken over, so that nothing new is begun.
    """
    if seconds is None or frame.recalling:
        return await body(frame)
    deadline = began + timedelta(seconds=seconds)
    left = (deadline - execution.environment.now()).total_seconds()
    if left <= 0:
        return await body(frame.recall())
    expiry = asyncio.timeout(left if left < FAR or execution.environment.sleeps_through else None)
    execution.deadlines.append(deadline)
    try:
        async with expiry:
            return await body(frame)
    except TimeoutError:
        if not expiry.expired():
            raise
        raise OutOfTime from None
    finally:
        execution.deadlines.remove(deadline)


async def run_aftermath(execution: Execution, frame: Frame, verdict: Verdict, run_steps: RunSteps) -> None:
    """After a failure: compensations and `on_error`; then `finally` in any case.

    Their own failures are recorded; the verdict stays.
    """
    execution.keep()
    roots = frame.scope.roots
    roots["run"]["compensated"] = []
    if verdict.error is not None:
        verdict.error = execution.error(verdict.error)
        roots["error"] = msgspec.to_builtins(verdict.error)
        await _compensate(execution, frame, roots["error"], run_steps)
        if verdict.status == RunStatus.FAILED:
            await run_section(execution, frame, frame.pipeline.on_error, run_steps)
    roots["run"]["outcome"] = str(verdict.status)
    await run_section(execution, frame, frame.pipeline.finally_, run_steps)


async def _compensate(execution: Execution, frame: Frame, error: dict[str, Any], run_steps: RunSteps) -> None:
    """Undo what has succeeded, the newest first. One that fails does not keep the others from being undone."""
    before = {key: undo for key, undo in execution.undo.items() if key.startswith(frame.prefix)}
    try:
        for undo in take_undo(execution, frame):
            if await run_section(execution, undo.frame.extended(error=error), undo.step.compensate, run_steps):
                frame.scope.roots["run"]["compensated"].append(undo.step.id or undo.step.key)
    except asyncio.CancelledError:  # it is gone through again, and what is done by now is taken over
        execution.undo |= before
        raise


async def run_section(execution: Execution, frame: Frame, steps: tuple[Step, ...], run_steps: RunSteps) -> bool:
    """Carry out steps whose failure changes nothing else; whether they succeeded."""
    if not steps:
        return True
    try:
        async with asyncio.timeout(AFTERMATH):
            await run_steps(execution, frame, steps)
    except (StepGaveUp, RunStopped, TimeoutError, ExpressionError) as failure:
        execution.environment.log.warning("section.failed", run_id=str(execution.run.id), error=str(failure))
        return False
    return True
