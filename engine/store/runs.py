"""Reading runs, their attempts, and how much is open."""

from datetime import datetime
from typing import Any
from uuid import UUID

from piccolo.columns.combination import WhereRaw
from piccolo.query import Select

from engine.core.run import RunStatus
from engine.store import tables
from engine.store.database import Database, as_rows, in_times
from engine.store.ingest import clean, encode_labels
from engine.store.rows import Lineage, RunFilter, RunRow, RunSummary, Stats, StoredAttempt

SUMMARY = [getattr(tables.Run, name) for name in RunSummary.__struct_fields__]
FULL = [getattr(tables.Run, name) for name in RunRow.__struct_fields__]
ATTEMPT = [getattr(tables.Attempt, name) for name in StoredAttempt.__struct_fields__]

# Open runs are counted through their partial index; a page shows "many" beyond this.
COUNTED_MOST = 100_000
STATS = f"""
select
    (select count(*) from (select from run where status = 'queued' limit {COUNTED_MOST}) as q) as queued,
    (select count(*) from (select from run where status = 'running' limit {COUNTED_MOST}) as r) as running,
    (select count(*) from (select from run where status = 'waiting' limit {COUNTED_MOST}) as w) as waiting,
    (select count(*) from worker where seen_at > now() - interval '10 seconds') as workers,
    greatest(0, extract(epoch from now() - least(
        (select min(due_at) from run where status in ('queued', 'waiting') and rung_at is null),
        (select min(due_at) from (select due_at from run where status = 'queued' order by id limit 100) as o)
    )))::float8 as oldest_due
"""  # noqa: S608 - a constant
STARTED_BY = """run.id = any(array(
    select own.id from run as own where own.event_id = {}
    union all select run_id from batch_event where event_id = {}))"""
LINEAGE = """
with recursive line as (
    select id, parent, event_id, 0 as parents from run where id = $1
    union all
    select run.id, run.parent, run.event_id, line.parents + 1 from line join run on run.id = line.parent
    where line.parents < $2
)
select parents, id as first, event_id from line order by parents desc limit 1
"""
COUNT_ENDED = """
select hour, status, sum(runs)::bigint as runs from tally
where hour > now() - make_interval(hours => $1) group by hour, status
"""


class Runs:
    """Runs, newest first from a cursor: no page is ever sorted, counted or skipped through."""

    _database: Database

    async def get_run(self, run_id: UUID) -> RunRow | None:
        """The run with everything, or None."""
        rows = await self._database.run(tables.Run.select(*FULL).where(tables.Run.id == run_id))
        return as_rows(rows, RunRow)[0] if rows else None

    async def get_lineage(self, run_id: UUID, most: int) -> Lineage:
        """The runs that started this one, one by the other, `most` at most. Those that are gone do not count."""
        rows = await self._database.fetch(LINEAGE, run_id, most)
        return Lineage(**dict(rows[0])) if rows else Lineage(0, run_id)

    async def list_runs(self, wanted: RunFilter) -> tuple[list[RunSummary], UUID | None]:
        """A page of runs and the cursor of the next one; None: this is the last."""
        return await self._database.page(_where(tables.Run.select(*SUMMARY), wanted), tables.Run.id, wanted, RunSummary)

    async def count_runs(self, wanted: RunFilter, most: int = COUNTED_MOST) -> int:
        """How many runs there are of these, counted up to `most`; the cursor does not matter."""
        query = _where(tables.Run.select(tables.Run.id), wanted)
        return len(await self._database.run(in_times(query, tables.Run.id, wanted).limit(most)))

    async def runs_of_event(self, event_id: UUID) -> list[RunSummary]:
        """All runs that this event started, oldest first."""
        query = tables.Run.select(*SUMMARY).where(_started_by(event_id)).order_by(tables.Run.id)
        return as_rows(await self._database.run(query), RunSummary)

    async def get_attempts(self, run_id: UUID) -> list[StoredAttempt]:
        """Every try of every step, in the order they began."""
        attempt = tables.Attempt
        query = attempt.select(*ATTEMPT).where(attempt.run_id == run_id)
        rows = await self._database.run(query.order_by(attempt.started_at, attempt.finished_at, attempt.number))
        return as_rows(rows, StoredAttempt)

    async def stats(self) -> Stats:
        """How much is open. Cheap however many runs have ended."""
        row = (await self._database.fetch(STATS))[0]
        return Stats(**dict(row))

    async def count_ended(self, hours: int) -> dict[tuple[datetime, str], int]:
        """Runs that ended in the last hours, by the hour's beginning (UTC) and status."""
        rows = await self._database.fetch(COUNT_ENDED, hours)
        return {(row["hour"], row["status"]): row["runs"] for row in rows}


def _started_by(event_id: UUID) -> WhereRaw:
    """Runs of this event alone, or of a batch it was in."""
    return WhereRaw(STARTED_BY, event_id, event_id)


def _where(query: Select[Any], wanted: RunFilter) -> Select[Any]:
    """All conditions but those of time."""
    run = tables.Run
    if wanted.pipeline is not None:
        query = query.where(run.pipeline == clean(wanted.pipeline))
    if wanted.status is not None:  # written out, so that a partial index can serve it
        query = query.where(WhereRaw(f"run.status = '{RunStatus(wanted.status).value}'"))
    if wanted.labels:
        query = query.where(WhereRaw("run.labels @> {} and run.labels <> '{{}}'", encode_labels(wanted.labels)))
    if wanted.event_id is not None:
        query = query.where(_started_by(wanted.event_id))
    return query
