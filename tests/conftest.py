"""Shared fixtures: real servers once per test session, a database of its own for each test.

TEST_DATABASE_URL and TEST_REDIS_URL name servers to use instead of the bundled ones; the Redis database is emptied.
"""

import asyncio
import os
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import pytest

T = TypeVar("T")

# The same examples every time, however slow the machine; `--hypothesis-profile searching` looks for new ones.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.register_profile("searching", deadline=None)
hypothesis.settings.load_profile("steady")


class Servers:
    """Where PostgreSQL and Valkey are in this test session."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.database_url = database_url
        self.redis_url = redis_url
        self.template = ""

    def in_database(self, name: str) -> str:
        """The URL of another database on the same server."""
        return urlunsplit(urlsplit(self.database_url)._replace(path=f"/{name}"))

    def execute(self, *statements: str) -> None:
        """Run statements as administrator."""
        import asyncpg

        async def work() -> None:
            connection = await asyncpg.connect(self.database_url)
            for statement in statements:
                await connection.execute(statement)
            await connection.close()

        run_apart(work)


def run_apart(work: Callable[[], Awaitable[T]]) -> T:
    """Run async code to its end in a thread, so that the test's own event loop is not touched."""
    result: list[Any] = []

    async def wrapped() -> T:
        return await work()

    def target() -> None:
        try:
            result.append(asyncio.run(wrapped()))
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers, started when first needed, with a migrated template database."""
    from engine.embedded import start_databases
    from engine.store import migrate

    database_url, redis_url = os.environ.get("TEST_DATABASE_URL", ""), os.environ.get("TEST_REDIS_URL", "")
    bundled = None
    if not (database_url and redis_url):
        directory: Path = tmp_path_factory.mktemp("databases")
        bundled = start_databases(directory, postgres=not database_url, valkey=not redis_url)
    found = Servers(database_url or bundled.database_url, redis_url or bundled.redis_url)  # type: ignore[union-attr]
    found.template = f"test_template_{uuid.uuid4().hex[:12]}"
    found.execute(f"create database {found.template}")
    try:
        run_apart(lambda: migrate(found.in_database(found.template)))
        yield found
        found.execute(f"drop database {found.template} with (force)")
    finally:
        if bundled is not None:
            bundled.stop()


@pytest.fixture
def database_url(servers: Servers) -> Iterator[str]:
    """A fresh migrated database, dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    servers.execute(f"create database {name} template {servers.template}")
    yield servers.in_database(name)
    servers.execute(f"drop database {name} with (force)")


@pytest.fixture
def empty_database_url(servers: Servers) -> Iterator[str]:
    """A fresh database without tables, dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    servers.execute(f"create database {name}")
    yield servers.in_database(name)
    servers.execute(f"drop database {name} with (force)")


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """An empty Redis database."""
    import redis

    with redis.Redis.from_url(servers.redis_url) as client:
        client.flushdb()
    return servers.redis_url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Any]:
    """A connected Store on a fresh database, closed after the test."""
    from engine.store import connect

    connected = await connect(database_url)
    yield connected
    await connected.close()
