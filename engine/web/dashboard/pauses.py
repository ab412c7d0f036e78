"""The buttons that pause and resume."""

from typing import Annotated, Any, Literal

from litestar import Request, Response, post
from litestar.params import PathParameter, URLEncodedBody
from litestar.response import Redirect

from engine.flow.pause import Kind, pause, resume
from engine.web.auth import who
from engine.web.parameters import PipelineId, Text, WithRuntime

LONGEST = 400  # characters of a reason


@post("/pipelines/{pipeline_id:str}/pause", include_in_schema=False)
async def pause_pipeline(
    runtime: WithRuntime,
    request: Request[Any, Any, Any],
    pipeline_id: PipelineId,
    data: URLEncodedBody[dict[str, Any] | None] = None,
) -> Response[Any]:
    """Its runs wait from now on."""
    reason = str((data or {}).get("reason", "")).replace("\0", "").strip()[:LONGEST]
    await pause(runtime, "pipeline", pipeline_id, by=who(request), reason=reason)
    return Redirect(f"/pipelines/{pipeline_id}", status_code=303)


@post("/pauses/{kind:str}/{name:str}/resume", include_in_schema=False)
async def resume_one(
    runtime: WithRuntime,
    request: Request[Any, Any, Any],
    kind: Annotated[Kind, PathParameter()],
    name: Annotated[Text, PathParameter()],
    data: URLEncodedBody[dict[str, Any] | None] = None,
) -> Response[Any]:
    """Back to where the button was. What is not paused any more is simply shown."""
    await resume(runtime, kind, name, by=who(request))
    back: Literal["pipeline", ""] = "pipeline" if (data or {}).get("back") == "pipeline" else ""
    return Redirect(f"/pipelines/{name}" if kind == back else "/", status_code=303)


handlers = [pause_pipeline, resume_one]
