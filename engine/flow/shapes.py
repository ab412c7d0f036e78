"""Steps that hold other steps: group, parallel, switch; and the wait. Each has one row of its own.

The row says that it has begun, since when, and what was decided (the branch of a switch, the items of a loop), so that
a resume decides nothing anew; and at the end what it came to, so that it is over once and for all.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import msgspec

from engine.core.run import AttemptStatus, ErrorInfo
from engine.flow.actions import ready
from engine.flow.attempts import ENDED, FAILURES, as_text, failure_of, refuse
from engine.flow.branches import recall_each, run_together
from engine.flow.execution import Execution
from engine.flow.fitting import check_output
from engine.flow.frame import Frame, OutOfTime, RunStopped, StepGaveUp, pending
from engine.flow.sections import RunSteps, within
from engine.flow.waits import end_of
from engine.pipeline.expression import ExpressionError
from engine.pipeline.spec import Step
from engine.store import AttemptRow, StoredAttempt

ITEMS = "items"  # type of the note about failed items at the row of a loop that succeeded all the same

Body = Callable[[Frame, Any, datetime], Awaitable["Shaped"]]  # a frame, what was decided, when it began


class Shaped(NamedTuple):
    """What a shape came to. errors: of a loop, the items that failed."""

    output: Any = None
    errors: list[dict[str, Any]] | None = None


async def run_group(execution: Execution, frame: Frame, step: Step, key: str, run_steps: RunSteps) -> datetime:
    """Its steps from top to bottom; the output is the last one's."""

    async def body(inside: Frame, decision: Any, began: datetime) -> Shaped:
        await run_steps(execution, inside, step.steps)
        return Shaped(_kept(inside, step, inside.outputs.get(step.steps[-1].key) if step.steps else None))

    # an iteration without a limit needs no mark: its steps have theirs
    return await run_shape(execution, frame, step, key, body, marks=step.for_each is None or step.timeout is not None)


async def run_parallel(execution: Execution, frame: Frame, step: Step, key: str, run_steps: RunSteps) -> datetime:
    """Its branches side by side; the first failure cancels the others."""

    async def body(inside: Frame, decision: Any, began: datetime) -> Shaped:
        branches = step.branches.values()
        if inside.recalling or key in execution.stored:
            recalled = inside.recall()
            try:
                await recall_each([partial(run_steps, execution, recalled, branch) for branch in branches])
            except OutOfTime:
                if inside.recalling:
                    raise
        if not inside.recalling:
            await run_together(execution, [partial(run_steps, execution, inside, branch) for branch in branches])
        return Shaped(_kept(inside, step, None))

    return await run_shape(execution, frame, step, key, body)


async def run_switch(execution: Execution, frame: Frame, step: Step, key: str, run_steps: RunSteps) -> datetime:
    """The first branch whose condition holds, or none."""

    def decide() -> dict[str, int | None]:
        for index, case in enumerate(step.cases):
            if case.condition is None or case.condition.condition(frame.scope):
                return {"case": index}
        return {"case": None}

    async def body(inside: Frame, decision: Any, began: datetime) -> Shaped:
        for index, case in enumerate(step.cases):
            if index != decision["case"]:
                hide(inside, case.steps)
        if decision["case"] is not None:
            await run_steps(execution, inside, step.cases[decision["case"]].steps)
        return Shaped(_kept(inside, step, None))

    volatile = any(case.condition is not None and case.condition.volatile for case in step.cases)
    return await run_shape(execution, frame, step, key, body, decide=decide, volatile=volatile)


async def run_wait(execution: Execution, frame: Frame, step: Step, key: str) -> datetime:
    """A wait. When a wait for a time is over is decided once and kept; what else there is is the environment's."""
    wait = step.wait
    assert wait is not None

    def decide() -> dict[str, str | None]:
        try:
            return {"until": as_text(end_of(wait, frame.scope, execution.environment.now()))}
        except ExpressionError as problem:
            raise ExpressionError(f"wait: {problem}") from None

    async def body(inside: Frame, decision: Any, began: datetime) -> Shaped:
        await ready(execution, inside, step, [])
        until = datetime.fromisoformat(decision["until"]) if decision and decision["until"] else None
        output = await execution.environment.wait(execution, inside, step, key, began, until)
        return Shaped(_kept(inside, step, output))

    volatile = wait.until is not None and wait.until.volatile
    return await run_shape(execution, frame, step, key, body, decide=decide, volatile=volatile, limited=False)


