"""Calls of pipelines: the callee runs within the same run, under the key of the call.

Its attempts are stored under `CALL/STEP`; a second attempt of the call, by `retry` or `repeat`, begins anew under
`CALL#2/STEP`. It sees its own inputs, variables and steps, and nothing of the caller's.
"""

import asyncio
import contextlib
from datetime import datetime
from typing import Any

import msgspec

from engine.core.catalog import Effect, StepType
from engine.core.outcome import Failed, Succeeded
from engine.core.run import AttemptStatus, ErrorInfo, RunStatus
from engine.flow.actions import ready, run_attempts, take_over
from engine.flow.attempts import ENDED
from engine.flow.execution import Call, Done, Execution
from engine.flow.fitting import check_output
from engine.flow.frame import Frame, OutOfTime, RunStopped, Scope, StepGaveUp, pending
from engine.flow.routing import queue_of
from engine.flow.sections import RunSteps, Verdict, carry_out, run_aftermath
from engine.flow.undo import undoes
from engine.flow.variables import evaluate_vars
from engine.pipeline.expression import ExpressionError
from engine.pipeline.expression.secret import has_secret
from engine.pipeline.match import InvalidInputs, validate_inputs
from engine.pipeline.spec import Pipeline, Step
from engine.plugin.api import WholeConfig
from engine.store import AttemptRow

MAX_DEPTH = 16  # of calls within calls
VARS = ".vars"  # key of the row with a callee's variables, where they might come out differently a second time


async def run_call(execution: Execution, frame: Frame, step: Step, key: str, run_steps: RunSteps) -> datetime:
    """Carry out a called pipeline until it has succeeded; when that was. Raises StepGaveUp."""
    callee = frame.pipeline.called.get(step.pipeline or "")
    earlier = execution.stored.get(key) or []
    if earlier and (finished := take_over(frame, step, earlier)) is not None:
        if callee is not None and not step.compensate and undoes(callee, callee.steps):
            await _recall(execution, frame, step, key, callee, earlier[-1].number, run_steps)
        return finished
    opened = earlier[-1] if earlier and earlier[-1].status not in ENDED else None
    if opened is None:
        await ready(execution, frame, step, earlier)
    queue = queue_of(execution, frame, step, key)

    async def perform(
        execution: Execution, frame: Frame, call: Call, count: int, number: int, started: datetime
    ) -> Done:
        child = _child(frame, key, callee, number, queue) if callee is not None else None
        refused = _refused(call, child, count)
        if refused is not None or callee is None or child is None:
            return refused or _failed(call, count, "unknown_pipeline", f"there is no pipeline `{step.pipeline}`")
        done = await execution.environment.stand_in(execution, frame, call, count)
        return done or await _perform(execution, child, call, count, started, run_steps)

    version = callee.version if callee is not None else ""
    type_ = StepType(step.uses, _never, WholeConfig, Effect.EFFECT, version=version, whole=True)
    finished_at = await run_attempts(execution, frame, step, key, type_, earlier, perform, opened=opened)
    if step.compensate:  # it takes the place of those inside
        for inner in [name for name in execution.undo if name.startswith((f"{key}/", f"{key}#"))]:
            del execution.undo[inner]
    return finished_at


async def _perform(
    execution: Execution, child: Frame, call: Call, count: int, began: datetime, run_steps: RunSteps
) -> Done:
    limits = [child.pipeline.timeout] if call.step.timeout is None else [child.pipeline.timeout, call.step.timeout]
    try:
        try:
            _set_vars(execution, child)
        except ExpressionError as problem:
            verdict = Verdict(RunStatus.FAILED, ErrorInfo(type="expression", message=str(problem)))
        else:
            verdict = await carry_out(execution, child, began, run_steps, seconds=min(limits))
        await run_aftermath(execution, child, verdict, run_steps)
    except asyncio.CancelledError:
        if execution.hold.reason == "cancel":
            execution.open_calls.append(child)
        raise
    if verdict.error is not None:
        error = verdict.error
        inner = f"{call.step.id or call.step.key}/{error.step}" if error.step else call.step.id or call.step.key
        info = msgspec.structs.replace(error, step=inner, attempt=count)
        return Done(Failed(info, retryable=True, timed_out=error.type == "timeout" and error.step is None))
    if (unfit := check_output(verdict.outputs)) is not None:
        return _failed(call, count, *unfit)
    return Done(Succeeded(verdict.outputs))


async def _recall(
    execution: Execution, frame: Frame, step: Step, key: str, callee: Pipeline, number: int, run_steps: RunSteps
) -> None:
    """Learn again what a finished call could have to undo."""
    stored = next((row.input for row in execution.stored[key] if row.input is not None), b"{}")
    child = _child(frame, key, callee, number, None).recall()
    child.scope.roots["inputs"] = validate_inputs(callee, msgspec.json.decode(stored))
    with contextlib.suppress(StepGaveUp, RunStopped, OutOfTime, ExpressionError):
        _set_vars(execution, child)
        await run_steps(execution, child, callee.steps)


def _child(frame: Frame, key: str, callee: Pipeline, number: int, queue: str | None) -> Frame:
    """The callee's own place. queue: of its steps that name none."""
    steps = pending(callee.steps, callee.on_error, callee.finally_)
    outer = frame.scope.roots
    run: dict[str, Any] = {**outer["run"], "pipeline": callee.id, "version": callee.version}
    run.pop("outcome", None)
    run.pop("compensated", None)
    roots = {"inputs": {}, "vars": {}, "env": outer["env"], "steps": steps, "run": run}
    prefix = f"{key}/" if number == 1 else f"{key}#{number}/"
    depth = frame.depth + 1
    return Frame(callee, Scope(roots, None), steps, prefix, recalling=frame.recalling, depth=depth, queue=queue)


def _refused(call: Call, child: Frame | None, count: int) -> Done | None:
    """Why the callee cannot be called like this; else its inputs are in place."""
    if child is None:
        return None
    if child.depth > MAX_DEPTH:
        return _failed(call, count, "too_deep", f"calls are nested deeper than {MAX_DEPTH}")
    if has_secret(call.rendered):
        text = "a secret cannot be an input of a pipeline: use `secrets.NAME` in its own steps"
        return _failed(call, count, "invalid_input", text)
    try:
        child.scope.roots["inputs"] = validate_inputs(child.pipeline, call.rendered or {})
    except InvalidInputs as problem:
        return _failed(call, count, "invalid_input", f"{call.step.uses}: {problem}")
    return None


def _set_vars(execution: Execution, child: Frame) -> None:
    key = child.prefix + VARS
    rows = execution.stored.get(key)
    stored = evaluate_vars(execution, child, rows[-1].output if rows else None)
    if stored is not None:
        moment = execution.environment.now()
        execution.pending.append(
            AttemptRow(
                step=key,
                number=1,
                status=AttemptStatus.SUCCEEDED,
                output=stored,
                started_at=moment,
                finished_at=moment,
            )
        )


def _failed(call: Call, count: int, type_: str, message: str) -> Done:
    return Done(Failed(ErrorInfo(type=type_, message=message, step=call.step.id or call.key, attempt=count)))


async def _never(config: Any, context: Any) -> Any:
    raise NotImplementedError
