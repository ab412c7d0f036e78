"""Carry out steps from top to bottom: condition, the step itself, and what happens when it fails."""

from typing import Any

import msgspec

from engine.core.catalog import Effect
from engine.core.run import AttemptStatus, ErrorInfo
from engine.flow.actions import ready, run_action
from engine.flow.attempts import refuse, skip
from engine.flow.calls import run_call
from engine.flow.execution import Execution, Undo
from engine.flow.frame import Frame, StepGaveUp
from engine.flow.loops import TOO_MANY, run_loop
from engine.flow.shapes import hide, run_group, run_parallel, run_switch, run_wait
from engine.pipeline.expression import ExpressionError, Template
from engine.pipeline.spec import Step
from engine.store import AttemptRow


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
        _skip(frame, step)
        return
    try:
        if not earlier and step.condition is not None:
            await ready(execution, frame, step, [])
            if not _holds(execution, frame, step, key):
                skip(execution, key)
                _skip(frame, step)
                return
        if step.for_each is not None:
            await run_loop(execution, frame, step, key, run_body)
        elif step.shape == "action" and not step.compensate:
            await run_action(execution, frame, step, key)  # as run_body does, by the shortest way
        else:
            await run_body(execution, frame, step, key)
    except StepGaveUp as failure:
        await _recover(execution, frame, step, key, failure.error)


async def run_body(execution: Execution, frame: Frame, step: Step, key: str) -> None:
    """The step itself, under this key: an iteration of a loop has one of its own."""
    if step.shape == "action":
        finished_at = await run_action(execution, frame, step, key)
    elif step.shape == "wait":
        finished_at = await run_wait(execution, frame, step, key)
    else:
        finished_at = await SHAPES[step.shape](execution, frame, step, key, run_steps)
    if step.compensate:
        execution.undo[key] = Undo(finished_at, frame.recall(recalling=False), step)


SHAPES = {"call": run_call, "group": run_group, "parallel": run_parallel, "switch": run_switch}


def _skip(frame: Frame, step: Step) -> None:
    if step.shape != "action":
        hide(frame, (step,))
    frame.show(step, "skipped", attempts=0)


def _holds(execution: Execution, frame: Frame, step: Step, key: str) -> bool:
    assert step.condition is not None
    try:
        return step.condition.condition(frame.scope)
    except ExpressionError as error:
        raise refuse(execution, step, key, "expression", str(error)) from None


async def _recover(execution: Execution, frame: Frame, step: Step, key: str, error: ErrorInfo) -> None:
    """The step's `on_error`, once its attempts are over."""
    error = msgspec.structs.replace(error, step=error.step or step.id or key)
    plain = msgspec.to_builtins(error)
    more: dict[str, Any] = {"error": plain}
    if step.for_each is not None:
        more["errors"] = (plain.get("data") or {}).get("errors", []) if error.type == TOO_MANY else []
    rule = step.on_error
    if rule.mode == "fail":
        frame.show(step, "failed", **more)
        raise StepGaveUp(error)
    if rule.mode == "continue":
        frame.show(step, "failed", **more)
        return
    inner = frame.extended(error=plain)
    try:
        output: Any = None
        if rule.mode == "output":
            output = _fallback(execution, inner, rule.output, f"{key}.on_error")
        else:
            await run_steps(execution, inner, rule.steps)
            output = frame.outputs.get(rule.steps[-1].key) if rule.steps else None
    except ExpressionError as problem:
        frame.show(step, "failed", **more)
        raise StepGaveUp(ErrorInfo(type="expression", message=f"on_error: {problem}", step=step.id or key)) from None
    except StepGaveUp:
        frame.show(step, "failed", **more)
        raise
    frame.show(step, "recovered", output=output, **more)


def _fallback(execution: Execution, frame: Frame, template: Template | None, key: str) -> Any:
    """The value in the place of an output; recorded under a key of its own if it might come out differently again."""
    if template is None:
        return None
    if rows := execution.stored.get(key):
        return msgspec.json.decode(rows[-1].output or b"null")
    output = template.render(frame.scope)
    if template.volatile or "env" in template.roots:
        moment = execution.environment.now()
        row = AttemptRow(
            step=key,
            number=1,
            status=AttemptStatus.SUCCEEDED,
            output=execution.encode(output),
            started_at=moment,
            finished_at=moment,
        )
        execution.pending.append(row)
    return output


def _is_pure(execution: Execution, step: Step) -> bool:
    type_ = execution.environment.catalog.steps.get(step.uses)
    return type_ is not None and type_.effect == Effect.PURE
