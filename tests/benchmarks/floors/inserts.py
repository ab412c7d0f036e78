"""Floor: one INSERT per request on a pool of 10, 32 requests at once. Arguments: database URL, count, `row` or `rows`.

`row` is one row of a plain table; `rows` is all that a delivery leaves in our tables, in one statement per request.
Reads a line before it begins and before it ends, so that the CPU time of PostgreSQL can be read at these moments.
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

AT_ONCE = 32
POOL = 10


ROW = "insert into bench_insert (id, body) values ($1, $2)"
ROWS = """
with one as (
    insert into dedup (id, event_id, expires_at) values (gen_random_uuid(), $1, now() + interval '1 day')
), two as (
    insert into event (id, source, type, received_at, method, path, query, headers, path_params, body, delivery_id)
    values ($1, 'github', 'issues.opened', now(), 'POST', 'floor', '', '{"content-type": "application/json"}', '{}', $2,
        $1::text)
), three as (
    insert into decision (id, event_id, pipeline, trigger, matched, reason, detail)
    values ($1, $1, 'floor', 'github.webhook', true, 'matched', '{}')
)
insert into run (id, pipeline, version, event_id, trigger, status, turn, labels, inputs, cancel_requested, created_at,
    due_at, rung_at)
values ($1, 'floor', repeat('0', 64), $1, 'github.webhook', 'queued', 0, '{}', '{}', false, now(), now(), now())
"""


async def main() -> None:
    url, count, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    statement = ROW if kind == "row" else ROWS
    async with asyncpg.create_pool(url, min_size=POOL, max_size=POOL) as pool:
        await pool.execute("create table if not exists bench_insert (id uuid primary key, body bytea not null)")
        await insert(pool, statement, AT_ONCE * 10)
        print("ready", flush=True)
        sys.stdin.readline()
        start = time.perf_counter()
        await insert(pool, statement, count)
        print(json.dumps({"per_second": count / (time.perf_counter() - start)}), flush=True)
        sys.stdin.readline()
        await pool.execute("truncate bench_insert")


async def insert(pool: Any, statement: str, count: int) -> None:
    """So many requests, each with a commit of its own. Keys are time-ordered, as ours are."""
    numbers = iter(range(count))

    async def requests() -> None:
        for _ in numbers:
            await pool.execute(statement, uuid7(), PAD.encode())

    await asyncio.gather(*(requests() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    uvloop.run(main())
