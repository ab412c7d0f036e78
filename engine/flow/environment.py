"""The world a run happens in: `Environment`, and `LiveEnvironment`, which is the real one.

The interpreter (advance, steps, shapes, loops, calls) reaches clock, store, plugins, cache and event bus only through
its environment, so that a simulation runs the very same code:

    ledger = Ledger()                                   # engine.flow.ledger: attempts as the store keeps them
    environment = ...                                   # checkpoint(record): ledger.add(record); return True
    run = ClaimedRun(id=..., turn=1, attempts=[], ...)
    await advance_in(environment, run, pipeline, Hold())  # engine.flow.advance; returns when the run ends or is let go

* What happens is told through the records of `checkpoint` and `checkpoint_later`, in the order they come: rows of
  attempts (inserted or replaced by step key and number), and in `record.run` changes of the run: `vars`, and at the
  end the status with outputs, error and message. A record of `checkpoint_later` is committed with the next one.
* A resume is a new ClaimedRun with a higher turn, `vars` as last written and `attempts=ledger.attempts()` after
  `ledger.interrupt()`, which does what the store does to the running attempts of a dead worker. A crash is: cancel the
  task of advance_in with `hold.reason = "lost"`, await it, and take nothing more from it.
* `hold.reason = "cancel"` and cancelling the task finishes the run as cancelled; `"stop"` hands it back as queued.
* With `sleeps_through` long delays are slept with `sleep()`, the run is never let go in between; time-outs use the
  clock of the event loop, delays that are recorded use `now()`: both must tell the same time.
* `perform` gets a Call with rendered inputs; `engine.flow.execute.read_config` validates it as in production and
  returns a Done where it does not fit. `call.key` is the full step key, such as `enrich[3]/company`.
* `stand_in` is asked before a called pipeline is run, once its inputs have been validated; a Done takes its place.
* `wait` carries out a step of the shape `wait` and returns its output, or raises StepGaveUp with type `timeout` or
  `rejected`. It is called again after a resume if it had not returned; `began` is when it began for the first time,
  `until` when a wait for a time is over, None for other waits.
  Steps of `approval.notify`: `engine.flow.steps.run_steps(execution, frame.extended(approval=...), notify)`.
* `slot` is entered around each attempt of a step that has `concurrency` or `rate_limit`; the attempt is recorded as
  begun inside. It raises StepGaveUp with type `rate_limited` or `superseded`, or Parked.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from engine.core.catalog import Catalog
from engine.core.clock import CLOCK
from engine.core.run import FINISHED, RunStatus
from engine.flow.actions import wait_until
from engine.flow.announce import is_awaited
from engine.flow.approval import wait_for_approval
from engine.flow.await_event import EventWait
from engine.flow.child import start_child
from engine.flow.emit import emit_events
from engine.flow.execute import execute
from engine.flow.execution import Call, Done, Environment, Execution
from engine.flow.frame import Frame
from engine.flow.pool import LivePool
from engine.flow.slots import step_slot
from engine.pipeline.spec import Step
from engine.plugin.api import StartedRun
from engine.plugin.observers import Observers
from engine.runtime import Runtime

__all__ = ["Environment", "LiveEnvironment"]


class LiveEnvironment:
    """The real world: PostgreSQL, Redis, plugins, the clock."""

    sleeps_through = False
    jitter = True

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.gated = False  # an attempt has asked for a turn
        self.ended = False  # this visit has ended the run
        self.pool = LivePool(runtime)
        self.catalog: Catalog = runtime.catalog
        self.variables: Mapping[str, str] = runtime.environment
        self.log: structlog.stdlib.BoundLogger = runtime.log
        self.observers: Observers = runtime.observers
        self.redact = runtime.secrets.redact  # on the hot path, as is checkpoint_later
        self.redact_text = runtime.secrets.redact_text
        self.checkpoint = runtime.store.checkpoint
        self.checkpoint_later = runtime.store.checkpoint_later

    def now(self) -> datetime:
        """The time, with zone."""
        return CLOCK.now()

    def run_url(self, run_id: UUID) -> str:
        """Where people look at the run."""
        return f"{self.runtime.settings.url}/runs/{run_id}"

    def lookup_secret(self, name: str) -> str | None:
        """The value, or None if there is no such secret."""
        return self.runtime.secrets.get(name)

    def changed(self, run_id: UUID, pipeline: str, status: str) -> None:
        """Tell whoever watches."""
        self.ended = status in FINISHED
        self.runtime.queue.changed(run_id, pipeline, status)

    def is_awaited(self, pipeline: str, status: RunStatus) -> bool:
        """Whether a trigger wants to hear that a run has ended so."""
        return is_awaited(self.runtime, pipeline, status)

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    def perform(self, execution: Execution, frame: Frame, call: Call, attempt: int) -> Coroutine[Any, Any, Done]:
        """One attempt: validate the inputs, call the plugin."""
        return execute(self.runtime, execution, call, attempt=attempt)

    async def cache_get(self, key: str) -> tuple[bool, Any]:
        """(True, value) if the key is there."""
        return await self.runtime.cache.get(key)

    async def cache_set(self, key: str, value: Any, ttl: float) -> None:
        """Keep the value for ttl seconds. StepError if the cache is away."""
        await self.runtime.cache.set(key, value, ttl)

    async def emit(self, execution: Execution, call: Call, emitted: list[tuple[str, Any]]) -> None:
        """Record what an attempt emitted, and start who listens. Doing it again changes nothing."""
        await emit_events(self.runtime, execution, call.key, emitted)

    async def start(
        self,
        execution: Execution,
        call: Call,
        key: str,
        pipeline: str,
        inputs: dict[str, Any],
        labels: dict[str, str],
    ) -> StartedRun:
        """Start a run of another pipeline, once for each key."""
        return await start_child(self.runtime, execution, key, pipeline, inputs, labels)

    async def stand_in(self, execution: Execution, frame: Frame, call: Call, attempt: int) -> Done | None:
        """Called pipelines are run."""
        return None

    async def wait(
        self, execution: Execution, frame: Frame, step: Step, key: str, began: datetime, until: datetime | None
    ) -> Any:
        """Wait for a time, an event or a person."""
        if step.wait is not None and step.wait.events:
            return await EventWait(self.runtime.store, execution, frame, step, key, began).outcome()
        if step.wait is not None and step.wait.approval is not None:
            return await wait_for_approval(self.runtime, execution, frame, step, key, began)
        assert until is not None
        await wait_until(execution, until, f"the end of step {step.id or key}")
        return {"timed_out": False, "event": None}

    def alone(self) -> contextlib.AbstractAsyncContextManager[Any]:
        """Steps that may be what kills workers run one at a time, so that the next death tells which it is."""
        return self.runtime.suspects

    def slot(
        self, execution: Execution, frame: Frame, step: Step, key: str
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """The turn of one attempt of a step with limits."""
        self.gated = True
        return step_slot(self.runtime, execution, frame, step, key)
