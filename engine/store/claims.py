"""Who holds which run: claim, checkpoint, heartbeat, rescue. Every write names the state it expects."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import RunStatus
from engine.errors import Unavailable
from engine.store.connection import Held
from engine.store.database import as_row
from engine.store.events import event_of
from engine.store.rows import AttemptRow, CheckpointRecord, ClaimedRun, HeartbeatReply, RunUpdate, StoredAttempt
from engine.store.writer import GroupWriter

EARLY = "50 milliseconds"  # a run due within this is due: clocks differ, and a bell rings on time
DEAD_AFTER = 6.0  # seconds without a heartbeat
LEADER = 0x48776C65  # advisory lock
SLOTS = 1000  # of tally

# These statements find runs by their key and name states by columns other than status (running is: has a worker), or
# the planner might prefer a partial index of open runs, which is only small while little is open.

# The worker row is locked against its deletion: a worker declared dead claims nothing.
CLAIM = f"""
with holder as (
    select id from worker where id = $2 for key share
), picked as (
    select run.id, run.event_id from run, holder
    where run.id = any($1::uuid[]) and run.worker is null and run.finished_at is null
        and run.due_at <= now() + interval '{EARLY}' and ($4::text[] is null or run.queue = any($4::text[]))
        and (run.expires_at is null or run.expires_at > now() or run.turn > 0)
        and (not exists (select from pause)
            or pause_of(run.id, run.pipeline, run.queue, run.event_id, run.turn) is null)
    order by run.id limit $3 for update of run skip locked
), taken as (
    update run set status = 'running', worker = $2, turn = run.turn + 1, started_at = coalesce(run.started_at, now()),
        due_at = null, rung_at = null, waiting_for = null, woken = false
    from picked where run.id = picked.id
    returning run.*
)
select taken.id, taken.pipeline, taken.version, taken.turn, taken.trigger, taken.labels, taken.inputs, taken.vars,
    taken.event_id, taken.created_at, taken.started_at, taken.scheduled_at, taken.replay_of, taken.cancel_requested,
    taken.queue, taken.batched, taken.parent, taken.deaths, taken.gated, taken.reopened_at,
    event.source, event.type, event.received_at, event.method, event.path, event.query, event.headers,
    event.path_params, event.body, event.delivery_id, event.replay_of as event_replay_of
from taken left join event on event.id = taken.event_id
order by taken.id
"""  # noqa: S608 - a constant

ATTEMPTS = """
select run_id, step, number, status, input, output, error, usage, started_at, finished_at, cached, due_at
from attempt where run_id = any($1::uuid[]) and left(step, 1) <> '~' order by run_id, started_at, step, number
"""

BATCHES = """
select batch_event.run_id, event.* from batch_event join event on event.id = batch_event.event_id
where batch_event.run_id = any($1::uuid[]) order by batch_event.run_id, batch_event.number
"""

# A claim whose result is unknown may have left runs that nobody works on.
GIVE_BACK = """
update run set status = 'queued', worker = null, due_at = now(), rung_at = null
where id = any($1::uuid[]) and worker = $2
"""

# `held` locks the runs that only get attempts, `changed` writes those that change. Both name the turn, so
# that a run that was taken over is in neither. A run that this very turn has finished already is `mine` too: the
# answer to the first commit was lost on its way.
CHECKPOINT = """
with held as (
    select run.id from run
    join unnest($1::uuid[], $2::integer[]) as h (id, turn) on run.id = h.id and run.turn = h.turn
    where run.worker is not null order by run.id for no key update of run
), changed as (
    update run set
        status = u.status,
        worker = case when u.status = 'running' then run.worker end,
        vars = coalesce(u.vars, run.vars),
        outputs = coalesce(u.outputs, run.outputs),
        error = coalesce(u.error, run.error),
        message = coalesce(u.message, run.message),
        waiting_for = u.waiting_for,
        due_at = case
            when u.status not in ('queued', 'waiting') then null
            when run.cancel_requested or run.woken then now()
            when u.status = 'queued' then coalesce(u.due_at, now())
            else u.due_at end,
        queue = coalesce(u.queue, run.queue),
        deaths = case when u.status = 'waiting' then 0 else run.deaths end,
        finished_at = case when u.status in ('succeeded', 'failed', 'cancelled') then now() end
    from unnest($3::uuid[], $4::integer[], $5::text[], $6::json[], $7::json[], $8::json[], $9::text[], $10::text[],
        $11::timestamptz[], $26::text[])
        as u (id, turn, status, vars, outputs, error, message, waiting_for, due_at, queue)
    where run.id = u.id and run.turn = u.turn and run.worker is not null
    returning run.id, run.status
), counted as (
    insert into tally (hour, status, slot, runs)
    select date_trunc('hour', now(), 'UTC'), status, $24, count(*) from changed
    where status in ('succeeded', 'failed', 'cancelled') group by status order by status
    on conflict (hour, status, slot) do update set runs = tally.runs + excluded.runs
), owed as (
    insert into announcement (run_id, owed_at)
    select id, now() from changed where id = any($25::uuid[]) and status in ('succeeded', 'failed', 'cancelled')
    on conflict (run_id) do nothing
), mine as (
    select id from held union all select id from changed union all
    select run.id from run join unnest($3::uuid[], $4::integer[], $5::text[]) as u (id, turn, status)
        on run.id = u.id and run.turn = u.turn and run.status = u.status
    where run.finished_at is not null
), written as (
    insert into attempt (run_id, step, number, status, input, output, error, usage, started_at, finished_at, cached,
        due_at)
    select a.* from unnest($12::uuid[], $13::text[], $14::integer[], $15::text[], $16::json[], $17::json[],
        $18::json[], $19::json[], $20::timestamptz[], $21::timestamptz[], $22::boolean[], $23::timestamptz[])
        as a (run_id, step, number, status, input, output, error, usage, started_at, finished_at, cached, due_at)
    join mine on mine.id = a.run_id
    on conflict (run_id, step, number) do update set
        status = excluded.status, input = coalesce(excluded.input, attempt.input), output = excluded.output,
        error = excluded.error, usage = excluded.usage, started_at = coalesce(excluded.started_at, attempt.started_at),
        finished_at = excluded.finished_at, cached = excluded.cached, due_at = excluded.due_at
    where attempt.status = 'running' or excluded.status <> 'running'
)
select id from mine
"""
EXISTS = "select from run where id = $1"

REGISTER = """
insert into worker (id, kind, host, pid, started_at, seen_at, queues) values ($1, $2, $3, $4, now(), now(), $5)
"""
HEARTBEAT = """
with beat as (update worker set seen_at = now() where id = $1 returning id)
select exists (select from beat) as known, clock_timestamp() as at,
    array(select id from run where status = 'running' and worker = $1 and cancel_requested) as cancelled
