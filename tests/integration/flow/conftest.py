"""A runtime in this process: real PostgreSQL, real Valkey, pipelines written in the test."""

import asyncio
import contextlib
import os
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from engine.flow.advance import advance
from engine.flow.deploy import deploy_files
from engine.flow.execution import Hold
from engine.flow.start import start_run
from engine.plugin import Fail, Retry, StepConfig, StepContext, WholeConfig, hookimpl
from engine.runtime import Runtime, open_runtime
from engine.settings import Settings
from engine.store import StoredAttempt


class Probe:
    """Step types whose behaviour the test decides, and a record of every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, str, int]] = []  # (step, input, idempotency key, attempt)
        self.script: dict[str, list[Any]] = {}  # step -> what the next calls do: an exception, or a value
        self.entered = asyncio.Event()
        self.gate: asyncio.Event | None = None  # `test.gate` waits for it
        self.met = 0
        self.inside = 0  # how many are in `test.count` now, and how many were at most
        self.most = 0
        self.meeting = asyncio.Event()  # `test.meet` waits until as many have come as `with` says

    async def act(self, config: "Anything", context: StepContext) -> Any:
        self.calls.append((context.step, config.value, context.idempotency_key, context.attempt))
        todo = self.script.get(context.step, [])
        answer = todo.pop(0) if todo else config.value
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def wait(self, config: "Anything", context: StepContext) -> Any:
        self.calls.append((context.step, config.value, context.idempotency_key, context.attempt))
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        return config.value

    async def hang(self, config: "Anything", context: StepContext) -> Any:
        self.calls.append((context.step, config.value, context.idempotency_key, context.attempt))
        await asyncio.Event().wait()

    async def meet(self, config: "Anything", context: StepContext) -> Any:
        self.calls.append((context.step, config.value, context.idempotency_key, context.attempt))
        self.met += 1
        self.meeting.set() if self.met == config.value else await self.meeting.wait()
        return config.value

    async def tally(self, config: "Anything", context: StepContext) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        for _ in range(10):
            await asyncio.sleep(0)
        self.inside -= 1
        return config.value

    def count(self, step: str) -> int:
        return sum(call[0] == step for call in self.calls)

    @hookimpl
    def register_steps(self, register: Any) -> None:
        register("test.effect", self.act, config=Anything, effect="effect")
        register("test.idempotent", self.act, config=Anything, effect="idempotent")
        register("test.pure", self.act, config=Anything, effect="pure")
        register("test.gate", self.wait, config=Anything, effect="effect")
        register("test.hang", self.hang, config=Anything, effect="effect")
        register("test.meet", self.meet, config=Anything, effect="effect")
        register("test.count", self.tally, config=Anything, effect="effect")
        register("test.strict", self.act, config=Strict, effect="effect")


class Anything(WholeConfig, frozen=True):
    """Take anything."""


class Strict(StepConfig, frozen=True):
    """Take a number."""

    value: int


class House:
    """What a test needs of a small installation."""

    def __init__(self, runtime: Runtime, probe: Probe, folder: Path) -> None:
        self.runtime = runtime
        self.probe = probe
        self.folder = folder
        self.worker: UUID | None = None

    async def deploy(self, text: str, name: str = "test") -> list[Any]:
        (self.folder / f"{name}.yaml").write_text(textwrap.dedent(text))
        return await deploy_files(self.runtime)

    async def start(self, pipeline: str = "test", **inputs: Any) -> UUID:
        return (await start_run(self.runtime, pipeline, inputs)).run_id

    async def new_worker(self) -> UUID:
        self.worker = await self.runtime.store.register_worker("worker", "test", os.getpid())
        return self.worker

    async def turn(self, run_id: UUID, hold: Hold | None = None) -> bool:
        """One visit to the run; whether it could be claimed."""
        worker = self.worker or await self.new_worker()
        claimed = await self.runtime.store.claim([run_id], worker, 1)
        for run in claimed:
            await advance(self.runtime, run, hold or Hold())
        return bool(claimed)

    async def finish(self, pipeline: str = "test", **inputs: Any) -> Any:
        """Start a run, advance it, and return its row."""
        run_id = await self.start(pipeline, **inputs)
        assert await self.turn(run_id)
        return await self.run(run_id)

    async def run(self, run_id: UUID) -> Any:
        row = await self.runtime.store.get_run(run_id)
        assert row is not None
        return row

    async def attempts(self, run_id: UUID) -> list[StoredAttempt]:
        return await self.runtime.store.get_attempts(run_id)

    async def statuses(self, run_id: UUID) -> list[tuple[str, int, str]]:
        rows = await self.attempts(run_id)
        return sorted((row.step, row.number, str(row.status)) for row in rows)


@contextlib.asynccontextmanager
async def open_house(
    folder: Path, database_url: str, redis_url: str, probe: Probe, **environment: str
) -> AsyncIterator[House]:
    pipelines = folder / "pipelines"
    pipelines.mkdir(exist_ok=True)
    settings = Settings(
        database_url=database_url, redis_url=redis_url, pipelines=pipelines, data_dir=folder, allow_hosts=("127.0.0.1",)
    )
    async with open_runtime(settings, environment, extra_plugins=[probe]) as runtime:
        yield House(runtime, probe, pipelines)


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def house(tmp_path: Path, database_url: str, redis_url: str, probe: Probe) -> AsyncIterator[House]:
    (tmp_path / "project.yaml").write_text("language: 1\nenv: [GREETING]\n")
    async with open_house(
        tmp_path, database_url, redis_url, probe, GREETING="hello", HOOKWRIGHT_SECRET_TOKEN="s3cret-token"
    ) as opened:
        yield opened


def decode(raw: bytes | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)


Starter = Callable[..., Awaitable[UUID]]
__all__ = ["Fail", "House", "Probe", "Retry", "Starter", "decode", "open_house"]
