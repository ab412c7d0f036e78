"""An installation of its own for each test: databases that may be killed, an API process, workers, a downstream."""

import asyncio
import hashlib
import hmac
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from engine.embedded import Databases, start_databases
from engine.store import Store, connect, migrate
from tests.acceptance.downstream import Downstream
from tests.acceptance.processes import Process, environment, free_port, ready

SECRET = "acceptance-secret"

PIPELINE = """
id: acceptance
triggers:
  - uses: github.webhook
    with: {path: github, secret: "${{ secrets.GITHUB_WEBHOOK_SECRET }}", events: [issues.opened]}
vars: {url: "${{ env.DOWNSTREAM }}"}
steps:
  - id: take
    uses: value
    with: {n: "${{ event.body.n ?? null }}"}
  - id: first
    uses: http.request
    with: {method: POST, url: "${{ vars.url }}/first", json: {n: "${{ steps.take.output.n }}"}}
    retry: {attempts: 8, delay: 200ms}
  - id: second
    uses: http.request
    with: {method: POST, url: "${{ vars.url }}/second", json: {n: "${{ steps.take.output.n }}"}}
    retry: {attempts: 8, delay: 200ms}
outputs: {n: "${{ steps.take.output.n }}", ok: "${{ steps.second.output.body.ok }}"}
"""


class Installation:
    """Everything one test works with."""

    def __init__(self, folder: Path, databases: Databases, downstream: Downstream) -> None:
        self.folder = folder
        self.databases = databases
        self.downstream = downstream
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.AsyncClient(base_url=self.url, timeout=20)
        self.processes: list[Process] = []
        self.env = environment(
            folder,
            database_url=databases.database_url,
            redis_url=databases.redis_url,
            port=self.port,
            HOOKWRIGHT_SECRET_GITHUB_WEBHOOK_SECRET=SECRET,
            DOWNSTREAM=downstream.url,
        )

    async def api(self) -> Process:
        process = await self._start("api", until="api.started")
        await ready(self.url)
        return process

    async def worker(self) -> Process:
        return await self._start("worker", until="worker.started")

    async def _start(self, name: str, *, until: str) -> Process:
        process = Process(name, name, env=self.env)
        self.processes.append(process)
        await process.start(until=until)
        return process

    async def post(self, n: int, delivery: str | None = None) -> httpx.Response:
        """One signed delivery."""
        body = msgspec.json.encode({"action": "opened", "n": n})
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/json",
            "x-github-event": "issues",
            "x-github-delivery": delivery or str(uuid4()),
            "x-hub-signature-256": f"sha256={signature}",
        }
        return await self.client.post("/hooks/github", content=body, headers=headers)

    async def post_many(self, count: int, *, at_once: int = 16) -> list[str]:
        """So many deliveries, all acknowledged; the ids of their runs."""
        numbers, runs = iter(range(count)), []

        async def sender() -> None:
            for n in numbers:
                response = await self.post(n)
                assert response.status_code == 202, response.text
                runs.append(response.json()["runs"][0]["id"])

        await asyncio.gather(*(sender() for _ in range(at_once)))
        return runs

    async def store(self) -> Store:
        return await connect(self.databases.database_url)

    async def query(self, sql: str, *values: Any) -> list[Any]:
        """Look into the tables."""
        import asyncpg

        connection = await asyncpg.connect(self.databases.database_url)
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def all_succeeded(self, count: int, *, seconds: float = 60.0) -> None:
        """Wait until so many runs have succeeded."""
        async with asyncio.timeout(seconds):
            while True:
                rows = await self.query("select status, count(*) as n from run group by status")
                found = {row["status"]: row["n"] for row in rows}
                assert not found.get("failed"), await self.query(
                    "select error from run where status = 'failed' limit 3"
                )
                if found.get("succeeded") == count:
                    return
                await asyncio.sleep(0.1)  # polls the tables, the only place that knows


@pytest.fixture
async def downstream() -> AsyncIterator[Downstream]:
    server = Downstream()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    started = start_databases(tmp_path / "data")
    yield started
    started.stop()


@pytest.fixture
async def installation(tmp_path: Path, databases: Databases, downstream: Downstream) -> AsyncIterator[Installation]:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "project.yaml").write_text("language: 1\nenv: [DOWNSTREAM]\n")
    (tmp_path / "pipelines" / "acceptance.yaml").write_text(textwrap.dedent(PIPELINE))
    await migrate(databases.database_url)
    made = Installation(tmp_path, databases, downstream)
    yield made
    await made.client.aclose()
    for process in reversed(made.processes):
        await process.stop()
