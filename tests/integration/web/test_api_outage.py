"""The web edge while PostgreSQL or Redis is away: clear answers, and it recovers by itself."""

import dataclasses
from collections.abc import AsyncIterator

import httpx
import pytest

from engine.queue import connect_queue
from engine.runtime import Runtime
from engine.store import Store
from engine.web.app import create_app
from tests.integration.web.conftest import connect_to

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
async def without_postgresql(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """An API process whose PostgreSQL cannot be reached."""
    away = Store(NOWHERE, 1)
    async with connect_to(create_app(dataclasses.replace(runtime, store=away))) as client:
        yield client
    await away.close()


@pytest.fixture
async def without_redis(runtime: Runtime, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """An API process whose Redis cannot be reached."""
    away = connect_queue("redis://127.0.0.1:1/0")
    app = create_app(dataclasses.replace(runtime, queue=away))
    async with connect_to(app, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client
    await away.close()


async def test_without_postgresql_the_api_says_503(without_postgresql: httpx.AsyncClient) -> None:
    """With Retry-After, as a problem; the pages say it in their own way."""
    answer = await without_postgresql.get("/api/v1/runs", headers={"Authorization": "Bearer hw_x"})
    page = await without_postgresql.get("/runs", headers={"Cookie": "hookwright_session=hw_x"})
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert int(answer.headers["retry-after"]) > 0
    assert (page.status_code, "Service Unavailable" in page.text) == (503, True)


async def test_without_postgresql_the_process_is_alive_but_not_ready(without_postgresql: httpx.AsyncClient) -> None:
    """Probes can tell the two apart, and monitoring still gets figures."""
    ready = await without_postgresql.get("/readyz")
    assert (await without_postgresql.get("/healthz")).status_code == 200
    assert ready.status_code == 503
    assert (ready.json()["postgresql"], ready.json()["redis"]) == ("unreachable", "ok")
    assert 'hookwright_up{dependency="postgresql"} 0.0' in (await without_postgresql.get("/metrics")).text


async def test_without_redis_runs_are_still_accepted(without_redis: httpx.AsyncClient) -> None:
    """PostgreSQL is the truth; upkeep rings the run later."""
    started = await without_redis.post("/api/v1/pipelines/greet/runs", json={})
    assert started.status_code == 202, started.text
    assert (await without_redis.get(started.headers["location"])).json()["status"] == "queued"
    ready = await without_redis.get("/readyz")
    assert (ready.status_code, ready.json()["redis"], ready.json()["postgresql"]) == (503, "unreachable", "ok")
    assert (await without_redis.get("/metrics")).status_code == 200
