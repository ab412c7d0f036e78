"""A run without databases: the real interpreter and real steps over a ledger, so that it can die anywhere."""

import textwrap
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import msgspec
import structlog

from engine.core.catalog import Catalog
from engine.core.run import FINISHED, RunStatus
from engine.flow.actions import wait_until
from engine.flow.advance import advance_in
from engine.flow.execute import execute
from engine.flow.execution import Call, Done, Execution, Hold
from engine.flow.frame import Frame
from engine.flow.ledger import Ledger
from engine.flow.pool import Pool
from engine.pipeline.check import check_text
from engine.pipeline.spec import Pipeline, Step
from engine.plugin.host import load_catalog
from engine.plugin.observers import Observers
from engine.store import CheckpointRecord, ClaimedRun
from tests.integration.flow.conftest import Probe

MOST = 1000  # turns of one run; more are a loop without end


@lru_cache
def base_catalog() -> Catalog:
    return load_catalog(extra=[Probe()]).catalog


def catalog_of(probe: Probe) -> Catalog:
    """All step types, those of the probe bound to this one."""
    base = base_catalog()
    own = {
        name: msgspec.structs.replace(type_, function=getattr(probe, type_.function.__name__))
        for name, type_ in base.steps.items()
        if name.startswith("test.")
    }
    return msgspec.structs.replace(base, steps={**base.steps, **own})


class Memory:
    """An environment that keeps everything in lists. Its clock can be set forward."""

    sleeps_through = False
    jitter = False

    def __init__(self, probe: Probe, records: Iterable[CheckpointRecord] = ()) -> None:
        self.probe = probe
        self.pool = Pool()
        self.catalog = catalog_of(probe)
        self.variables = {"GREETING": "hello"}
        self.log = structlog.get_logger("test")
        self.observers = Observers()
        self.records = list(records)
        self.emitted: list[tuple[str, Any]] = []
        self.ahead = timedelta()
        self.ledger = Ledger()
        for record in self.records:
            self.ledger.add(record)
        self.ledger.interrupt()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def run_url(self, run_id: UUID) -> str:
        return f"http://test/runs/{run_id}"

    def redact(self, data: bytes) -> bytes:
        return data

    def redact_text(self, text: str) -> str:
        return text

    def lookup_secret(self, name: str) -> str | None:
        return f"secret {name}"

    async def checkpoint(self, record: CheckpointRecord) -> bool:
        self.checkpoint_later(record)
        return True

    def checkpoint_later(self, record: CheckpointRecord) -> None:
        self.records.append(record)
        self.ledger.add(record)

    def changed(self, run_id: UUID, pipeline: str, status: str) -> None:
        pass

    def is_awaited(self, pipeline: str, status: RunStatus) -> bool:
        return False

    async def sleep(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)

    async def perform(self, execution: Execution, frame: Frame, call: Call, attempt: int) -> Done:
        outside: Any = SimpleNamespace(
            log=self.log, http=None, cache=None, store=SimpleNamespace(documents=None), options={}
        )
        return await execute(outside, execution, call, attempt=attempt)

    async def cache_get(self, key: str) -> tuple[bool, Any]:
        return False, None

    async def cache_set(self, key: str, value: Any, ttl: float) -> None:
        pass

    async def emit(self, execution: Execution, call: Call, emitted: list[tuple[str, Any]]) -> None:
        self.emitted += emitted

    async def stand_in(self, execution: Execution, frame: Frame, call: Call, attempt: int) -> Done | None:
        return None

    async def wait(
        self, execution: Execution, frame: Frame, step: Step, key: str, began: datetime, until: datetime | None
    ) -> Any:
        assert until is not None
        await wait_until(execution, until, "the time")
        return {"timed_out": False, "event": None}

    def alone(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def slot(self, execution: Execution, frame: Frame, step: Step) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def turn(self, run: ClaimedRun, pipeline: Pipeline, hold: Hold | None = None) -> None:
        """One visit; what became of the run is in the ledger."""
        turns = {"turn": run.turn, "attempts": self.ledger.attempts(), "vars": self.ledger.run.vars}
        await advance_in(self, msgspec.structs.replace(run, **turns), pipeline, hold or Hold())

    async def finish(self, run: ClaimedRun, pipeline: Pipeline) -> "Ended":
        """Visit the run until it has ended; time passes when it waits."""
        for _ in range(MOST):
            await self.turn(run, pipeline)
            if self.ledger.run.status in FINISHED:
                return Ended(self)
            if self.ledger.run.status == RunStatus.WAITING and self.ledger.run.due_at is not None:
                self.ahead += max(timedelta(), self.ledger.run.due_at - self.now())
        raise AssertionError("the run does not end")


class Ended:
    """How a run ended."""

    def __init__(self, memory: Memory) -> None:
        update = memory.ledger.run
        self.memory = memory
        self.status = str(update.status)
        self.outputs: Any = msgspec.json.decode(update.outputs) if update.outputs else None
        self.error: Any = msgspec.json.decode(update.error) if update.error else None
        self.message = update.message
        self.calls = [call[:2] for call in memory.probe.calls]

    @property
    def statuses(self) -> dict[str, str]:
        """The last attempt's status of every step key."""
        return {row.step: str(row.status) for row in sorted(self.memory.ledger.attempts(), key=lambda row: row.number)}


def read(text: str, *callees: str) -> Pipeline:
    """The checked pipeline, with those that it may call."""
    catalog = base_catalog()
    known: list[Pipeline] = []
    for callee in callees:
        known.append(_read(callee, catalog, known))
    return _read(text, catalog, known)


def _read(text: str, catalog: Any, known: list[Pipeline]) -> Pipeline:
    report = check_text(textwrap.dedent(text), catalog, env=["GREETING"], callees=known)
    errors = [problem for problem in report.problems if problem.severity == "error"]
    assert not errors, errors
    pipeline: Pipeline = report.pipelines[0]
    return pipeline


def claim(pipeline: Pipeline, **inputs: Any) -> ClaimedRun:
    """A run of this pipeline in its first turn."""
    moment = datetime.now(UTC)
    return ClaimedRun(
        id=uuid4(),
        pipeline=pipeline.id,
        version=pipeline.version,
        turn=1,
        trigger=None,
        labels={},
        inputs=msgspec.json.encode(inputs),
        vars=None,
        event=None,
        attempts=[],
        created_at=moment,
        started_at=moment,
        scheduled_at=None,
        replay_of=None,
        cancel_requested=False,
    )


async def carry_out(text: str, *callees: str, script: dict[str, list[Any]] | None = None, **inputs: Any) -> Ended:
    """Read a pipeline and run it to its end. script: what the probe's calls do, by step key."""
    probe = Probe()
    probe.script = script or {}
    pipeline = read(text, *callees)
    return await Memory(probe).finish(claim(pipeline, **inputs), pipeline)
