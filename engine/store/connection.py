"""Connections to PostgreSQL: how they are made, held, given up, and what their errors mean."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import asyncpg
import stamina
import structlog

from engine.errors import ConfigurationError, Unavailable

CONNECT_TIMEOUT = 2.0  # seconds for one attempt to connect
PATIENCE = 2.0  # seconds of attempts when a connection has just been lost: a restart takes less than one
STATEMENT_TIMEOUT = 5.0  # seconds; then the connection counts as lost and the result as unknown

log = structlog.get_logger("store")

CONNECTION_ERRORS = (
    OSError,  # TimeoutError among them
    asyncpg.InterfaceError,  # the connection is closed
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # shutting down, crashed, starting up
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.ReadOnlySQLTransactionError,  # a standby after a failover
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database takes no connections for now
    asyncpg.PostgresIOError,
    asyncpg.InvalidCachedStatementError,  # another version has migrated the tables
    EOFError,
)
UNSENT = (asyncpg.InterfaceError, asyncpg.InternalClientError)  # the client refused; the server has seen nothing
SET_UP_ERRORS = (
    asyncpg.InvalidAuthorizationSpecificationError,  # wrong password
    asyncpg.InvalidCatalogNameError,  # no such database
    asyncpg.ClientConfigurationError,
)


def explain(error: BaseException) -> str:
    """One line for the operator."""
    if isinstance(error, asyncpg.DiskFullError):
        return f"the database's disk is full: {error}"
    text = str(error) or type(error).__name__
    return f"PostgreSQL is away: {text}"


@contextlib.contextmanager
def as_unavailable() -> Iterator[None]:
    """Turn errors of the connection or the server into Unavailable, wrong set-ups into ConfigurationError."""
    try:
        yield
    except SET_UP_ERRORS as error:
        raise ConfigurationError(f"DATABASE_URL: {error}") from error
    except asyncpg.DataError:  # InterfaceError's cousin when the client refuses a value
        raise
    except CONNECTION_ERRORS as error:
        raise Unavailable(explain(error)) from error


async def prepare_connection(connection: Any) -> None:
    """JSON as the bytes it is, in both directions."""
    await connection.set_type_codec("json", schema="pg_catalog", encoder=_plain, decoder=bytes, format="binary")
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_binary, decoder=_after, format="binary")


def _plain(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _binary(value: bytes | str) -> bytes:
    return b"\x01" + _plain(value)  # the version of jsonb's wire format


def _after(value: bytes) -> bytes:
    return bytes(value[1:])


class Held:
    """One connection that is kept for statements that run often. Connects when first used and after each loss."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._connection: Any = None
        self._statements: dict[str, Any] = {}
        self._lock = asyncio.Lock()
        self._lost = False  # the last attempt to connect failed: do not let callers wait for another round
        self.generation = 0  # raised with each new connection: what hung on the session is gone then

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Run one statement in a transaction of its own. Unavailable: PostgreSQL is away, the result is unknown."""
        async with self._lock:
            try:
                with as_unavailable():
                    try:
                        return await self._fetch(statement, arguments)
                    except UNSENT:  # the connection was lost while nobody used it
                        self._drop()
                        return await self._fetch(statement, arguments)
            except (Unavailable, asyncio.CancelledError):
                self._drop()
                raise

    async def _fetch(self, statement: str, arguments: tuple[Any, ...]) -> list[Any]:
        connection = await self._connect()
        async with asyncio.timeout(STATEMENT_TIMEOUT):
            prepared = self._statements.get(statement)
            if prepared is None:
                prepared = self._statements[statement] = await connection.prepare(statement)
            rows: list[Any] = await prepared.fetch(*arguments)
            return rows

    async def _connect(self) -> Any:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        self._drop()
        attempts = 1 if self._lost else None
        try:
            async for attempt in stamina.retry_context(
                on=(OSError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError),
                attempts=attempts,
                timeout=PATIENCE,
                wait_initial=0.05,
                wait_max=0.4,
            ):
                with attempt:
                    self._connection = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT)
            await prepare_connection(self._connection)
        except Exception as error:
            if not self._lost:
                log.warning("postgresql.away", error=str(error) or type(error).__name__)
            self._lost = True
            self._drop()
            raise
        if self._lost:
            log.info("postgresql.back")
        self._lost = False
        self.generation += 1
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None
        self._statements.clear()

    async def close(self) -> None:
        """Close it; a later use connects again."""
        async with self._lock:
            if self._connection is not None and not self._connection.is_closed():
                with contextlib.suppress(Exception):
                    await self._connection.close(timeout=1)
            self._drop()
