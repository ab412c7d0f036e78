"""The deployed set of pipelines, their versions, and when their schedules fire."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.store import tables
from engine.store.database import Database, as_rows
from engine.store.rows import DeployedRow, PipelineRow, QueueSettings, ScheduleEntry, VersionRow

REVISION = "select deployment_revision() as revision"
SET_QUEUES = """
with gone as (
    delete from queue where name <> all ($1::text[])
)
insert into queue (name, priority, concurrency)
select * from unnest($1::text[], $2::smallint[], $3::integer[]) as q (name, priority, concurrency) order by name
on conflict (name) do update set priority = excluded.priority, concurrency = excluded.concurrency
    where (queue.priority, queue.concurrency) is distinct from (excluded.priority, excluded.concurrency)
"""
SET_PIPELINES = """
select set_deployment($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) as revision
"""
INSERT_VERSION = """
insert into pipeline_version (hash, pipeline, source, created_at, commit, author) values ($1, $2, $3, now(), $4, $5)
on conflict (hash) do nothing
"""
FIND_VERSIONS = """
select hash, pipeline, created_at, commit, author from pipeline_version
where hash >= $1 and hash < $1 || 'g' and ($2::text is null or pipeline = $2) order by created_at desc limit $3
"""
DEPLOYED = """
select number, at, kind, pipeline, version, previous, by, commit, author from deployed
where pipeline = $1 and ($2::bigint is null or number < $2) order by number desc limit $3
"""
SYNC_SCHEDULES = """
with wanted as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as w (pipeline, trigger, spec, next_at)
), gone as (
    delete from schedule
    where not exists (
        select from wanted where wanted.pipeline = schedule.pipeline and wanted.trigger = schedule.trigger)
)
insert into schedule (pipeline, trigger, spec, next_at) select * from wanted order by pipeline, trigger
on conflict (pipeline, trigger) do update set spec = excluded.spec, next_at = excluded.next_at
    where schedule.spec <> excluded.spec or schedule.next_at > excluded.next_at
"""
COLUMNS = [getattr(tables.Pipeline, name) for name in PipelineRow.__struct_fields__]


class Pipelines:
    """What is deployed."""

    _database: Database

    async def upsert_version(
        self, hash: str, pipeline: str, source: bytes, *, commit: str | None = None, author: str | None = None
    ) -> None:
        """Keep the source of a version and where it comes from; the same hash again changes nothing."""
        await self._database.fetch(INSERT_VERSION, hash, pipeline, source, commit, author)

    async def find_versions(self, prefix: str, pipeline: str | None = None, limit: int = 5) -> list[VersionRow]:
        """Stored versions whose hash begins so (lower case), the newest first."""
        return as_rows(await self._database.fetch(FIND_VERSIONS, prefix, pipeline, limit), VersionRow)

    async def known_versions(self, hashes: Sequence[str]) -> set[str]:
        """Those of the versions that are stored."""
        rows = await self._database.fetch(
            "select hash from pipeline_version where hash = any($1::text[])", list(hashes)
        )
        return {row["hash"] for row in rows}

    async def list_deployed(
        self, pipeline: str, *, cursor: int | None = None, limit: int = 50
    ) -> tuple[list[DeployedRow], int | None]:
        """When which version of a pipeline came into force, newest first, and the cursor of the next page."""
        rows = as_rows(await self._database.fetch(DEPLOYED, pipeline, cursor, limit + 1), DeployedRow)
        return rows[:limit], rows[limit - 1].number if len(rows) > limit else None

    async def get_version(self, hash: str) -> bytes | None:
        """The source of a version, or None if it was never kept."""
        version = tables.PipelineVersion
        rows = await self._database.run(version.select(version.source).where(version.hash == hash))
        return bytes(rows[0]["source"]) if rows else None

    async def set_pipelines(
        self,
        rows: Sequence[PipelineRow],
        *,
        kind: str = "files",
        by: str = "",
        origins: Mapping[str, tuple[str | None, str | None]] | None = None,
        expected: str | None = None,
    ) -> str | None:
        """Replace the deployed set, and note what that changes; the new revision.

        kind: files, deploy or rollback. origins: commit and author by version. expected: the revision that is to be
        replaced; None is returned, and nothing changed, if somebody else has deployed since.
        """
        columns: list[list[Any]] = [[getattr(row, name) for row in rows] for name in PipelineRow.__struct_fields__]
        known = origins or {}
        columns += [[known.get(row.version, (None, None))[index] for row in rows] for index in (0, 1)]
        answer = await self._database.fetch(SET_PIPELINES, *columns, kind, by, expected)
        return str(answer[0]["revision"]) if answer[0]["revision"] is not None else None

    async def list_pipelines(self) -> list[PipelineRow]:
        """The deployed set, by id."""
        query = tables.Pipeline.select(*COLUMNS).order_by(tables.Pipeline.id)
        return as_rows(await self._database.run(query), PipelineRow)

    async def set_queues(self, queues: Mapping[str, QueueSettings]) -> None:
        """The queues are exactly these."""
        rows = sorted(queues.items())
        priorities = [settings.priority for _, settings in rows]
        concurrencies = [settings.concurrency for _, settings in rows]
        await self._database.fetch(SET_QUEUES, [name for name, _ in rows], priorities, concurrencies)

    async def list_queues(self) -> dict[str, QueueSettings]:
        """The queues of the deployed project, by name. Empty: nothing was deployed yet."""
        rows = await self._database.fetch("select name, priority, concurrency from queue order by name")
        return {row["name"]: QueueSettings(row["priority"], row["concurrency"]) for row in rows}

    async def deployment_revision(self) -> str:
        """A text that changes when another set or version is deployed."""
        return str((await self._database.fetch(REVISION))[0]["revision"])

    async def sync_schedules(self, entries: Sequence[tuple[str, str, str, datetime]]) -> None:
        """The schedules are exactly these (pipeline, trigger, spec, next_at); one whose spec stays keeps its time.

        Unless the new one is earlier."""
        columns = [list(column) for column in zip(*entries, strict=True)] if entries else [[], [], [], []]
        await self._database.fetch(SYNC_SCHEDULES, *columns)

    async def due_schedules(self, now: datetime, limit: int = 100) -> list[ScheduleEntry]:
        """Schedules whose time has come, the longest overdue first. Locks nothing: advance_schedule has the guard."""
        table = tables.Schedule
        query = table.select(table.pipeline, table.trigger, table.spec, table.next_at).where(table.next_at <= now)
        rows = await self._database.run(query.order_by(table.next_at).limit(limit))
        return [ScheduleEntry(**dict(row)) for row in rows]

    async def advance_schedule(self, pipeline: str, trigger: str, *, expected: datetime, next_at: datetime) -> bool:
        """Set the next time. False: somebody else did, it was no longer the expected one."""
        table = tables.Schedule
        query = table.update({table.next_at: next_at}).where(
            (table.pipeline == pipeline) & (table.trigger == trigger) & (table.next_at == expected)
        )
        return bool(await self._database.run(query.returning(table.pipeline)))
