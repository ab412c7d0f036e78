"""Waits for events, as the runs that wait see them. How an event finds them: engine/store/hearing.py.

Why no event is missed: a wait is committed before the run looks back, and whoever has recorded an event asks who waits
only after its commit. If it does not see the wait, the wait was committed later, and the look-back sees the event.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from engine.core.awaited import Awaited, fingerprint
from engine.core.event import Event
from engine.store.database import Database, first_id
from engine.store.events import event_of

PAGE = 100  # events that fit, in one look
SPAN = 20_000  # events that are gone through in one look
EARLIER = timedelta(seconds=1)  # an event may get its id so much before the time at which it counts as received
PRUNED_MOST = 5000  # rows in one go
PRUNED_ROUNDS = 20  # of so many rows at once
FORGOTTEN = 600.0  # seconds after which an arrival that was refused may come again: none does after so long

HELD = "select from run where id = $1 and turn = $3 and worker is not null"
OPEN = f"""
with opened as (
    insert into wait (run_id, step, signature) select $1, $2, $4 where exists ({HELD})
    on conflict (run_id, step) do update set
        signature = excluded.signature,
        looked = wait.looked and wait.open and wait.signature = excluded.signature,
        open = wait.event_id is null
    returning looked, event_id
), kinds as (
    insert into wait_kind (id, kind)
    select distinct on (k.id) k.id, k.kind from unnest($5::uuid[], $6::text[]) as k (id, kind) order by k.id
    on conflict (id) do nothing
), said as (
    insert into awaited (run_id, step, number, kind, key)
    select $1, $2, a.number, a.kind, a.key
    from unnest($5::uuid[], $7::uuid[]) with ordinality as a (kind, key, number), opened
    where opened.event_id is null
    on conflict (run_id, step, number) do update set kind = excluded.kind, key = excluded.key
        where awaited.kind <> excluded.kind or awaited.key <> excluded.key
), unsaid as (
    delete from awaited where run_id = $1 and step = $2 and number > cardinality($5::uuid[])
        and exists (select from opened)
)
select looked, event_id from opened
"""  # noqa: S608 - a constant
COLUMNS = """e.id, e.source, e.type, e.received_at, e.method, e.path, e.query, e.headers, e.path_params, e.body,
    e.delivery_id, e.replay_of"""
# A page ends after so many events that fit, or so many that were gone through; `last` is where the next one begins.
LOOK_BACK = f"""
with span as materialized (
    select id, source, type, replay_of from event where id > $3 order by id limit {SPAN}
), found as materialized (
    select span.id from span
    where replay_of is null
        and exists (select from unnest($4::text[], $5::text[]) as p (source, type)
            where span.source like p.source and span.type like p.type)
        and not exists (select from wait o where o.run_id = $1 and o.event_id = span.id)
    order by span.id limit {PAGE}
), edge as (
    select case when (select count(*) from found) = {PAGE} then (select id from found order by id desc limit 1)
        when (select count(*) from span) = {SPAN} then (select id from span order by id desc limit 1) end as last
), looked as (
    update wait set looked = true
    where run_id = $1 and step = $2 and not looked and not exists (select from found)
        and (select last from edge) is null
)
select {COLUMNS}, edge.last from edge
left join (found join event e on e.id = found.id and e.id > $3) on true
order by e.id
"""  # noqa: S608 - constants
ARRIVED = f"""
select {COLUMNS} from arrival a join event e on e.id = a.event_id
where a.run_id = $1 and a.step = $2 and not a.refused
    and not exists (select from wait o where o.run_id = $1 and o.event_id = e.id)
