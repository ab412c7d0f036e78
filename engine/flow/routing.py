"""`queue:` of a step: it is carried out by workers that serve the queue, and its run goes to them and back.

A branch whose next step belongs elsewhere parks; once no branch of the run can do anything here, the run is handed
over. Each queue that branches wait for is visited in turn, and each visit carries out at least one step: branches in
different queues all get on.
"""

from datetime import timedelta

from engine.flow.attempts import refuse
from engine.flow.execution import Execution
from engine.flow.frame import Frame
from engine.flow.pool import unserved
from engine.pipeline.expression import ExpressionError
from engine.pipeline.expression.errors import listing
from engine.pipeline.spec import Step
from engine.store import DEFAULT_QUEUE

ANYWHERE = frozenset({"value", "stop", "fail", "emit"})  # over in no time: no run is handed over for them
RECHECK = 30.0  # seconds; the leader wakes the runs earlier when a worker for their queue comes
LOOK = 1.0  # seconds between looks while others of the run are at work
YIELD = 5.0  # seconds a branch waits for another queue until those at work here make room


async def reach(execution: Execution, frame: Frame, step: Step, key: str) -> None:
    """Return where the step may be carried out. StepGaveUp if its queue is none of the project's."""
    queue = queue_of(execution, frame, step, key)
    if queue is None:
        if step.uses in ANYWHERE:
            return
        queue = DEFAULT_QUEUE
    pool = execution.environment.pool
    if pool.serves(queue):
        if execution.wants_to_leave(YIELD):
            await execution.hop(queue, yields=True)
        execution.moved = True
        return
    while not await pool.is_served(queue):
        if execution.closing:
            await execution.environment.sleep(LOOK)
            continue
        until = execution.environment.now() + timedelta(seconds=RECHECK)
        await execution.park(until, unserved(queue), recheck=LOOK)
    await execution.hop(queue)


def queue_of(execution: Execution, frame: Frame, step: Step, key: str) -> str | None:
    """The queue that the step names, or the call it stands in. StepGaveUp if there is no such queue."""
    if step.queue is None:
        return frame.queue
    try:
        queue = step.queue.render(frame.scope)
    except ExpressionError as problem:
        raise refuse(execution, step, key, "expression", f"queue: {problem}") from None
    known = execution.environment.pool.known
    if not isinstance(queue, str) or not queue:
        raise refuse(execution, step, key, "unknown_queue", "`queue` must be the name of a queue")
    if known and queue not in known:
        text = f"there is no queue `{queue[:60]}`; project.yaml has: {listing(sorted(known))}"
        raise refuse(execution, step, key, "unknown_queue", text)
    return queue
