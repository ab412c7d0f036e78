"""The cache in Redis or Valkey that steps see. It may be away or empty at any moment."""

import asyncio
import contextlib
import time
from typing import Any

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from engine.core.failure import Fail, Retry

PREFIX = "hookwright:cache:"
MAX_VALUE = 5_000_000  # bytes of JSON
PATIENCE = 2.0  # seconds for one command
AWAY = 2.0  # seconds of misses after a failure, so that an unreachable Redis does not slow every step down
REDIS_ERRORS = (RedisError, OSError, TimeoutError)


class RedisCache:
    """Implements engine.plugin.Cache."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._away_until = 0.0  # time.monotonic()

    async def get(self, key: str) -> tuple[bool, Any]:
        """(True, value) if the key is there, else (False, None); also if Redis cannot be reached."""
        if time.monotonic() < self._away_until:
            return False, None
        try:
            async with asyncio.timeout(PATIENCE):
                raw = await self._client.get(PREFIX + key)
        except REDIS_ERRORS:
            self._away_until = time.monotonic() + AWAY
            return False, None
        if raw is None:
            return False, None
        try:
            return True, msgspec.json.decode(raw)
        except msgspec.DecodeError:  # somebody else wrote under our prefix
            return False, None

    async def set(self, key: str, value: Any, ttl: float) -> None:
        """Keep the value for ttl seconds. Retry if Redis cannot be reached, Fail if the value is too large."""
        raw = msgspec.json.encode(value)
        if len(raw) > MAX_VALUE:
            raise Fail(f"the value has {len(raw):,} bytes; the cache takes {MAX_VALUE:,}", type="invalid_input")
        try:
            async with asyncio.timeout(PATIENCE):
                await self._client.set(PREFIX + key, raw, px=max(1, round(ttl * 1000)))
        except REDIS_ERRORS as error:
            raise _away(error) from error

    async def delete(self, *keys: str) -> int:
        """How many of the keys were there. Retry if Redis cannot be reached."""
        if not keys:
            return 0
        try:
            async with asyncio.timeout(PATIENCE):
                return int(await self._client.delete(*(PREFIX + key for key in keys)))
        except REDIS_ERRORS as error:
            raise _away(error) from error

    async def close(self) -> None:
        """Close every connection."""
        with contextlib.suppress(*REDIS_ERRORS):
            await self._client.aclose()


def connect_cache(redis_url: str) -> RedisCache:
    """A cache on this Redis; connects when first used."""
    # No socket_timeout: redis-py would use asyncio.wait_for, which in Python 3.11 can swallow a cancellation.
    client = redis.asyncio.from_url(redis_url, socket_timeout=None, socket_connect_timeout=1, max_connections=200)
    return RedisCache(client)


def _away(error: BaseException) -> Retry:
    return Retry(f"Redis is away: {str(error) or type(error).__name__}", type="network")
