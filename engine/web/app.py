"""The HTTP edge put together: routes, error answers, the schema, live updates."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from litestar import Litestar, Request, Response, Router, asgi, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, Contact, License, SecurityScheme, Server, Tag
from litestar.static_files import create_static_files_router
from litestar.types import Receive, Scope, Send

from engine import __version__
from engine.runtime import Runtime
from engine.web import api, dashboard, health, live
from engine.web.auth import COOKIE, Keys, person, who
from engine.web.dashboard.pages import STATIC, environment, error_page
from engine.web.headers import secure_response
from engine.web.hooks import create_hooks_handler
from engine.web.problems import problem_for, problem_response

MACHINE_PATHS = ("/api/", "/hooks/", "/schema", "/healthz", "/readyz", "/metrics", "/live", "/static/")
LARGEST_CALL = 1_000_000  # bytes of a JSON body; deliveries have limits of their own

log = structlog.get_logger("web")


def create_app(runtime: Runtime) -> Litestar:
    """The ASGI application. `app.state.live.close()` ends open live streams, so that a server can stop at once."""
    hooks = create_hooks_handler(runtime)

    @asgi("/hooks", is_mount=True, copy_scope=True)
    async def deliveries(scope: Scope, receive: Receive, send: Send) -> None:
        await hooks(scope, receive, send)

    hub = live.Live(runtime.queue)

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await hub.close()

    return Litestar(
        route_handlers=[
            deliveries,
            api.router,
            dashboard.router,
            live.live,
            Router("/", route_handlers=[health.healthz, health.readyz, health.prometheus], tags=["Health"]),
            create_static_files_router("/static", [STATIC]),
            favicon,
        ],
        dependencies={
            "runtime": Provide(lambda: runtime, sync_to_thread=False),
            "who": Provide(asking, sync_to_thread=False),
            "person": Provide(asking_person, sync_to_thread=False),
        },
        exception_handlers={Exception: handle_error},
        before_send=[secure_response],
        lifespan=[lifespan],
        state=State({"api_keys": Keys(runtime.store), "settings": runtime.settings, "live": hub, "hooks": hooks}),
        openapi_config=_openapi(),
        request_max_body_size=LARGEST_CALL,
        logging_config=None,
        debug=False,
    )


def asking(request: Request[Any, Any, State]) -> str:
    """Whose token or session this is."""
    return who(request)


def asking_person(request: Request[Any, Any, State]) -> str:
    """The same without what a session is called: who may approve is said by the names of tokens."""
    return person(request)


def handle_error(request: Request[Any, Any, State], error: Exception) -> Response[Any]:
    """Answer any error: one table, problem+json for machines, a page for people."""
    path = request.scope["path"]
    problem, headers = problem_for(error, instance=path)
    if problem.status == 500:
        log.error("request.failed", method=request.method, path=path, exc_info=error)
    if path.startswith(MACHINE_PATHS):
        return problem_response(problem, headers)
    return error_page(request, problem, headers)


@get("/favicon.ico", include_in_schema=False, sync_to_thread=False)
def favicon() -> Response[bytes]:
    """For whoever asks without reading the page."""
    return Response((STATIC / "favicon.svg").read_bytes(), media_type="image/svg+xml")


class Docs(OpenAPIRenderPlugin):
    """The interactive page: Swagger UI from our own files."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page; the schema is loaded by it."""
        return environment().get_template("schema.html").render().encode()


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Hookwright",
        version=__version__,
        summary="Receive webhooks, run pipelines.",
        description=(
            "Times are RFC 3339 in UTC. Errors are `application/problem+json` (RFC 9457); `errors` names each "
            "parameter that is wrong. Lists are newest first: hand `next` back as `cursor` to read on."
        ),
        license=License(name="MIT", identifier="MIT"),
        contact=Contact(name="Hookwright"),
        servers=[Server(url="/")],
        tags=[
            Tag("Pipelines", "What is deployed, and starting it."),
            Tag("Runs", "Executions of pipelines."),
            Tag("Approvals", "Questions of runs to people."),
            Tag("Events", "What was received, and what was decided about it."),
            Tag("Pauses", "Hold runs back without losing an event."),
            Tag("Audit", "Who did what by hand."),
            Tag("Expressions", "Trying them out."),
            Tag("Health", "For probes and monitoring; no token needed."),
        ],
        components=Components(
            security_schemes={
                "token": SecurityScheme(
                    type="http", scheme="bearer", description="An API token: `hookwright token create`."
                ),
                "session": SecurityScheme(
                    type="apiKey", name=COOKIE, security_scheme_in="cookie", description="A browser that is signed in."
                ),
            }
        ),
        use_handler_docstrings=True,
        path="/schema",
        render_plugins=[Docs(path="/")],
    )
