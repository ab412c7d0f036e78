"""Every process tells whoever waits for an event that it has come, after its commit and behind the sender's back.

What a process could not tell, since it died or PostgreSQL was away, the sweep of the leading worker finds.
"""

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from engine.core.awaited import Kind, key_of
from engine.core.event import Event, view
from engine.errors import Unavailable
from engine.queue import Queue
from engine.store import EventName, Hit, Store

PAUSE = 0.01  # seconds between two looks of one process: what comes meanwhile shares one
CALM = 0.1  # the same while nobody waits for anything
MOST = 500  # events in one look
KEPT = 10_000  # events that wait for their look; more are left to the sweep
KEPT_BYTES = 32_000_000  # of their bodies together
CLOSE_PATIENCE = 2.0  # seconds for the last look
MOST_LOADED = 100  # events whose bodies the sweep holds at once
SWEPT = 5000  # events in one look of the sweep
SWEPT_MOST = 20  # such looks in one sweep; the next one goes on there
# Seconds by which an event's id may be older than its commit: two statements that run into their timeout, with a new
# connection for each (engine/store/connection.py), and as much again for clocks that differ.
OVERLAP = timedelta(seconds=30)

log = structlog.get_logger("listener")


class Listener:
    """One process's ear, and the sweep if it leads."""

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue
        self._new: deque[Event | UUID] = deque()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._swept: set[UUID] = set()  # events within the overlap that the last sweeps have seen to

    def hear(self, event: Event | UUID) -> None:
        """The event is committed: whoever waits for it will be woken soon. An id: it had been committed before."""
        size = 0
        if isinstance(event, Event):
            if event.replay_of is not None:
                return
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
                batch = [self._new.popleft() for _ in range(min(MOST, len(self._new)))]
                self._bytes -= sum(len(event.body) for event in batch if isinstance(event, Event))
                awaited = False
                try:
                    awaited = await self._tell(batch)
                except Unavailable as error:
                    log.warning("listener.deaf", events=len(batch), error=str(error))
                except Exception:
                    log.exception("listener.broken", events=len(batch))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PAUSE if awaited else CALM):
                        await self._hurry.wait()
        finally:
            self._task = None

    async def _tell(self, batch: Sequence[Event | UUID]) -> bool:
        """Whether anybody waits for anything."""
        kinds = await self._store.list_awaited()
        if not kinds:
            return False
        old = await self._store.load_events([event for event in batch if isinstance(event, UUID)])
        events = [event for event in (*batch, *old) if isinstance(event, Event) and event.replay_of is None]
        await self._wake(_hits(kinds, events))
        return True

    async def _wake(self, hits: Sequence[Hit]) -> None:
        ring = await self._store.hear(hits)
        if ring:
            self._queue.ring_soon(ring)

    async def sweep(self) -> int:
        """Tell the waits of events that nobody has told them of; how many events were looked at. One process does."""
        kinds = await self._store.list_awaited()
        if not kinds:
            self._swept.clear()
            return 0
        moment, position = await self._store.sweep_position()
        since, after, looks, seen = position - OVERLAP, None, 0, 0
        kept: set[UUID] = set()
        while page := await self._store.list_new_events(since, after, SWEPT):
            new = [name for name in page if name.id not in self._swept]
            if new:
                if looks == SWEPT_MOST:
                    moment = _time_of(page[0].id)
                    break
                looks, seen = looks + 1, seen + len(new)
                await self._wake(await self._found(kinds, new))
            after = page[-1].id
            kept.update(name.id for name in page)
            self._swept.update(name.id for name in new)
        await self._store.move_sweep(moment)
        horizon = moment - OVERLAP
        self._swept = {event_id for event_id in kept if _time_of(event_id) >= horizon}
        return seen

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
        shown = view(event) if isinstance(event, Event) and any(kind.paths for _, kind in found) else {}
        for kind_id, kind in found:
            key = key_of(shown, kind.paths)
            if key is not None:
                hits.append(Hit(kind_id, key, event.id))
    return hits


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