async def run_shape(
    execution: Execution,
    frame: Frame,
    step: Step,
    key: str,
    body: Body,
    *,
    decide: Callable[[], Any] | None = None,
    volatile: bool = False,  # the decision might come out differently a second time
    shorten: Callable[[Any, int], Any] | None = None,  # what is stored of a decision of so many bytes
    marks: bool = True,
    limited: bool = True,  # `timeout` counts for all of it
    recalls: bool = True,  # once it is over, others still see its steps, or could have to undo them
) -> datetime:
    """Carry out a shape; when it had succeeded. Raises StepGaveUp and what its steps raise."""
    rows = execution.stored.get(key)
    row = rows[-1] if rows else None
    decision = msgspec.json.decode(row.input) if row is not None and row.input is not None else None
    began = row.started_at if row is not None and row.started_at is not None else execution.environment.now()
    if row is not None and row.status in ENDED:
        if recalls:
            with contextlib.suppress(OutOfTime, StepGaveUp, RunStopped):
                await body(frame.recall(), decision, began)
        return _take_over(frame, step, row)
    if row is None and marks:
        if frame.recalling or execution.hold.reason or execution.hold.draining:
            await ready(execution, frame, step, [])
        decision = await _open(execution, frame, step, key, began, decide, volatile=volatile, shorten=shorten)
    try:
        limit = step.timeout if limited else None
        shaped = await within(execution, frame, began, limit, lambda inside: body(inside, decision, began))
        _check_size(shaped, step, key)
    except ExpressionError as problem:
        error = execution.error(ErrorInfo(type="expression", message=f"output: {problem}", step=step.id or key))
        _close(execution, key, began, AttemptStatus.FAILED, error=error)
        raise StepGaveUp(error) from None
    except StepGaveUp as failure:
        _close(execution, key, began, AttemptStatus.FAILED, error=failure.error)
        raise
    except OutOfTime:
        if frame.recalling:
            raise
        text = f"it took longer than its timeout of {timedelta(seconds=step.timeout or 0)}"
        error = ErrorInfo(type="timeout", message=text, step=step.id or key)
        _close(execution, key, began, AttemptStatus.TIMED_OUT, error=error)
        raise StepGaveUp(error) from None
    except asyncio.CancelledError:
        if execution.hold.reason != "lost" and marks:
            _close(execution, key, began, AttemptStatus.INTERRUPTED)
        frame.show(step, "cancelled")
        raise
    note = None
    if shaped.errors:
        count = len(shaped.errors)
        text = f"{count} item{'s' if count > 1 else ''} failed"
        note = ErrorInfo(type=ITEMS, message=text, data=shaped.errors)
    finished_at = _close(execution, key, began, AttemptStatus.SUCCEEDED, output=shaped.output, error=note)
    _show(frame, step, shaped, began, finished_at)
    return finished_at


def _check_size(shaped: Shaped, step: Step, key: str) -> None:
    if (unfit := check_output(shaped.output)) is not None:
        raise StepGaveUp(ErrorInfo(type=unfit[0], message=unfit[1], step=step.id or key))


def hide(frame: Frame, *sections: tuple[Step, ...]) -> None:
    """Steps that are not reached: `steps.ID.status` says so."""
    for name in pending(*sections):
        frame.steps[name] = {"status": "skipped", "attempts": 0}


def _kept(frame: Frame, step: Step, result: Any) -> Any:
    return result if step.output is None else step.output.render(frame.scope.extended(result=result))


async def _open(
    execution: Execution,
    frame: Frame,
    step: Step,
    key: str,
    began: datetime,
    decide: Callable[[], Any] | None,
    *,
    volatile: bool,
    shorten: Callable[[Any, int], Any] | None,
) -> Any:
    """Decide what is to be decided, and record that it has begun."""
    try:
        decision = decide() if decide is not None else None
    except ExpressionError as problem:
        raise refuse(execution, step, key, "expression", str(problem), number=1) from None
    stored = execution.encode(decision) if decide is not None else None
    if stored is not None and shorten is not None and (short := shorten(decision, len(stored))) is not decision:
        stored = execution.encode(short)
    execution.pending.append(
        AttemptRow(step=key, number=1, status=AttemptStatus.RUNNING, input=stored, started_at=began)
    )
    if volatile or (step.condition is not None and step.condition.volatile):
        await execution.checkpoint()
    return decision


def _close(
    execution: Execution,
    key: str,
    began: datetime,
    status: AttemptStatus,
    *,
    output: Any = None,
    error: ErrorInfo | None = None,
) -> datetime:
    finished_at = execution.environment.now()
    execution.pending.append(
        AttemptRow(
            step=key,
            number=1,
            status=status,
            output=execution.encode(output) if status == AttemptStatus.SUCCEEDED else None,
            error=msgspec.json.encode(error) if error is not None else None,
            started_at=began,
            finished_at=finished_at,
        )
    )
    return finished_at


def _take_over(frame: Frame, step: Step, row: StoredAttempt) -> datetime:
    if row.status in FAILURES:
        raise failure_of(row)
    assert row.finished_at is not None
    output = msgspec.json.decode(row.output) if row.output is not None else None
    errors = msgspec.json.decode(row.error, type=ErrorInfo).data if row.error is not None else []
    shaped = Shaped(output, errors if step.for_each is not None else None)
    _show(frame, step, shaped, row.started_at or row.finished_at, row.finished_at)
    return row.finished_at


def _show(frame: Frame, step: Step, shaped: Shaped, began: datetime, finished_at: datetime) -> None:
    more = {} if shaped.errors is None else {"errors": shaped.errors}
    frame.show(
        step,
        "succeeded",
        output=shaped.output,
        cached=False,
        attempts=1,
        started_at=as_text(began),
        finished_at=as_text(finished_at),
        **more,
    )
