"""Approvals: list the open ones, look into one, decide."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, get, post
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Meta, Struct

from engine.errors import NotFound
from engine.flow.approval_decision import MAX_COMMENT, decide_approval
from engine.store.approvals import ApprovalRow
from engine.web.api.answers import COMMON, ONE, PERSONS
from engine.web.api.models import Json, raw
from engine.web.parameters import PAGE, ApprovalId, Cursor, Limit, Person, PipelineFilter, WithRuntime

AGENT = "hookwright-cli/"  # how the command line introduces itself


class Approval(Struct, frozen=True, kw_only=True):
    """A question of a run to people."""

    id: UUID
    run_id: UUID
    pipeline: str
    step: str
    prompt: str
    state: Annotated[str, Meta(description="open, approved, rejected, timed_out, or closed: the run ended meanwhile.")]
    approvers: Annotated[
        list[str] | None, Meta(description="Names of API tokens and `group:NAME`; null: whoever has a link.")
    ]
    exclude: Annotated[list[str], Meta(description="Who may not decide.")]
    form: Annotated[Json, Meta(description="By field: JSON Schema, whether it is required, default.")]
    created_at: datetime
    expires_at: Annotated[datetime, Meta(description="Nobody can decide any more; silence is no consent.")]
    decided_at: datetime | None
    by: Annotated[str | None, Meta(description="Who decided.")]
    via: Annotated[str | None, Meta(description="link, api, cli or dashboard.")]
    answers: Annotated[Json, Meta(description="The form as it was filled in.")]
    comment: str | None
    url: Annotated[str, Meta(description="This approval in the API.")]


class ApprovalPage(Struct, frozen=True):
    """Open approvals, newest first. `next`: the cursor of the next page, null on the last one."""

    items: list[Approval]
    next: str | None


class Decision(Struct, frozen=True, forbid_unknown_fields=True):
    """What to decide."""

    approved: bool
    form: Annotated[
        dict[str, Any], Meta(description="By field; checked, not coerced. What is left out has its default.")
    ] = {}
    comment: Annotated[str, Meta(max_length=MAX_COMMENT)] = ""


def approval_model(row: ApprovalRow) -> Approval:
    """A stored question as the API shows it."""
    return Approval(
        id=row.id,
        run_id=row.run_id,
        pipeline=row.pipeline,
        step=row.step,
        prompt=row.prompt,
        state=row.state,
        approvers=row.approvers,
        exclude=row.exclude,
        form=msgspec.Raw(row.form),
        created_at=row.created_at,
        expires_at=row.expires_at,
        decided_at=row.decided_at,
        by=row.decided_by,
        via=row.via,
        answers=raw(row.answers),
        comment=row.comment,
        url=f"/api/v1/approvals/{row.id}",
    )


@get("/", summary="List open approvals", responses=COMMON)
async def list_approvals(
    runtime: WithRuntime, pipeline: PipelineFilter = None, cursor: Cursor = None, limit: Limit = PAGE
) -> ApprovalPage:
    """Those that somebody can decide now, newest first."""
    rows, following = await runtime.store.list_approvals(pipeline=pipeline, cursor=cursor, limit=limit)
    return ApprovalPage([approval_model(row) for row in rows], None if following is None else str(following))


@get("/{approval_id:str}", summary="Get an approval", responses=ONE)
async def get_approval(runtime: WithRuntime, approval_id: ApprovalId) -> Approval:
    """The question, whom it is for, and what was decided."""
    row = await runtime.store.get_approval(approval_id)
    if row is None:
        raise NotFound(f"There is no approval {approval_id}.")
    return approval_model(row)


@post("/{approval_id:str}/decision", summary="Approve or reject", status_code=200, responses=PERSONS)
async def decide(
    request: Request[Any, Any, State],
    runtime: WithRuntime,
    person: Person,
    approval_id: ApprovalId,
    data: JSONBody[Decision],
) -> Approval:
    """The first decision counts; the run goes on with it at once. Who decides is the name of the token."""
    via = "cli" if request.headers.get("user-agent", "").startswith(AGENT) else "api"
    row = await decide_approval(
        runtime,
        approval_id,
        approved=data.approved,
        person=person,
        via=via,
        form=data.form,
        comment=data.comment,
    )
    return approval_model(row)


router = Router("/approvals", route_handlers=[list_approvals, get_approval, decide], tags=["Approvals"])
