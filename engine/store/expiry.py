"""Runs that have waited too long to begin: they end as if they had been cancelled."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from engine.store.database import Database

# A claim takes no run after its time, and this takes none that has been claimed: whoever is first locks the row.
EXPIRE = """
with moment as (
    select coalesce($4::timestamptz, now()) as at
), picked as (
    select id from run
    where status = 'queued' and expires_at <= (select at from moment) and turn = 0 and worker is null
    order by expires_at limit $1 for update skip locked
), ended as (
    update run set status = 'cancelled', finished_at = now(), due_at = null, rung_at = null, waiting_for = null,
        error = json_build_object('type', 'expired', 'message', 'the run had not begun by '
            || to_char(run.expires_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
            || ', the end of its start_timeout'
            || case when run.waiting_for <> '' then '; ' || run.waiting_for else '' end)
    from picked where run.id = picked.id
    returning run.id, run.pipeline
), counted as (
    insert into tally (hour, status, slot, runs)
    select date_trunc('hour', now(), 'UTC'), 'cancelled', $2, count(*) from ended having count(*) > 0
    on conflict (hour, status, slot) do update set runs = tally.runs + excluded.runs
), owed as (
    insert into announcement (run_id, owed_at) select id, now() from ended where $3 on conflict (run_id) do nothing
)
select id, pipeline from ended order by id
"""


class Expired(NamedTuple):
    """A run that ended before it began."""

    id: UUID
    pipeline: str


class Expiry:
    """`start_timeout` of pipelines."""

    _database: Database
    _slot: int

    async def expire(self, limit: int, *, announce: bool = False, now: datetime | None = None) -> list[Expired]:
        """End queued runs that have not begun by their time. announce: each is owed an event."""
        rows = await self._database.fetch(EXPIRE, limit, self._slot, announce, now)
        return [Expired(*row) for row in rows]
