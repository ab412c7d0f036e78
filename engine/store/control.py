"""People change the course of runs: reopen, decide, move to another version. Each is one statement with its trace.

Each names what it expects of the run, so that of two at once one wins, and neither comes between a worker and its run.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from engine.core.gate import GateRequest
from engine.store.audit import audit_columns
from engine.store.database import Database
from engine.store.ingest import ticket_row
from engine.store.rows import AttemptRow, NewAudit

# Only once its end is over: its event is recorded, which is made from the run as it ended, and what it held is free.
# A run with limits has to get through them again; whoever decides on its tickets makes it due.
REOPEN = """
update run set status = 'queued', finished_at = null, error = null, outputs = null, message = null, waiting_for = null,
    cancel_requested = false, woken = false, due_at = case when not $23 then now() end,
    rung_at = case when not $23 then now() end, gated = run.gated or $23, expires_at = null,
    rounds = run.rounds + 1, reopened_at = now(),
    version = coalesce($4::text, run.version), inputs = coalesce($5::json, run.inputs)
where run.id = $1 and run.turn = $2 and run.rounds = $3 and run.status in ('failed', 'cancelled')
    and not exists (select from announcement where announcement.run_id = $1)
    and not exists (select from gate_exit where gate_exit.run_id = $1)
returning run.id, run.rounds
"""
# A run that waits looks at once what there is to do. One that is queued has its time, or its turn, already.
CHANGE = """
update run set due_at = case when run.status = 'waiting' then now() else run.due_at end,
    rung_at = case when run.status = 'waiting' then now() else run.rung_at end,
    rounds = run.rounds + 1, gated = run.gated or $23,
    version = coalesce($4::text, run.version), inputs = coalesce($5::json, run.inputs)
where run.id = $1 and run.turn = $2 and run.rounds = $3 and run.worker is null and run.finished_at is null
    and not run.cancel_requested
returning run.id, run.rounds
"""
# What is superseded moves to keys of its own before others take its place: the second waits for the count of the first.
# Nobody waits any more for what a superseded wait was for.
TAKE = """
with taken as ({head}), moved as (
    update attempt set step = '~' || taken.rounds || '/' || attempt.step,
        status = case when attempt.status = 'running' then 'interrupted' else attempt.status end,
        finished_at = coalesce(attempt.finished_at, now())
    from taken, unnest($6::text[], $7::integer[]) as s (step, number)
    where attempt.run_id = $1 and attempt.step = s.step and attempt.number = s.number
    returning 1
), written as (
    insert into attempt (run_id, step, number, status, input, output, error, started_at, finished_at)
    select $1, w.* from (select count(*) from moved) as done, taken,
        unnest($8::text[], $9::integer[], $10::text[], $11::json[], $12::json[], $13::json[], $14::timestamptz[],
            $15::timestamptz[]) as w (step, number, status, input, output, error, started_at, finished_at)
    returning 1
){settled}, unsaid as (
    delete from awaited using taken where awaited.run_id = $1 and awaited.step = any($6::text[])
), closed as (
    update wait set open = false from taken
    where wait.run_id = $1 and wait.step = any($6::text[]) and wait.event_id is null
), ticketed as (
    insert into ticket (run_id, gate_id, kind, scope, key, most, on_limit, max_queued, period, burst)
    select taken.id, t.gate_id, t.kind, t.scope, t.key, t.most, t.on_limit, t.max_queued, t.period, t.burst
    from taken, unnest($24::uuid[], $25::text[], $26::text[], $27::text[], $28::integer[], $29::text[],
        $30::integer[], $31::float8[], $32::integer[]) with ordinality
        as t (gate_id, kind, scope, key, most, on_limit, max_queued, period, burst, number)
    order by t.number
), audited as (
    insert into audit (id, at, by, action, target, run_id, event_id, detail)
    select a.id, now(), a.by, a.action, a.target, a.run_id, a.event_id, a.detail
    from taken, unnest($16::uuid[], $17::text[], $18::text[], $19::text[], $20::uuid[], $21::uuid[], $22::json[])
        as a (id, by, action, target, run_id, event_id, detail)
)
select id, rounds from taken
"""
# The end of a run can leave attempts that seem to be under way, if it was not an end of its own.
SETTLE = """, settled as (
    update attempt set status = 'interrupted', finished_at = now()
    from taken where attempt.run_id = $1 and attempt.status = 'running'
        and not exists (
            select from unnest($6::text[], $7::integer[]) as s (step, number)
            where s.step = attempt.step and s.number = attempt.number)
)"""
REOPEN_RUN = TAKE.format(head=REOPEN, settled=SETTLE)
CHANGE_RUN = TAKE.format(head=CHANGE, settled="")


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a run's course. turn and rounds: as the run was read; another value by now, and nothing is written.

    superseded: attempts (step, number) that count no more. written: those that take their place.
    version, inputs: None keeps what is stored. gates: what a reopened run has to get through before it may begin.
    """

    run_id: UUID
    turn: int
    rounds: int
    audit: NewAudit
    superseded: Sequence[tuple[str, int]] = ()
    written: Sequence[AttemptRow] = ()
    version: str | None = None
    inputs: bytes | None = None
    gates: Sequence[GateRequest] = ()


class Control:
    """What people do to runs."""

    _database: Database

    async def reopen_run(self, course: Course) -> int | None:
        """Queue a failed or cancelled run; which of its rounds begins. None: it is not as it was read."""
        return await self._take(REOPEN_RUN, course)

    async def change_run(self, course: Course) -> int | None:
        """Change an open run that nobody holds; it looks at once what there is to do. None: it is not as it was."""
        return await self._take(CHANGE_RUN, course)

    async def _take(self, statement: str, course: Course) -> int | None:
        written = course.written
        rows = await self._database.fetch(
            statement,
            course.run_id,
            course.turn,
            course.rounds,
            course.version,
            course.inputs,
            [step for step, _ in course.superseded],
            [number for _, number in course.superseded],
            [row.step for row in written],
            [row.number for row in written],
            [str(row.status) for row in written],
            [row.input for row in written],
            [row.output for row in written],
            [row.error for row in written],
            [row.started_at for row in written],
            [row.finished_at for row in written],
            *audit_columns([course.audit]),
            bool(course.gates),
            *([list(column) for column in zip(*map(ticket_row, course.gates), strict=True)] or [[]] * 9),
        )
        return rows[0]["rounds"] if rows else None
