"""Limits of steps: an attempt enters, works, leaves. Who has to wait keeps its place, and no worker is held.

The ticket is the run's and the step's: a run that comes back asks again and has it already. It is given back when the
attempt is over, also while the step waits for another one; a run that has ended holds nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from engine.core.gate import CONCURRENCY, RATE, GateRequest
from engine.core.run import ErrorInfo
from engine.errors import Unavailable
from engine.flow.actions import wait_until
from engine.flow.execution import NEVER, RECONNECT, Execution
from engine.flow.frame import Frame, Parked, StepGaveUp, TakenOver
from engine.flow.limits import act_on, gate_of_step
from engine.pipeline.expression import ExpressionError
from engine.pipeline.spec import Limit, Step
from engine.runtime import Runtime
from engine.store import Turn

RECHECK = 0.5  # seconds between two looks while other branches of the run work
WATCH = 1.0  # seconds between two looks whether a newer attempt has taken the place

T = TypeVar("T")


@contextlib.asynccontextmanager
async def step_slot(runtime: Runtime, execution: Execution, frame: Frame, step: Step, key: str) -> AsyncIterator[None]:
    """Wait for the turn of one attempt. StepGaveUp if it is refused, or if a newer one takes its place."""
    slot = _Slot(runtime, execution, step, key)
    kept = cancelled = False
    try:
        watched = None
        for kind, limit in ((CONCURRENCY, step.concurrency), (RATE, step.rate_limit)):
            if limit is not None:
                gate = request(frame, step, key, limit, kind)
                await slot.enter(gate)
                watched = gate if kind == CONCURRENCY and limit.on_limit == "cancel_running" else watched
        if watched is None:
            yield
        else:
            async with slot.watched(watched):
                yield
    except Parked:
        kept = True
        raise
    except asyncio.CancelledError:
        cancelled, kept = True, execution.hold.reason in ("stop", "lost")
        raise
    finally:
        runtime.steps_waiting.pop((execution.run.id, key), None)
        if not kept:
            await slot.leave(insist=not cancelled)


class _Slot:
    """One attempt's way through its limits."""

    def __init__(self, runtime: Runtime, execution: Execution, step: Step, key: str) -> None:
        self._runtime = runtime
        self._execution = execution
        self._step = step
        self._key = key
        self._bell = runtime.steps_waiting.setdefault((execution.run.id, key), asyncio.Event())

    async def enter(self, gate: GateRequest) -> None:
        """Return when it is this attempt's turn."""
        execution = self._execution
        while True:
            self._bell.clear()
            turn = await self._ask(gate)
            if turn.what == "held":
                break
            if turn.what != "queued":
                raise self._refused(gate, turn)
            if execution.closing:
                await self._listen(RECHECK)
            else:
                reason = f"a slot of {gate.name} ({gate.pace}) for step {self._step.id or self._key}"
                await execution.park(NEVER, reason, recheck=RECHECK, bell=self._bell)
        if gate.kind == RATE and turn.due_at is not None:
            reason = f"its turn in {gate.name} ({gate.pace}) for step {self._step.id or self._key}"
            await wait_until(execution, turn.due_at, reason)

    async def leave(self, *, insist: bool) -> None:
        """Give back the tickets. insist: not only if that works at once."""
        run = self._execution.run
        try:
            news = await self._runtime.store.leave(run.id, run.turn, self._key)
        except Unavailable as error:
            if not insist:
                self._runtime.log.warning("limits.failed", runs=1, error=str(error))
                return
            news = await _insist(lambda: self._runtime.store.leave(run.id, run.turn, self._key))
        await act_on(self._runtime, news)

    @contextlib.asynccontextmanager
    async def watched(self, gate: GateRequest) -> AsyncIterator[None]:
        """Interrupt what happens inside if a newer attempt takes its place."""
        task = asyncio.current_task()
        assert task is not None
        lost: list[Turn] = []

        async def watch() -> None:
            while True:
                await self._listen(WATCH)
                self._bell.clear()
                turn = await self._ask(gate)
                if turn.what != "held":
                    lost.append(turn)
                    task.cancel()
                    return

        watcher = asyncio.create_task(watch())
        try:
            yield
        except asyncio.CancelledError:
            if lost and not self._execution.hold.reason:
                task.uncancel()
                raise self._refused(gate, lost[0]) from None
            raise
        finally:
            watcher.cancel()

    async def _ask(self, gate: GateRequest) -> Turn:
        run = self._execution.run
        answer = await _insist(lambda: self._runtime.store.enter(run.id, run.turn, self._key, gate))
        await act_on(self._runtime, answer.news)
        if answer.turn.what is None:
            raise TakenOver
        return answer.turn

    async def _listen(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._bell.wait()

    def _refused(self, gate: GateRequest, turn: Turn) -> StepGaveUp:
        if turn.what == "superseded":
            return superseded(self._step, self._key, turn.by)
        return dropped(self._step, self._key, gate)


def request(frame: Frame, step: Step, key: str, limit: Limit, kind: str) -> GateRequest:
    """What an attempt has to get through. StepGaveUp with type `expression` if the limit has no value here."""
    try:
        return gate_of_step(frame.pipeline, step, limit, kind, frame.scope)
    except ExpressionError as error:
        what = "concurrency" if kind == CONCURRENCY else "rate_limit"
        raise gave_up(step, key, "expression", f"{what}: {error}") from None


def dropped(step: Step, key: str, gate: GateRequest) -> StepGaveUp:
    """An attempt that a limit refuses."""
    why = f"{gate.max_queued} may wait" if gate.on_limit == "queue" else f"`on_limit` is `{gate.on_limit}`"
    return gave_up(step, key, "rate_limited", f"dropped: {gate.pace}, and {why}")


def superseded(step: Step, key: str, run_id: UUID | None) -> StepGaveUp:
    """An attempt whose place a newer one has taken."""
    return gave_up(step, key, "superseded", f"superseded: run {run_id} took its place")


def gave_up(step: Step, key: str, type_: str, message: str) -> StepGaveUp:
    """The failure of a step that a limit has kept from beginning."""
    return StepGaveUp(ErrorInfo(type=type_, message=message, step=step.id or key))


async def _insist(work: Callable[[], Awaitable[T]]) -> T:
    """Until PostgreSQL is back: without it nothing goes on anyway."""
    while True:
        try:
            return await work()
        except Unavailable:
            await asyncio.sleep(RECONNECT)
