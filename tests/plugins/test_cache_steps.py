"""cache.get, cache.set, cache.delete on a real Valkey, and the cache behind them."""

import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import redis.asyncio

from engine.cache import PREFIX, RedisCache, connect_cache
from engine.plugin import Cache, Fail, Retry
from engine.testing import MemoryCache, run_step


@pytest.fixture
async def shared(redis_url: str) -> AsyncIterator[RedisCache]:
    """A cache on an empty Valkey."""
    cache = connect_cache(redis_url)
    yield cache
    await cache.close()


async def test_a_value_is_kept_and_found_and_forgotten(shared: RedisCache) -> None:
    """set, get and delete work together; JSON comes back as it was."""
    value = {"label": "bug", "n": [1, 2.5, None, True], "t": "ü\u0000"}
    assert (await run_step("cache.get", {"key": "k"}, cache=shared)).output == {"hit": False, "value": None}
    kept = await run_step("cache.set", {"key": "k", "value": value, "ttl": "10m"}, cache=shared)
    assert kept.output == {"key": "k", "expires_in": 600.0}
    assert (await run_step("cache.get", {"key": "k"}, cache=shared)).output == {"hit": True, "value": value}
    assert (await run_step("cache.delete", {"keys": ["k", "other"]}, cache=shared)).output == {"deleted": 1}
    assert (await run_step("cache.delete", {"keys": "k"}, cache=shared)).output == {"deleted": 0}


async def test_null_is_a_value_and_default_is_for_absence(shared: RedisCache) -> None:
    """A kept null is a hit; the default is for keys that are not there."""
    await run_step("cache.set", {"key": "k", "value": None, "ttl": "1m"}, cache=shared)
    found = await run_step("cache.get", {"key": "k", "default": 5}, cache=shared)
    assert found.output == {"hit": True, "value": None}
    found = await run_step("cache.get", {"key": "other", "default": 5}, cache=shared)
    assert found.output == {"hit": False, "value": 5}


async def test_the_time_to_live_is_told_to_the_server(shared: RedisCache, redis_url: str) -> None:
    """The server forgets the key by itself; milliseconds count."""
    await run_step("cache.set", {"key": "k", "value": 1, "ttl": "1h"}, cache=shared)
    await run_step("cache.set", {"key": "short", "value": 1, "ttl": "500ms"}, cache=shared)
    async with redis.asyncio.from_url(redis_url) as client:
        assert 3_590_000 < await client.pttl(PREFIX + "k") <= 3_600_000
        assert 0 < await client.pttl(PREFIX + "short") <= 500


async def test_what_others_wrote_is_a_miss(shared: RedisCache, redis_url: str) -> None:
    """Bytes that are not ours do not break a step."""
    async with redis.asyncio.from_url(redis_url) as client:
        await client.set(PREFIX + "k", b"\xff not json")
    assert await shared.get("k") == (False, None)


async def test_without_a_server_reads_miss_and_writes_are_retried(unused_tcp_port: int) -> None:
    """A cache that cannot be reached costs time, not the run; after a failure it is left alone for a while."""
    cache = connect_cache(f"redis://127.0.0.1:{unused_tcp_port}/0")
    assert (await run_step("cache.get", {"key": "k", "default": 1}, cache=cache)).output == {"hit": False, "value": 1}
    started = time.perf_counter()
    for _ in range(100):
        assert await cache.get("k") == (False, None)
    assert time.perf_counter() - started < 0.1
    for uses, with_ in (("cache.set", {"key": "k", "value": 1, "ttl": "1m"}), ("cache.delete", {"keys": "k"})):
        with pytest.raises(Retry) as caught:
            await run_step(uses, with_, cache=cache)
        assert caught.value.type == "network"
    await cache.close()


async def test_huge_values_are_refused(shared: RedisCache) -> None:
    """The cache is no place for megabytes."""
    with pytest.raises(Fail, match="5,000,000"):
        await run_step("cache.set", {"key": "k", "value": "x" * 5_000_001, "ttl": "1m"}, cache=shared)


@pytest.mark.parametrize(
    ("uses", "with_", "message"),
    [
        ("cache.set", {"key": "", "value": 1, "ttl": "1m"}, "length >= 1"),
        ("cache.set", {"key": "k", "value": 1}, "missing required field `ttl`"),
        ("cache.set", {"key": "k", "value": 1, "ttl": "0s"}, "no time at all"),
        ("cache.set", {"key": "k", "value": 1, "ttl": "soon"}, "not a duration"),
        ("cache.delete", {"keys": []}, "length >= 1"),
        ("cache.get", {"key": 5}, "Expected `str`"),
    ],
)
async def test_wrong_config_is_named(uses: str, with_: dict[str, Any], message: str) -> None:
    """What is wrong in `with` is said."""
    with pytest.raises(msgspec.ValidationError, match=message):
        await run_step(uses, with_)


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_the_test_kit_behaves_like_the_real_cache(kind: str, request: pytest.FixtureRequest) -> None:
    """The stand-in of the test kit and the real one give the same answers."""
    cache: Cache = MemoryCache() if kind == "memory" else connect_cache(request.getfixturevalue("redis_url"))
    await cache.set("a", {"x": (1, 2)}, 60)
    assert await cache.get("a") == (True, {"x": [1, 2]})
    assert await cache.delete("a", "a", "b") == 1
    assert await cache.delete() == 0
    assert await cache.get("a") == (False, None)
    if isinstance(cache, RedisCache):
        await cache.close()
