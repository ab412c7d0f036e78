"""Mend at once what upkeep would mend within some seconds: when nobody leads, or nobody wants to wait.

Everything here may be done by any number of processes at the same time as upkeep does it.
"""

from uuid import UUID

from engine.flow import pause, schedule
from engine.flow.announce import announce_owed
from engine.flow.deploy import deploy_stored
from engine.flow.expire import expire_runs
from engine.flow.gather import fire_due
from engine.flow.limits import admit, release
from engine.flow.turns import Feeder
from engine.flow.upkeep import DEAD_AFTER
from engine.runtime import Runtime

MOST = 1000  # of each kind in one go
NIL = UUID(int=0)
ROUNDS = 50  # of ringing; the workers take more by themselves
WORDS = {
    "dead_worker": "workers without a heartbeat",
    "orphan": "runs held by a worker that is gone",
    "lost_ring": "due runs whose ring was lost",
    "overdue_timer": "waiting runs whose time is over",
    "unannounced": "ended runs whose `run.finished` event is missing",
    "overdue_schedule": "schedules that should have fired",
    "overdue_gather": "bursts and batches that should have become runs",
    "expired": "queued runs that are too old to begin",
    "stuck_slot": "slots held by runs that have ended",
    "undecided_slot": "runs that no limit has decided about",
    "stale_question": "approvals of runs that have ended",
}


async def heal(runtime: Runtime) -> None:
    """One round of everything. Unavailable if PostgreSQL or Redis is away."""
    store = runtime.store
    if not runtime.deployments.loaded:
        await deploy_stored(runtime)
        runtime.deployments.queues = await store.list_queues()
    await store.rescue(DEAD_AFTER)
    await schedule.fire_due(runtime)
    await fire_due(runtime)
    await expire_runs(runtime)
    for run_id in await store.exited(0.0, MOST):
        await release(runtime, run_id)
    await admit(runtime, await store.undecided(MOST))
    after: UUID | None = NIL
    while after is not None:
        after = await store.close_unawaited(after)
    await pause.bring_back(runtime)
    await announce_owed(runtime, 0.0)
    await store.forget_rings(0.0, MOST)
    feeder = Feeder(runtime)
    for _ in range(ROUNDS):
        if not await feeder.ring_due():
            break
    await store.prune_waits()
