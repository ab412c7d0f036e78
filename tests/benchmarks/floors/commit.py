"""Floor: one PostgreSQL commit, a single INSERT over a held connection. Arguments: database URL, count."""

import json
import sys
import time
import uuid

import asyncpg
import uvloop

from tests.benchmarks.deliveries import PAD
from tests.benchmarks.percentiles import median, percentile

WARM_UP = 30


async def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    connection = await asyncpg.connect(url)
    await connection.execute("create table if not exists bench_commit (id uuid primary key, body bytea not null)")
    insert = await connection.prepare("insert into bench_commit (id, body) values ($1, $2)")
    body, milliseconds = PAD.encode(), []
    for _ in range(WARM_UP + count):
        start = time.perf_counter()
        await insert.fetch(uuid.uuid4(), body)
        milliseconds.append((time.perf_counter() - start) * 1000)
    await connection.execute("truncate bench_commit")
    await connection.close()
    milliseconds = milliseconds[WARM_UP:]
    print(json.dumps({"p50_ms": median(milliseconds), "p99_ms": percentile(milliseconds, 0.99)}))


if __name__ == "__main__":
    uvloop.run(main())
