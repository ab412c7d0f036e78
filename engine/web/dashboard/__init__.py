"""The dashboard: HTML over the same queries as the API."""

from litestar import Router

from engine.web.auth import require_session
from engine.web.dashboard import (
    approvals,
    bulk,
    console,
    events,
    links,
    login,
    overview,
    pauses,
    pipelines,
    replays,
    runs,
    versions,
)

pages = Router(
    "/",
    route_handlers=[
        *overview.handlers,
        *bulk.handlers,
        *runs.handlers,
        *approvals.handlers,
        *events.handlers,
        *pipelines.handlers,
        *versions.handlers,
        *replays.handlers,
        *console.handlers,
        *pauses.handlers,
    ],
    guards=[require_session],
)
router = Router("/", route_handlers=[pages, *links.handlers, *login.handlers], include_in_schema=False)
