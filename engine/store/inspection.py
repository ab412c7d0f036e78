"""What `hookwright doctor` asks a database; nothing is changed."""

import re

import asyncpg
import msgspec

from engine.store.connection import CONNECT_TIMEOUT, as_unavailable
from engine.store.migrate import MINIMUM
from engine.store.piccolo_app import MIGRATIONS


class DatabaseState(msgspec.Struct, frozen=True):
    """One look at a database."""

    version: str  # as the server writes it, e.g. 18.6
    version_number: int  # server_version_num
    oldest: int  # the same for the oldest version that will do
    clock: float  # the server's time, Unix seconds
    pending: tuple[str, ...]  # migrations that have not run


async def inspect_database(database_url: str) -> DatabaseState:
    """Version, clock and pending migrations. Unavailable or ConfigurationError if it cannot be asked."""
    with as_unavailable():
        connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT)
        try:
            clock = await connection.fetchval("select extract(epoch from clock_timestamp())::float8")
            known = await connection.fetchval("select to_regclass('migration') is not null")
            done = {row[0] for row in await connection.fetch("select name from migration")} if known else set()
            settings = connection.get_settings()
            return DatabaseState(
                version=str(settings.server_version).partition(" ")[0],
                version_number=int(await connection.fetchval("show server_version_num")),
                oldest=MINIMUM,
                clock=float(clock),
                pending=tuple(name for name in _migrations() if name not in done),
            )
        finally:
            connection.terminate()


def _migrations() -> list[str]:
    """The IDs of all migrations, oldest first, without importing them (that takes most of a second)."""
    names = []
    for file in sorted(MIGRATIONS.glob("*.py")):
        found = re.search(r"""^ID = ["'](.+?)["']""", file.read_text(), re.MULTILINE)
        if found:
            names.append(found[1])
    return names
