"""An event loop whose clock jumps to the next timer: waiting takes no time, and order is always the same."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Executor
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")
REAL_TIMEOUT = 60.0  # seconds of real time for work in a thread, which has no virtual clock


class NothingHappens(RuntimeError):
    """Everybody waits, and no timer is left that could wake anybody."""


class VirtualLoop(asyncio.BaseEventLoop):
    """No sockets, no pipes, no signals: timers, tasks and, for steps that use one, threads."""

    def __init__(self, patience: float | None = None) -> None:
        super().__init__()
        self._now = 0.0
        self._until = None if patience is None else monotonic() + patience
        self._threads = 0
        self._woken = threading.Event()
        self._selector = self

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """In place of waiting for the network: go to the next timer."""
        if self._until is not None and monotonic() > self._until:
            self._until = None
            raise NothingHappens("it takes too long")
        if timeout == 0:
            return []
        if self._threads:
            if not self._woken.wait(REAL_TIMEOUT):
                raise NothingHappens("a thread did not come back within a minute")
            self._woken.clear()
            return []
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not scheduled:
            raise NothingHappens("everything waits for something that never comes")
        self._now = max(self._now, scheduled[0].when())
        return []

    def run_in_executor(self, executor: Executor | None, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """A thread, as usual; until it is back the clock stands still."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _: Any) -> None:
        self._threads -= 1

    def _process_events(self, events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        self._woken.set()


def run_virtual(work: Coroutine[Any, Any, T], *, patience: float | None = None) -> T:
    """Run to the end in virtual time. NothingHappens if it can never end, or takes more real seconds than patience."""
    loop = VirtualLoop(patience)
    try:
        return loop.run_until_complete(work)
    finally:
        _cancel_all(loop)
        loop.close()


def _cancel_all(loop: VirtualLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
