"""Cancel a run."""

from uuid import UUID

from engine.core.run import RunStatus
from engine.errors import Conflict, NotFound
from engine.flow import audit
from engine.flow.announce import announce, is_awaited
from engine.flow.limits import release
from engine.runtime import Runtime


async def cancel_run(runtime: Runtime, run_id: UUID, *, by: str = audit.SYSTEM) -> str:
    """`cancelled` if it ended at once, `running` if a worker is to end it. NotFound; Conflict if it is over."""
    status = await runtime.store.request_cancel(run_id, announce=is_awaited(runtime, None, RunStatus.CANCELLED))
    if status is None:
        raise NotFound(f"there is no run {run_id}")
    if status == "finished":
        raise Conflict(f"run {run_id} has already ended")
    if status == RunStatus.QUEUED:
        runtime.queue.ring_soon([run_id])
    run = await runtime.store.get_run(run_id)
    pipeline = run.pipeline if run is not None else ""
    if run is not None:
        runtime.queue.changed(run_id, pipeline, run.status)
    await audit.record(runtime, by, "run.cancel", target=pipeline, run_id=run_id)
    if status == RunStatus.CANCELLED:
        await release(runtime, run_id)
        await announce(runtime, run_id)
    return RunStatus.CANCELLED if status == RunStatus.CANCELLED else RunStatus.RUNNING