order by e.id limit {PAGE}
"""  # noqa: S608 - constants
LOOKED = "update wait set looked = true where run_id = $1 and step = $2"
REFUSE = "update arrival set refused = true where run_id = $1 and step = $2 and event_id = any($3::uuid[])"
CLOSE = f"""
with closed as (
    update wait set open = false, event_id = $4::uuid
    where run_id = $1 and step = $2 and event_id is null and exists ({HELD})
        and ($4::uuid is null or not exists (select from wait o where o.run_id = $1 and o.event_id = $4::uuid))
    returning run_id
), unsaid as (
    delete from awaited where run_id = $1 and step = $2 and exists (select from closed)
), gone as (
    delete from arrival where run_id = $1 and step = $2 and exists (select from closed)
)
select event_id from wait where run_id = $1 and step = $2 and event_id = $4::uuid
union all select $4::uuid from closed
"""  # noqa: S608 - a constant
# The waits themselves stay as long as their run: it may be reopened, and must not take the same event twice.
PRUNE = """
with ended as (
    select distinct run_id, step from awaited
    where not exists (select from run where run.id = awaited.run_id and run.finished_at is null) limit $1
), unsaid as (
    delete from awaited using ended where awaited.run_id = ended.run_id and awaited.step = ended.step
), closed as (
    update wait set open = false from ended where wait.run_id = ended.run_id and wait.step = ended.step
)
select count(*) as gone from ended
"""
PRUNE_ARRIVALS = """
with old as (
    select run_id, step, event_id from arrival
    where event_id < $2 and (refused or not exists (
        select from awaited a where a.run_id = arrival.run_id and a.step = arrival.step)) limit $1
), gone as (
    delete from arrival using old
    where arrival.run_id = old.run_id and arrival.step = old.step and arrival.event_id = old.event_id
)
select count(*) as gone from old
"""


class OpenedWait(NamedTuple):
    """`looked`: what came before it has been looked at. `event_id`: the event that ended it."""

    looked: bool
    event_id: UUID | None


class Seen(NamedTuple):
    """A page of events, oldest first. `last`: after it the next one begins; None: this was all."""

    events: list[Event]
    last: UUID | None


class Waits:
    """What a run asks while it waits."""

    _database: Database

    async def open_wait(self, run_id: UUID, step: str, turn: int, awaited: Sequence[Awaited]) -> OpenedWait | None:
        """Register a wait for any of these. Again: how far it has come. None: the run was taken over.

        A wait that is for something else by now looks back anew, as does one that had ended without an event.
        """
        kinds = [one.kind.id for one in awaited]
        texts = [msgspec.json.encode(one.kind).decode() for one in awaited]
        keys = [one.key for one in awaited]
        rows = await self._database.fetch(OPEN, run_id, step, turn, fingerprint(awaited), kinds, texts, keys)
        return OpenedWait(rows[0]["looked"], rows[0]["event_id"]) if rows else None

    async def look_back(
        self, run_id: UUID, step: str, since: datetime, awaited: Sequence[Awaited], after: UUID | None = None
    ) -> Seen:
        """Events of these kinds since then that ended no other wait of the run; `after`: the page after that.

        Replayed events are not among them. That there are none at all is remembered: the wait counts as looked.
        """
        start = after or UUID(int=max(0, first_id(since - EARLIER).int - 1))
        sources = [as_like(one.kind.source) for one in awaited]
        types = [as_like(one.kind.type) for one in awaited]
        rows = await self._database.fetch(LOOK_BACK, run_id, step, start, sources, types)
        return Seen([event_of(row) for row in rows if row["id"] is not None], rows[0]["last"])

    async def list_arrivals(self, run_id: UUID, step: str) -> list[Event]:
        """Events that came since the wait was opened, oldest first, some at most."""
        return [event_of(row) for row in await self._database.fetch(ARRIVED, run_id, step)]

    async def refuse_arrivals(self, run_id: UUID, step: str, event_ids: Sequence[UUID]) -> None:
        """These events do not end the wait."""
        await self._database.fetch(REFUSE, run_id, step, list(event_ids))

    async def note_looked(self, run_id: UUID, step: str) -> None:
        """None of the events before the wait ends it."""
        await self._database.fetch(LOOKED, run_id, step)

    async def close_wait(self, run_id: UUID, step: str, turn: int, event_id: UUID | None) -> bool:
        """End it with this event, or with none. False: the run was taken over, or the event or wait is taken.

        Asked again after an answer that was lost, it is True.
        """
        return bool(await self._database.fetch(CLOSE, run_id, step, turn, event_id))

    async def prune_waits(self) -> int:
        """Close waits of runs that have ended, 100,000 at most, and delete arrivals nobody asks for; how many waits."""
        before = first_id(datetime.now().astimezone() - timedelta(seconds=FORGOTTEN))
        pruned = 0
        for _ in range(PRUNED_ROUNDS):
            gone = int((await self._database.fetch(PRUNE, PRUNED_MOST))[0]["gone"])
            pruned += gone
            if gone < PRUNED_MOST:
                break
        for _ in range(PRUNED_ROUNDS):
            if int((await self._database.fetch(PRUNE_ARRIVALS, PRUNED_MOST, before))[0]["gone"]) < PRUNED_MOST:
                break
        return pruned


def as_like(glob: str | None) -> str:
    """A pattern of LIKE for everything that the glob matches, and perhaps more: a class stands for any character."""
    if glob is None:
        return "%"
    pattern, index = "", 0
    while index < len(glob):
        char, end = glob[index], -1
        if char == "[":
            end = glob.find("]", index + (3 if glob[index + 1 : index + 2] == "!" else 2))
        if end > 0:
            pattern, index = pattern + "_", end
        else:
            pattern += {"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\", "\0": "\ufffd"}.get(char, char)
        index += 1
    return pattern
