"""Fixtures of the plugin tests: a real service on loopback, and a port without one."""

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.plugins.service import Downstream


@pytest.fixture
async def downstream() -> AsyncIterator[Downstream]:
    """The service, started."""
    service = Downstream()
    server = web.Server(service.handle, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.port = runner.addresses[0][1]
    yield service
    await runner.cleanup()


@pytest.fixture
def unused_tcp_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
