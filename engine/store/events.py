"""Reading events and the decisions about them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from piccolo.query.functions.string import Length

from engine.core.event import Event
from engine.core.run import Decision
from engine.store import tables
from engine.store.database import Database
from engine.store.rows import DecisionCount, EventFilter, EventSummary

SUMMARY = [getattr(tables.Event, name) for name in EventSummary.__struct_fields__ if name != "size"]
COUNT_DECISIONS = """
select event_id, count(*) as decided, count(*) filter (where matched) as matched,
    (array_agg(reason order by id desc))[1] as reason
from decision where event_id = any($1::uuid[]) group by event_id
"""


class Events:
    """Events, newest first from a cursor: no page is ever sorted, counted or skipped through."""

    _database: Database

    async def get_event(self, event_id: UUID) -> Event | None:
        """The event with its body, or None."""
        rows = await self._database.run(tables.Event.select().where(tables.Event.id == event_id))
        return event_of(rows[0]) if rows else None

    async def list_events(self, wanted: EventFilter) -> tuple[list[EventSummary], UUID | None]:
        """A page of events and the cursor of the next one; None: this is the last."""
        event = tables.Event
        query = event.select(*SUMMARY, Length(event.body, alias="size"))
        for column, value in ((event.source, wanted.source), (event.type, wanted.type), (event.path, wanted.path)):
            if value is not None:
                query = query.where(column == value)
        return await self._database.page(query, event.id, wanted, EventSummary)

    async def list_decisions(self, event_id: UUID) -> list[Decision]:
        """Which triggers were tried for this event, and what they said, in that order."""
        decision = tables.Decision
        columns = [decision.pipeline, decision.trigger, decision.matched, decision.reason, decision.detail]
        query = decision.select(*columns).where(decision.event_id == event_id).order_by(decision.id)
        return [
            Decision(**{**row, "detail": msgspec.json.decode(row["detail"])})
            for row in map(dict, await self._database.run(query))
        ]

    async def count_decisions(self, event_ids: Sequence[UUID]) -> dict[UUID, DecisionCount]:
        """How the triggers decided; events that nobody listened to are missing."""
        if not event_ids:
            return {}
        rows = await self._database.fetch(COUNT_DECISIONS, list(event_ids))
        return {row["event_id"]: DecisionCount(row["decided"], row["matched"], row["reason"]) for row in rows}


def event_of(row: Any, **other: Any) -> Event:
    """An event of a row with its columns; `other` are those that have another name there."""
    values = {name: row[name] for name in Event.__struct_fields__ if name not in other}
    for name in ("headers", "path_params"):
        values[name] = msgspec.json.decode(values[name])
    return Event(**values, **other)
