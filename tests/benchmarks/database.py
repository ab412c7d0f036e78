"""What the benchmark itself asks of PostgreSQL and Valkey, between the measurements."""

import asyncio
import time
from typing import Any

import asyncpg
import redis

TABLES = ("attempt", "decision", "dedup", "run", "event")
ENDED = "('succeeded', 'failed', 'cancelled')"
LOOK = 0.03  # seconds between two looks at the tables
PATIENCE = 60.0  # seconds until runs must have ended


def query(database_url: str, statement: str, *arguments: Any) -> list[Any]:
    """Rows of one statement, over a connection of its own."""

    async def ask() -> list[Any]:
        connection = await asyncpg.connect(database_url)
        try:
            rows: list[Any] = await connection.fetch(statement, *arguments)
            return rows
        finally:
            await connection.close()

    return asyncio.run(ask())


def clear(database_url: str, marker: str | None) -> None:
    """Empty the tables; with a marker, remove what is younger than this id."""
    if marker is None:
        query(database_url, f"truncate {', '.join(TABLES)}")
        return
    for table in TABLES:
        column = {"attempt": "run_id", "dedup": "event_id"}.get(table, "id")
        query(database_url, f"delete from {table} where {column} > $1", marker)
        query(database_url, f"vacuum {table}")


def forget(redis_url: str) -> None:
    """Empty Valkey."""
    with redis.from_url(redis_url) as client:
        client.flushall()


def ended(database_url: str, pipeline: str, count: int) -> list[Any]:
    """id, start and end of all runs of a pipeline, once so many have succeeded. RuntimeError if one failed."""

    async def wait() -> list[Any]:
        connection = await asyncpg.connect(database_url)
        deadline = time.monotonic() + PATIENCE
        statement = (
            f"select id, status, error, started_at, finished_at from run where pipeline = $1 and status in {ENDED}"
        )
        try:
            while True:
                rows: list[Any] = await connection.fetch(statement, pipeline)
                if any(row["status"] != "succeeded" for row in rows):
                    raise RuntimeError(f"a run of {pipeline} did not succeed: {rows[0]}")
                if len(rows) >= count:
                    return rows
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{len(rows)} of {count} runs of {pipeline} have ended")
                await asyncio.sleep(LOOK)
        finally:
            await connection.close()

    return asyncio.run(wait())


def count_events(database_url: str) -> int:
    """How many events are stored."""
    return int(query(database_url, "select count(*) from event")[0][0])
