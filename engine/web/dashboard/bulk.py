"""The pages on which many runs are cancelled or retried."""

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromQuery, URLEncodedBody

from engine.flow.bulk import COUNTED_MOST, act_on_page, count_matching
from engine.web.dashboard.pages import link, page
from engine.web.dashboard.runs import read_filter
from engine.web.parameters import LONGEST_PAGE, Who, WithRuntime

AT_ONCE = 4  # pages of one click; then the page says how far it is
SHOWN = 50  # refusals of one click that are listed


@get("/runs/bulk", include_in_schema=False)
async def bulk_page(
    runtime: WithRuntime,
    action: FromQuery[str] = "",
    pipeline: FromQuery[str] = "",
    status: FromQuery[str] = "",
    label: FromQuery[str] = "",
) -> Response[Any]:
    """How many runs there are of these, and whether you are sure."""
    chosen, wanted = read_filter(pipeline, status, label, limit=LONGEST_PAGE)
    matching = await count_matching(runtime, action, wanted)
    return _show(action, chosen, matching=matching)


@post("/runs/bulk", include_in_schema=False, status_code=200)
async def bulk_act(runtime: WithRuntime, who: Who, data: URLEncodedBody[dict[str, Any] | None] = None) -> Response[Any]:
    """Some hundreds of them; then how far it is, and a button to go on."""
    typed = {name: value for name, value in (data or {}).items() if isinstance(value, str)}
    action = typed.get("action", "")
    chosen, wanted = read_filter(
        typed.get("pipeline", ""), typed.get("status", ""), typed.get("label", ""), limit=LONGEST_PAGE
    )
    before = typed.get("done", "0")
    done = int(before) if before.isdigit() and len(before) < 10 else 0
    cursor: str | None = typed.get("cursor") or None
    refused: list[tuple[UUID, str]] = []
    for _ in range(AT_ONCE):
        came = await act_on_page(runtime, action, wanted, by=who, cursor=cursor)
        done, cursor = done + came.done, came.cursor
        refused += came.refused
        if cursor is None:
            break
    return _show(action, chosen, done=done, refused=refused[:SHOWN], cursor=cursor)


def _show(
    action: str,
    chosen: dict[str, str],
    *,
    matching: int = 0,
    done: int | None = None,
    refused: list[tuple[UUID, str]] | None = None,
    cursor: str | None = None,
) -> Response[Any]:
    return page(
        "bulk.html",
        page="runs",
        action=action,
        chosen=chosen,
        matching=matching,
        more=matching >= COUNTED_MOST,
        done=done,
        refused=refused or [],
        cursor=cursor,
        back=link("/runs", **chosen),
    )


handlers = [bulk_page, bulk_act]
