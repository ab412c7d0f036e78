"""A database that is away when processes start: they say so, answer 503, and go on by themselves when it is there."""

import asyncio
import shutil
import sys
from pathlib import Path

import httpx
import pytest

from engine.embedded import start_databases
from tests.acceptance.processes import Process, environment, free_port, ready

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="one platform is enough")


async def test_postgresql_is_away_at_the_start(tmp_path: Path) -> None:
    """API and worker start without PostgreSQL; deliveries get 503; all of it works once it is there."""
    for name in ("pipelines", "prompts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "project.yaml", tmp_path)
    data, port = tmp_path / "servers", free_port()
    databases = start_databases(data)
    env = environment(tmp_path, database_url=databases.database_url, redis_url=databases.redis_url, port=port)
    secrets = {"HOOKWRIGHT_SECRET_INBOX_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    env |= secrets | {"PYTHONPATH": str(ROOT)}
    migrating = await asyncio.create_subprocess_exec(sys.executable, "-m", "engine", "migrate", env=env)
    assert await migrating.wait() == 0
    databases.stop()

    api, worker = Process("api", "api", env=env), Process("worker", "worker", env=env)
    url = f"http://127.0.0.1:{port}"
    try:
        await api.start(until="start.delayed")
        await worker.start(until="start.delayed")
        async with asyncio.timeout(30), httpx.AsyncClient(base_url=url, trust_env=False) as client:
            while True:
                try:
                    answer = await client.post("/hooks/inbox", content=b"{}")
                    break
                except httpx.ConnectError:
                    continue  # it listens a moment after the line
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert answer.headers["content-type"] == "application/problem+json"
            assert (await client.get("/healthz")).status_code == 200

        databases = start_databases(data)
        await ready(url)
        await worker.line("worker.started")
        sending = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine", "send", "webhook", "--path", "inbox", "--url", url), cwd=tmp_path, env=env
        )
        assert await sending.wait() == 0
        await worker.line("run.finished")
    finally:
        await api.stop()
        await worker.stop()
        databases.stop()