"""
RESCUE = """
with dead as (
    select id from worker where seen_at < coalesce($2::timestamptz, now()) - make_interval(secs => $1)
    order by id for update skip locked
), freed as (
    update run set status = 'queued', worker = null, due_at = now(), rung_at = null,
        deaths = least(deaths + 1, 1000)
    where status = 'running' and (
        worker in (select id from dead) or not exists (select from worker where worker.id = run.worker))
    returning run.id
), marked as (
    update attempt set status = 'interrupted', finished_at = now()
    from freed where attempt.run_id = freed.id and attempt.status = 'running'
), buried as (
    delete from worker using dead where worker.id = dead.id
)
select id from freed order by id
"""
# A claim takes the mark away before the run looks around, a checkpoint that lets go of a marked run makes it due: so
# no wake-up is missed, whenever it comes.
WAKE = """
with picked as (
    select id from run where id = any($1::uuid[]) and finished_at is null order by id for no key update
)
update run set woken = true, due_at = case when worker is null then now() end,
    rung_at = case when worker is null then now() end
from picked where run.id = picked.id
returning run.id, run.worker is null as free
"""
# A run that has begun may have something to undo, and a `finally`: whoever claims it next ends it.
REQUEST_CANCEL = """
with asked as (
    update run set
        cancel_requested = true,
        status = case when status = 'running' then status when turn > 0 then 'queued' else 'cancelled' end,
        finished_at = case when status = 'running' or turn > 0 then finished_at else now() end,
        due_at = case when status <> 'running' and turn > 0 then now() end,
        rung_at = null, waiting_for = null
    where id = $1 and status in ('queued', 'waiting', 'running')
    returning status
), counted as (
    insert into tally (hour, status, slot, runs)
    select date_trunc('hour', now(), 'UTC'), status, $2, 1 from asked where status = 'cancelled'
    on conflict (hour, status, slot) do update set runs = tally.runs + excluded.runs
), owed as (
    insert into announcement (run_id, owed_at) select $1, now() from asked where status = 'cancelled' and $3
    on conflict (run_id) do nothing
)
select status from asked
"""


class Claims:
    """Leases, turns and what is written under them."""

    def __init__(self, database_url: str) -> None:
        self._leasing = Held(database_url)
        self._checkpointing = Held(database_url)
        self._slot = secrets.randbelow(SLOTS)
        self._held: dict[UUID, UUID] = {}  # run -> worker: what this process holds, as far as it knows
        self._doubtful: dict[UUID, set[UUID]] = {}  # worker -> runs of claims whose result is unknown
        self._claiming = asyncio.Lock()
        self._leading = -1  # generation of the connection that has the leader's lock
        self.checkpoint_writer: GroupWriter[CheckpointRecord, bool] = GroupWriter(self._commit_turns, sorter=_sorter)

    async def claim(
        self, run_ids: Sequence[UUID], worker_id: UUID, limit: int, queues: Sequence[str] | None = None
    ) -> list[ClaimedRun]:
        """Take those of the runs that are due and held by nobody, at most `limit`, and return all they need.

        queues: only runs of these; None: of any.
        """
        async with self._claiming:
            await self._settle()
            try:
                rows = await self._leasing.fetch(CLAIM, list(run_ids), worker_id, limit, queues)
                later = [row["id"] for row in rows if row["turn"] > 1 or row["replay_of"] is not None]
                attempts: dict[UUID, list[StoredAttempt]] = {}
                for row in await self._leasing.fetch(ATTEMPTS, later) if later else ():
                    values = dict(row)
                    attempts.setdefault(values.pop("run_id"), []).append(as_row(values, StoredAttempt))
                events: dict[UUID, list[Event]] = {row["id"]: [] for row in rows if row["batched"]}
                for row in await self._leasing.fetch(BATCHES, list(events)) if events else ():
                    events[row["run_id"]].append(event_of(row))
            except (Unavailable, asyncio.CancelledError):
                doubtful = (run_id for run_id in run_ids if self._held.get(run_id) != worker_id)
                self._doubtful.setdefault(worker_id, set()).update(doubtful)
                raise
            self._held.update((row["id"], worker_id) for row in rows)
        return [_claimed(row, attempts.get(row["id"], []), events.get(row["id"])) for row in rows]

    async def _settle(self) -> None:
        """Give back what claims with an unknown result may have taken."""
        while self._doubtful:
            worker_id, run_ids = next(iter(self._doubtful.items()))
            await self._leasing.fetch(GIVE_BACK, list(run_ids), worker_id)
            del self._doubtful[worker_id]

    async def checkpoint(self, record: CheckpointRecord) -> bool:
        """Commit what a turn has come to. False: the run was taken over, nothing was written.

        Unavailable: PostgreSQL is away; the same record can safely be tried again until it is back.
        InvalidData: PostgreSQL cannot hold a value of this record.
        """
        won = await self.checkpoint_writer.submit(record)
        if not won or (record.run is not None and record.run.status != RunStatus.RUNNING):
            self._held.pop(record.run_id, None)
        return won

    def checkpoint_later(self, record: CheckpointRecord) -> None:
        """Write it with the next commit; nobody waits for it. It never overtakes a record of the same run."""
        self.checkpoint_writer.submit_later(record)

    async def _commit_turns(self, records: Sequence[CheckpointRecord]) -> list[bool]:
        merged: dict[UUID, _Turn] = {}
        for record in records:
            turn = merged.get(record.run_id)
            if turn is None:
                turn = merged[record.run_id] = _Turn(record.turn)
            turn.add(record)
        held = [(run_id, turn.turn) for run_id, turn in merged.items() if turn.update is None]
        changed = [
            (run_id, turn.turn, u.status, u.vars, u.outputs, u.error, u.message, u.waiting_for, u.due_at)
            for run_id, turn in merged.items()
            if (u := turn.update) is not None
        ]
        attempts = [
            (run_id, a.step, a.number, a.status, a.input, a.output, a.error, a.usage, a.started_at, a.finished_at,
             a.cached, a.due_at)
            for run_id, turn in merged.items()
            for a in turn.attempts.values()
        ]  # fmt: skip
        announced = [run_id for run_id, turn in merged.items() if turn.update is not None and turn.update.announce]
        columns = [*_turned(held, 2), *_turned(changed, 9), *_turned(attempts, 12)]
        queues = [turn.update.queue for turn in merged.values() if turn.update is not None]
        arguments = (*columns, self._slot, announced, queues)
        won = {row["id"] for row in await self._checkpointing.fetch(CHECKPOINT, *arguments)}
        return [record.run_id in won for record in records]

    async def register_worker(self, kind: str, host: str, pid: int, queues: Sequence[str] | None = None) -> UUID:
        """A new lease holder. queues: those it serves; None: all."""
        worker_id = uuid7()
        await self._leasing.fetch(REGISTER, worker_id, kind, host, pid, queues)
        return worker_id

    async def heartbeat(self, worker_id: UUID) -> HeartbeatReply:
        """Keep the leases of this worker; who of its runs shall be cancelled."""
        async with self._claiming:
            await self._settle()
        row = (await self._leasing.fetch(HEARTBEAT, worker_id))[0]
        return HeartbeatReply(known=row["known"], at=row["at"], cancelled_runs=row["cancelled"])

    async def unregister_worker(self, worker_id: UUID) -> None:
        """A clean goodbye; runs it still holds become queued at once."""
        await self._leasing.fetch("update worker set seen_at = 'epoch' where id = $1", worker_id)
        await self.rescue()

    async def rescue(self, dead_after: float = DEAD_AFTER, *, now: datetime | None = None) -> list[UUID]:
        """Queue the runs of workers without a heartbeat for so many seconds; their running attempts are interrupted."""
        return [row["id"] for row in await self._leasing.fetch(RESCUE, dead_after, now)]

    async def wake(self, run_ids: Sequence[UUID]) -> list[UUID]:
        """Something these runs wait for has happened. Those that nobody holds are due now and want to be rung.

        A run that is held is due as soon as its holder lets go of it, unless it is claimed anew before.
        """
        rows = await self._leasing.fetch(WAKE, sorted(set(run_ids)))
        return [row["id"] for row in rows if row["free"]]

    async def request_cancel(self, run_id: UUID, *, announce: bool = False) -> str | None:
        """`cancelled`: it had not begun. `running`: its holder will be told. `queued`: whoever claims it will end it.

        `finished`: too late. None: no such run. announce: if it ends with this, it is owed an event.
        """
        rows = await self._leasing.fetch(REQUEST_CANCEL, run_id, self._slot, announce)
        if rows:
            return str(rows[0]["status"])
        return "finished" if await self._leasing.fetch(EXISTS, run_id) else None

    async def try_lead(self) -> bool:
        """Whether this process is the one that does the upkeep. It stays the one until its connection ends."""
        if self._leading == self._leasing.generation and self._leading > 0:
            await self._leasing.fetch("select 1")  # notice a lost connection
            if self._leading == self._leasing.generation:
                return True
        row = (await self._leasing.fetch("select pg_try_advisory_lock($1) as leads", LEADER))[0]
        self._leading = self._leasing.generation if row["leads"] else -1
        return bool(row["leads"])


class _Turn:
    """All records of one turn in one batch, as one."""

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.attempts: dict[tuple[str, int], AttemptRow] = {}
        self.update: RunUpdate | None = None

    def add(self, record: CheckpointRecord) -> None:
        for row in record.attempts:
            before = self.attempts.get((row.step, row.number))
            if before is not None:
                row = msgspec.structs.replace(
                    row, input=row.input or before.input, started_at=row.started_at or before.started_at
                )
            self.attempts[row.step, row.number] = row
        if record.run is None:
            return
        if self.update is None:
            self.update = record.run
        else:
            new, old = record.run, self.update
            self.update = msgspec.structs.replace(
                new,
                vars=new.vars or old.vars,
                outputs=new.outputs or old.outputs,
                error=new.error or old.error,
                message=new.message or old.message,
            )


def _sorter() -> Callable[[CheckpointRecord], bool]:
    """Records of one turn share a commit until it lets go of the run; another turn, or a later word, waits."""
    open_turns: dict[UUID, int] = {}  # -1: let go

    def joins(record: CheckpointRecord) -> bool:
        if open_turns.setdefault(record.run_id, record.turn) != record.turn:
            return False
        if record.run is not None and record.run.status != RunStatus.RUNNING:
            open_turns[record.run_id] = -1
        return True

    return joins


def _claimed(row: Any, attempts: list[StoredAttempt], events: list[Event] | None) -> ClaimedRun:
    event = None
    if row["source"] is not None:
        event = event_of(row, id=row["event_id"], replay_of=row["event_replay_of"])
    return ClaimedRun(
        id=row["id"],
        pipeline=row["pipeline"],
        version=row["version"],
        turn=row["turn"],
        trigger=row["trigger"],
        labels=msgspec.json.decode(row["labels"], type=dict[str, str]),
        inputs=row["inputs"],
        vars=row["vars"],
        event=event,
        attempts=attempts,
        created_at=row["created_at"],
        started_at=row["started_at"],
        scheduled_at=row["scheduled_at"],
        replay_of=row["replay_of"],
        cancel_requested=row["cancel_requested"],
        queue=row["queue"],
        batched=row["batched"],
        parent=row["parent"],
        deaths=row["deaths"],
        gated=row["gated"],
        events=tuple(events) if events is not None else None,
        reopened_at=row["reopened_at"],
    )


def _turned(rows: list[tuple[Any, ...]], width: int) -> list[Any]:
    """Rows as columns."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
