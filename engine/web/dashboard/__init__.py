"""The dashboard: HTML over the same queries as the API."""

from litestar import Router

from engine.web.auth import require_session
<<<<<<< HEAD
from engine.web.dashboard import bulk, console, events, login, overview, pauses, pipelines, runs
=======
from engine.web.dashboard import approvals, console, events, links, login, overview, pauses, pipelines, runs
>>>>>>> 6525b99 (Answer approvals by signed links, on the dashboard and the command line)

pages = Router(
    "/",
    route_handlers=[
        *overview.handlers,
        *bulk.handlers,
        *runs.handlers,
        *approvals.handlers,
        *events.handlers,
        *pipelines.handlers,
        *console.handlers,
        *pauses.handlers,
    ],
    guards=[require_session],
)
router = Router("/", route_handlers=[pages, *links.handlers, *login.handlers], include_in_schema=False)
