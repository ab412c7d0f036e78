"""`start_timeout`: a run that has not begun in time ends as cancelled, with the error `expired`."""

import asyncio

from engine.core.run import RunStatus
from engine.flow.announce import announce, is_awaited
from engine.runtime import Runtime

MOST = 500  # runs ended in one statement


async def expire_runs(runtime: Runtime) -> int:
    """End those whose time is over; how many runs."""
    count = 0
    while True:
        awaited = is_awaited(runtime, None, RunStatus.CANCELLED)
        ended = await runtime.store.expire(MOST, announce=awaited)
        for run in ended:
            runtime.queue.changed(run.id, run.pipeline, RunStatus.CANCELLED)
            runtime.log.info("run.expired", run_id=str(run.id), pipeline=run.pipeline)
        if awaited:
            await asyncio.gather(*(announce(runtime, run.id) for run in ended))
        count += len(ended)
        if len(ended) < MOST:
            return count
