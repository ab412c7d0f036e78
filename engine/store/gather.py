"""Events that wait for others: the bursts of `debounce` and the batches of `batch`, until they become runs.

A row of `gather` is one burst or batch; at most one of a key is open, the others wait to become runs. Its size says
which state of it somebody has seen: whoever makes a run of it deletes it in that state, or does nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.core.event import Event
from engine.store import tables
from engine.store.database import Database
from engine.store.events import event_of
from engine.store.rows import GatherRow

MOST_BYTES = 10_000_000  # of the bodies of one batch; what comes after begins the next
MOST_EVENTS = 10_000  # of one batch, as the checker allows

COLUMNS = "id, pipeline, trigger, kind, key, first_at, due_at, last_event, size"
DUE = f"select {COLUMNS} from gather where due_at <= $1 order by due_at, number limit $2"  # noqa: S608 - a constant
BY_ID = f"select {COLUMNS} from gather where id = any($1::uuid[]) order by number"  # noqa: S608 - a constant
ENDLESS = f"select {COLUMNS} from gather where due_at is null order by number limit $1"  # noqa: S608 - a constant
PUT_OFF = "update gather set due_at = $3 where id = $1 and size = $2"
EVENTS = """
select event.* from gathered join event on event.id = gathered.event_id
where gathered.gather_id = $1 order by gathered.number
"""
EVENTS_OF_RUN = "select event_id from batch_event where run_id = $1 order by number limit $2"


class Gathers:
    """Reading bursts and batches. They are written by Ingest."""

    _database: Database

    async def due_gathers(self, until: datetime, limit: int) -> list[GatherRow]:
        """Those that are due by then, the longest overdue first."""
        return [GatherRow(*row) for row in await self._database.fetch(DUE, until, limit)]

    async def get_gathers(self, ids: Sequence[UUID]) -> list[GatherRow]:
        """Those of them that are still there."""
        return [GatherRow(*row) for row in await self._database.fetch(BY_ID, list(ids))]

    async def endless_gathers(self, limit: int) -> list[GatherRow]:
        """Batches that only become due when they are full."""
        return [GatherRow(*row) for row in await self._database.fetch(ENDLESS, limit)]

    async def put_off_gather(self, row: GatherRow, due_at: datetime) -> None:
        """Make it due later, unless it has changed."""
        await self._database.fetch(PUT_OFF, row.id, row.size, due_at)

    async def gathered_events(self, gather_id: UUID) -> list[Event]:
        """The events of a batch with their bodies, in order."""
        return [event_of(row) for row in await self._database.fetch(EVENTS, gather_id)]

    async def get_events(self, ids: Sequence[UUID]) -> dict[UUID, Event]:
        """Those of the events that are stored."""
        if not ids:
            return {}
        rows: list[Any] = await self._database.run(tables.Event.select().where(tables.Event.id.is_in(list(ids))))
        return {row["id"]: event_of(row) for row in rows}

    async def events_of_run(self, run_id: UUID, limit: int = MOST_EVENTS) -> list[UUID]:
        """The events of a batched run, in order."""
        return [row["event_id"] for row in await self._database.fetch(EVENTS_OF_RUN, run_id, limit)]
