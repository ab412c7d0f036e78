"""API keys, sessions and one-time sign-in codes: the database knows only hashes."""

import contextlib
import hashlib
import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from engine.core.ids import uuid7
from engine.store import tables
from engine.store.database import Database, as_rows
from engine.store.rows import ApiKeyRow

PREFIX = "hw_"  # lets secret scanners recognise a token
COLUMNS = [getattr(tables.ApiKey, name) for name in ApiKeyRow.__struct_fields__]


class Keys:
    """Who may come in. A token has 256 random bits, so a plain hash of it is enough."""

    _database: Database

    async def create_api_key(self, name: str, kind: str, expires: datetime | None = None) -> str:
        """The new token, shown this once. kind: token, session or login."""
        token = PREFIX + secrets.token_urlsafe(32)
        row = tables.ApiKey(
            id=uuid7(), name=name, kind=kind, hash=_hash(token), created_at=datetime.now(UTC), expires_at=expires
        )
        await self._database.run(tables.ApiKey.insert(row))
        return token

    async def find_api_key(self, token: str) -> ApiKeyRow | None:
        """The key this token belongs to; None if it is unknown, revoked or expired."""
        query = tables.ApiKey.select(*COLUMNS).where((tables.ApiKey.hash == _hash(token)) & _valid())
        rows = await self._database.run(query)
        return as_rows(rows, ApiKeyRow)[0] if rows else None

    async def redeem_api_key(self, token: str, kind: str) -> bool:
        """Use a one-time token up; whether it was valid. Of two at once only one succeeds."""
        key = tables.ApiKey
        query = key.delete().where((key.hash == _hash(token)) & (key.kind == kind) & _valid()).returning(key.id)
        return bool(await self._database.run(query))

    async def revoke_api_key(self, token: str) -> bool:
        """Forget a key, given by its token or its id; whether there was one."""
        key = tables.ApiKey
        condition = key.hash == _hash(token)
        with contextlib.suppress(ValueError):
            condition = key.id == UUID(token)
        return bool(await self._database.run(key.delete().where(condition).returning(key.id)))

    async def list_api_keys(self) -> list[ApiKeyRow]:
        """All valid keys, oldest first."""
        query = tables.ApiKey.select(*COLUMNS).where(_valid()).order_by(tables.ApiKey.id)
        return as_rows(await self._database.run(query), ApiKeyRow)

    async def prune_api_keys(self) -> int:
        """Delete expired keys; how many."""
        key = tables.ApiKey
        query = key.delete().where(key.expires_at < datetime.now(UTC)).returning(key.id)
        return len(await self._database.run(query))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _valid() -> Any:
    key = tables.ApiKey
    return key.expires_at.is_null() | (key.expires_at > datetime.now(UTC))
