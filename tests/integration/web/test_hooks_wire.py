"""Deliveries over a real server and raw sockets: chunks, limits, slow and broken senders."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send

from engine.web.app import create_app
from engine.web.hooks import create_hooks_handler
from tests.integration.web.receiving import Site, converse, open_site, problem_of

LIMIT = 20_000  # bytes; what the trigger of /hooks/open/... allows


@pytest.fixture
async def site(tmp_path: Path, database_url: str, redis_url: str) -> AsyncIterator[Site]:
    async with open_site(tmp_path, database_url, redis_url) as opened:
        yield opened


@pytest.fixture
async def port(site: Site) -> AsyncIterator[int]:
    async with serve(create_app(site.runtime)) as opened:
        yield opened


@pytest.fixture
async def impatient(site: Site) -> AsyncIterator[int]:
    """A server that gives senders 0.2 s for their body."""
    hooks = create_hooks_handler(site.runtime, patience=0.2)

    @asgi("/hooks", is_mount=True, copy_scope=False)
    async def deliveries(scope: Scope, receive: Receive, send: Send) -> None:
        await hooks(scope, receive, send)

    async with serve(Litestar([deliveries], openapi_config=None)) as opened:
        yield opened


@contextlib.asynccontextmanager
async def serve(app: Litestar) -> AsyncIterator[int]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, http="httptools", ws="none", log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listening.close()


def head(path: str, *headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} /hooks/{path} HTTP/1.1", "Host: test", *headers, "", ""]
    return "\r\n".join(lines).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def test_a_body_in_chunks(site: Site, port: int) -> None:
    """It is put together; Transfer-Encoding is not stored."""
    raw = await converse(
        port, head("open/a", "Transfer-Encoding: chunked"), chunk(b'{"a":'), chunk(b" 1}"), b"0\r\n\r\n"
    )
    assert raw.startswith(b"HTTP/1.1 202")
    (event,) = await site.events()
    assert event.body == b'{"a": 1}'
    assert "transfer-encoding" not in event.headers


async def test_a_declared_body_that_is_too_large_is_not_read(site: Site, port: int) -> None:
    """413 before a single byte of it was sent."""
    for length in (str(LIMIT + 1), "9" * 17):
        status, problem = problem_of(await converse(port, head("open/a", f"Content-Length: {length}")))
        assert (status, problem["title"]) == (413, "Body too large")
    assert await site.events() == []


async def test_a_large_body_is_not_read_after_all_of_it_was_sent(site: Site, port: int) -> None:
    """A sender that does not wait for the answer still gets it."""
    body = b"x" * 3_000_000
    raw = await converse(port, head("open/a", f"Content-Length: {len(body)}") + body)
    assert problem_of(raw)[0] == 413


async def test_chunks_that_become_too_large(site: Site, port: int) -> None:
    """413 as soon as the limit is passed; the end is not waited for."""
    raw = await converse(port, head("open/a", "Transfer-Encoding: chunked"), *[chunk(b"x" * 5_000)] * 5)
    assert problem_of(raw)[0] == 413
    assert await site.events() == []


async def test_expect_continue(site: Site, port: int) -> None:
    """A sender that asks first is told before it sends."""
    raw = await converse(port, head("open/a", f"Content-Length: {LIMIT + 1}", "Expect: 100-continue"))
    assert problem_of(raw)[0] == 413

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head("open/a", "Content-Length: 2", "Expect: 100-continue"))
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"{}")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 202")
    writer.close()


async def test_a_sender_that_is_too_slow(site: Site, impatient: int) -> None:
    """408 when the body does not arrive in time."""
    status, problem = problem_of(await converse(impatient, head("open/a", "Content-Length: 100"), b"some"))
    assert (status, problem["detail"]) == (408, "the body did not arrive within 0.2 s")
    assert await site.events() == []


async def test_a_sender_that_goes_away(site: Site, port: int) -> None:
    """Half a body is no delivery, and the next sender is served."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head("open/a", "Content-Length: 100") + b"half")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    raw = await converse(port, head("open/b", "Content-Length: 2") + b"{}")
    assert raw.startswith(b"HTTP/1.1 202")
    (event,) = await site.events()
    assert event.path == "open/b"


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"POST /hooks/open/a HTTP/1.1\r\nHost: test\r\nContent-Length: ten\r\n\r\n",
        b"POST /hooks/open/a HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n",
        b"POST /hooks/open/a HTTP/1.1\r\nHost: test\r\nBad Header\r\n\r\n",
        b"POST /hooks/open/a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where none is spoken
    ],
    ids=["bytes", "length-word", "length-negative", "header", "chunk", "tls"],
)
async def test_what_is_not_http(site: Site, port: int, request_: bytes) -> None:
    """400 or a hang-up; nothing is stored and the server goes on."""
    raw = await converse(port, request_, half_close=True)
    assert raw == b"" or raw.startswith(b"HTTP/1.1 4")
    assert await site.events() == []
    assert (await converse(port, head("open/a", "Content-Length: 2") + b"{}")).startswith(b"HTTP/1.1 202")


async def test_odd_headers_are_stored_or_refused(site: Site, port: int) -> None:
    """Bytes beyond ASCII, repeated headers and very many headers do no harm."""
    raw = await converse(
        port,
        b"POST /hooks/open/a HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nX-Odd: \xff\xfe\xe9\r\n"
        b"X-Twice: a\r\nX-Twice: b\r\n" + b"".join(b"X-%d: v\r\n" % number for number in range(100)) + b"\r\n{}",
    )
    assert raw.startswith(b"HTTP/1.1 202")
    (event,) = await site.events()
    assert event.headers["x-odd"] == "ÿþé"
    assert event.headers["x-twice"] == "a, b"


async def test_many_deliveries_on_one_connection(site: Site, port: int) -> None:
    """Connections are kept, after refusals too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = []
    for path in ("open/a", "nobody", "github", "open/a"):
        writer.write(head(path, "Content-Length: 2") + b"{}")
        async with asyncio.timeout(10):
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            json.loads(await reader.readexactly(length))
        statuses.append(int(answer.split(b" ")[1]))
    writer.close()
    assert statuses == [202, 404, 401, 202]


async def test_head_has_no_body(port: int) -> None:
    """405 as a status line and headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head("open/a", "Connection: close", method="HEAD"))
    async with asyncio.timeout(10):
        raw = await reader.read()
    writer.close()
    assert raw.startswith(b"HTTP/1.1 405")
    assert raw.endswith(b"\r\n\r\n")
