"""Limits of steps in virtual time: how many attempts at once, how many per period. As engine/flow/slots.py does it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from engine.core.gate import CONCURRENCY, RATE, GateRequest
from engine.flow.execution import Execution
from engine.flow.frame import Frame
from engine.flow.slots import dropped, request, superseded
from engine.pipeline.spec import Step


@dataclass(eq=False)
class _Ticket:
    """One attempt's place at a gate."""

    step: Step
    key: str
    turn: asyncio.Future[None]
    task: asyncio.Task[None] | None
    replaced: bool = False  # a newer attempt has taken its place

    def give_way(self, run_id: UUID) -> None:
        """To a newer attempt."""
        self.replaced = True
        if not self.turn.done():
            self.turn.set_exception(superseded(self.step, self.key, run_id))
        elif self.task is not None:
            self.task.cancel()


@dataclass
class _Gate:
    """What is known of a limit. tat: when the next start would be due if all came evenly (GCRA)."""

    most: int = 1
    held: list[_Ticket] = field(default_factory=list)
    queue: list[_Ticket] = field(default_factory=list)
    tat: float = 0.0

    def let_in(self) -> None:
        """Those who wait, in order, as far as there is room."""
        while self.queue and len(self.held) < self.most:
            ticket = self.queue.pop(0)
            if not ticket.turn.done():
                self.held.append(ticket)
                ticket.turn.set_result(None)


class Limits:
    """The slots of one run; limits of other runs are not simulated."""

    def __init__(self) -> None:
        self._gates: dict[UUID, _Gate] = {}
        self._later: dict[UUID, _Ticket] = {}  # by rate limit, the attempt that `keep_latest` may replace

    @asynccontextmanager
    async def slot(self, execution: Execution, frame: Frame, step: Step, key: str) -> AsyncIterator[None]:
        """Wait for a turn. StepGaveUp with type `rate_limited` or `superseded`."""
        run_id = execution.run.id
        ticket = _Ticket(step, key, asyncio.get_running_loop().create_future(), asyncio.current_task())
        gate = None
        try:
            if step.concurrency is not None:
                wanted = request(frame, step, key, step.concurrency, CONCURRENCY)
                gate = self._gates.setdefault(wanted.id, _Gate())
                await self._enter(gate, wanted, ticket, run_id)
            if step.rate_limit is not None:
                await self._pace(request(frame, step, key, step.rate_limit, RATE), step, key, run_id)
            yield
        except asyncio.CancelledError:
            if ticket.replaced and ticket.task is not None and not execution.hold.reason:
                ticket.task.uncancel()
                raise superseded(step, key, run_id) from None
            raise
        finally:
            if gate is not None:
                for place in (gate.held, gate.queue):
                    if ticket in place:
                        place.remove(ticket)
                gate.let_in()

    async def _enter(self, gate: _Gate, wanted: GateRequest, ticket: _Ticket, run_id: UUID) -> None:
        gate.most = wanted.most
        gate.let_in()
        if wanted.on_limit == "cancel_running":
            for other in (gate.held + gate.queue)[: max(0, len(gate.held) + len(gate.queue) - wanted.most + 1)]:
                other.give_way(run_id)
            gate.queue = [other for other in gate.queue if not other.replaced]
        elif wanted.on_limit == "keep_latest" and len(gate.held) >= wanted.most:
            for other in gate.queue:
                other.give_way(run_id)
            gate.queue.clear()
        if len(gate.held) < wanted.most:
            gate.held.append(ticket)
            ticket.turn.set_result(None)
            return
        full = wanted.max_queued is not None and len(gate.queue) >= wanted.max_queued
        if wanted.on_limit == "drop" or (wanted.on_limit == "queue" and full):
            raise dropped(ticket.step, ticket.key, wanted)
        gate.queue.append(ticket)
        await ticket.turn

    async def _pace(self, wanted: GateRequest, step: Step, key: str, run_id: UUID) -> None:
        assert wanted.period is not None
        loop = asyncio.get_running_loop()
        gate, pace = self._gates.setdefault(wanted.id, _Gate()), wanted.period / wanted.most
        now = loop.time()
        starts = max(now, gate.tat - ((wanted.burst or wanted.most) - 1) * pace)
        ahead = (starts - now) / pace
        late = starts > now + 1e-6
        if late and wanted.on_limit == "drop":
            raise dropped(step, key, wanted)
        if late and wanted.on_limit == "queue" and wanted.max_queued is not None and ahead > wanted.max_queued + 1e-6:
            raise dropped(step, key, wanted)
        waiting = self._later.get(wanted.id)
        if late and wanted.on_limit == "keep_latest" and waiting is not None and not waiting.turn.done():
            waiting.give_way(run_id)
            starts -= pace
        else:
            gate.tat = max(now, gate.tat) + pace
        if not late:
            return
        mine = self._later[wanted.id] = _Ticket(step, key, loop.create_future(), None)
        handle = loop.call_at(starts, _begin, mine)
        try:
            await mine.turn
        finally:
            handle.cancel()


def _begin(ticket: _Ticket) -> None:
    if not ticket.turn.done():
        ticket.turn.set_result(None)
