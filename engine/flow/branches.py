"""Several branches of one run side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from engine.errors import HookwrightError
from engine.flow.execution import Execution
from engine.flow.frame import OutOfTime, Parked, TakenOver

Work = Callable[[], Awaitable[None]]


async def run_together(execution: Execution, works: Sequence[Work]) -> None:
    """Carry out all of them at once. The first failure, or `stop`, cancels the others and is raised.

    Parked if some could not finish because nobody in the whole run has anything to do any more.
    """
    left, failed, handed = len(works), False, False

    async def branch(work: Work) -> None:
        nonlocal failed
        if failed:
            return  # another one failed before this one began
        try:
            await work()
        except Parked:
            raise
        except Exception:
            failed = True
            raise

    def ended(task: asyncio.Task[None]) -> None:
        nonlocal left, handed
        left -= 1
        failure = None if task.cancelled() else task.exception()
        if not handed and (left == 0 or not isinstance(failure, Parked | None)):
            handed = True  # its place among those at work goes to whoever waits for all
        else:
            execution.active -= 1
            execution.check_parked()

    if not works:
        return
    tasks = [asyncio.create_task(branch(work)) for work in works]
    execution.active += len(tasks) - 1
    for task in tasks:
        task.add_done_callback(ended)
    first: set[asyncio.Task[None]] = set()
    try:
        first = await _until_failure(tasks)
    finally:
        await _cancel(tasks)
    _judge([task for task in tasks if task in first], tasks)


async def recall_each(works: Sequence[Work]) -> None:
    """One after the other, take over what is stored. Raises what they came to, the most important first."""
    errors: list[BaseException] = []
    for work in works:
        try:
            await work()
        except (HookwrightError, asyncio.CancelledError) as error:
            errors.append(error)
    if errors:
        raise min(errors, key=_weight)


async def _until_failure(tasks: list[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Those that had ended when one failed, or all."""
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        if any(not task.cancelled() and not isinstance(task.exception(), Parked | None) for task in done):
            break
    return {task for task in tasks if task.done()}


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel who still works and wait for them, even if we are cancelled meanwhile."""
    pending = {task for task in tasks if not task.done()}
    for task in pending:
        task.cancel()
    again: asyncio.CancelledError | None = None
    while pending:
        try:
            _, pending = await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            again = error
            for task in pending:
                task.cancel()
    if again is not None:
        raise again


def _judge(first: list[asyncio.Task[None]], tasks: list[asyncio.Task[None]]) -> None:
    for group in (first, tasks):
        errors = [error for task in group if not task.cancelled() and (error := task.exception())]
        if errors:
            raise min(errors, key=_weight)
    if any(task.cancelled() for task in tasks):
        raise asyncio.CancelledError


def _weight(error: BaseException) -> int:
    if isinstance(error, TakenOver):
        return 0
    if isinstance(error, asyncio.CancelledError):
        return 2
    return 3 if isinstance(error, OutOfTime | Parked) else 1
