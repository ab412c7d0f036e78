"""Tables come up from nothing, once, however many ask for it."""

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from engine.store import connect, migrate
from engine.store.inspection import inspect_database

ROOT = Path(__file__).resolve().parents[3]
MIGRATE = "import asyncio, sys; from engine.store import migrate; asyncio.run(migrate(sys.argv[1]))"
TABLES = {
    "event", "dedup", "decision", "run", "attempt", "pipeline", "pipeline_version", "schedule", "worker", "api_key",
    "kv", "tally", "announcement", "run_key", "audit", "queue", "approval", "signing_key", "migration",
    "wait", "wait_kind", "wait_sweep", "awaited", "arrival",
    "gate", "ticket", "gate_exit", "gather", "gathered", "batch_event", "pause",
    "replay", "deployed",
}  # fmt: skip


async def read_tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "select relname as tablename from pg_class where relkind in ('r', 'p') and not relispartition "
        "and relnamespace = 'public'::regnamespace"
    )
    await connection.close()
    return {row["tablename"] for row in rows}


async def test_migrates_from_empty_and_again(empty_database_url: str) -> None:
    """The second time there is nothing to do."""
    assert (await inspect_database(empty_database_url)).pending
    await migrate(empty_database_url)
    assert await read_tables(empty_database_url) == TABLES
    await migrate(empty_database_url)
    assert await read_tables(empty_database_url) == TABLES
    assert (await inspect_database(empty_database_url)).pending == ()


async def test_processes_may_migrate_at_once(empty_database_url: str) -> None:
    """Three processes that start together on an empty database all succeed."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE, empty_database_url, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    outputs = [(await process.communicate())[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert await read_tables(empty_database_url) == TABLES


async def test_tasks_of_one_process_may_migrate_at_once(empty_database_url: str) -> None:
    """Piccolo keeps one engine for all; migrate() keeps them apart."""
    await asyncio.gather(migrate(empty_database_url), migrate(empty_database_url))
    assert await read_tables(empty_database_url) == TABLES


@pytest.mark.parametrize(
    "statement",
    [
        "insert into run (id, pipeline, version, status, labels, inputs, created_at) "
        "values (gen_random_uuid(), 'p', 'v', 'sleeping', '{}', '{}', now())",
        "insert into run (id, pipeline, version, status, labels, inputs, created_at) "
        "values (gen_random_uuid(), 'p', 'v', 'running', '{}', '{}', now())",
        "insert into attempt (run_id, step, number, status) values (gen_random_uuid(), 's', 1, 'odd')",
        "insert into attempt (run_id, step, number, status) values (gen_random_uuid(), 's', 0, 'failed')",
        "insert into api_key (id, name, kind, hash, created_at) values (gen_random_uuid(), 'n', 'x', '', now())",
    ],
)
async def test_database_refuses_impossible_rows(database_url: str, statement: str) -> None:
    """The words and rules of the core hold in the tables too."""
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(statement)
    await connection.close()


async def test_migrating_under_a_running_store(store: object, database_url: str) -> None:
    """An instance that starts does not disturb those that work."""
    other = await connect(database_url)
    await migrate(database_url)
    await other.ping()
    await other.close()
