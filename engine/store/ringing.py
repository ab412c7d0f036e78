"""Which runs are to be rung, and in which order. Only the process that leads asks; PostgreSQL's clock decides.

A run is ready if it is queued, due and not rung. The statements find ready runs through the index `run_ready`, key by
key, and timers through `run_timer`: none of them looks at what is not its business, however much there is of it.
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from engine.store.connection import Held

BEFORE_ALL = UUID(int=0)  # before every turn key
NO_KEY = UUID(int=2**128 - 1)  # stands for the turn key of rows that have none
ALIVE = 6.0  # seconds since its last heartbeat within which a worker counts
SERVED_FOR = 1.0  # seconds for which is remembered who serves what
MOST_OLD = 2000  # runs among which the oldest ready ones of a queue are looked for

KEY = f"coalesce(run.turn_key, '{NO_KEY}'::uuid)"
READY = "run.status = 'queued' and run.rung_at is null and run.due_at is not null"

LOOK = """
select
    extract(epoch from (
        select min(due_at) from run where status in ('queued', 'waiting') and rung_at is null) - now())::float8 as run,
    extract(epoch from (select min(next_at) from schedule) - now())::float8 as schedule
"""
PLACES = f"""
with recursive place as (
    (select run.queue, - run.priority as rank from run where {READY} order by run.queue, - run.priority limit 1)
    union all
    select next.queue, next.rank from place cross join lateral (
        select run.queue, - run.priority as rank from run
        where {READY} and (run.queue, - run.priority) > (place.queue, place.rank)
        order by run.queue, - run.priority limit 1) as next
)
select queue, (- rank)::integer as priority from place
"""  # noqa: S608 - constants, as below
KEYS = f"""
with recursive found as (
    (select {KEY} as key, run.due_at from run
    where {READY} and run.queue = $1 and - run.priority = - $2::integer and {KEY} > $3
    order by {KEY}, run.due_at limit 1)
    union all
    select next.key, next.due_at from found cross join lateral (
        select {KEY} as key, run.due_at from run
        where {READY} and run.queue = $1 and - run.priority = - $2::integer and {KEY} > found.key
        order by {KEY}, run.due_at limit 1) as next
)
select key, due_at <= now() as due from found limit $4
"""  # noqa: S608
TAKE = f"""
with picked as (
    select ready.id, ready.place, share.number
    from unnest($3::uuid[], $4::integer[]) with ordinality as share (key, runs, number)
    cross join lateral (
        select first.id, row_number() over (order by first.due_at, first.id) as place from (
            select run.id, run.due_at from run
            where {READY} and run.queue = $1 and - run.priority = - $2::integer and {KEY} = share.key
                and run.due_at <= now()
            order by run.due_at, run.id limit share.runs for update skip locked
        ) as first
    ) as ready
), rung as (
    update run set rung_at = now() from picked where run.id = picked.id returning run.id, picked.place, picked.number
)
select id from rung order by place, number
"""  # noqa: S608
TAKE_OLDEST = f"""
with old as (
    select run.id, run.queue from run
    where run.status in ('queued', 'waiting') and run.rung_at is null and run.due_at <= now() and run.status = 'queued'
    order by run.due_at limit {MOST_OLD}
), picked as (
    select run.id from run where run.id in (select id from old where queue = $1 limit $2) and {READY}
    for update skip locked
)
update run set rung_at = now() from picked where run.id = picked.id returning run.id
"""  # noqa: S608
RING_TIMERS = """
with due as (
    select id from run where status = 'waiting' and rung_at is null and due_at is not null and due_at <= now()
    order by due_at limit $1 for update skip locked
)
update run set
    status = case when queue = any($2::text[]) then status else 'queued' end,
    waiting_for = case when queue = any($2::text[]) then waiting_for end,
    rung_at = case when queue = any($2::text[]) then now() end
from due where run.id = due.id
returning run.id, run.queue, run.rung_at is not null as rung
"""
FORGET = """
with lost as (
    select id from run where status in ('queued', 'waiting') and rung_at is not null
        and rung_at < coalesce($3::timestamptz, now()) - make_interval(secs => $1) and due_at is not null
    order by rung_at limit $2 for update skip locked
)
update run set rung_at = null from lost where run.id = lost.id returning run.id
"""
# Whatever is due, without an order and without a limit per queue.
DUE_UNRUNG = """
with moment as (
    select coalesce($3::timestamptz, now()) as at
), unrung as (
    select id from run where status in ('queued', 'waiting') and rung_at is null and due_at <= (select at from moment)
    order by due_at limit $2 for update skip locked
), lost as (
    select id from run where status in ('queued', 'waiting') and rung_at is not null
        and rung_at < (select at from moment) - make_interval(secs => $1) and due_at <= (select at from moment)
    order by rung_at limit $2 for update skip locked
)
update run set rung_at = now()
where id in (select id from unrung union all select id from lost limit $2) returning id
"""
MOVE = f"""
with picked as (
    select run.id from run where {READY} and run.queue = $1 limit $3 for update skip locked
)
update run set queue = $2 from picked where run.id = picked.id returning run.id
"""  # noqa: S608
MISROUTED = """
select id, queue from run
where id = any($1::uuid[]) and worker is null and finished_at is null and queue <> all ($2::text[]) and due_at <= now()
"""
SERVED = """
select coalesce(bool_or(queues is null), false) as everything,
    coalesce(array_agg(distinct name) filter (where name is not null), '{}') as names
