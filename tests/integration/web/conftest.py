"""The web edge in this process: real PostgreSQL, real Valkey, pipelines written in the test."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar

from engine.flow.deploy import deploy_files
from engine.runtime import Runtime, open_runtime
from engine.settings import Settings
from engine.web.app import create_app
from tests.integration.web.asking import Asker
from tests.integration.web.seed import Seed

ORIGIN = "http://127.0.0.1:8000"
GREET = """\
id: greet
name: Greet <b>people</b>
description: Says hello & nothing else.
triggers:
  - uses: webhook
    with: {path: greet, auth: none}
    if: event.body.name != 'nobody'
inputs:
  name: {type: string, description: Whom to greet, default: world}
  times: {type: integer, minimum: 1, default: 1}
  tone: {type: string, enum: [warm, cold], default: warm}
  extra: {type: object, default: {}}
steps:
  - id: greet
    uses: value
    with: {value: "Hello, ${{ inputs.name }}"}
"""
STRICT = """\
id: strict
inputs:
  amount: integer
steps:
  - id: keep
    uses: value
    with: {value: "${{ inputs.amount }}"}
"""


@pytest.fixture
async def runtime(tmp_path: Path, database_url: str, redis_url: str) -> AsyncIterator[Runtime]:
    """A runtime with two pipelines and no worker."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "greet.yaml").write_text(GREET)
    (folder / "strict.yaml").write_text(STRICT)
    settings = Settings(database_url=database_url, redis_url=redis_url, pipelines=folder, data_dir=tmp_path)
    async with open_runtime(settings, {}) as opened:
        await deploy_files(opened)
        yield opened


@pytest.fixture
def seed(runtime: Runtime) -> Seed:
    return Seed(runtime.store)


@pytest.fixture
async def asker(runtime: Runtime) -> Asker:
    made = Asker(runtime)
    await made.deploy(groups="groups: {finance: [test]}\n")
    return made


@pytest.fixture
def app(runtime: Runtime) -> Litestar:
    return create_app(runtime)


def connect_to(app: Litestar, **options: Any) -> httpx.AsyncClient:
    """A client that talks to the app without a socket."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ORIGIN, **options)


@pytest.fixture
async def token(runtime: Runtime) -> str:
    return await runtime.store.create_api_key("test", "token")


@pytest.fixture
async def anonymous(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody."""
    async with connect_to(app) as client:
        yield client


@pytest.fixture
async def api(app: Litestar, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """A machine with an API token."""
    async with connect_to(app, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


@pytest.fixture
async def browser(app: Litestar, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """A signed-in person."""
    async with connect_to(app, headers={"Origin": ORIGIN}) as client:
        answer = await client.post("/login", data={"token": token})
        assert answer.status_code == 303, answer.text
        yield client
