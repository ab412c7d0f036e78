"""Old history goes a week at a time: finished runs in small batches, then the partitions of what belonged to them.

event, attempt and decision are partitioned by their time-ordered keys (migrations/engine_0015_partitions.py). The
table of runs is not: its idempotency keys are unique over all time. Deleting its small rows in batches took a
fortieth of a millisecond each while ingest went on; dropping a partition takes the same few milliseconds however many
rows it has.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from engine.errors import Unavailable
from engine.store.database import Database, first_id

WEEK = timedelta(days=7)
PARTITIONED = (("event", "id"), ("attempt", "run_id"), ("decision", "id"))
BATCH = 1000  # runs deleted in one statement: the fastest of 100, 1,000 and 10,000
LOCKED = "55P03"  # SQLSTATE of a lock that was not to be had in time
PATIENCE = "1s"  # for the locks: behind a statement that waits for one all others queue up

LIST = """
select parent.relname as parent, child.relname as child, pg_get_expr(child.relpartbound, child.oid) as bounds,
    pg_total_relation_size(child.oid) as size
from pg_inherits
join pg_class parent on parent.oid = inhparent
join pg_class child on child.oid = inhrelid
where parent.relname in ('event', 'attempt', 'decision') and parent.relnamespace = current_schema::regnamespace
order by child.relname
"""
MAKE = "select make_week($1, $2, $3)"
# Whatever is open, or waits to become a run, still needs its event and its attempts.
NEEDED = """
select
    (select count(*) from (
        (select from run where status in ('queued', 'running', 'waiting') and (id < $1 or event_id < $1) limit 1000)
        union all (select from gather where last_event < $1 limit 1)
        union all (select from gathered where event_id < $1 limit 1)
        union all (select from run join batch_event on batch_event.run_id = run.id
            where status in ('queued', 'running', 'waiting') and run.batched and batch_event.event_id < $1 limit 1)
    ) as r) as runs
"""
DELETE_RUNS = """
with old as (
    select id from run where id < $1 and finished_at is not null order by id limit $2 for update skip locked
), gone as (
    delete from run using old where run.id = old.id returning run.id
), waits as (
    delete from wait using gone where wait.run_id = gone.id
), batches as (
    delete from batch_event using old where batch_event.run_id = old.id
), forgotten as (
    delete from replay using gone where replay.run_id = gone.id
), unasked as (
    delete from approval using gone where approval.run_id = gone.id
)
select count(*) as gone from gone
"""


class Week(NamedTuple):
    """The partitions that end at the same time."""

    until: datetime
    tables: tuple[str, ...]
    size: int  # bytes, indexes included


class History:
    """The weeks behind us and ahead of us."""

    _database: Database

    async def list_weeks(self) -> list[Week]:
        """What is there, oldest first; the first one holds everything older too."""
        weeks: dict[datetime, Week] = {}
        for row in await self._database.fetch(LIST):
            bound = _upper(row["bounds"])
            if bound is not None:
                old = weeks.get(bound, Week(bound, (), 0))
                weeks[bound] = Week(bound, (*old.tables, row["child"]), old.size + row["size"])
        return [weeks[bound] for bound in sorted(weeks)]

    async def make_weeks(self, ahead: int, *, now: datetime | None = None) -> int:
        """Make the partitions of this week and so many to come; how many were missing."""
        moment = now or datetime.now(UTC)
        there = {table for week in await self.list_weeks() for table in week.tables}
        if not there:
            return 0
        first = min(week.until for week in await self.list_weeks())
        monday = (moment - timedelta(days=moment.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
        made = 0
        for number in range(ahead + 1):
            start = monday + number * WEEK
            year, week, _ = start.isocalendar()
            for parent, key in PARTITIONED:
                if start >= first and f"{parent}_{year}w{week:02}" not in there:
                    made += (await self._database.fetch(MAKE, parent, key, start))[0]["make_week"]
        return made

    async def count_needed(self, until: datetime) -> int:
        """Open runs, bursts and batches that began before or go back to an event before; not all of them if many."""
        return int((await self._database.fetch(NEEDED, first_id(until)))[0]["runs"])

    async def delete_runs(self, until: datetime) -> int:
        """Delete some finished runs that were created before, oldest first; how many."""
        return int((await self._database.fetch(DELETE_RUNS, first_id(until), BATCH))[0]["gone"])

    async def drop_week(self, week: Week) -> bool:
        """Drop its partitions, all or none. False: somebody is using them, try again later."""
        names = ", ".join(f'"{table}"' for table in week.tables)
        statement = f"do $$ begin set local lock_timeout = '{PATIENCE}'; drop table {names}; end $$"
        try:
            await self._database.fetch(statement)
        except Unavailable as error:
            if getattr(error.__cause__, "sqlstate", "") == LOCKED:
                return False
            raise
        return True


def _upper(bounds: str) -> datetime | None:
    """The end of a partition's range; None: it is the default one."""
    if " TO ('" not in bounds:
        return None
    identifier = UUID(bounds.rpartition(" TO ('")[2].rstrip("')"))
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
