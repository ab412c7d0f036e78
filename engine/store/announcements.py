"""Ended runs that somebody awaits: the debt is written with the end, and paid when the event is recorded."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from engine.store.database import Database

OWED = """
select run_id from announcement
where owed_at <= coalesce($3::timestamptz, now()) - make_interval(secs => $1) order by owed_at limit $2
"""
SETTLE = "delete from announcement where run_id = any($1::uuid[])"


class Announcements:
    """What a crash between the end of a run and its event left out is found here."""

    _database: Database

    async def owed_announcements(self, older_than: float, limit: int, *, now: datetime | None = None) -> list[UUID]:
        """Runs that ended at least so many seconds ago and have not been announced, the longest overdue first."""
        return [row["run_id"] for row in await self._database.fetch(OWED, older_than, limit, now)]

    async def settle_announcements(self, run_ids: Sequence[UUID]) -> None:
        """These are announced, or nobody wants to hear of them any more."""
        await self._database.fetch(SETTLE, list(run_ids))
