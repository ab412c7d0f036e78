"""The JSON API under /api/v1: one file per resource."""

from litestar import Router

from engine.web.api import events, pipelines, runs
from engine.web.auth import require_key

router = Router(
    "/api/v1",
    route_handlers=[pipelines.router, runs.router, events.router],
    guards=[require_key],
    security=[{"token": []}, {"session": []}],
)
