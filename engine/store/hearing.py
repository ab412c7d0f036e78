"""Waits for events, as an event sees them: who waits for it is woken, and finds it among the arrivals of its wait.

How a wait and an event cannot miss each other is told in engine/store/waits.py.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from engine.core.awaited import Kind
from engine.core.event import Event
from engine.store.database import Database, first_id
from engine.store.events import event_of

MOST_WOKEN = 5000  # waits that hear of events in one statement
FIRST = UUID(int=0)

KINDS = "select id, kind from wait_kind k where exists (select from awaited a where a.kind = k.id)"
# The run is woken in the same commit. Unlike Store.wake this lets no queued run begin: it may queue for something else.
HEAR = """
with hit as materialized (
    select distinct a.run_id, a.step, h.event_id
    from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as h (kind, key, event_id)
    join awaited a on a.kind = h.kind and a.key = h.key
    where a.run_id >= $4 and (a.run_id, a.step, h.event_id) > ($4, $5, $6)
    order by a.run_id, a.step, h.event_id limit $7
), heard as (
    insert into arrival (run_id, step, event_id) select run_id, step, event_id from hit
    on conflict (run_id, step, event_id) do nothing
    returning run_id
), picked as (
    select id from run where id in (select run_id from heard) and finished_at is null order by id for no key update
), woken as (
    update run set woken = true, due_at = case when run.status = 'waiting' then now() else run.due_at end,
        rung_at = case when run.status = 'waiting' then now() else run.rung_at end
    from picked where run.id = picked.id
    returning run.id, run.status = 'waiting' as free
), edge as (
    select run_id, step, event_id from hit order by run_id desc, step desc, event_id desc limit 1
)
select (select count(*) from hit) as hits, array(select id from woken where free order by id) as ring,
    edge.run_id, edge.step, edge.event_id
from edge
"""
EVENTS = """
select id, source, type, received_at, method, path, query, headers, path_params, body, delivery_id, replay_of
from event where id = any($1::uuid[]) and id >= $2 order by id
"""
# Ten characters are the nine highest hexadecimal digits of the milliseconds: spans of 4.096 s.
SPANS = """
select left(id::text, 10) as span, count(*) as events
from (select id from event where id >= $1 order by id limit $2) as e group by 1 order by 1
"""
SPAN_BITS = 92  # of an id below its span
WITHIN = """
select id, source, type from event where id >= $1 and id > $2 and id < $3 and replay_of is null order by id limit $4
"""
POSITION = """
select now() as now, case when position > now() - interval '1 minute' then position
    else greatest(position, (select min(created_at) from wait where open)) end as position
from (select max(position) as position from wait_sweep) as sweep
"""
MOVE = """
insert into wait_sweep (position) values ($1)
on conflict (id) do update set position = greatest(wait_sweep.position, excluded.position)
"""


class Hit(NamedTuple):
    """An event that fits a kind, and the key it has for it."""

    kind: UUID
    key: UUID
    event_id: UUID


class EventName(NamedTuple):
    """An event without its content."""

    id: UUID
    source: str
    type: str


class Span(NamedTuple):
    """The ids of some seconds, and how many events have one."""

    first: UUID
    events: int

    @property
    def end(self) -> UUID:
        """The first one after it."""
        return UUID(int=min(self.first.int + (1 << SPAN_BITS), (1 << 128) - 1))


class Hearing:
    """What whoever has recorded an event asks afterwards."""

    _database: Database

    async def list_awaited(self) -> dict[UUID, Kind]:
        """The kinds of events that somebody waits for now, by id."""
        return {row["id"]: msgspec.json.decode(row["kind"], type=Kind) for row in await self._database.fetch(KINDS)}

    async def hear(self, hits: Sequence[Hit]) -> list[UUID]:
        """Let the waits with these kinds and keys know. Returns the runs that are due now and want to be rung.

        A run that is held looks once it is let go of. To tell a wait of the same event again changes nothing.
        """
        ring: list[UUID] = []
        columns = [[getattr(hit, name) for hit in hits] for name in ("kind", "key", "event_id")]
        place = (FIRST, "", FIRST)
        while hits:
            rows = await self._database.fetch(HEAR, *columns, *place, MOST_WOKEN)
            if not rows:
                break
            row = rows[0]
            ring += row["ring"]
            if row["hits"] < MOST_WOKEN:
                break
            place = (row["run_id"], row["step"], row["event_id"])
        return ring

    async def load_events(self, event_ids: Sequence[UUID]) -> list[Event]:
        """These events with their bodies, those that are there, oldest first."""
        if not event_ids:
            return []
        return [event_of(row) for row in await self._database.fetch(EVENTS, list(event_ids), min(event_ids))]

    async def list_spans(self, since: datetime, limit: int) -> list[Span]:
        """How many events there are in each span since then, oldest first, so many events at most."""
        start = UUID(int=first_id(since).int >> SPAN_BITS << SPAN_BITS)
        rows = await self._database.fetch(SPANS, start, limit)
        return [Span(UUID(int=int(row["span"].replace("-", ""), 16) << SPAN_BITS), row["events"]) for row in rows]

    async def list_span(self, span: Span, after: UUID | None, limit: int) -> list[EventName]:
        """The events of a span, or those after that one, oldest first; replayed ones are left out."""
        rows = await self._database.fetch(WITHIN, span.first, after or FIRST, span.end, limit)
        return [EventName(*row) for row in rows]

    async def sweep_position(self) -> tuple[datetime, datetime]:
        """Now, and the time up to which all open waits have heard of all events, but for what was late."""
        row = (await self._database.fetch(POSITION))[0]
        return row["now"], row["position"] or row["now"]

    async def move_sweep(self, position: datetime) -> None:
        """All open waits have heard of what came before."""
        await self._database.fetch(MOVE, position)
