"""One API process: uvicorn around the application, with the runtime open while it serves."""

import asyncio
import contextlib
import math
import os
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any

import msgspec
import structlog
import uvicorn
import uvloop

from engine.cli.exits import FAILED, OK
from engine.cli.listening import BACKLOG, listen
from engine.errors import Unavailable
from engine.flow.deploy import deploy_files, deploy_stored, watch
from engine.memory import settle
from engine.runtime import Runtime, open_runtime
from engine.settings import Settings
from engine.web.app import create_app

HOOKS = "/hooks/"
SIGN_IN = timedelta(hours=12)  # life of the link that signs a browser in, once
IDLE = 30  # seconds an idle connection is kept
AGAIN = 1.0  # seconds between attempts to reach a database that is away at the start
AWAY = b'{"title":"Service Unavailable","status":503,"detail":"PostgreSQL cannot be reached yet; starting."}'

Message = dict[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

log = structlog.get_logger("server")


class Front:
    """What uvicorn serves: the application once it is there, until then 503 with Retry-After."""

    def __init__(self) -> None:
        self.app: Any = None  # the Litestar application

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """ASGI."""
        if self.app is not None:
            if scope["type"] == "http" and scope["path"].startswith(HOOKS):
                # the same handler that Litestar mounts: its router and wrappers cost a sixth of an acknowledgement
                await self.app.state.hooks({**scope, "path": scope["path"][len(HOOKS) - 1 :]}, receive, send)
            else:
                await self.app(scope, receive, send)
        elif scope["type"] == "http":
            alive = scope["path"] == "/healthz"
            body = b'{"status":"ok"}' if alive else AWAY
            kind = b"application/json" if alive else b"application/problem+json"
            headers = [
                (b"content-type", kind),
                (b"content-length", str(len(body)).encode()),
                *([] if alive else [(b"retry-after", b"2")]),
            ]
            await send({"type": "http.response.start", "status": 200 if alive else 503, "headers": headers})
            await send({"type": "http.response.body", "body": body})


class Server(uvicorn.Server):
    """uvicorn, ending live streams before it waits for open requests: they would never end by themselves."""

    def __init__(self, config: uvicorn.Config, front: Front) -> None:
        super().__init__(config)
        self._front = front

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal asks for the end, the second does not wait for open requests.

        uvicorn's own notes the signal and raises it again once it has served: then nothing would be closed.
        """
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once a signal has asked for the end."""
        if self._front.app is not None:
            await self._front.app.state.live.close()
        await super().shutdown(sockets)


def serve(settings: Settings, fd: int | None, announce: int | None) -> int:
    """Serve until SIGTERM or SIGINT.

    fd: a listening socket inherited from `hookwright up`. announce: a pipe on which it waits for a token and a sign-in
    code, as a line of JSON.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, fd, announce))


async def _serve(settings: Settings, fd: int | None, announce: int | None) -> int:
    listener = socket.socket(fileno=fd) if fd is not None else listen(settings.host, settings.port)
    front, settled, closing = Front(), asyncio.Event(), asyncio.Event()
    config = uvicorn.Config(
        front,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=math.ceil(settings.grace),
        proxy_headers=settings.forwarded,
        forwarded_allow_ips="*" if settings.forwarded else None,
    )
    server = Server(config, front)
    holding = asyncio.create_task(_hold_runtime(settings, front, settled, closing, announce), name="runtime")
    first = asyncio.create_task(settled.wait())
    await asyncio.wait([first, holding], return_when=asyncio.FIRST_COMPLETED)
    first.cancel()
    if holding.done():
        holding.result()  # raises what is wrong with the configuration
        return FAILED
    holding.add_done_callback(lambda _: setattr(server, "should_exit", True))
    await server.serve(sockets=[listener])
    closing.set()
    await holding
    return OK if server.started else FAILED


async def _hold_runtime(
    settings: Settings, front: Front, settled: asyncio.Event, closing: asyncio.Event, announce: int | None
) -> None:
    """Keep the runtime open until closing. `settled` is set once it is open, or once a database is found to be away."""
    while not closing.is_set():
        try:
            async with open_runtime(settings) as runtime:
                await (deploy_files if settings.deploy == "files" else deploy_stored)(runtime)
                app = create_app(runtime)
                async with app.lifespan():
                    watcher = asyncio.create_task(watch(runtime), name="watch pipelines")
                    front.app = app
                    settled.set()
                    settle()
                    log.info("api.started", pipelines=len(runtime.deployments.current.pipelines))
                    if announce is not None:
                        await _announce(runtime, announce)
                        announce = None
                    await closing.wait()
                    watcher.cancel()
                    await asyncio.gather(watcher, return_exceptions=True)
        except Unavailable as error:
            log.warning("start.delayed", error=str(error))
            settled.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), AGAIN)


async def _announce(runtime: Runtime, pipe: int) -> None:
    """Hand an API token, the known one if it still counts, and a one-time sign-in code to `hookwright up`."""
    token = os.environ.get("HOOKWRIGHT_TOKEN", "")
    if not token or await runtime.store.find_api_key(token) is None:
        token = await runtime.store.create_api_key("up", "token", None)
    code = await runtime.store.create_api_key("up", "login", datetime.now(UTC) + SIGN_IN)
    os.write(pipe, msgspec.json.encode({"token": token, "code": code}) + b"\n")
    os.close(pipe)
