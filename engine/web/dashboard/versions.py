"""The pages of a pipeline's versions: history, the difference of two, rollback."""

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import QueryParameter, URLEncodedBody
from litestar.response import Redirect
from msgspec import Meta, Struct

from engine.flow.rollback import rollback
from engine.web.api.versions import Number, diff_of, history_of
from engine.web.dashboard.pages import link, page
from engine.web.parameters import NO_NUL, PipelineId, Who, WithRuntime

PAGE = 50
Hash = Annotated[str, QueryParameter(max_length=64, pattern=NO_NUL)]


class RollbackForm(Struct, frozen=True):
    """The button."""

    to: Annotated[str, Meta(max_length=64, pattern=NO_NUL)] = ""


class DiffLine(Struct, frozen=True):
    """One line of a difference. kind: title, hunk, add, del or empty."""

    text: str
    kind: str


@get("/pipelines/{pipeline_id:str}/history", include_in_schema=False)
async def history_page(runtime: WithRuntime, pipeline_id: PipelineId, cursor: Number = None) -> Response[Any]:
    """What was in force when, and the way back."""
    found = await history_of(runtime, pipeline_id, cursor=cursor, limit=PAGE)
    here = f"/pipelines/{pipeline_id}/history"
    return page(
        "history.html",
        page="pipelines",
        id=pipeline_id,
        history=found,
        deployed=pipeline_id in runtime.deployments.current.pipelines,
        first=here if cursor else None,
        next=link(here, cursor=found.next) if found.next else None,
    )


@get("/pipelines/{pipeline_id:str}/diff", include_in_schema=False)
async def diff_page(
    runtime: WithRuntime, pipeline_id: PipelineId, before: Hash = "", after: Hash = ""
) -> Response[Any]:
    """Two versions, line by line."""
    found = await diff_of(runtime, pipeline_id, before or None, after or None)
    return page(
        "diff.html",
        page="pipelines",
        id=pipeline_id,
        found=found,
        lines=[_line(text) for text in found.diff.splitlines()],
    )


@post("/pipelines/{pipeline_id:str}/rollback", include_in_schema=False)
async def roll_back(
    runtime: WithRuntime, who: Who, pipeline_id: PipelineId, data: URLEncodedBody[RollbackForm | None] = None
) -> Response[Any]:
    """The rollback button: back to the history, which shows it."""
    await rollback(runtime, pipeline_id, (data.to if data is not None else "") or None, by=who)
    return Redirect(f"/pipelines/{pipeline_id}/history", status_code=303)


def _line(text: str) -> DiffLine:
    for begin, kind in (("+++", "title"), ("---", "title"), ("@@", "hunk"), ("+", "add"), ("-", "del")):
        if text.startswith(begin):
            return DiffLine(text, kind)
    return DiffLine(text, "")


handlers = [history_page, diff_page, roll_back]
