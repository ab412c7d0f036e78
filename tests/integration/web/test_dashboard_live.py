"""Live updates, over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest
from litestar import Litestar

from engine.core.ids import uuid7
from engine.runtime import Runtime
from engine.web.live import Live
from tests.integration.web.conftest import ORIGIN
from tests.integration.web.serving import serve

PATIENCE = 10.0  # seconds


@pytest.fixture
async def client(app: Litestar, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """A signed-in person over a socket."""
    async with serve(app) as url, httpx.AsyncClient(base_url=url, headers={"Origin": ORIGIN}) as connected:
        connected.headers["Sec-Fetch-Site"] = "same-origin"
        await connected.post("/login", data={"token": token})
        yield connected


async def next_signal(lines: AsyncIterator[str]) -> None:
    async with asyncio.timeout(PATIENCE):
        async for line in lines:
            if line == "event: runs-changed":
                return


async def publish_until(runtime: Runtime, signal: "asyncio.Task[None]", run: UUID) -> None:
    """Publish again and again: a subscription needs a moment to be in place."""
    async with asyncio.timeout(PATIENCE):
        while not signal.done():
            runtime.queue.changed(run, "x", "running")
            await asyncio.wait([signal], timeout=0.05)


async def test_a_change_reaches_the_page(client: httpx.AsyncClient, runtime: Runtime) -> None:
    """A published change of any run becomes a signal."""
    async with client.stream("GET", "/live") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        signal = asyncio.create_task(next_signal(stream.aiter_lines()))
        await publish_until(runtime, signal, uuid7())
        await signal


async def test_a_page_of_one_run_hears_of_that_run_only(app: Litestar, client: httpx.AsyncClient) -> None:
    """Other runs do not wake it."""
    hub: Live = app.state.live
    mine = uuid7()
    async with client.stream("GET", f"/live?run={mine}") as stream:
        signal = asyncio.create_task(next_signal(stream.aiter_lines()))
        async with asyncio.timeout(PATIENCE):
            while not hub.pages:
                await asyncio.sleep(0)
        assert hub.notify({str(uuid7())}) == 0
        assert hub.notify({str(mine)}) == 1
        await signal


async def test_a_closed_page_leaves_nothing_behind(app: Litestar, client: httpx.AsyncClient) -> None:
    """The last page that goes ends the subscription."""
    hub: Live = app.state.live
    async with client.stream("GET", "/live") as stream:
        async with asyncio.timeout(PATIENCE):
            await anext(stream.aiter_lines())
        assert hub.pages == 1
    async with asyncio.timeout(PATIENCE):
        while hub.pages:
            await asyncio.sleep(0.01)
    assert not hub.subscribed


async def test_closing_the_hub_ends_the_streams(app: Litestar, client: httpx.AsyncClient) -> None:
    """So a server that stops does not wait for open pages."""
    async with client.stream("GET", "/live") as stream:
        lines = stream.aiter_lines()
        async with asyncio.timeout(PATIENCE):
            await anext(lines)
            await app.state.live.close()
            async for _ in lines:
                pass


async def test_a_malformed_run_is_400(client: httpx.AsyncClient) -> None:
    """It names the parameter."""
    answer = await client.get("/live?run=zzz")
    assert (answer.status_code, answer.json()["errors"][0]["name"]) == (400, "run")
