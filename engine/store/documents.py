"""JSON documents with a time to live, for the `store.*` steps."""

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.store.database import Database
from engine.store.rows import InvalidData

MOST = 1000  # documents of one query
LONGEST_KEY = 500  # characters; collections too

PUT = """
insert into kv (collection, key, value, updated_at, expires_at)
values ($1, $2, $3, now(), now() + make_interval(secs => $4))
on conflict (collection, key) do update
    set value = excluded.value, updated_at = excluded.updated_at, expires_at = excluded.expires_at
"""
GET = "select value from kv where collection = $1 and key = $2 and (expires_at is null or expires_at > now())"
DELETE = """
with gone as (delete from kv where collection = $1 and key = $2 returning expires_at)
select from gone where expires_at is null or expires_at > now()
"""
QUERY = """
select key, value, updated_at from kv
where collection = $1 and key >= $2 and starts_with(key, $2) and (expires_at is null or expires_at > now()) {where}
order by {order} limit $3
"""
PRUNE = """
with gone as (
    delete from kv where (collection, key) in (
        select collection, key from kv where expires_at <= now() limit $1 for update skip locked)
    returning 1
)
select count(*) as gone from gone
"""


class Documents:
    """Implements engine.plugin's Documents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, collection: str, key: str, value: Any, ttl: float | None = None) -> None:
        """Insert or replace; ttl in seconds, None: kept for ever. InvalidData names what PostgreSQL cannot hold."""
        _check(collection, key)
        await self._database.fetch(PUT, collection, key, _encode(value), ttl)

    async def get(self, collection: str, key: str) -> tuple[bool, Any]:
        """(True, value), or (False, None) if absent or expired."""
        if "\0" in collection + key:
            return False, None
        rows = await self._database.fetch(GET, collection, key)
        return (True, msgspec.json.decode(rows[0]["value"])) if rows else (False, None)

    async def query(
        self, collection: str, where: Mapping[str, Any], *, prefix: str, limit: int, newest_first: bool
    ) -> list[dict[str, Any]]:
        """Documents that contain `where`: [{"key", "value", "updated_at"}], in the order of keys or newest first."""
        if "\0" in collection + prefix or _find_nul(where, "where"):
            return []  # nothing that is stored can be like that
        order = "updated_at desc, key" if newest_first else "key"
        arguments: list[Any] = [collection, prefix, max(1, min(limit, MOST))]
        if where:
            arguments.append(_encode(dict(where)))
        statement = QUERY.format(where="and value @> $4" if where else "", order=order)
        return [
            {"key": row["key"], "value": msgspec.json.decode(row["value"]), "updated_at": row["updated_at"]}
            for row in await self._database.fetch(statement, *arguments)
        ]

    async def delete(self, collection: str, key: str) -> bool:
        """Whether it was there."""
        if "\0" in collection + key:
            return False
        return bool(await self._database.fetch(DELETE, collection, key))

    async def prune(self, limit: int = 1000) -> int:
        """Delete documents that have expired, at most so many; how many."""
        return int((await self._database.fetch(PRUNE, limit))[0]["gone"])


def _check(collection: str, key: str) -> None:
    for name, text in (("collection", collection), ("key", key)):
        if "\0" in text:
            raise InvalidData(f"the {name} contains the character NUL (U+0000), which PostgreSQL cannot hold")
        if len(text) > LONGEST_KEY:
            raise InvalidData(f"the {name} is longer than {LONGEST_KEY} characters")


def _encode(value: Any) -> bytes:
    encoded = msgspec.json.encode(value)
    if b"\\u0000" in encoded and (path := _find_nul(value, "value")):
        raise InvalidData(f"{path} contains the character NUL (U+0000), which PostgreSQL cannot hold in a document")
    return encoded


def _find_nul(value: Any, path: str) -> str | None:
    """Where a NUL is, as a path such as value.items[2].name; None if there is none."""
    if isinstance(value, str):
        return path if "\0" in value else None
    if isinstance(value, Mapping):
        for name, member in value.items():
            if "\0" in str(name):
                return f"a key of {path}"
            if found := _find_nul(member, f"{path}.{name}"):
                return found
    if isinstance(value, list | tuple):
        for number, member in enumerate(value):
            if found := _find_nul(member, f"{path}[{number}]"):
                return found
    return None
