"""The world of a simulated run, behind the interface that the engine's interpreter knows."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import structlog

from engine.core.catalog import Catalog, Effect
from engine.core.outcome import Failed
from engine.core.run import AttemptStatus, ErrorInfo, RunStatus
from engine.flow.child import make_started
from engine.flow.execute import execute, read_config
from engine.flow.execution import Call, Done, Execution
from engine.flow.fitting import check_output
from engine.flow.frame import Frame
from engine.flow.ledger import Ledger
from engine.flow.pool import Pool
from engine.pipeline.expression.moments import iso
from engine.pipeline.match import InvalidInputs, validate_inputs
from engine.pipeline.spec import DEFAULT_STEP_TIMEOUT, Step
from engine.plugin.api import StartedRun
from engine.plugin.observers import Observers
from engine.runtime import Runtime
from engine.simulation.events import make_event
from engine.simulation.limits import Limits
from engine.simulation.mocks import Mock, Mocks, answer
from engine.simulation.recorder import Recorder
from engine.simulation.setting import Setting
from engine.simulation.standins import Kept
from engine.simulation.triggers import INTERNAL
from engine.simulation.waits import Waits
from engine.simulation.world import BASE_URL, Clock
from engine.store import CheckpointRecord

FIRST_STARTED = 0x0190_0000_0000_7000_8000_0000_0000_0001  # id of the first run that is started
REAL = frozenset({"emit", "pipeline.start"})  # step types whose effect the simulation itself keeps


def _silence(_logger: Any, _name: str, _event: Any) -> Any:
    raise structlog.DropEvent


SILENT: structlog.stdlib.BoundLogger = structlog.wrap_logger(None, processors=[_silence])


class SimulatedEnvironment:
    """Implements engine.flow.environment.Environment."""

    sleeps_through = True
    jitter = False

    def __init__(self, setting: Setting, clock: Clock, recorder: Recorder, mocks: Mocks) -> None:
        self.setting = setting
        self.pool = Pool()
        self.catalog: Catalog = setting.catalog
        self.variables: Mapping[str, str] = setting.env
        self.log = SILENT
        self.observers = Observers()
        self.clock = clock
        self.recorder = recorder
        self.mocks = mocks
        self.ledger = Ledger()
        self.waits = Waits(clock, recorder, setting.data.get("approvals") or {})
        self.emitted: list[dict[str, Any]] = []
        self.started: list[dict[str, Any]] = []
        self.root: Frame | None = None
        self.frames: dict[int, Frame] = {}  # inner ones, by the identity of their `steps`, which they share
        self.finished_at: float | None = None
        self.crash_after: str | None = setting.data.get("crash_after")
        self.died = asyncio.Event()  # set: the engine is dead, nothing more happens
        self._later: list[CheckpointRecord] = []
        self._limits = Limits()
        self._cache: dict[str, tuple[bytes, float]] = {}  # JSON, and when it ends
        self._emitted_keys: set[str] = set()
        self._started_keys: dict[str, StartedRun] = {}
        self._finished: set[str] = set()  # keys that had finished before the crash

    # Clock and names

    def now(self) -> datetime:
        """The virtual time."""
        return self.clock.now()

    def run_url(self, run_id: UUID) -> str:
        """An address that leads nowhere."""
        return f"{BASE_URL}/runs/{run_id}"

    def redact(self, data: bytes) -> bytes:
        """Dummies need no mask."""
        return data

    def redact_text(self, text: str) -> str:
        """The same."""
        return text

    def lookup_secret(self, name: str) -> str | None:
        """The test's own value, or a dummy."""
        return self.setting.secret(name)

    # Records

    async def checkpoint(self, record: CheckpointRecord) -> bool:
        """Keep the record, with those that were to ride on it. A crash comes right after."""
        await self._dead()
        self._see(record)
        records, self._later = [*self._later, record], []
        for item in records:
            self.ledger.add(item)
        if record.run is not None and record.run.status in ("succeeded", "failed", "cancelled"):
            self.finished_at = self.clock.seconds()
        if self.crash_after is not None and self._is_done(records, self.crash_after):
            if self.finished_at is not None:  # the last step's record ends the run as well: nothing is left to resume
                self.crash_after = None
                return True
            self._die()
            await self._dead()
        return True

    def checkpoint_later(self, record: CheckpointRecord) -> None:
        """Keep it with the next one."""
        if not self.died.is_set():
            self._see(record)
            self._later.append(record)

    def changed(self, run_id: UUID, pipeline: str, status: str) -> None:
        """Nobody watches."""

    def is_awaited(self, pipeline: str, status: RunStatus) -> bool:
        """A test is about one run."""
        return False

    def _see(self, record: CheckpointRecord) -> None:
        for row in record.attempts:
            self.recorder.row(row)

    def _is_done(self, records: list[CheckpointRecord], name: str) -> bool:
        for row in (row for record in records for row in record.attempts):
            found = self.recorder.keys.find(row.step)
            if row.status != AttemptStatus.SUCCEEDED or row.due_at is not None or found is None:
                continue
            if row.step == name or (not found.item and name in (found.name, found.path)):
                return True
        return False

    def _die(self) -> None:
        """The engine is killed: whatever is not committed is lost."""
        self.recorder.tell(f"after {self.crash_after}", "crash", "the engine is killed and resumes")
        self.crash_after = None
        self.died.set()
        self._later = []
        self._finished = {
            row.step
            for row in self.ledger.rows.values()
            if row.status == AttemptStatus.SUCCEEDED and row.due_at is None
        }
        self.ledger.interrupt()

    async def _dead(self) -> None:
        """Of a dead engine nothing comes back."""
        if self.died.is_set():
            await asyncio.get_running_loop().create_future()

    def _look(self, execution: Execution, frame: Frame) -> None:
        """Remember the frame: its `steps` tell in the end how they stand."""
        self.root = execution.root
        if frame.prefix:
            self.frames.setdefault(id(frame.steps), frame)

    def revive(self) -> None:
        """A new process goes on with what was committed."""
        self.died.clear()
        self.frames = {}
        self._limits = Limits()

    # Steps

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await self._dead()
        await asyncio.sleep(seconds)

    async def perform(self, execution: Execution, frame: Frame, call: Call, attempt: int) -> Done:
        """One attempt: the inputs are checked as in production, then the mock answers."""
        await self._dead()
        self._look(execution, frame)
        self.recorder.begin(call.key)
        if call.key in self._finished and call.type.effect is not Effect.PURE:
            self.recorder.problem(f"`{self._name(call)}` ran twice: it had finished before the crash")
        at, began = self.clock.seconds(), iso(self.clock.now())
        done = await self._attempt(execution, call, attempt)
        self.recorder.call(call.key, attempt, msgspec.json.decode(call.stored), at, began, done)
        return done

    async def stand_in(self, execution: Execution, frame: Frame, call: Call, attempt: int) -> Done | None:
        """What a mock answers in place of a called pipeline. None: it is carried out."""
        await self._dead()
        self._look(execution, frame)
        self.recorder.begin(call.key)
        mock = self.mocks.find(self._names(call), call.step.uses)
        if mock is None:
            return None
        at, began = self.clock.seconds(), iso(self.clock.now())
        done = self._check_inputs(call) or await self._answer(mock, call, attempt)
        self.recorder.call(call.key, attempt, msgspec.json.decode(call.stored), at, began, done)
        return done

    async def _attempt(self, execution: Execution, call: Call, attempt: int) -> Done:
        config = read_config(call, self.lookup_secret, attempt=attempt)
        if isinstance(config, Done):
            return config
        real = call.type.effect is Effect.PURE or call.type.name in REAL
        mock = self.mocks.find(self._names(call), call.step.uses, real=real)
        if mock is None:
            return await self._for_real(execution, call, attempt)
        return await self._answer(mock, call, attempt)

    async def _answer(self, mock: Mock, call: Call, attempt: int) -> Done:
        step = call.step
        where = step.id or call.key
        given = mock.next()
        if given is None:
            text = f"the mock `{mock.name}` has {len(mock.answers)} answers; this is call {mock.used}"
            self.recorder.problem(f"{text} (`{self._name(call)}`, attempt {attempt})")
            return Done(Failed(ErrorInfo(type="mock", message=text, step=where, attempt=attempt)))
        limit = call.timeout or DEFAULT_STEP_TIMEOUT
        if given.seconds > limit:
            await asyncio.sleep(limit)
            message = f"{step.uses} did not finish within {limit:g} s"
            error = ErrorInfo(type="timeout", message=message, step=where, attempt=attempt)
            return Done(Failed(error, retryable=call.type.effect != Effect.EFFECT, timed_out=True))
        if given.seconds:
            await asyncio.sleep(given.seconds)
        outcome = answer(given, with_=msgspec.json.decode(call.stored), attempt=attempt, step=where)
        if isinstance(outcome, Failed):
            if outcome.error.type == "mock":
                self.recorder.problem(f"`{self._name(call)}`: {outcome.error.message}")
            return Done(outcome)
        if given.kept:
            return Done(msgspec.structs.replace(outcome, output=Kept(outcome.output)))
        if not isinstance(outcome, Failed) and (unfit := check_output(outcome.output)) is not None:
            return Done(Failed(ErrorInfo(type=unfit[0], message=unfit[1], step=where, attempt=attempt)))
        return Done(outcome)

    def _check_inputs(self, call: Call) -> Done | None:
        """Whether the inputs fit the pipeline that a mock stands in for."""
        pipeline = self.recorder.keys.pipelines.get(call.step.pipeline or "")
        if pipeline is None:
            return None
        try:
            validate_inputs(pipeline, call.rendered or {})
        except InvalidInputs as error:
            info = ErrorInfo(type="invalid_input", message=f"{call.step.uses}: {error}", step=call.step.id or call.key)
            return Done(Failed(info))
        return None

    async def _for_real(self, execution: Execution, call: Call, attempt: int) -> Done:
        """Pure steps are carried out; anything else would touch the world."""
        if call.type.effect is Effect.PURE or call.type.name in REAL:
            return await execute(cast(Runtime, self._runtime()), execution, call, attempt=attempt)
        text = f"`{self._name(call)}` ({call.step.uses}) has side effects and no mock"
        self.recorder.problem(text)
        return Done(Failed(ErrorInfo(type="mock", message=text, step=call.step.id or call.key, attempt=attempt)))

    def _runtime(self) -> Any:
        """What a pure step may ask for."""
        store = SimpleNamespace(documents=None)
        return SimpleNamespace(log=SILENT, http=None, cache=None, store=store, options={})

    def _names(self, call: Call) -> list[str]:
        """What the step may be called in `mocks`, most exact first."""
        found = self.recorder.keys.find(call.key)
        if found is None:
            return [call.key]
        return list(dict.fromkeys((call.key, found.path, found.name)))

    def _name(self, call: Call) -> str:
        found = self.recorder.keys.find(call.key)
        return found.name if found is not None else call.key

    # Cache, events, waits, limits

    async def cache_get(self, key: str) -> tuple[bool, Any]:
        """(True, value) if the key is there. Every test begins with an empty cache."""
        kept = self._cache.get(key)
        if kept is None or kept[1] <= self.clock.seconds():
            return False, None
        return True, msgspec.json.decode(kept[0])

    async def cache_set(self, key: str, value: Any, ttl: float) -> None:
        """Keep the value for ttl virtual seconds."""
        if not isinstance(value, Kept):
            self._cache[key] = msgspec.json.encode(value), self.clock.seconds() + ttl

    async def emit(self, execution: Execution, call: Call, emitted: list[tuple[str, Any]]) -> None:
        """Keep what was emitted; waits of this run may get it."""
        for index, (type_, body) in enumerate(emitted):
            mark = f"{call.key}#{index}"
            if mark in self._emitted_keys:
                continue
            self._emitted_keys.add(mark)
            plain = msgspec.json.decode(msgspec.json.encode(body))
            number = 1000 + len(self.emitted)
            given = {"body": plain}
            event = make_event(given, number=number, at=self.now(), source=INTERNAL, type=type_)
            self.emitted.append({"type": type_, "body": plain, "at": event["time"], "step": self._name(call)})
            self.waits.arrive(event)

    async def start(
        self,
        execution: Execution,
        call: Call,
        key: str,
        pipeline: str,
        inputs: dict[str, Any],
        labels: dict[str, str],
    ) -> StartedRun:
        """Keep what would have been started."""
        if key not in self._started_keys:
            run_id = UUID(int=FIRST_STARTED + len(self.started))
            self._started_keys[key] = make_started(execution, run_id)
            plain = msgspec.json.decode(msgspec.json.encode({"inputs": inputs, "labels": labels}))
            self.started.append({"pipeline": pipeline, **plain, "at": iso(self.now()), "step": self._name(call)})
        return self._started_keys[key]

    async def wait(
        self, execution: Execution, frame: Frame, step: Step, key: str, began: datetime, until: datetime | None
    ) -> Any:
        """Wait in virtual time."""
        await self._dead()
        self._look(execution, frame)
        return await self.waits.wait(execution, frame, step, key, began, until)

    def alone(self) -> AbstractAsyncContextManager[None]:
        """Nobody dies of a mock."""
        return nullcontext()

    def slot(self, execution: Execution, frame: Frame, step: Step, key: str) -> AbstractAsyncContextManager[None]:
        """Wait for a turn."""
        return self._limits.slot(execution, frame, step, key)
