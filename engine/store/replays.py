"""What replays need: events by filter, oldest first, and what a new run takes over from an old one."""

import re
from collections.abc import Sequence
from uuid import UUID

from engine.core.run import AttemptStatus
from engine.store.database import Database, as_rows, first_id
from engine.store.ingest import clean
from engine.store.rows import AttemptMark, EventSummary, ReplayFilter, ReplayRow

MOST = 200  # events of a page
COUNTED_MOST = 100_000

# A crash between this and the insertion of the run leaves rows that belong to nothing; they go with their week.
KEEP = """
with kept as (
    insert into replay (run_id, key_run, vars, from_step)
    select $1, $2, case when $4::uuid is not null then (select vars from run where id = $4) end, $3
)
insert into attempt (run_id, step, number, status, input, output, error, started_at, finished_at, cached)
select $1, step, number, status, input, output, error, started_at, finished_at, cached
from attempt where run_id = $4 and step = any($5::text[])
"""
GET = "select run_id, key_run, vars, from_step from replay where run_id = $1"
MARKS = """
select step, number, status, due_at is not null as due from attempt where run_id = $1 order by step, number
"""
WHERE = """
from event
where id >= $1 and id < $2
    and ($3::text is null or source = $3) and ($3::text is not null or source <> all ($4::text[]))
    and ($5::text is null or type = $5) and ($6::text is null or type like $6)
    and ($7::text is null or path = $7)
"""
EVENTS = f"""
select id, source, type, received_at, method, path, delivery_id, replay_of, length(body) as size {WHERE}
    and ($8::uuid is null or id > $8)
order by id limit $9
"""
COUNT = f"select count(*) as events from (select {WHERE} limit {COUNTED_MOST}) as e"  # noqa: S608 - constants
GLOB = re.compile(r"[*?\[]")


class Replays:
    """Old events and runs, for new runs."""

    _database: Database

    async def keep_replay(self, replay: ReplayRow, old: UUID | None, steps: Sequence[str]) -> None:
        """Keep what the run takes over, before it is recorded: nobody looks for it until then.

        old: the run whose variables, and whose attempts of these steps, become those of the new one. None: nothing is
        taken over but the keys.
        """
        await self._database.fetch(KEEP, replay.run_id, replay.key_run, replay.from_step, old, list(steps))

    async def get_replay(self, run_id: UUID) -> ReplayRow | None:
        """What the run takes over; None: nothing."""
        rows = as_rows(await self._database.fetch(GET, run_id), ReplayRow)
        return rows[0] if rows else None

    async def list_marks(self, run_id: UUID) -> list[AttemptMark]:
        """How all attempts of a run stand, without what they carry; by step, then number."""
        rows = await self._database.fetch(MARKS, run_id)
        return [AttemptMark(row["step"], row["number"], AttemptStatus(row["status"]), row["due"]) for row in rows]

    async def events_to_replay(self, wanted: ReplayFilter) -> tuple[list[EventSummary], UUID | None]:
        """A page of events, oldest first, and the cursor of the next one; None: this is the last."""
        limit = max(1, min(wanted.limit, MOST))
        rows = await self._database.fetch(EVENTS, *_where(wanted), wanted.cursor, limit + 1)
        found = as_rows(rows[:limit], EventSummary)
        return found, found[-1].id if len(rows) > limit else None

    async def count_events(self, wanted: ReplayFilter) -> int:
        """How many there are in all; 100,000 stands for any number above."""
        return int((await self._database.fetch(COUNT, *_where(wanted)))[0]["events"])


def _where(wanted: ReplayFilter) -> tuple[object, ...]:
    exact = wanted.type if wanted.type is not None and not GLOB.search(wanted.type) else None
    return (
        first_id(wanted.since),
        first_id(wanted.until),
        clean(wanted.source) if wanted.source is not None else None,
        list(wanted.without),
        clean(exact) if exact is not None else None,
        _like(clean(wanted.type)) if wanted.type is not None and exact is None else None,
        clean(wanted.path) if wanted.path is not None else None,
    )


def _like(glob: str) -> str:
    """`issues.*` as LIKE writes it."""
    text = re.sub(r"([\\%_])", r"\\\1", glob)
    return text.replace("*", "%").replace("?", "_")
