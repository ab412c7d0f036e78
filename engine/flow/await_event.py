"""Wait for an event: look at those that came before, then let go of the run until one comes or the time is over.

What ended the wait is decided in the store (engine/store/waits.py) before the step's own row is closed: after a crash
at any point the same event ends it again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from engine.core.duration import format_duration
from engine.core.event import Event, view
from engine.core.run import ErrorInfo
from engine.errors import Unavailable
from engine.flow.execution import NEVER, RECONNECT, Execution
from engine.flow.frame import Frame, StepGaveUp, TakenOver
from engine.flow.waits import seconds_of
from engine.flow.wanted import Wanted
from engine.pipeline.expression import ExpressionError
from engine.pipeline.spec import Step, Wait
from engine.store import Store

SOON = 0.1  # seconds that are spent here
RECHECK = 0.5  # seconds between looks while other branches keep the run here

T = TypeVar("T")


class EventWait:
    """One wait, in one visit."""

    def __init__(self, store: Store, execution: Execution, frame: Frame, step: Step, key: str, began: datetime) -> None:
        assert step.wait is not None
        self.store, self.execution, self.frame, self.key = store, execution, frame, key
        self.name = step.id or key
        self.wait: Wait = step.wait
        self.began = began
        self.since = execution.run.created_at if self.wait.since == "run_start" else began
        self.wanted = [Wanted(event, frame.scope) for event in self.wait.events]
        self.awaited = [wanted.awaited for wanted in self.wanted]
        self.deadline = NEVER
        self.opened = False  # in this visit

    async def outcome(self) -> Any:
        """The output of the step. StepGaveUp: nothing came in time, or a condition cannot be evaluated."""
        try:
            self.deadline = self._deadline()
            while True:
                async with self.execution.taking:
                    late = self._is_late()
                    output = await self._look()
                    if output is None and late and await self._end(None):
                        return self._timed_out()
                if output is not None:
                    return output
                if self.opened:
                    await self._rest()
        except ExpressionError as error:
            found = ErrorInfo(type="expression", message=f"wait: {error}", step=self.name)
            raise StepGaveUp(self.execution.error(found)) from None

    def _deadline(self) -> datetime:
        seconds = seconds_of(self.wait.timeout, self.frame.scope, "timeout")
        try:
            return NEVER if seconds is None else self.began + timedelta(seconds=seconds)
        except OverflowError:
            return NEVER

    def _is_late(self) -> bool:
        return self.deadline != NEVER and self.execution.environment.now() >= self.deadline

    async def _look(self) -> dict[str, Any] | None:
        """The output if an event has come; None: there is none yet."""
        if not self.opened:
            run, key, store = self.execution.run, self.key, self.store
            wait = await persist(lambda: store.open_wait(run.id, key, run.turn, self.awaited))
            if wait is None:
                raise TakenOver
            if wait.event_id is not None:
                return _output(await self._load(wait.event_id))
            self.opened = True
            if not wait.looked:
                return await self._look_back()
        return await self._look_at_arrivals()

    async def _look_back(self) -> dict[str, Any] | None:
        run_id, key, store = self.execution.run.id, self.key, self.store
        after: UUID | None = None
        refused = False
        while True:
            page = await persist(lambda: store.look_back(run_id, key, self.since, self.awaited, after))  # noqa: B023
            if output := await self._first(page.events):
                return output
            if not self.opened:  # it was ended in another way
                return None
            refused |= bool(page.events)
            if page.last is None:
                break
            after = page.last
        if refused or after is not None:
            await persist(lambda: store.note_looked(run_id, key))
        return None  # what has come meanwhile has woken the run

    async def _look_at_arrivals(self) -> dict[str, Any] | None:
        run_id, key, store = self.execution.run.id, self.key, self.store
        while page := await persist(lambda: store.list_arrivals(run_id, key)):
            if output := await self._first(page):
                return output
            if not self.opened:
                return None
            refused = [event.id for event in page]
            await persist(lambda: store.refuse_arrivals(run_id, key, refused))  # noqa: B023 - awaited at once
        return None

    async def _first(self, events: list[Event]) -> dict[str, Any] | None:
        own = self.execution.run.event
        for event in events:
            if not self.since <= event.received_at <= self.deadline or (own is not None and own.id == event.id):
                continue
            shown = view(event)
            if any(wanted.takes(shown) for wanted in self.wanted):
                return _output(shown) if await self._end(event.id) else None
        return None

    async def _end(self, event_id: UUID | None) -> bool:
        """Decide it. False: it, or something else about the run, is decided already; open it anew."""
        run, key, store = self.execution.run, self.key, self.store
        self.opened = await persist(lambda: store.close_wait(run.id, key, run.turn, event_id))
        return self.opened

    async def _load(self, event_id: UUID) -> dict[str, Any] | None:
        event = await persist(lambda: self.store.get_event(event_id))
        return view(event) if event is not None else None

    async def _rest(self) -> None:
        execution = self.execution
        left = (self.deadline - execution.environment.now()).total_seconds() if self.deadline != NEVER else RECHECK
        if execution.closing or left < SOON:  # it is not let go any more, or not worth it: a claim may be a bit early
            await execution.environment.sleep(max(0.0, min(left, RECHECK)))
            return
        what = " or ".join(wanted.describe() for wanted in self.wanted)
        reason = f"an event for step `{self.name}`: {what}"
        if self.deadline != NEVER:
            reason += f"; times out at {self.deadline:%Y-%m-%d %H:%M:%S} UTC"
        await execution.park(self.deadline, execution.environment.redact_text(reason), recheck=RECHECK)

    def _timed_out(self) -> Any:
        if self.wait.on_timeout == "continue":
            return {"timed_out": True, "event": None}
        waited = format_duration((self.execution.environment.now() - self.began).total_seconds())
        raise StepGaveUp(ErrorInfo(type="timeout", message=f"nothing came within {waited}", step=self.name))


def _output(event: dict[str, Any] | None) -> dict[str, Any]:
    return {"timed_out": False, "event": event}


async def persist(work: Callable[[], Awaitable[T]]) -> T:
    """Do it, however long PostgreSQL is away."""
    while True:
        try:
            return await work()
        except Unavailable:
            await asyncio.sleep(RECONNECT)
