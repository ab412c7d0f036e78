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
from engine.flow.retention import Retention
from engine.runtime import Runtime

DEAD_AFTER = 6.0  # seconds without a heartbeat; with PERIOD and a claim that stays below the promised 10
IDLE = 2.0  # seconds a queued run may wait unclaimed while Redis has nothing queued: its ring was lost
BUSY = 7.0  # the same while there is a backlog: its ring may be in there, or may be lost
LEFT_OUT = 2.0  # seconds after which an ended run that is not announced was left out by whoever ended it
SWEEP = 3  # rounds from one look for events that nobody was told of to the next
MOST = 1000  # runs rung in one go
PERIOD = 1.0  # seconds between two rounds
NIL = UUID(int=0)


class Upkeep:
    """One process's part in upkeep; state is only what saves work."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._epoch: bytes | None = None
        self._revision: str | None = None
        self._planned: str | None = None  # the revision whose schedules are planned
        self._rounds = 0
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

    async def lead(self) -> None:
        """One round of what only the leader does."""
        store = self._runtime.store
        if not await store.try_lead():
            self._epoch = self._planned = None
            return
        self._rounds += 1
        rescued = await store.rescue(DEAD_AFTER)
        if rescued:
            self._runtime.log.warning("runs.rescued", runs=len(rescued))
        await self._ring(rescued)
        if self._planned != self._revision or self._rounds % 60 == 1:
            await schedule.plan(self._runtime)
            self._planned = self._revision
        await schedule.fire_due(self._runtime)
        await self._gatherer.round()
        await expire_runs(self._runtime)
        await self._gatekeeper.round()
        await pause.set_aside(self._runtime)
        await pause.bring_back(self._runtime)
        await self._ring(await store.due_unrung(await self._patience(), MOST))
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
            epoch, depth = await self._runtime.queue.epoch(), await self._runtime.queue.depth()
        except Unavailable:
            return BUSY
        lost, self._epoch = self._epoch not in (None, epoch), epoch
        if lost:
            self._runtime.log.warning("redis.forgot", since=now().isoformat())
        if lost:
            return 0.0
        return BUSY if depth else IDLE

    async def _ring(self, run_ids: list[UUID]) -> None:
        try:
            await self._runtime.queue.ring(run_ids)
        except Unavailable as error:
            self._runtime.log.warning("ring.failed", runs=len(run_ids), error=str(error))
