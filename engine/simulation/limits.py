"""Limits of steps in virtual time: how many attempts at once, how many per period."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.core.run import ErrorInfo
from engine.flow.frame import Frame, StepGaveUp
from engine.pipeline.expression import ExpressionError
from engine.pipeline.spec import Limit, Step


class Limits:
    """The slots of one run; limits of other runs are not simulated."""

    def __init__(self) -> None:
        self._busy: dict[str, int] = {}
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        self._starts: dict[str, deque[float]] = {}

    @asynccontextmanager
    async def slot(self, frame: Frame, step: Step) -> AsyncIterator[None]:
        """Wait for a turn. StepGaveUp with type `rate_limited` where `on_limit` is `drop`, or the queue is full."""
        taken = await self._enter(frame, step, step.concurrency) if step.concurrency is not None else None
        try:
            if step.rate_limit is not None:
                await self._pace(frame, step, step.rate_limit)
            yield
        finally:
            if taken is not None:
                self._leave(taken)

    async def _enter(self, frame: Frame, step: Step, limit: Limit) -> str:
        key, most = _read(frame, step, limit, "concurrency")
        if self._busy.get(key, 0) < most:
            self._busy[key] = self._busy.get(key, 0) + 1
            return key
        queue = self._queues.setdefault(key, deque())
        if limit.on_limit == "drop" or (limit.max_queued is not None and len(queue) >= limit.max_queued):
            raise _dropped(step, f"{most} at a time, and `on_limit` is `{limit.on_limit}`")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        await turn
        return key

    def _leave(self, key: str) -> None:
        queue = self._queues.get(key)
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy[key] -= 1

    async def _pace(self, frame: Frame, step: Step, limit: Limit) -> None:
        key, most = _read(frame, step, limit, "rate_limit")
        loop = asyncio.get_running_loop()
        starts = self._starts.setdefault(key, deque())
        while True:
            while starts and starts[0] <= loop.time() - limit.period:
                starts.popleft()
            if len(starts) < most:
                starts.append(loop.time())
                return
            if limit.on_limit == "drop":
                raise _dropped(step, f"{most} in {limit.period:g} s, and `on_limit` is `drop`")
            await asyncio.sleep(starts[0] + limit.period - loop.time())


def _read(frame: Frame, step: Step, limit: Limit, what: str) -> tuple[str, int]:
    try:
        key = limit.key.render(frame.scope) if limit.key is not None else ""
        most = limit.limit if isinstance(limit.limit, int) else limit.limit.render(frame.scope)
    except ExpressionError as error:
        raise _gave_up(step, "expression", f"{what}: {error}") from None
    if isinstance(most, bool) or not isinstance(most, int | float) or most < 1:
        raise _gave_up(step, "expression", f"{what}: the limit must be a number of at least 1")
    return f"{frame.pipeline.id}/{step.key}/{what}/{key}", int(most)


def _dropped(step: Step, why: str) -> StepGaveUp:
    return _gave_up(step, "rate_limited", f"dropped: {why}")


def _gave_up(step: Step, type_: str, message: str) -> StepGaveUp:
    return StepGaveUp(ErrorInfo(type=type_, message=message, step=step.id or step.key))
