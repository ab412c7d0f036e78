"""Decide an approval: who may, what fits, and the one decision that counts."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from engine.errors import BadRequest, Conflict, NotAllowed, NotFound, TooLate
from engine.flow.approval_rules import GROUP, fill_form, find_refusal, needs_name, read_form
from engine.runtime import Runtime
from engine.store import NewAudit
from engine.store.approvals import TIMED_OUT, ApprovalRow, Decided

SOMEBODY = "somebody with the link"  # who decides without signing in
MAX_ANSWERS = 64_000  # bytes of JSON
MAX_COMMENT = 2000  # characters


class Unnamed(NotAllowed):
    """Sign in first: it matters who decides this."""


class InvalidAnswers(BadRequest):
    """The answers do not fit the form."""

    def __init__(self, problems: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{item['name']}: {item['message']}" for item in problems))
        self.problems = problems


async def decide_approval(
    runtime: Runtime,
    approval_id: UUID,
    *,
    approved: bool,
    person: str | None,
    via: str,
    form: dict[str, Any] | None = None,
    comment: str = "",
) -> ApprovalRow:
    """Decide, once for all, and let the run go on. person None: nobody is signed in. via: link, api, cli, dashboard.

    NotFound; Conflict: somebody was faster, or the run has ended; TooLate; NotAllowed: this person may not;
    Unnamed: nobody may who is not known; InvalidAnswers. Whatever is raised, nothing has changed.
    """
    row = await runtime.store.get_approval(approval_id)
    if row is None:
        raise NotFound(f"There is no approval {approval_id}.")
    refuse_closed(row)
    check_person(runtime, row, person)
    answers, problems = fill_form(read_form(row.form), form or {}, approved=approved)
    if len(comment) > MAX_COMMENT:
        problems.append({"name": "comment", "message": f"may have {MAX_COMMENT:,} characters"})
    if problems:
        raise InvalidAnswers(problems)
    encoded = runtime.secrets.redact(msgspec.json.encode(answers))
    if len(encoded) > MAX_ANSWERS:
        raise BadRequest(f"The answers have {len(encoded):,} bytes, {MAX_ANSWERS:,} are allowed.")
    by = person or SOMEBODY
    comment = runtime.secrets.redact_text(comment.strip())
    decided = Decided(approved=approved, by=by, via=via, answers=encoded, comment=comment or None)
    detail = {"approval": str(row.id), "step": row.step, "via": via} | ({"comment": comment} if comment else {})
    action = "approval.approve" if approved else "approval.reject"
    audit = NewAudit(by=by, action=action, target=row.pipeline, run_id=row.run_id, detail=detail)
    free = await runtime.store.decide_approval(approval_id, decided, audit)
    row = await runtime.store.get_approval(approval_id) or row
    if free is None:
        refuse_closed(row)
        raise Conflict("The run moved on at this very moment. Nothing was decided.")
    if free:
        runtime.queue.ring_soon([row.run_id])
    runtime.queue.changed(row.run_id, row.pipeline, "waiting")
    runtime.log.info("approval.decided", run_id=str(row.run_id), step=row.step, approved=approved, via=via)
    return row


def refuse_closed(row: ApprovalRow) -> None:
    """Return if it can be decided. Conflict or TooLate says who decided what and when, or why nobody can."""
    state = row.state
    if row.decided_at is not None:
        how = "" if row.via is None else f", by {row.via}" if row.via == "link" else f", in the {_place(row.via)}"
        raise Conflict(f"This was {state} already: by {row.decided_by} at {_clock(row.decided_at)}{how}.")
    if state == TIMED_OUT:
        raise TooLate(f"The time to decide was over at {_clock(row.expires_at)}. Silence is no consent.")
    if state == "closed":
        if row.run_status is None:
            raise TooLate("The run that asked is not kept any more.")
        ended = row.run_status if row.run_status in ("succeeded", "failed", "cancelled") else ""
        what = f"has ended ({ended})" if ended else "was cancelled, or does not wait for this any more"
        raise Conflict(f"The run {what}: there is nothing to decide.")


def check_person(runtime: Runtime, row: ApprovalRow, person: str | None) -> None:
    """Return if this person may decide. NotAllowed, Unnamed."""
    if not needs_name(row.approvers, row.exclude):
        return
    if person is None:
        raise Unnamed
    groups = runtime.deployments.groups
    refused = find_refusal(row.approvers, row.exclude, person, groups)
    if refused is None:
        return
    unknown = [name for name in row.approvers or () if name.startswith(GROUP) and name[len(GROUP) :] not in groups]
    hint = f" `groups:` of project.yaml does not have: {', '.join(unknown)}." if unknown else ""
    raise NotAllowed(f"{person} may not decide this: {refused}.{hint}")


def _place(via: str) -> str:
    return {"api": "API", "cli": "command line"}.get(via, via)


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
