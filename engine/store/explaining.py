"""Why a run is not getting on: who holds it, whose slot it waits for, who is paused, which workers there are."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from engine.store.database import Database

ALIVE = 10.0  # seconds since its last heartbeat for which a worker counts as there
SHOWN = 5  # holders of a key that are named
COUNTED = 10_000  # runs that are counted at most

WORKER = """
select id, host, pid, extract(epoch from now() - seen_at)::float8 as silent from worker where id = $1
"""
WORKERS = """
select count(*)::integer as alive,
    (count(*) filter (where queues is null or $1 = any(queues)))::integer as serving
from worker where kind = 'worker' and seen_at > now() - make_interval(secs => $2)
"""
AHEAD = f"""
select count(*)::integer as ahead from (
    select from run where status = 'queued' and queue = $1 and due_at <= now() and id < $2 limit {COUNTED}
) as earlier
"""  # noqa: S608 - a constant
PAUSES = """
select pause.kind, pause.name, pause.by, pause.reason, pause.at from pause, run
left join event on event.id = run.event_id
where run.id = $1 and (
    (pause.kind = 'queue' and pause.name = run.queue)
    or (run.turn = 0 and pause.kind = 'pipeline' and pause.name = run.pipeline)
    or (run.turn = 0 and pause.kind = 'source' and pause.name = event.source))
order by pause.at
"""
SLOTS = f"""
select ticket.step, gate.kind, gate.key, ticket.most, gate.held,
    (select count(*)::integer from ticket other
        where other.gate_id = ticket.gate_id and not other.held and other.refused is null
            and other.number < ticket.number) as ahead,
    array(select holder.run_id from ticket holder
        where holder.gate_id = ticket.gate_id and holder.held order by holder.number limit {SHOWN}) as holders
from ticket join gate on gate.id = ticket.gate_id
where ticket.run_id = $1 and not ticket.held and ticket.refused is null order by ticket.step, gate.kind
"""  # noqa: S608 - a constant
QUESTIONS = """
select id, step, prompt, created_at, expires_at from approval
where run_id = $1 and decided_at is null and closed_at is null order by id
"""
ENDED_WAITS = "select run_id, step from wait where event_id = $1 order by run_id limit $2"
GATHERING = f"""
select gather.pipeline, gather.trigger, gather.kind, gather.key, gather.due_at, gather.size from gather
where gather.last_event = $1 or exists (
    select from gathered where gathered.gather_id = gather.id and gathered.event_id = $1)
order by gather.id limit {SHOWN}
"""  # noqa: S608 - a constant


class Holder(NamedTuple):
    """The worker that holds a run. silent: seconds since its last heartbeat."""

    id: UUID
    host: str
    pid: int
    silent: float


class Crew(NamedTuple):
    """Workers with a heartbeat, and how many of them serve a queue."""

    alive: int
    serving: int


class Pause(NamedTuple):
    """What is paused, and by whom."""

    kind: str  # pipeline | source | queue
    name: str
    by: str
    reason: str
    at: datetime


class Slot(NamedTuple):
    """A limit that does not let a run on. step: empty for the run itself. ahead: those who are asked first."""

    step: str
    kind: str  # concurrency | rate
    key: str
    most: int
    held: int
    ahead: int
    holders: Sequence[UUID]


class Question(NamedTuple):
    """An approval that nobody has decided."""

    id: UUID
    step: str
    prompt: str
    created_at: datetime
    expires_at: datetime


class Gathering(NamedTuple):
    """A burst or batch that an event is part of."""

    pipeline: str
    trigger: str
    kind: str
    key: str
    due_at: datetime | None
    size: int


class Explaining:
    """Small reads, each through an index."""

    _database: Database

    async def find_holder(self, worker_id: UUID) -> Holder | None:
        """The worker; None: it has no row any more, its lease is over."""
        rows = await self._database.fetch(WORKER, worker_id)
        return Holder(**dict(rows[0])) if rows else None

    async def count_crew(self, queue: str) -> Crew:
        """Who could take a run of this queue."""
        return Crew(**dict((await self._database.fetch(WORKERS, queue, ALIVE))[0]))

    async def count_ahead(self, queue: str, run_id: UUID) -> int:
        """Runs of the queue that were made earlier and are due, 10,000 at most."""
        return int((await self._database.fetch(AHEAD, queue, run_id))[0]["ahead"])

    async def pauses_of(self, run_id: UUID) -> list[Pause]:
        """What is paused and keeps the run from being claimed."""
        return [Pause(**dict(row)) for row in await self._database.fetch(PAUSES, run_id)]

    async def missing_slots(self, run_id: UUID) -> list[Slot]:
        """Limits that the run, or one of its steps, waits for."""
        return [Slot(**dict(row)) for row in await self._database.fetch(SLOTS, run_id)]

    async def open_questions(self, run_id: UUID) -> list[Question]:
        """What people are asked."""
        return [Question(**dict(row)) for row in await self._database.fetch(QUESTIONS, run_id)]

    async def waits_ended_by(self, event_id: UUID) -> list[tuple[UUID, str]]:
        """Run and step of waits that this event has ended, some at most."""
        return [(row["run_id"], row["step"]) for row in await self._database.fetch(ENDED_WAITS, event_id, SHOWN)]

    async def gatherings_of(self, event_id: UUID) -> list[Gathering]:
        """Bursts and batches that the event waits in."""
        return [Gathering(**dict(row)) for row in await self._database.fetch(GATHERING, event_id)]
