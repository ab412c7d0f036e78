"""Signed links to approve or reject: opening one decides nothing, the button on its page does.

Mail scanners and chats open links to look at them, so GET only shows. The link is the right to answer; where it matters
who answers, the person signs in as well. The cookie of a session does not come along when somebody follows a link from
elsewhere, but it does with the button, so only the button asks for it.
"""

from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect

from engine.errors import Conflict, TooLate
from engine.flow.approval_decision import Unnamed
from engine.flow.approval_links import APPROVE, REJECT, read_link
from engine.flow.approval_rules import needs_name
from engine.runtime import Runtime
from engine.store.approvals import ApprovalRow
from engine.web.auth import person as name_of
from engine.web.auth import refuse_cross_site, signed_in
from engine.web.dashboard.pages import PageRequest, link, page
from engine.web.dashboard.questions import Question, answer, make_question
from engine.web.parameters import WithRuntime
from engine.web.problems import problem_for

HEADERS = {"X-Robots-Tag": "noindex"}


@get("/approvals/{approval_id:str}/approve", include_in_schema=False)
async def approve_page(
    runtime: WithRuntime, approval_id: FromPath[str], until: FromQuery[str] = "", signature: FromQuery[str] = ""
) -> Response[Any]:
    """The question and a button that approves."""
    return await _ask(runtime, approval_id, APPROVE, until, signature)


@get("/approvals/{approval_id:str}/reject", include_in_schema=False)
async def reject_page(
    runtime: WithRuntime, approval_id: FromPath[str], until: FromQuery[str] = "", signature: FromQuery[str] = ""
) -> Response[Any]:
    """The question and a button that rejects."""
    return await _ask(runtime, approval_id, REJECT, until, signature)


@post("/approvals/{approval_id:str}/approve", include_in_schema=False)
async def approve(
    request: PageRequest,
    runtime: WithRuntime,
    approval_id: FromPath[str],
    data: URLEncodedBody[dict[str, Any] | None] = None,
    until: FromQuery[str] = "",
    signature: FromQuery[str] = "",
) -> Response[Any]:
    """The button."""
    return await _decide(request, runtime, approval_id, APPROVE, until, signature, data)


@post("/approvals/{approval_id:str}/reject", include_in_schema=False)
async def reject(
    request: PageRequest,
    runtime: WithRuntime,
    approval_id: FromPath[str],
    data: URLEncodedBody[dict[str, Any] | None] = None,
    until: FromQuery[str] = "",
    signature: FromQuery[str] = "",
) -> Response[Any]:
    """The button."""
    return await _decide(request, runtime, approval_id, REJECT, until, signature, data)


async def _ask(runtime: Runtime, approval_id: str, word: str, until: str, signature: str) -> Response[Any]:
    row = await _load(runtime, approval_id, word, until, signature)
    return _show(row, make_question(row), word, until, signature)


async def _decide(
    request: PageRequest,
    runtime: Runtime,
    approval_id: str,
    word: str,
    until: str,
    signature: str,
    data: dict[str, Any] | None,
) -> Response[Any]:
    refuse_cross_site(request)
    row = await _load(runtime, approval_id, word, until, signature)
    person = name_of(request) if await signed_in(request) else None
    try:
        answered = await answer(runtime, row, data, approved=word == APPROVE, person=person, via="link")
    except Unnamed:
        here = _address(row, word, until, signature)
        return Redirect(f"/login?next={quote(here, safe='')}", status_code=303)
    except Conflict as error:
        row = await _load(runtime, approval_id, word, until, signature)
        return _show(row, make_question(row), word, until, signature, error=error)
    if answered.question is not None:
        return _show(row, answered.question, word, until, signature, status=422)
    assert answered.row is not None
    return _show(answered.row, make_question(answered.row), word, until, signature, status=200, done=True)


async def _load(runtime: Runtime, approval_id: str, word: str, until: str, signature: str) -> ApprovalRow:
    row = await runtime.store.get_approval(await read_link(runtime, approval_id, word, until, signature))
    if row is None:
        raise TooLate("The run that asked is not kept any more.")
    return row


def _address(row: ApprovalRow, word: str, until: str, signature: str) -> str:
    return link(f"/approvals/{row.id}/{word}", until=until, signature=signature)


def _show(
    row: ApprovalRow,
    question: Question,
    word: str,
    until: str,
    signature: str,
    *,
    status: int | None = None,
    error: Exception | None = None,
    done: bool = False,
) -> Response[Any]:
    if status is None:
        late = TooLate() if row.state == "timed_out" else Conflict()
        status = problem_for(error or late)[0].status if question.over else 200
    return page(
        "approval_link.html",
        status=status,
        headers=HEADERS,
        signed_in=False,
        question=question,
        word=word,
        action=_address(row, word, until, signature),
        named=needs_name(row.approvers, row.exclude),
        done=done,
    )


handlers = [approve_page, reject_page, approve, reject]
