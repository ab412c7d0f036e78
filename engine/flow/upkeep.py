"""Upkeep: whatever is due and not held is rung again, whatever died is taken back. One process at a time leads."""

from uuid import UUID

from engine.errors import Unavailable
from engine.flow import pause, schedule
from engine.flow.announce import announce_owed
from engine.flow.deploy import deploy_stored
from engine.flow.execution import now
from engine.flow.expire import expire_runs
from engine.flow.gather import Gatherer
from engine.flow.limits import Gatekeeper
from engine.flow.pool import unserved
from engine.flow.retention import Retention
from engine.flow.turns import Feeder, served_queues
from engine.runtime import Runtime

DEAD_AFTER = 6.0  # seconds without a heartbeat; with PERIOD and a claim that stays below the promised 10
IDLE = 2.0  # seconds a queued run may wait unclaimed while Redis has nothing queued: its ring was lost
BUSY = 7.0  # the same while there is a backlog: its ring may be in there, or may be lost
LEFT_OUT = 2.0  # seconds after which an ended run that is not announced was left out by whoever ended it
SWEEP = 3  # rounds from one look for events that nobody was told of to the next
MOST = 1000  # lost rings that are found in one go
PERIOD = 1.0  # seconds between two rounds
TICK = 0.2  # seconds between two looks at what is due, at most
BUSY_TICK = 0.02  # while there is more to do
MOST_GREETED = 10_000  # runs that wait for a worker and are woken at once; the others look again by themselves
NIL = UUID(int=0)


class Upkeep:
    """One process's part in upkeep; state is only what saves work."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._epoch: bytes | None = None
        self._revision: str | None = None
        self._planned: str | None = None  # the revision whose schedules are planned
        self._rounds = 0
        self._leads = False
        self._feeder = Feeder(runtime)
        self._served: frozenset[str] | None = None  # queues that had workers in the last round
        self._retention = Retention(runtime)
        self._gatherer = Gatherer(runtime)
        self._gatekeeper = Gatekeeper(runtime)
        self._swept = NIL  # open approvals up to this one were looked at

    async def follow(self) -> None:
        """Take over a new deployment. Every worker does this."""
        revision = await self._runtime.store.deployment_revision()
        if revision != self._revision or self._runtime.secrets.refresh():
            await deploy_stored(self._runtime)
            self._revision = revision
        self._runtime.deployments.queues = await self._runtime.store.list_queues()

    async def lead(self) -> None:
        """One round of what only the leader does."""
        store = self._runtime.store
        self._leads = await store.try_lead()
        if not self._leads:
            self._epoch = self._planned = self._served = None
            return
        self._rounds += 1
        rescued = await store.rescue(DEAD_AFTER)
        if rescued:
            self._runtime.log.warning("runs.rescued", runs=len(rescued))
        if self._planned != self._revision or self._rounds % 60 == 1:
            await schedule.plan(self._runtime)
            self._planned = self._revision
        await self._gatherer.round()
        await expire_runs(self._runtime)
        await self._gatekeeper.round()
        await pause.set_aside(self._runtime)
        await pause.bring_back(self._runtime)
        await self._greet_workers()
        await self._find_lost(await self._patience())
        await announce_owed(self._runtime, LEFT_OUT)
        if self._rounds % SWEEP == 1:
            await self._runtime.listener.sweep()
            self._swept = await store.close_unawaited(self._swept) or NIL
        await self._retention.step()
        if self._rounds % 60 == 1:
            await store.prune_dedup()
            await store.prune_run_keys()
            await store.prune_kv()
            await store.prune_waits()

    async def _patience(self) -> float:
        """Seconds a queued run may wait; none if Redis has lost its memory since the last round."""
        try:
            epoch, depth = await self._runtime.queue.epoch(), await self._runtime.queue.depth(self._served or ())
        except Unavailable:
            return BUSY
        lost, self._epoch = self._epoch not in (None, epoch), epoch
        if lost:
            self._runtime.log.warning("redis.forgot", since=now().isoformat())
        if lost:
            return 0.0
        return BUSY if depth else IDLE

    async def tick(self) -> float:
        """Ring what is due by PostgreSQL's clock, fire schedules; seconds until there may be more to do."""
        if not self._leads:
            return TICK
        look = await self._runtime.store.look()
        if look.schedule is not None and look.schedule <= 0:
            await schedule.fire_due(self._runtime)
        if look.run is not None and look.run <= 0:
            rang = await self._feeder.ring_due()
            return BUSY_TICK if rang or self._feeder.behind else TICK
        due = [seconds for seconds in look if seconds is not None and seconds > 0]
        return min([TICK, *due])

    async def _find_lost(self, patience: float) -> None:
        """Rings that nobody has followed for so long are forgotten: the feeder rings anew."""
        while len(await self._runtime.store.forget_rings(patience, MOST)) == MOST:
            pass

    async def _greet_workers(self) -> None:
        """Wake the runs that waited for workers of a queue which has some now."""
        served = await served_queues(self._runtime)
        for name in served - self._served if self._served is not None else ():
            await self._runtime.store.wake(await self._runtime.store.runs_waiting_for(unserved(name), MOST_GREETED))
        self._served = served
