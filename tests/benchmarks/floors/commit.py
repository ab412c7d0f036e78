"""Floor: one PostgreSQL commit, a single INSERT over a held connection. Arguments: database URL, count.

One after the other, and then at the calm rate of the latency figures: what a processor that has slept takes longer.
"""

import asyncio
import json
import sys
import time
from typing import Any

import asyncpg
import uvloop

from engine.core.ids import uuid7
from tests.benchmarks.deliveries import PAD
from tests.benchmarks.percentiles import median, percentile

WARM_UP = 30
CALM = 60  # commits at RATE
RATE = 20  # per second


async def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    connection = await asyncpg.connect(url)
    await connection.execute("create table if not exists bench_commit (id uuid primary key, body bytea not null)")
    insert = await connection.prepare("insert into bench_commit (id, body) values ($1, $2)")
    await commits(insert, WARM_UP, pause=0.0)
    busy = await commits(insert, count, pause=0.0)
    calm = await commits(insert, CALM, pause=1 / RATE)
    await connection.execute("truncate bench_commit")
    await connection.close()
    print(json.dumps({"p50_ms": median(busy), "calm_p50_ms": median(calm), "calm_p99_ms": percentile(calm, 0.99)}))


async def commits(insert: Any, count: int, *, pause: float) -> list[float]:
    """Milliseconds of each."""
    milliseconds, body = [], PAD.encode()
    for _ in range(count):
        await asyncio.sleep(pause)
        start = time.perf_counter()
        await insert.fetch(uuid7(), body)
        milliseconds.append((time.perf_counter() - start) * 1000)
    return milliseconds


if __name__ == "__main__":
    uvloop.run(main())
