"""Bring a database's tables up to date. Any number of processes may do so at once."""

import asyncio
import contextlib
import io
import os

import asyncpg

from engine.errors import ConfigurationError
from engine.store.connection import CONNECT_TIMEOUT, as_unavailable
from engine.store.piccolo_engine import DB

LOCK = 0x486F6F6B  # advisory lock; "Hook"
MINIMUM = 140000  # PostgreSQL's server_version_num

_one_at_a_time = asyncio.Lock()  # Piccolo's engine is one global


async def migrate(database_url: str) -> None:
    """Create or upgrade the tables. Unavailable if the server is away, ConfigurationError if it is unsuitable."""
    async with _one_at_a_time:
        with as_unavailable():
            connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT)
        try:
            with as_unavailable():
                if int(await connection.fetchval("show server_version_num")) < MINIMUM:
                    version = await connection.fetchval("show server_version")
                    raise ConfigurationError(f"PostgreSQL 14 or newer is needed, this is {version}")
                await connection.execute("select pg_advisory_lock($1)", LOCK)
                await _forwards(database_url)
        finally:
            connection.terminate()


async def _forwards(database_url: str) -> None:
    os.environ.setdefault("PICCOLO_CONF", "engine.store.piccolo_conf")
    from piccolo.apps.migrations.commands.forwards import run_forwards  # 0.7 s: only those who migrate pay

    DB.config = {"dsn": database_url, "timeout": CONNECT_TIMEOUT}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        result = await run_forwards("engine")
    if not result.success:
        raise ConfigurationError(f"migrating the database failed: {result.message}\n{output.getvalue()}")
