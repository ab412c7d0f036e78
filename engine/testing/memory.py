"""The cache and the documents that steps see, and the runs they start, kept in this process. For tests only."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.core.ids import uuid7
from engine.plugin import StartedRun

Clock = Callable[[], float]  # seconds


class MemoryCache:
    """Implements engine.plugin.Cache. Values make the same journey through JSON as with Redis."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[bytes, float]] = {}  # JSON, and when it ends

    async def get(self, key: str) -> tuple[bool, Any]:
        """(True, value), or (False, None)."""
        kept = self._kept.get(key)
        if kept is None or kept[1] <= self._clock():
            return False, None
        return True, msgspec.json.decode(kept[0])

    async def set(self, key: str, value: Any, ttl: float) -> None:
        """Keep the value for ttl seconds."""
        self._kept[key] = msgspec.json.encode(value), self._clock() + ttl

    async def delete(self, *keys: str) -> int:
        """How many of the keys were there."""
        there = [key for key in dict.fromkeys(keys) if (await self.get(key))[0]]
        for key in keys:
            self._kept.pop(key, None)
        return len(there)


class MemoryDocuments:
    """Implements engine.plugin.Documents."""

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock  # Unix seconds
        self._kept: dict[tuple[str, str], tuple[bytes, float, float | None]] = {}  # JSON, written at, ends at

    async def put(self, collection: str, key: str, value: Any, ttl: float | None = None) -> None:
        """Insert or replace."""
        now = self._clock()
        self._kept[collection, key] = msgspec.json.encode(value), now, now + ttl if ttl is not None else None

    async def get(self, collection: str, key: str) -> tuple[bool, Any]:
        """(True, value), or (False, None) if absent or expired."""
        kept = self._kept.get((collection, key))
        if kept is None or self._expired(kept[2]):
            return False, None
        return True, msgspec.json.decode(kept[0])

    async def query(
        self, collection: str, where: Mapping[str, Any], *, prefix: str, limit: int, newest_first: bool
    ) -> list[dict[str, Any]]:
        """Documents that contain `where`, in the order of keys or newest first."""
        found = [
            (written, {"key": key, "value": value, "updated_at": datetime.fromtimestamp(written, UTC)})
            for (name, key), (raw, written, ends) in sorted(self._kept.items())
            if name == collection and key.startswith(prefix) and not self._expired(ends)
            if _contains(value := msgspec.json.decode(raw), dict(where)) or not where
        ]
        if newest_first:
            found.sort(key=lambda pair: -pair[0])
        return [document for _, document in found[:limit]]

    async def delete(self, collection: str, key: str) -> bool:
        """Whether it was there."""
        there, _ = await self.get(collection, key)
        self._kept.pop((collection, key), None)
        return there

    def _expired(self, ends: float | None) -> bool:
        return ends is not None and ends <= self._clock()


def _contains(value: Any, wanted: Any) -> bool:
    """PostgreSQL's `@>` for JSON: objects by key, lists by element, the rest by equality."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            key in value and _contains(value[key], part) for key, part in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(value, list) and all(any(_contains(item, part) for item in value) for part in wanted)
    return type(value) is type(wanted) and bool(value == wanted)


class MemoryRuns:
    """Remembers what a step starts: `started` has pipelines and their inputs, in order."""

    def __init__(self) -> None:
        self.started: list[tuple[str, dict[str, Any]]] = []

    async def start(
        self, pipeline: str, inputs: Mapping[str, Any] | None = None, *, labels: Mapping[str, str] | None = None
    ) -> StartedRun:
        """Remember it."""
        self.started.append((pipeline, dict(inputs or {})))
        return StartedRun(run_id=str(uuid7()), url="http://test/runs")
