"""The pages of approvals, for who is signed in."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromQuery, URLEncodedBody
from litestar.response import Redirect

from engine.errors import BadRequest, Conflict, NotAllowed, NotFound
from engine.flow.approval_decision import check_person
from engine.runtime import Runtime
from engine.store.approvals import ApprovalRow
from engine.web.dashboard.login import own_path
from engine.web.dashboard.pages import link, page
from engine.web.dashboard.questions import Question, answer, make_question
from engine.web.parameters import ApprovalId, Cursor, Person, WithRuntime
from engine.web.problems import problem_for

PAGE = 50
WORDS = {"approve": True, "reject": False}


@get("/approvals", include_in_schema=False)
async def approvals_page(runtime: WithRuntime, cursor: Cursor = None) -> Response[Any]:
    """Open approvals, newest first."""
    rows, following = await runtime.store.list_approvals(cursor=cursor, limit=PAGE)
    return page(
        "approvals.html",
        page="approvals",
        questions=[make_question(row) for row in rows],
        here=link("/approvals", cursor=cursor),
        first="/approvals" if cursor else None,
        next=link("/approvals", cursor=following) if following else None,
    )


@get("/approvals/{approval_id:str}", include_in_schema=False)
async def approval_page(runtime: WithRuntime, person: Person, approval_id: ApprovalId) -> Response[Any]:
    """One approval with its form and its buttons."""
    row = await _load(runtime, approval_id)
    return _show(runtime, row, make_question(row), person)


@post("/approvals/{approval_id:str}/decision", include_in_schema=False)
async def decide(
    runtime: WithRuntime,
    person: Person,
    approval_id: ApprovalId,
    data: URLEncodedBody[dict[str, Any] | None] = None,
    back: FromQuery[str] = "",
) -> Response[Any]:
    """The buttons. back: the page to go on with; what does not fit is shown beside each field."""
    row = await _load(runtime, approval_id)
    word = (data or {}).get("decision")
    if word not in WORDS:
        raise BadRequest("The form has to say `approve` or `reject`.")
    try:
        answered = await answer(runtime, row, data, approved=WORDS[word], person=person, via="dashboard")
    except (Conflict, NotAllowed) as error:
        row = await _load(runtime, approval_id)
        return _show(runtime, row, make_question(row), person, error=error)
    if answered.question is not None:
        return _show(runtime, row, answered.question, person, status=422)
    return Redirect(own_path(back) if back else f"/approvals/{row.id}", status_code=303)


async def _load(runtime: Runtime, approval_id: ApprovalId) -> ApprovalRow:
    row = await runtime.store.get_approval(approval_id)
    if row is None:
        raise NotFound(f"There is no approval {approval_id}.")
    return row


def _show(
    runtime: Runtime,
    row: ApprovalRow,
    question: Question,
    person: str,
    *,
    status: int = 200,
    error: Exception | None = None,
) -> Response[Any]:
    refused = ""
    try:
        check_person(runtime, row, person)
    except NotAllowed as reason:
        refused = str(reason)
    status = status if error is None else problem_for(error)[0].status
    return page("approval.html", status=status, page="approvals", question=question, refused=refused, late=error)


handlers = [approvals_page, approval_page, decide]
