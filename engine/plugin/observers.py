"""Tells plugins what has happened, each on its own: one that fails or hangs stops nobody."""

import asyncio
import contextlib
import inspect
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import structlog

EVENTS = ("event_received", "attempt_finished", "run_finished")
PATIENCE = 30.0  # seconds an observer may take for one notice
BACKLOG = 10_000  # notices kept while observers are busy; the oldest are dropped beyond it

log = structlog.get_logger("plugin")

Observer = tuple[str, Callable[..., Any]]  # the plugin's name and its function


class Observers:
    """The functions that plugins registered for the past-tense hooks."""

    def __init__(self, observers: Mapping[str, tuple[Observer, ...]] | None = None) -> None:
        given = observers or {}
        self.event_received = given.get("event_received", ())
        self.attempt_finished = given.get("attempt_finished", ())
        self.run_finished = given.get("run_finished", ())
        self._backlog: deque[tuple[str, dict[str, Any]]] = deque(maxlen=BACKLOG)
        self._telling: asyncio.Task[None] | None = None

    def notify(self, event: str, /, **facts: Any) -> None:
        """Tell the observers of this event, in the background and in order. Costs nothing if there are none."""
        if not getattr(self, event):
            return
        if len(self._backlog) == BACKLOG:
            log.warning("notice.dropped", hook=self._backlog[0][0])
        self._backlog.append((event, facts))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._drain())

    async def tell(self, event: str, /, **facts: Any) -> None:
        """Walk the observers of this event now. Exceptions are logged, never raised."""
        for plugin, function in getattr(self, event):
            try:
                async with asyncio.timeout(PATIENCE):
                    outcome = function(**facts)
                    if inspect.isawaitable(outcome):
                        await outcome
            except Exception as error:
                log.warning("observer.failed", plugin=plugin, hook=event, error=repr(error), exc_info=True)

    async def close(self, *, within: float = 5.0) -> None:
        """Let the notices that wait be told, for so many seconds; then drop them."""
        if self._telling is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._telling, within)

    async def _drain(self) -> None:
        while self._backlog:
            event, facts = self._backlog.popleft()
            await self.tell(event, **facts)