from worker left join lateral unnest(queues) as name on true
where kind = 'worker' and seen_at > now() - make_interval(secs => $1)
"""
WAITING_FOR = "select id from run where status = 'waiting' and waiting_for = $1 limit $2"


class Look(NamedTuple):
    """Seconds until there is something to do; negative: it is late. None: nothing is known."""

    run: float | None
    schedule: float | None


class Place(NamedTuple):
    """Where ready runs stand."""

    queue: str
    priority: int


class Served(NamedTuple):
    """Which queues have a worker. everything: one of them serves all that there are."""

    everything: bool
    names: frozenset[str]


class Ringing:
    """What the leader's feeder asks and marks."""

    def __init__(self, database_url: str) -> None:
        self._ringing = Held(database_url)
        self._served: tuple[float, Served] | None = None

    async def look(self) -> Look:
        """When the next run or tick of a schedule is due."""
        row = (await self._ringing.fetch(LOOK))[0]
        return Look(row["run"], row["schedule"])

    async def ready_places(self) -> list[Place]:
        """Queues and priorities that have queued runs which are not rung; some of them may not be due yet."""
        return [Place(row["queue"], row["priority"]) for row in await self._ringing.fetch(PLACES)]

    async def ready_keys(self, place: Place, after: UUID, limit: int) -> list[tuple[UUID, bool]]:
        """Turn keys of runs that are not rung at this place, in order, those after `after`; whether one is due now."""
        rows = await self._ringing.fetch(KEYS, place.queue, place.priority, after, limit)
        return [(row["key"], row["due"]) for row in rows]

    async def take_ready(self, place: Place, shares: Sequence[tuple[UUID, int]]) -> list[UUID]:
        """Mark the longest due runs of each key as rung; one of each key, then the second of each, and so on."""
        keys, runs = [key for key, _ in shares], [count for _, count in shares]
        rows = await self._ringing.fetch(TAKE, place.queue, place.priority, keys, runs)
        return [row["id"] for row in rows]

    async def take_oldest(self, queue: str, limit: int) -> list[UUID]:
        """Mark those of a queue that have been due the longest as rung, whatever their priority and key."""
        return [row["id"] for row in await self._ringing.fetch(TAKE_OLDEST, queue, limit)]

    async def ring_timers(self, limit: int, calm: Sequence[str]) -> tuple[list[tuple[UUID, str]], int]:
        """Waiting runs whose time has come: those to ring now with their queues, and how many there were in all.

        Those of queues that are not calm become queued and wait for their turn.
        """
        rows = await self._ringing.fetch(RING_TIMERS, limit, list(calm))
        return [(row["id"], row["queue"]) for row in rows if row["rung"]], len(rows)

    async def forget_rings(self, older_than: float, limit: int, *, now: datetime | None = None) -> list[UUID]:
        """Rings so many seconds old that nobody has followed are lost: these runs are to be rung again."""
        return [row["id"] for row in await self._ringing.fetch(FORGET, older_than, limit, now)]

    async def due_unrung(self, older_than: float, limit: int, *, now: datetime | None = None) -> list[UUID]:
        """Runs that are due, held by nobody, and have not been rung for so many seconds; they count as rung now.

        For repairs by hand; upkeep minds the order and what the workers can take.
        """
        return [row["id"] for row in await self._ringing.fetch(DUE_UNRUNG, older_than, limit, now)]

    async def move_ready(self, queue: str, to: str, limit: int) -> int:
        """Let the workers of another queue take ready runs; how many."""
        return len(await self._ringing.fetch(MOVE, queue, to, limit))

    async def misrouted(self, run_ids: Sequence[UUID], served: Sequence[str]) -> list[tuple[UUID, str]]:
        """Those of the runs that are due and belong to queues that are not among the served ones."""
        rows = await self._ringing.fetch(MISROUTED, list(run_ids), list(served))
        return [(row["id"], row["queue"]) for row in rows]

    async def served_queues(self) -> Served:
        """What the workers that are alive serve; the answer is kept for a second."""
        if self._served is None or self._served[0] < time.monotonic() - SERVED_FOR:
            row: Any = (await self._ringing.fetch(SERVED, ALIVE))[0]
            self._served = time.monotonic(), Served(row["everything"], frozenset(row["names"]))
        return self._served[1]

    async def runs_waiting_for(self, reason: str, limit: int) -> list[UUID]:
        """Waiting runs with exactly this reason."""
        return [row["id"] for row in await self._ringing.fetch(WAITING_FOR, reason, limit)]
