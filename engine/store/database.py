"""The pool for everyday queries: Piccolo builds them, asyncpg runs them."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec
from piccolo.columns import Column
from piccolo.query import Query, Select

from engine.core.run import AttemptStatus, RunStatus
from engine.store.connection import (
    CONNECT_TIMEOUT,
    CONNECTION_ERRORS,
    STATEMENT_TIMEOUT,
    UNSENT,
    as_unavailable,
    prepare_connection,
)
from engine.store.rows import EventFilter, InvalidData, RunFilter, StoredAttempt

PAGE_MOST = 500  # rows
CLOSE_PATIENCE = 2.0  # seconds

S = TypeVar("S", bound=msgspec.Struct)


class Database:
    """A pool of connections, opened when first used."""

    def __init__(self, database_url: str, pool_size: int) -> None:
        self.url = database_url
        self._size = pool_size
        self._pool: Any = None

    async def open(self) -> None:
        """Connect. Unavailable if the server is away, ConfigurationError if the URL is wrong."""
        if self._pool is not None:
            return
        with as_unavailable():
            self._pool = await asyncpg.create_pool(
                self.url,
                min_size=1,
                max_size=self._size,
                timeout=CONNECT_TIMEOUT,
                command_timeout=STATEMENT_TIMEOUT * 2,
                init=prepare_connection,
                reset=_keep,  # we leave no state on a session; the default costs a round trip
            )

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Rows of one statement. Unavailable: there is no connection, or it broke; InvalidData: a value is refused."""
        await self.open()
        with _errors():
            for _ in range(self._size):  # all of them may have been lost while nobody used them
                try:
                    return await self._fetch(statement, arguments)
                except UNSENT:
                    continue
            return await self._fetch(statement, arguments)

    async def _fetch(self, statement: str, arguments: tuple[Any, ...]) -> list[Any]:
        async with self._pool.acquire(timeout=CONNECT_TIMEOUT) as connection:
            try:
                rows: list[Any] = await connection.fetch(statement, *arguments)
            except CONNECTION_ERRORS:
                connection.terminate()  # or the pool would hand it out again
                raise
            return rows

    async def run(self, query: Query[Any, Any]) -> list[Any]:
        """Rows of a Piccolo query.

        Piccolo compiles, our pool executes: so a query never falls into a transaction that Piccolo keeps in a
        context variable, and several stores can live in one process.
        """
        rows: list[Any] = []
        for querystring in query.querystrings:
            statement, arguments = querystring.compile_string()
            rows = await self.fetch(statement, *arguments)
        return rows

    async def page(
        self, query: Select[Any], id: Column, wanted: RunFilter | EventFilter, type_: type[S]
    ) -> tuple[list[S], UUID | None]:
        """A page of a Piccolo query, newest first, and the cursor of the next one; None: this is the last.

        Ids are time-ordered, so times and cursors are ranges of the key.
        """
        query = in_times(query, id, wanted)
        if wanted.cursor is not None:
            query = query.where(id < wanted.cursor)
        limit = max(1, min(wanted.limit, PAGE_MOST))
        rows = await self.run(query.order_by(id, ascending=False).limit(limit + 1))
        return as_rows(rows[:limit], type_), rows[limit - 1]["id"] if len(rows) > limit else None

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        try:
            async with asyncio.timeout(CLOSE_PATIENCE):
                await pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()


def in_times(query: Select[Any], id: Column, wanted: RunFilter | EventFilter) -> Select[Any]:
    """The query between the two times of the filter: ids are time-ordered."""
    if wanted.since is not None:
        query = query.where(id >= first_id(wanted.since))
    if wanted.until is not None:
        query = query.where(id < first_id(wanted.until))
    return query


async def _keep(_connection: Any) -> None:
    """Nothing to reset."""


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        with as_unavailable():
            yield
    except (asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
        raise InvalidData(f"PostgreSQL cannot store or look for this: {error}") from error


def as_rows(rows: Sequence[Any], type_: type[S]) -> list[S]:
    """Structs of rows with the same columns; `labels` and `status` are decoded, other JSON stays bytes."""
    return [as_row(row, type_) for row in rows]


def as_row(row: Any, type_: type[S]) -> S:
    """A struct of a row with the same columns."""
    values = dict(row)
    if "labels" in values:
        values["labels"] = msgspec.json.decode(values["labels"])
    if "status" in values:
        values["status"] = (AttemptStatus if issubclass(type_, StoredAttempt) else RunStatus)(values["status"])
    return type_(**values)


def first_id(at: datetime) -> UUID:
    """The smallest UUID version 7 made at this time: a time filter becomes a range of keys."""
    milliseconds = max(0, int(at.timestamp() * 1000))
    return UUID(int=(milliseconds & ((1 << 48) - 1)) << 80)
