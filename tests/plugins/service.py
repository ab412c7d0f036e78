"""A real HTTP service on loopback that answers as it is told and remembers what it was asked."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web


@dataclass
class Reply:
    """One answer. `reset`: cut the connection instead; `hold`: wait until the client goes away."""

    status: int = 200
    body: Any = None  # bytes as they are, text as text, anything else as JSON
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    hold: bool = False
    drip: bool = False  # one byte at a time, for ever
    short: int = 0  # bytes that are announced but never sent


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return msgspec.json.decode(self.body)


class Downstream:
    """The service. `script` holds the next answers; when it is empty the answer is 200 `{"ok": true}`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: list[Reply] = []
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()  # a client that was held has gone
        self.port = 0

    @property
    def url(self) -> str:
        """Base URL without trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, status: int = 200, body: Any = None, **rest: Any) -> None:
        """Append one answer to the script."""
        self.script.append(Reply(status, body, **rest))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Remember and answer."""
        query = {name: request.query.getall(name) for name in request.query}
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.method, request.path, query, headers, await request.read()))
        self.arrived.set()
        reply = self.script.pop(0) if self.script else Reply(body={"ok": True})
        if reply.hold:
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        if reply.reset:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return await self._write(request, reply)

    async def _write(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        headers = dict(reply.headers)
        if isinstance(reply.body, bytes):
            body = reply.body
        elif isinstance(reply.body, str):
            body = reply.body.encode()
            headers.setdefault("content-type", "text/plain; charset=utf-8")
        else:
            body = b"" if reply.body is None else msgspec.json.encode(reply.body)
            headers.setdefault("content-type", "application/json")
        response = web.StreamResponse(status=reply.status, headers=headers)
        response.content_length = 1_000_000 if reply.drip else len(body) + reply.short
        await response.prepare(request)
        try:
            while reply.drip:
                await response.write(b"x")
                await asyncio.sleep(0.01)
        finally:
            if reply.drip:
                self.left.set()
        if request.method != "HEAD":
            await response.write(body)
        if reply.short:
            assert request.transport is not None
            request.transport.close()
        return response
