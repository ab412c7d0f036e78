"""The load, a process of its own. Prints one line of JSON when it is done.

python -m tests.benchmarks.load flood PORT PATH SECRET SECONDS CONNECTIONS   as many as fit into so many seconds
python -m tests.benchmarks.load post PORT PATH SECRET COUNT CONNECTIONS      so many, as fast as possible
python -m tests.benchmarks.load rate PORT PATH SECRET PER_SECOND SECONDS     at a steady rate, whatever the answers take
"""

import asyncio
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import uvloop

from tests.benchmarks.connection import Connection, connect
from tests.benchmarks.deliveries import Deliveries
from tests.benchmarks.percentiles import percentile

SPARE = 32  # connections opened beforehand for a steady rate


class Load:
    """Counts what was answered and how long it took."""

    def __init__(self, port: int, path: str, secret: str) -> None:
        self._port = port
        self._deliveries = Deliveries(path, secret)
        self._build = self._deliveries.build
        self._milliseconds: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._began = self._ended = 0.0

    async def flood(self, seconds: float, connections: int) -> None:
        """Every connection sends its next request when its last one is answered."""
        end = time.perf_counter() + seconds
        self._build = self._deliveries.build_fast
        await self._all(connections, lambda: time.perf_counter() < end)

    async def post(self, count: int, connections: int) -> None:
        """As flood, but until so many are sent."""
        await self._all(connections, lambda: self._deliveries.built < count)

    async def rate(self, per_second: float, seconds: float) -> None:
        """Open loop: a slow answer does not delay the next request."""
        free = await connect(self._port, SPARE)
        tasks: list[asyncio.Task[None]] = []
        self._began, start = time.time(), time.perf_counter()
        for number in range(round(per_second * seconds)):
            await asyncio.sleep(max(0.0, start + number / per_second - time.perf_counter()))
            tasks.append(asyncio.create_task(self._borrow(free)))
        await asyncio.gather(*tasks)
        self._ended = time.time()

    async def _borrow(self, free: list[Connection]) -> None:
        connection = free.pop() if free else (await connect(self._port, 1))[0]
        await self._send(connection)
        free.append(connection)

    async def _all(self, connections: int, more: Callable[[], bool]) -> None:
        opened = await connect(self._port, connections)
        self._began = time.time()
        await asyncio.gather(*(self._repeat(connection, more) for connection in opened))
        self._ended = time.time()

    async def _repeat(self, connection: Connection, more: Callable[[], bool]) -> None:
        while more():
            await self._send(connection)

    async def _send(self, connection: Connection) -> None:
        message = self._build()
        start = time.perf_counter()
        status, _ = await connection.request(message)
        self._milliseconds.append((time.perf_counter() - start) * 1000)
        self._statuses[status] += 1

    def report(self) -> dict[str, Any]:
        """What happened, JSON-plain."""
        seconds = self._ended - self._began
        accepted = self._statuses[202]
        return {
            "accepted": accepted,
            "refused": {str(status): count for status, count in self._statuses.items() if status != 202},
            "began": self._began,
            "seconds": seconds,
            "per_second": accepted / seconds,
            "p50_ms": percentile(self._milliseconds, 0.5),
            "p99_ms": percentile(self._milliseconds, 0.99),
        }


async def main() -> None:
    mode, port, path, secret, first, second = sys.argv[1:]
    load = Load(int(port), path, secret)
    if mode == "flood":
        await load.flood(float(first), int(second))
    elif mode == "post":
        await load.post(int(first), int(second))
    else:
        await load.rate(float(first), float(second))
    print(json.dumps(load.report()))


if __name__ == "__main__":
    gc.freeze()
    gc.disable()
    uvloop.run(main())
