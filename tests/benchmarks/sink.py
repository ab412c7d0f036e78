"""The downstream service, a process of its own: answers at once and notes when each event arrived.

Prints its port. `GET /reset` forgets, `GET /after/N` answers with the figures once N events have arrived.
"""

import asyncio
import gc
import json
import re
import time
from typing import cast

import uvloop

from tests.benchmarks.connection import content_length
from tests.benchmarks.percentiles import percentile

SENT_AT = re.compile(rb'"t"\s*:\s*(\d{16,20})')
EVENT_ID = re.compile(rb'"id"\s*:\s*"([^"]+)"')
FINE = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'


class Arrivals:
    """What has arrived since the last reset, and who waits for more."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.count = 0
        self.first = self.last = 0.0
        self._ids: set[bytes] = set()
        self._milliseconds: list[float] = []
        self._waiting: list[tuple[int, asyncio.Transport]] = []

    def add(self, body: bytes) -> None:
        self.last = time.time()
        self.first = self.first or self.last
        self.count += 1
        if sent := SENT_AT.search(body):
            self._milliseconds.append((time.time_ns() - int(sent[1])) / 1e6)
        if found := EVENT_ID.search(body):
            self._ids.add(found[1])
        if self._waiting:
            self.answer()

    def wait(self, count: int, transport: asyncio.Transport) -> None:
        """Answer this client once so many have arrived."""
        self._waiting.append((count, transport))
        self.answer()

    def answer(self) -> None:
        """Answer those whose count is reached."""
        for count, transport in list(self._waiting):
            if self.count >= count:
                self._waiting.remove((count, transport))
                content = json.dumps(self._figures()).encode()
                transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)

    def _figures(self) -> dict[str, float]:
        return {
            "count": self.count,
            "repeated": self.count - len(self._ids),
            "first": self.first,
            "last": self.last,
            "p50_ms": percentile(self._milliseconds, 0.5),
            "p99_ms": percentile(self._milliseconds, 0.99),
        }


class Service(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            head, found, rest = self._received.partition(b"\r\n\r\n")
            length = content_length(head)
            if not found or len(rest) < length:
                return
            self._received = rest[length:]
            self._serve(head, rest[:length])

    def _serve(self, head: bytes, body: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        if method == b"GET" and path.startswith(b"/after/"):
            self._arrivals.wait(int(path[7:]), self._transport)
            return
        if method == b"GET":
            self._arrivals.reset()
        else:
            self._arrivals.add(body)
        self._transport.write(FINE)


async def main() -> None:
    arrivals = Arrivals()
    server = await asyncio.get_running_loop().create_server(lambda: Service(arrivals), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    gc.freeze()
    gc.disable()
    uvloop.run(main())
