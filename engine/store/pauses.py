"""What is paused, and the runs that are set aside meanwhile.

A claim takes no run of what is paused; once it is due, upkeep sets it aside, so that nobody looks at it again and
again. It is due once more when nothing that concerns it is paused.
"""

from datetime import datetime
from uuid import UUID

from engine.store.database import Database
from engine.store.ingest import clean
from engine.store.rows import PauseRow

INSERT = """
insert into pause (kind, name, by, reason, at) values ($1, $2, $3, $4, coalesce($5::timestamptz, now()))
on conflict (kind, name) do nothing returning kind
"""
LIST = "select kind, name, by, reason, at from pause order by at, kind, name"
DELETE = "delete from pause where kind = $1 and name = $2 returning kind"
SET_ASIDE = """
with picked as (
    select id, pause_of(id, pipeline, queue, event_id, turn) as reason from run
    where exists (select from pause) and status in ('queued', 'waiting')
        and due_at <= coalesce($2::timestamptz, now()) and pause_of(id, pipeline, queue, event_id, turn) is not null
    order by due_at limit $1 for update of run skip locked
)
update run set set_aside = true, due_at = null, rung_at = null, waiting_for = picked.reason
from picked where run.id = picked.id
returning run.id
"""
BRING_BACK = """
with picked as (
    select id from run
    where set_aside and finished_at is null and worker is null
        and pause_of(id, pipeline, queue, event_id, turn) is null
    order by id limit $1 for update of run skip locked
)
update run set set_aside = false, due_at = now(), rung_at = now(), waiting_for = null
from picked where run.id = picked.id
returning run.id
"""


class Pauses:
    """Pause and resume."""

    _database: Database

    async def pause(self, kind: str, name: str, by: str, reason: str = "", *, now: datetime | None = None) -> bool:
        """Whether it was not paused yet. kind: pipeline, source or queue."""
        values = (kind, clean(name), clean(by), clean(reason), now)
        return bool(await self._database.fetch(INSERT, *values))

    async def resume(self, kind: str, name: str) -> bool:
        """Whether it was paused. Its runs come back with bring_back()."""
        return bool(await self._database.fetch(DELETE, kind, clean(name)))

    async def list_pauses(self) -> list[PauseRow]:
        """All that is paused, the longest first."""
        return [PauseRow(*row) for row in await self._database.fetch(LIST)]

    async def set_aside(self, limit: int, *, now: datetime | None = None) -> list[UUID]:
        """Runs that are due and belong to what is paused: they are not due any more."""
        return [row["id"] for row in await self._database.fetch(SET_ASIDE, limit, now)]

    async def bring_back(self, limit: int) -> list[UUID]:
        """Runs set aside of which nothing is paused any more: they are due, and want to be rung."""
        return [row["id"] for row in await self._database.fetch(BRING_BACK, limit)]
