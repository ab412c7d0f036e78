"""Every process tells whoever waits for an event that it has come, after its commit and behind the sender's back.

What a process could not tell, since it died or PostgreSQL was away, the sweep of the leading worker finds.
"""

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from engine.core.awaited import Kind, key_of
from engine.core.event import Event, parse_body, view
from engine.errors import Unavailable
from engine.queue import Queue
from engine.store import EventName, Hit, Span, Store

PAUSE = 0.01  # seconds after a look, for each event it was for: what comes meanwhile shares the next one
LONGEST = 0.05  # such seconds at most
CALM = 0.1  # the same while nobody waits for anything
MOST = 500  # events told in one statement
KEPT = 10_000  # events that wait for their look; more are left to the sweep
KEPT_BYTES = 32_000_000  # of their bodies together
CLOSE_PATIENCE = 2.0  # seconds for the last look
MOST_LOADED = 100  # events whose bodies the sweep holds at once
SWEPT = 5000  # events in one look of the sweep
SWEPT_MOST = 50_000  # events after which a sweep stops; the next one goes on there
MOST_COUNTED = 1_000_000  # events that a sweep counts
# Seconds by which an event's id may be older than its commit: two statements that run into their timeout, with a new
# connection for each (engine/store/connection.py), and as much again for clocks that differ.
OVERLAP = timedelta(seconds=30)

log = structlog.get_logger("listener")


class Listener:
    """One process's ear, and the sweep if it leads."""

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue
        self._new: list[Event | UUID] = []
        self._bytes = 0
        self._calm = True  # nobody waited for anything at the last look: no need to hold the events themselves
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._swept: dict[UUID, int] = {}  # spans within the overlap, and how many events they had

    def hear(self, event: Event | UUID) -> None:
        """The event is committed: whoever waits for it will be woken soon. An id: it had been committed before."""
        size = 0
        if isinstance(event, Event):
            if event.replay_of is not None:
                return
            if self._calm:
                event = event.id
            else:
                size = len(event.body)
        if len(self._new) >= KEPT or self._bytes + size > KEPT_BYTES:
            return
        self._bytes += size
        self._new.append(event)
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), context=contextvars.Context())

    async def idle(self) -> None:
        """Until everything heard so far has been seen to."""
        self._hurry.set()
        while self._task is not None:
            await asyncio.shield(self._task)
        self._hurry.clear()

    async def close(self) -> None:
        """See to what was heard, without lingering."""
        self._hurry.set()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_PATIENCE):
                    await self._task

    async def _listen(self) -> None:
        try:
            while self._new:
                told = len(self._new)
                try:
                    await self._tell()
                except Unavailable as error:
                    log.warning("listener.deaf", error=str(error))
                except Exception:
                    log.exception("listener.broken")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CALM if self._calm else min(PAUSE * told, LONGEST)):
                        await self._hurry.wait()
        finally:
            self._task = None

    async def _tell(self) -> None:
        new, self._new, self._bytes = self._new, [], 0
        kinds = await self._store.list_awaited()
        self._calm = not kinds
        for start in range(0, len(new) if kinds else 0, MOST):
            batch = new[start : start + MOST]
            old = await self._store.load_events([event for event in batch if isinstance(event, UUID)])
            events = [event for event in (*batch, *old) if isinstance(event, Event) and event.replay_of is None]
            await self._wake(_hits(kinds, events))

    async def _wake(self, hits: Sequence[Hit]) -> None:
        ring = await self._store.hear(hits)
        if ring:
            self._queue.ring_soon(ring)

    async def sweep(self) -> int:
        """Tell the waits of events that nobody has told them of; how many events were looked at. One process does.

        A span of time is looked at again if it has more events than last time.
        """
        kinds = await self._store.list_awaited()
        if not kinds:
            self._swept.clear()
            return 0
        moment, position = await self._store.sweep_position()
        spans = await self._store.list_spans(position - OVERLAP, MOST_COUNTED)
        seen, left = 0, SWEPT_MOST
        for number, span in enumerate(spans):
            if self._swept.get(span.first) == span.events:
                continue
            if left <= 0 or (number == len(spans) - 1 and sum(one.events for one in spans) == MOST_COUNTED):
                moment = min(moment, _time_of(span.first))  # the next sweep goes on here
                break
            looked = await self._sweep_span(kinds, span)
            self._swept[span.first] = span.events
            seen, left = seen + looked, left - looked
        await self._store.move_sweep(moment)
        self._swept = {span.first: self._swept[span.first] for span in spans if span.first in self._swept}
        return seen

    async def _sweep_span(self, kinds: Mapping[UUID, Kind], span: Span) -> int:
        looked, after = 0, None
        while page := await self._store.list_span(span, after, SWEPT):
            await self._wake(await self._found(kinds, page))
            looked, after = looked + len(page), page[-1].id
        return looked

    async def _found(self, kinds: Mapping[UUID, Kind], names: Sequence[EventName]) -> list[Hit]:
        """Bodies are only loaded where a condition looks into them."""
        plain = {kind_id: kind for kind_id, kind in kinds.items() if not kind.paths}
        hits = _hits(plain, names)
        fitting = _fitting({kind_id: kind for kind_id, kind in kinds.items() if kind.paths})
        within = [name.id for name in names if fitting(name)]
        for start in range(0, len(within), MOST_LOADED):
            events = await self._store.load_events(within[start : start + MOST_LOADED])
            hits += [hit for hit in _hits(kinds, events) if hit.kind not in plain]
        return hits


def _hits(kinds: Mapping[UUID, Kind], events: Iterable[Event | EventName]) -> list[Hit]:
    """What these events are for those who wait. One without its content only fits kinds that do not ask for it."""
    hits = []
    fitting = _fitting(kinds)
    for event in events:
        found = fitting(event)
        shown = _shown(event, {path[0] for _, kind in found for path in kind.paths})
        for kind_id, kind in found:
            key = key_of(shown, kind.paths)
            if key is not None:
                hits.append(Hit(kind_id, key, event.id))
    return hits


def _shown(event: Event | EventName, names: Set[str | int]) -> dict[str, Any]:
    """As expressions see the event, as far as they ask."""
    if not names or not isinstance(event, Event):
        return {}
    if names == {"body"}:  # nearly always
        return {"body": parse_body(event.headers.get("content-type", ""), event.body)}
    return view(event)


def _fitting(kinds: Mapping[UUID, Kind]) -> Callable[[Event | EventName], list[tuple[UUID, Kind]]]:
    """Which kinds an event is of; asked once for each source and type."""
    known: dict[tuple[str, str], list[tuple[UUID, Kind]]] = {}

    def fitting(event: Event | EventName) -> list[tuple[UUID, Kind]]:
        place = (event.source, event.type)
        if place not in known:
            known[place] = [item for item in kinds.items() if item[1].covers(*place)]
        return known[place]

    return fitting


def _time_of(event_id: UUID) -> datetime:
    return datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC)
