"""The service that pipelines call: counts what really happened to it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec


class Downstream:
    """A small HTTP server on loopback. Every POST is an effect, counted by its Idempotency-Key."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()  # by idempotency key
        self.bodies: list[tuple[str, Any]] = []  # (path, JSON body) in order of arrival
        self.delay = 0.0  # seconds before an answer
        self.status = 200
        self.headers: dict[str, str] = {}
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def until(self, condition: Callable[["Downstream"], bool], *, seconds: float = 30.0) -> None:
        """Wait until the condition holds; TimeoutError if it does not in time."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode("latin-1"), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path = request.split()[1]
        async with self._changed:
            self.effects[headers.get("idempotency-key", path)] += 1
            self.bodies.append((path, msgspec.json.decode(body) if body else None))
            self._changed.notify_all()
        if self.delay:
            await asyncio.sleep(self.delay)
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        answer = b'{"ok":true}'
        writer.write(
            f"HTTP/1.1 {self.status} X\r\nContent-Type: application/json\r\n{extra}"
            f"Content-Length: {len(answer)}\r\n\r\n".encode()
            + answer
        )
        await writer.drain()
