"""Floor: one INSERT per request on a pool of 10, 32 requests at once. Arguments: database URL, count.

Reads a line before it begins and before it ends, so that the CPU time of PostgreSQL can be read at these moments.
"""

import asyncio
import json
import sys
import time
import uuid
from typing import Any

import asyncpg
import uvloop

from tests.benchmarks.deliveries import PAD

AT_ONCE = 32
POOL = 10


async def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    async with asyncpg.create_pool(url, min_size=POOL, max_size=POOL) as pool:
        await pool.execute("create table if not exists bench_insert (id uuid primary key, body bytea not null)")
        await insert(pool, AT_ONCE * 10)
        print("ready", flush=True)
        sys.stdin.readline()
        start = time.perf_counter()
        await insert(pool, count)
        print(json.dumps({"per_second": count / (time.perf_counter() - start)}), flush=True)
        sys.stdin.readline()
        await pool.execute("truncate bench_insert")


async def insert(pool: Any, count: int) -> None:
    """So many rows, each with a commit of its own."""
    numbers = iter(range(count))

    async def requests() -> None:
        for _ in numbers:
            await pool.execute("insert into bench_insert (id, body) values ($1, $2)", uuid.uuid4(), PAD.encode())

    await asyncio.gather(*(requests() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    uvloop.run(main())
