"""Cancel a run."""

from uuid import UUID

from engine.core.run import RunStatus
from engine.errors import Conflict, NotFound
from engine.flow.announce import announce, is_awaited
from engine.runtime import Runtime


async def cancel_run(runtime: Runtime, run_id: UUID) -> str:
    """`cancelled` if it ended at once, `running` if a worker is to end it. NotFound; Conflict if it is over."""
    status = await runtime.store.request_cancel(run_id, announce=is_awaited(runtime, None, RunStatus.CANCELLED))
    if status in (None, "finished"):
        run = await runtime.store.get_run(run_id)
        if run is None:
            raise NotFound(f"there is no run {run_id}")
        raise Conflict(f"run {run_id} changed just now, try again")
    if status == "finished":
        raise Conflict(f"run {run_id} has already ended")
    if status == RunStatus.QUEUED:
        runtime.queue.ring_soon([run_id])
    run = await runtime.store.get_run(run_id)
    if run is not None:
        runtime.queue.changed(run_id, run.pipeline, run.status)
    if status == RunStatus.CANCELLED:
        await announce(runtime, run_id)
    return RunStatus.CANCELLED if status == RunStatus.CANCELLED else RunStatus.RUNNING
