"""One schedule: deliveries and processes that die at random, until everything is over; then the rules are checked."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.flow.chain import SOURCE
from engine.flow.deploy import deploy_stored
from engine.flow.record import record_event
from engine.queue import Queue
from engine.runtime import Runtime
from engine.worker import Holder, register
from tests.chaos.ledger import Ledger
from tests.chaos.process import Killed, Process

MOST_ROUNDS = 300  # of a schedule; more are a run that never ends
FUSES = (1, 150)  # fault points until a process dies
AGED = """
update run set rung_at = rung_at - interval '1 hour', due_at = due_at - interval '1 hour'
where finished_at is null and worker is null;
update gather set due_at = due_at - interval '1 hour';
update gate_exit set at = at - interval '1 hour';
update ticket set created_at = created_at - interval '1 hour';
update announcement set owed_at = owed_at - interval '1 hour'
"""
DEAD = "update worker set seen_at = 'epoch' where id = any($1::uuid[])"


class Bell(Queue):
    """A Redis that forgets: some rings are heard at once, the others never."""

    def __init__(self, url: str, chance: random.Random) -> None:
        super().__init__(url)
        self.heard: list[UUID] = []
        self.chance = chance

    async def ring(self, run_ids: Sequence[UUID], *_: Any, **__: Any) -> None:
        """Heard half of the time."""
        if self.chance.random() < 0.5:
            self.heard += run_ids

    def ring_soon(self, run_ids: Sequence[UUID], *_: Any, **__: Any) -> None:
        """The same without waiting."""
        if self.chance.random() < 0.5:
            self.heard += run_ids

    def changed(self, run_id: UUID, pipeline: str, status: str) -> None:
        """Nobody looks."""


class Delivery:
    """What a sender sends, again and again until it is acknowledged."""

    def __init__(self, type_: str, body: dict[str, Any]) -> None:
        self.type = type_
        self.body = body
        self.delivery_id = uuid7().hex
        self.acknowledged: UUID | None = None


class World:
    """What outlives every process: the database, the ledger, the senders."""

    def __init__(self, base: Runtime, admin: asyncpg.Pool, seed: int) -> None:
        self.base = base
        self.admin = admin
        self.chance = random.Random(seed)
        self.ledger = Ledger()
        self.bell = Bell(base.settings.redis_url or "", self.chance)
        self.deaths: list[str] = []
        self.lives = self.chance.randint(1, 4)  # processes that die in this schedule
        self.numbers = 0
        self.zombies: list[Process] = []

    # Processes

    async def boot(self, *, worker: bool) -> Process:
        """A new process, which may have not long to live."""
        while True:
            self.numbers += 1
            fuse = self.chance.randint(*FUSES) if self.lives else 0
            freezes = worker and self.chance.random() < 0.3
            process = Process(self.numbers, self.base, self.bell, self.ledger, fuse=fuse, freezes=freezes)
            try:
                await process.do(deploy_stored(process.runtime))
                if worker:
                    process.holder = Holder(process.runtime, await process.do(register(process.runtime)))
            except Killed:
                await self.buried(process)
                continue
            return process

    async def buried(self, process: Process) -> None:
        """It is dead: its connections break, and what is recorded as done must not happen again."""
        self.lives = max(0, self.lives - 1)
        self.deaths.append(process.place)
        if process.frozen.is_set() and not process.dead.is_set():
            self.zombies.append(process)
            self.ledger.zombies.add(process.number)
        else:
            await process.bury()
        rows = await self.admin.fetch("select run_id, step from attempt where status = 'succeeded'")
        self.ledger.seal([(str(row["run_id"]), row["step"]) for row in rows])
        if process.holder is not None:
            await self.admin.execute(DEAD, [process.holder.worker_id])

    # What happens

    async def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """One sender: each is sent until it is acknowledged, then the next."""
        process = await self.boot(worker=False)
        for delivery in deliveries:
            while delivery.acknowledged is None:
                event = Event(
                    id=uuid7(),
                    source=SOURCE,
                    type=delivery.type,
                    received_at=datetime.now(UTC),
                    headers={"content-type": "application/json"},
                    body=msgspec.json.encode(delivery.body),
                    delivery_id=delivery.delivery_id,
                )
                runtime = process.runtime
                listening = list(runtime.deployments.current.events)
                try:
                    recorded = await process.do(record_event(runtime, event, listening, dedup_scope="chaos"))
                except Killed:
                    await self.buried(process)
                    process = await self.boot(worker=False)
                    continue
                delivery.acknowledged = recorded.event_id
        await process.bury()

    async def run_until_over(self, late: list[Delivery], *, workers: int = 2) -> None:
        """Upkeep, rings and workers, until no run is open and nothing is owed; meanwhile the late deliveries come."""
        crew = [await self.boot(worker=True) for _ in range(workers)]
        for _ in range(MOST_ROUNDS):
            await self.admin.execute(AGED)  # an hour goes by for whoever waits
            heard, self.bell.heard = self.bell.heard, []
            self.chance.shuffle(heard)
            shares = [heard[number::workers] for number in range(workers)]
            await asyncio.gather(*(self._turn(crew, number, share) for number, share in enumerate(shares)))
            if late and self.chance.random() < 0.5:
                await self.deliver([late.pop()])
            if self.zombies and self.chance.random() < 0.3:
                zombie = self.zombies.pop()
                await zombie.thaw()
                await zombie.bury()
            if not late and not self.zombies and await self._is_over():
                break
        else:
            open_runs = await self.admin.fetch(
                "select id, pipeline, status, waiting_for, due_at, worker from run where finished_at is null"
            )
            raise AssertionError(f"these never end: {[dict(row) for row in open_runs]}")
        for process in crew:
            await process.bury()
            if process.holder is not None:
                await self.admin.execute(DEAD, [process.holder.worker_id])

    async def _turn(self, crew: list[Process], number: int, share: list[UUID]) -> None:
        process = crew[number]
        try:
            await process.do(process.upkeep.lead())
            await process.do(process.work([*share, *await self._due()]))
        except Killed:
            await self.buried(process)
            crew[number] = await self.boot(worker=True)

    async def _due(self) -> list[UUID]:
        """What was rung and not heard: upkeep rings it again some seconds later."""
        rows = await self.admin.fetch("select id from run where worker is null and due_at <= now()")
        return [row["id"] for row in rows if self.chance.random() < 0.5]

    async def _is_over(self) -> bool:
        owed: bool = await self.admin.fetchval(
            "select exists (select from run where finished_at is null) or exists (select from announcement) "
            "or exists (select from gather) or exists (select from gate_exit)"
        )
        return not owed


@contextlib.asynccontextmanager
async def administrator(url: str) -> Any:
    """Connections that nobody kills."""
    pool = await asyncpg.create_pool(url, min_size=1, max_size=3)
    # Nobody kills the server here (that is done to real processes), so that its disk need not be waited for.
    await pool.execute(f"alter database {urlsplit(url).path[1:]} set synchronous_commit = off")
    try:
        yield pool
    finally:
        await pool.close()
