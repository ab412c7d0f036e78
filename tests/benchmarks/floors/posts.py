"""Floor: bare POSTs with the client that steps get, 32 at once and one at a time. Arguments: sink port, count."""

import asyncio
import json
import sys
import time
from typing import Any

import httpx
import uvloop

from engine.http_client import create_client
from tests.benchmarks.percentiles import median

AT_ONCE = 32
ALONE = 200  # requests one after the other
HEADERS = {"content-type": "application/json", "idempotency-key": "01890000-0000-7000-8000-000000000000/send"}


async def main() -> None:
    port, count = int(sys.argv[1]), int(sys.argv[2])
    place = f"127.0.0.1:{port}"
    body = json.dumps({"id": "evt_0123456789", "title": "issue number 1"}).encode()
    async with create_client([place]) as client:
        url = f"http://{place}/bare"
        await post(client, url, body, AT_ONCE * 10)
        start = time.perf_counter()
        await post(client, url, body, count)
        per_second = count / (time.perf_counter() - start)
        milliseconds = []
        for _ in range(ALONE):
            start = time.perf_counter()
            await client.post(url, content=body, headers=HEADERS)
            milliseconds.append((time.perf_counter() - start) * 1000)
    print(json.dumps({"per_second": per_second, "alone_ms": median(milliseconds)}))


async def post(client: httpx.AsyncClient, url: str, body: bytes, count: int) -> None:
    numbers: Any = iter(range(count))

    async def requests() -> None:
        for _ in numbers:
            await client.post(url, content=body, headers=HEADERS)

    await asyncio.gather(*(requests() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    uvloop.run(main())
