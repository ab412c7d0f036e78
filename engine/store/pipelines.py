"""The deployed set of pipelines, their versions, and when their schedules fire."""

from collections.abc import Sequence
from datetime import UTC, datetime

from engine.store import tables
from engine.store.database import Database, as_rows
from engine.store.rows import PipelineRow, ScheduleEntry

REVISION = """
select coalesce(md5(string_agg(concat_ws(':', id, version, file), ',' order by id)), '') as revision from pipeline
"""
SET_PIPELINES = """
with wanted as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::json[],
        $8::text[]) as w (id, version, name, description, enabled, file, triggers, problem)
), gone as (
    delete from pipeline where id <> all ($1::text[])
)
insert into pipeline (id, version, name, description, enabled, file, triggers, problem)
select * from wanted order by id
on conflict (id) do update set version = excluded.version, name = excluded.name, description = excluded.description,
    enabled = excluded.enabled, file = excluded.file, triggers = excluded.triggers, problem = excluded.problem
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
    where schedule.spec <> excluded.spec
"""
COLUMNS = [getattr(tables.Pipeline, name) for name in PipelineRow.__struct_fields__]


class Pipelines:
    """What is deployed."""

    _database: Database

    async def upsert_version(self, hash: str, pipeline: str, source: bytes) -> None:
        """Keep the source of a version; the same hash again changes nothing."""
        row = tables.PipelineVersion(hash=hash, pipeline=pipeline, source=source, created_at=datetime.now(UTC))
        await self._database.run(tables.PipelineVersion.insert(row).on_conflict(action="DO NOTHING"))

    async def get_version(self, hash: str) -> bytes | None:
        """The source of a version, or None if it was never kept."""
        version = tables.PipelineVersion
        rows = await self._database.run(version.select(version.source).where(version.hash == hash))
        return bytes(rows[0]["source"]) if rows else None

    async def set_pipelines(self, rows: Sequence[PipelineRow]) -> None:
        """Replace the deployed set."""
        columns = [[getattr(row, name) for row in rows] for name in PipelineRow.__struct_fields__]
        await self._database.fetch(SET_PIPELINES, *columns)

    async def list_pipelines(self) -> list[PipelineRow]:
        """The deployed set, by id."""
        query = tables.Pipeline.select(*COLUMNS).order_by(tables.Pipeline.id)
        return as_rows(await self._database.run(query), PipelineRow)

    async def deployment_revision(self) -> str:
        """A text that changes when another set or version is deployed."""
        return str((await self._database.fetch(REVISION))[0]["revision"])

    async def sync_schedules(self, entries: Sequence[tuple[str, str, str, datetime]]) -> None:
        """The schedules are exactly these (pipeline, trigger, spec, next_at); one whose spec stays keeps its time."""
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
