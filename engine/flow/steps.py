"""Carry out steps from top to bottom: condition, the step itself, and what happens when it fails."""

from typing import Any

import msgspec

from engine.core.catalog import Effect
from engine.core.run import AttemptStatus, ErrorInfo
from engine.flow.actions import ready, run_action
from engine.flow.attempts import refuse, skip
from engine.flow.execution import Execution, Undo
from engine.flow.frame import Frame, StepGaveUp
from engine.pipeline.expression import ExpressionError
from engine.pipeline.spec import Step


async def run_steps(execution: Execution, frame: Frame, steps: tuple[Step, ...]) -> None:
    """Carry out steps from top to bottom. Raises StepGaveUp, RunStopped or Parked; otherwise the run goes on."""
    for index, step in enumerate(steps):
        await run_step(execution, frame, step)
        if execution.pending and index + 1 < len(steps) and _is_pure(execution, steps[index + 1]):
            execution.checkpoint_later()  # a pure step may take its time: do not keep what is done to ourselves


async def run_step(execution: Execution, frame: Frame, step: Step) -> None:
    """Carry out one step, its `if` and its `on_error` included."""
    key = frame.prefix + step.key
    earlier = execution.stored.get(key)
    if earlier and earlier[-1].status == AttemptStatus.SKIPPED:
        frame.show(step, "skipped", attempts=0)
        return
    try:
        if not earlier and step.condition is not None:
            await ready(execution, frame, step, [])
            if not _holds(execution, frame, step, key):
                skip(execution, key)
                frame.show(step, "skipped", attempts=0)
                return
        await run_body(execution, frame, step, key)
    except StepGaveUp as failure:
        await _recover(execution, frame, step, failure.error)


async def run_body(execution: Execution, frame: Frame, step: Step, key: str) -> None:
    """The step itself, under this key."""
    finished_at = await run_action(execution, frame, step, key)
    if step.compensate:
        execution.undo[key] = Undo(finished_at, frame.recall(recalling=False), step)


def _holds(execution: Execution, frame: Frame, step: Step, key: str) -> bool:
    assert step.condition is not None
    try:
        return step.condition.condition(frame.scope)
    except ExpressionError as error:
        raise refuse(execution, step, key, "expression", str(error)) from None


async def _recover(execution: Execution, frame: Frame, step: Step, error: ErrorInfo) -> None:
    """The step's `on_error`, once its attempts are over."""
    error = msgspec.structs.replace(error, step=error.step or step.id or step.key)
    plain = msgspec.to_builtins(error)
    rule = step.on_error
    if rule.mode == "fail":
        frame.show(step, "failed", error=plain)
        raise StepGaveUp(error)
    if rule.mode == "continue":
        frame.show(step, "failed", error=plain)
        return
    inner = frame.extended(error=plain)
    try:
        output: Any = None
        if rule.mode == "output":
            output = rule.output.render(inner.scope) if rule.output is not None else None
        else:
            await run_steps(execution, inner, rule.steps)
            output = frame.outputs.get(rule.steps[-1].key) if rule.steps else None
    except ExpressionError as problem:
        frame.show(step, "failed", error=plain)
        raise StepGaveUp(
            ErrorInfo(type="expression", message=f"on_error: {problem}", step=step.id or step.key)
        ) from None
    frame.show(step, "recovered", output=output, error=plain)


def _is_pure(execution: Execution, step: Step) -> bool:
    type_ = execution.environment.catalog.steps.get(step.uses)
    return type_ is not None and type_.effect == Effect.PURE
