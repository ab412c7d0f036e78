"""One API process: uvicorn around the application, with the runtime open while it serves."""

import asyncio
import socket

import uvicorn
import uvloop

from engine.cli.exits import FAILED, OK
from engine.cli.listening import BACKLOG, listen
from engine.flow.deploy import deploy_files, watch_files
from engine.runtime import open_runtime
from engine.settings import Settings
from engine.web.app import create_app

GRACE = 10  # seconds open requests get when the API stops
IDLE = 30  # seconds an idle connection is kept


def serve(settings: Settings, fd: int | None) -> int:
    """Serve until SIGTERM or SIGINT. fd: a listening socket inherited from `hookwright up`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, fd))


async def _serve(settings: Settings, fd: int | None) -> int:
    listener = socket.socket(fileno=fd) if fd is not None else listen(settings.host, settings.port)
    async with open_runtime(settings) as runtime:
        await deploy_files(runtime)
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(runtime),
                http="httptools",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=IDLE,
                timeout_graceful_shutdown=GRACE,
                proxy_headers=settings.forwarded,
                forwarded_allow_ips="*" if settings.forwarded else None,
            )
        )
        watcher = asyncio.create_task(watch_files(runtime), name="watch pipelines")
        try:
            await server.serve(sockets=[listener])
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
    return OK if server.started else FAILED
