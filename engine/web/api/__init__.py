"""The JSON API under /api/v1: one file per resource."""

from typing import Any

from litestar import Request, Router

from engine.web.api import approvals, audit, events, expressions, pauses, pipelines, replays, runs, versions
from engine.web.auth import require_key
from engine.web.problems import WrongMediaType


def require_json(request: Request[Any, Any, Any]) -> None:
    """Refuse a body of another type: a form on another site must not be able to send one."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongMediaType


router = Router(
    "/api/v1",
    route_handlers=[
        pipelines.router,
        runs.router,
        approvals.router,
        events.router,
        replays.router,
        versions.router,
        versions.deployments,
        audit.router,
        pauses.router,
        expressions.router,
    ],
    guards=[require_key],
    before_request=require_json,
    security=[{"token": []}, {"session": []}],
)
