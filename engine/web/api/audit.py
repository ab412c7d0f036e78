"""The audit: list what was done by hand."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.params import QueryParameter

from engine.store.rows import AuditFilter
from engine.web.api.answers import COMMON
from engine.web.api.models import AuditPage, audit_model
from engine.web.parameters import NO_NUL, PAGE, Cursor, Limit, Since, Until, WithRuntime, read_time

Filter = Annotated[str | None, QueryParameter(max_length=200, pattern=NO_NUL)]
IdFilter = Annotated[UUID | None, QueryParameter(description="Only what was done to this one.")]


@get("/", summary="List what was done by hand", responses=COMMON)
async def list_audit(
    runtime: WithRuntime,
    action: Filter = None,
    by: Filter = None,
    run: IdFilter = None,
    event: IdFilter = None,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> AuditPage:
    """Newest first. `action` is for example `run.cancel`, `by` the name of a token or session."""
    wanted = AuditFilter(
        action=action,
        by=by,
        run_id=run,
        event_id=event,
        since=read_time("since", since),
        until=read_time("until", until),
        cursor=cursor,
        limit=limit,
    )
    rows, following = await runtime.store.list_audit(wanted)
    return AuditPage([audit_model(row) for row in rows], None if following is None else str(following))


router = Router("/audit", route_handlers=[list_audit], tags=["Audit"])
