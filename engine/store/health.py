"""What should not be there for longer than some seconds: upkeep mends it by itself, `doctor --heal` at once."""

from datetime import datetime
from typing import NamedTuple

from engine.store.database import Database

SHOWN = 5  # examples of one defect

# One row for each kind of defect that there is: how many, since when, some examples.
FIND = f"""
with moment as (
    select coalesce($2::timestamptz, now()) as now, make_interval(secs => $1) as late
), dead as (
    select id, host || '/' || pid as name, seen_at from worker, moment where seen_at < now - late
), found as (
    select 'dead_worker' as kind, name as what, seen_at as since from dead
    union all
    select 'orphan', run.id::text, coalesce(worker.seen_at, run.started_at) from run
        cross join moment left join worker on worker.id = run.worker
        where run.status = 'running' and (worker.id is null or worker.seen_at < now - late)
    union all
    select 'lost_ring', run.id::text, run.due_at from run, moment
        where run.status = 'queued' and run.due_at < now - late and (rung_at is null or rung_at < now - late)
            and not exists (select from pause)
            and (select count(*) from worker where kind = 'worker' and seen_at > now - late) > 0
    union all
    select 'overdue_timer', run.id::text, run.due_at from run, moment
        where run.status = 'waiting' and run.due_at < now - late and (rung_at is null or rung_at < now - late)
    union all
    select 'unannounced', run_id::text, owed_at from announcement, moment where owed_at < now - late
    union all
    select 'overdue_schedule', pipeline || '/' || trigger, next_at from schedule, moment where next_at < now - late
    union all
    select 'overdue_gather', pipeline || '/' || trigger, due_at from gather, moment where due_at < now - late
    union all
    select 'expired', run.id::text, expires_at from run, moment
        where status = 'queued' and turn = 0 and expires_at < now - late
    union all
    select 'stuck_slot', run_id::text, at from gate_exit, moment where at < now - late
    union all
    select 'undecided_slot', run_id::text, greatest(created_at, due_at) from ticket, moment
        where fresh and due_at < now - late and created_at < now - late
    union all
    select 'stale_question', approval.id::text, run.finished_at from approval
        cross join moment join run on run.id = approval.run_id
        where approval.decided_at is null and approval.closed_at is null and run.finished_at < now - late
)
select kind, count(*)::integer as number, min(since) as since, (array_agg(what order by since))[1:{SHOWN}] as examples
from found group by kind order by kind
"""  # noqa: S608 - constants


class Defect(NamedTuple):
    """One kind of thing that upkeep has not mended in time."""

    kind: str
    number: int
    since: datetime | None
    examples: list[str]


class Health:
    """Reads only."""

    _database: Database

    async def find_defects(self, late: float, *, now: datetime | None = None) -> list[Defect]:
        """What has been wrong for longer than so many seconds."""
        return [Defect(**dict(row)) for row in await self._database.fetch(FIND, late, now)]
