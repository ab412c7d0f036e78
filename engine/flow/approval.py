"""Wait for a person: ask once, tell who is to be told, let go of the run until somebody decides or the time is over.

What is decided is decided in the store (engine/store/approvals.py) before the step's own row is closed: after a crash
at any point it is the same question, the same links and the same decision. Silence never consents.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from engine.core.duration import format_duration
from engine.core.run import ErrorInfo
from engine.flow.approval_links import make_links
from engine.flow.approval_rules import render_question, write_form
from engine.flow.await_event import persist
from engine.flow.execution import Execution
from engine.flow.frame import Frame, StepGaveUp
from engine.flow.steps import run_steps
from engine.flow.waits import seconds_of
from engine.pipeline.expression import ExpressionError
from engine.pipeline.expression.moments import iso
from engine.pipeline.spec import Approval, Step, Wait
from engine.runtime import Runtime
from engine.store.approvals import ENDED, TIMED_OUT, ApprovalRow, NewApproval

SOON = 0.1  # seconds that are spent here: a claim may be a bit early
RECHECK = 1.0  # seconds between looks while other branches keep the run here
LONGEST = timedelta(days=30)  # nobody is asked for longer, should nothing else set an end
SHOWN = 120  # characters of a prompt in the reason why a run waits


async def wait_for_approval(
    runtime: Runtime, execution: Execution, frame: Frame, step: Step, key: str, began: datetime
) -> dict[str, Any]:
    """The output of the step, once somebody has decided. StepGaveUp: a rejection, no answer in time, a bad question.

    It is called again after each visit until it has returned; `began` says which question it is.
    """
    wait = step.wait
    assert wait is not None
    assert wait.approval is not None
    store = runtime.store
    if execution.closing:
        raise _gave_up(execution, step, key, "cancelled", "nobody is asked any more: the run was cancelled")
    row = await persist(lambda: store.find_approval(execution.run.id, key, began))
    if row is None:
        row = await _ask(runtime, execution, frame, step, wait, wait.approval, key, began)
    if wait.approval.notify and row.decided_at is None and execution.environment.now() < row.expires_at:
        row = await _notify(runtime, execution, frame, wait.approval, row)
    asked = row.id
    while row.decided_at is None:
        left = (row.expires_at - execution.environment.now()).total_seconds()
        if row.closed_at is not None or left <= 0:
            row = await persist(lambda: store.close_approval(asked, TIMED_OUT))
            break
        if left < SOON:
            await execution.environment.sleep(left)
        else:
            await execution.park(row.expires_at, _reason(execution, row), recheck=RECHECK)
        row = await persist(lambda: _read(runtime, asked))
    return _output(execution, step, wait, key, row)


async def _ask(
    runtime: Runtime,
    execution: Execution,
    frame: Frame,
    step: Step,
    wait: Wait,
    approval: Approval,
    key: str,
    began: datetime,
) -> ApprovalRow:
    environment = execution.environment
    try:
        question = render_question(approval, frame.scope)
        seconds = seconds_of(wait.timeout, frame.scope, "timeout")
    except ExpressionError as error:
        raise _gave_up(execution, step, key, "expression", f"wait: {error}") from None
    end = _end(execution, began)
    if seconds is not None and seconds < (end - began).total_seconds():
        end = began + timedelta(seconds=seconds)
    new = NewApproval(
        run_id=execution.run.id,
        step=key,
        pipeline=frame.pipeline.id,
        prompt=environment.redact_text(question.prompt),
        approvers=question.approvers,
        exclude=question.exclude,
        form=environment.redact(write_form(approval.form)),
        began=began,
        expires_at=end,
    )
    await execution.checkpoint()  # after a crash the wait has begun when this one did, so it is this question
    return await persist(lambda: runtime.store.ask(new))


def _end(execution: Execution, began: datetime) -> datetime:
    """When the run's time is over, or that of a group that this is surely in: nobody else has opened one."""
    if not execution.deadlines:
        return began + LONGEST
    alone = execution.active == 1 and not execution.parked
    return min(execution.deadlines) if alone else max(execution.deadlines)


async def _notify(
    runtime: Runtime, execution: Execution, frame: Frame, approval: Approval, row: ApprovalRow
) -> ApprovalRow:
    """Tell who is to be told, once; the question as it stands afterwards."""
    links = await persist(lambda: make_links(runtime, row))
    try:
        await run_steps(execution, frame.extended(approval=links), approval.notify)
    except StepGaveUp:
        await execution.checkpoint()
        await persist(lambda: runtime.store.close_approval(row.id, ENDED))
        raise
    await execution.checkpoint()  # what was sent is not sent again
    return await persist(lambda: _read(runtime, row.id))


async def _read(runtime: Runtime, approval_id: Any) -> ApprovalRow:
    row = await runtime.store.get_approval(approval_id)
    assert row is not None
    return row


def _reason(execution: Execution, row: ApprovalRow) -> str:
    prompt = " ".join(row.prompt.split())
    prompt = prompt if len(prompt) <= SHOWN else prompt[: SHOWN - 1] + "…"
    asked = ", ".join(row.approvers) if row.approvers is not None else "whoever has the link"
    return execution.environment.redact_text(f"an approval: {prompt}; asked: {asked}")


def _output(execution: Execution, step: Step, wait: Wait, key: str, row: ApprovalRow) -> dict[str, Any]:
    if row.decided_at is None:
        if wait.on_timeout == "fail":
            waited = format_duration((row.expires_at - row.created_at).total_seconds())
            raise _gave_up(execution, step, key, "timeout", f"nothing came within {waited}")
        return {"approved": False, "by": None, "at": None, "form": {}, "timed_out": True, "event": None}
    if not row.approved and wait.on_reject == "fail":
        raise _gave_up(execution, step, key, "rejected", f"rejected by {row.decided_by}")
    form = msgspec.json.decode(row.answers or b"{}")
    return {"approved": row.approved, "by": row.decided_by, "at": iso(row.decided_at), "form": form}


def _gave_up(execution: Execution, step: Step, key: str, type_: str, message: str) -> StepGaveUp:
    return StepGaveUp(execution.error(ErrorInfo(type=type_, message=message, step=step.id or key)))
