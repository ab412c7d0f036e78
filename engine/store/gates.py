"""Limits: gates let so many runs, or attempts of steps, through; who wants through has a ticket.

A ticket is fresh until it is decided on: then it is held, or waits in the order of the numbers, or is refused. All of
that happens in one function of the database, `gate_settle`, which locks the gates it touches: nobody counts rows and
then hopes. Whoever wants something from it shares a call with the others of this process.

* A run is inserted with its tickets, in the same commit, and cannot be claimed until its gates let it.
* What a run holds is free when it has ended. `gate_exit` has the ended runs that still have tickets: it is written by a
  trigger, so that it does not matter who ends a run, or dies right afterwards.
* A step enters with a ticket of its own, as often as it likes: it keeps its place, also if the worker dies.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from engine.core.gate import GateRequest
from engine.errors import HookwrightError
from engine.store.claims import SLOTS
from engine.store.connection import Held
from engine.store.ingest import ticket_row
from engine.store.rows import RunRow
from engine.store.runs import Runs
from engine.store.writer import GroupWriter

A_SLOT = "a slot of "  # how the reason of a run begins that waits for others
MOST_SHOWN = 3  # runs that are named
SWEPT = 5000  # idle gates deleted in one go

SETTLE = """
select * from gate_settle($1::uuid[], $2::integer[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[],
    $8::integer[], $9::text[], $10::integer[], $11::float8[], $12::integer[], $13::uuid[], $14::uuid[], $15::uuid[],
    $16::integer[], $17::text[], $18::timestamptz, $19, $20)
"""
PIN = "update run set version = $3, inputs = $4 where id = $1 and turn = $2 and worker is not null returning id"
PIPELINES = "select id, pipeline from run where id = any($1::uuid[])"
UNDECIDED = """
select distinct run_id from (
    select run_id from ticket where fresh and due_at <= coalesce($2::timestamptz, now()) and step = ''
    order by due_at limit $1) as t
"""
NEXT_DUE = "select min(due_at) as at from ticket where fresh and due_at > coalesce($1::timestamptz, now())"
EXITED = """
select run_id from gate_exit where at <= now() - make_interval(secs => $1) order by at limit $2
"""
HOLDERS = """
select distinct holder.run_id from ticket join ticket as holder on holder.gate_id = ticket.gate_id
where ticket.run_id = $1 and not ticket.held and not ticket.fresh and ticket.refused is null and holder.held
limit $2
"""
# What cannot happen by itself: counts that are not those of the tickets, tickets of runs that are gone or over.
MISCOUNTED = """
select id from gate cross join lateral (
    select count(*) filter (where ticket.held) as held,
        count(*) filter (where not ticket.held and not fresh and refused is null) as queued
    from ticket where gate_id = gate.id
) as found
where kind = 'concurrency'
    and (gate.held <> found.held or gate.queued <> found.queued or (gate.queued > 0 and gate.held < gate.most))
limit $1
"""
STRAY = """
insert into gate_exit (run_id)
select distinct ticket.run_id from ticket left join run on run.id = ticket.run_id
where run.id is null or run.finished_at is not null
on conflict do nothing
"""
RECOUNT = "select run_id, step, gate_id, what, due_at, by from gate_recount($1::uuid[], $2, $3)"
SWEEP = """
delete from gate where id in (
    select id from gate where held = 0 and queued = 0 and coalesce(tat, '-infinity') < now()
        and not exists (select from ticket where ticket.gate_id = gate.id)
    limit $1 for update skip locked
)
"""


class GateNews(NamedTuple):
    """What has become of a run, or of a step of it.

    what: ring (it is due), later (somebody has it, or it is due at due_at), ended, asked (to cancel), and of tickets
    that were asked for: held, queued, dropped, superseded.
    """

    run_id: UUID
    step: str
    gate_id: UUID
    what: str | None
    due_at: datetime | None
    by: UUID | None


class Turn(NamedTuple):
    """What a ticket of a step has come to: held, queued, dropped or superseded. None: the run was taken over."""

    what: str | None
    due_at: datetime | None = None  # of a rate limit: when it may start
    by: UUID | None = None  # because of this run


class _Wish(NamedTuple):
    """What one caller wants from the gates."""

    do: str  # admit | release | enter | leave
    run_id: UUID
    turn: int = 0
    step: str = ""
    gate: GateRequest | None = None
    announce: bool = False
    at: datetime | None = None


class Answer(NamedTuple):
    """What came of it: the ticket that was asked for, and news that somebody has to act on, given to one caller."""

    turn: Turn
    news: list[GateNews]


class Gates(Runs):
    """Getting through limits."""

    def __init__(self, database_url: str) -> None:
        self._gating = Held(database_url)
        self._gate_slot = secrets.randbelow(SLOTS)
        self.gate_writer: GroupWriter[_Wish, Answer] = GroupWriter(self._settle_gates, sorter=_sorter)

    async def admit(self, run_id: UUID, *, announce: bool = False, at: datetime | None = None) -> list[GateNews]:
        """Decide on the fresh tickets of a run, and on all others of the same gates; what has happened to anybody.

        announce: runs that end with this are owed an event. at: the time to go by, now if None.
        """
        return (await self.gate_writer.submit(_Wish("admit", run_id, announce=announce, at=at))).news

    async def release(self, run_id: UUID, *, announce: bool = False, at: datetime | None = None) -> list[GateNews]:
        """Free what an ended run holds. Of a run that has not ended nothing is freed."""
        return (await self.gate_writer.submit(_Wish("release", run_id, announce=announce, at=at))).news

    async def enter(
        self, run_id: UUID, turn: int, step: str, gate: GateRequest, *, at: datetime | None = None
    ) -> Answer:
        """A step wants through: its ticket, the same one however often it asks."""
        return await self.gate_writer.submit(_Wish("enter", run_id, turn, step, gate, at=at))

    async def leave(self, run_id: UUID, turn: int, step: str, *, at: datetime | None = None) -> list[GateNews]:
        """A step gives back its tickets. Nothing happens if the run was taken over since this turn."""
        return (await self.gate_writer.submit(_Wish("leave", run_id, turn, step, at=at))).news

    async def _settle_gates(self, wishes: Sequence[_Wish]) -> list[Answer | HookwrightError]:
        entering = [
            (wish.run_id, wish.turn, wish.step, *ticket_row(wish.gate)) for wish in wishes if wish.gate is not None
        ]
        leaving = [(wish.run_id, wish.turn, wish.step) for wish in wishes if wish.do == "leave"]
        moments = [wish.at for wish in wishes if wish.at is not None]
        rows = await self._gating.fetch(
            SETTLE,
            *_turned(entering, 12),
            [wish.run_id for wish in wishes if wish.do == "admit"],
            [wish.run_id for wish in wishes if wish.do == "release"],
            *_turned(leaving, 3),
            max(moments, default=None),
            any(wish.announce for wish in wishes),
            self._gate_slot,
        )
        news = [GateNews(*row) for row in rows]
        tickets = {(row.run_id, row.step, row.gate_id): row for row in news if row.what in TICKET}
        told = [row for row in news if row.what not in TICKET]
        answers: list[Answer | HookwrightError] = []
        for wish in wishes:
            turn = Turn(None)
            if wish.gate is not None and (row := tickets.get((wish.run_id, wish.step, wish.gate.id))) is not None:
                turn = Turn(row.what, row.due_at, row.by)
            answers.append(Answer(turn, told))
        return answers

    async def pin_version(self, run_id: UUID, turn: int, version: str, inputs: bytes) -> bool:
        """The run goes on in this version. False: it was taken over."""
        return bool(await self._database.fetch(PIN, run_id, turn, version, inputs))

    async def pipelines_of(self, run_ids: Sequence[UUID]) -> dict[UUID, str]:
        """The pipelines of these runs."""
        return {row["id"]: row["pipeline"] for row in await self._database.fetch(PIPELINES, list(run_ids))}

    async def get_run(self, run_id: UUID) -> RunRow | None:
        """The run with everything, or None. Who holds what it waits for is as of now, not as when it began to wait."""
        row = await super().get_run(run_id)
        if row is None or row.waiting_for is None or not row.waiting_for.startswith(A_SLOT):
            return row
        found = [str(each["run_id"]) for each in await self._database.fetch(HOLDERS, run_id, MOST_SHOWN + 1)]
        if not found:
            return row
        names = ", ".join(found[:MOST_SHOWN]) + (" and others" if len(found) > MOST_SHOWN else "")
        return msgspec.structs.replace(row, waiting_for=f"{row.waiting_for}, held by run {names}")

    async def undecided(self, limit: int, *, at: datetime | None = None) -> list[UUID]:
        """Runs with tickets to decide on by now."""
        return [row["run_id"] for row in await self._database.fetch(UNDECIDED, limit, at)]

    async def next_decision(self, *, at: datetime | None = None) -> datetime | None:
        """When the next ticket is to be decided on; None: there is none."""
        found: datetime | None = (await self._database.fetch(NEXT_DUE, at))[0]["at"]
        return found

    async def exited(self, older_than: float, limit: int) -> list[UUID]:
        """Runs that ended so many seconds ago, and nobody has freed what they held."""
        return [row["run_id"] for row in await self._database.fetch(EXITED, older_than, limit)]

    async def mend_gates(self, limit: int, *, announce: bool = False) -> list[GateNews]:
        """Find what cannot happen by itself, wrong counts and tickets of runs that are over, and mend it."""
        await self._database.fetch(STRAY)
        gates = [row["id"] for row in await self._database.fetch(MISCOUNTED, limit)]
        if not gates:
            return []
        rows = await self._database.fetch(RECOUNT, gates, announce, self._gate_slot)
        return [GateNews(*row) for row in rows]

    async def sweep_gates(self) -> None:
        """Delete gates that nobody needs."""
        await self._database.fetch(SWEEP, SWEPT)


TICKET = frozenset({"held", "queued", "dropped", "superseded"})


def _sorter() -> Callable[[_Wish], bool]:
    """One wish for each ticket in a batch: whoever leaves and enters anew does so one after the other."""
    met: set[tuple[UUID, str]] = set()

    def joins(wish: _Wish) -> bool:
        if (wish.run_id, wish.step) in met:
            return False
        met.add((wish.run_id, wish.step))
        return True

    return joins


def _turned(rows: list[tuple[Any, ...]], width: int) -> list[Any]:
    """Rows as columns."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
