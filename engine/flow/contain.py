"""One call of a plugin's function, contained: whatever it does, the run hears of it and the worker goes on.

It may hang, also through a cancellation; block the loop; return anything; raise anything, what ends processes included.
"""

import asyncio
import dis
import inspect
from collections.abc import Awaitable, Callable
from functools import lru_cache
from types import CodeType
from typing import Any

import msgspec

from engine.watchdog import Blocked, guard

STUBBORN = 2.0  # seconds in which a plugin has to heed a cancellation; below worker.LET_GO
SUSPENDS = frozenset({"GET_AWAITABLE", "SEND", "YIELD_VALUE"})

Function = Callable[[Any, Any], Awaitable[Any]]
Leak = Callable[["asyncio.Task[Any]"], None]

_leaked: set["asyncio.Task[Any]"] = set()  # tasks that did not heed their cancellation; kept, or they would vanish


class TimedOut(Exception):
    """The time of the call is over."""


class Unfit(Exception):
    """The function did what no step may do. `type`: of the step's error."""

    def __init__(self, message: str, type: str = "plugin") -> None:
        super().__init__(message)
        self.type = type


async def call_function(function: Function, config: Any, context: Any, limit: float, leak: Leak) -> Any:
    """The function's result as JSON-plain data.

    Raises TimedOut, Unfit, Blocked, or what the function raises that is an Exception. Cancellation passes through.
    leak: told of a task that goes on although it was cancelled; nobody listens to it any more.
    """
    code = getattr(function, "__code__", None)
    if code is not None and not suspends(code):
        try:
            return await _inside(function, config, context)
        except asyncio.CancelledError:  # nobody could have asked: it has never let go
            raise Unfit("raised CancelledError, though nobody had cancelled it") from None
    task = asyncio.create_task(_inside(function, config, context))
    try:
        await asyncio.wait((task,), timeout=limit)
    except asyncio.CancelledError:
        await _end(task, leak)
        raise
    if not task.done():
        await _end(task, leak)
        if not task.done() or task.cancelled() or task.exception() is not None:
            raise TimedOut
    if task.cancelled():
        raise Unfit("raised CancelledError, though nobody had cancelled it")
    return task.result()


async def _end(task: "asyncio.Task[Any]", leak: Leak) -> None:
    """Cancel it and wait a little; whoever does not listen is left alone."""
    if not task.done():
        task.cancel()
        try:
            await asyncio.wait((task,), timeout=STUBBORN)
        except asyncio.CancelledError:  # once more: there is no time
            if not task.done():
                _leave(task, leak)
            raise
    if not task.done():
        _leave(task, leak)
    elif not task.cancelled():
        task.exception()  # seen


def _leave(task: "asyncio.Task[Any]", leak: Leak) -> None:
    _leaked.add(task)
    task.add_done_callback(_forget)
    leak(task)


def _forget(task: "asyncio.Task[Any]") -> None:
    _leaked.discard(task)
    if not task.cancelled():
        task.exception()


def count_leaked() -> int:
    """How many calls go on in this process though they were cancelled."""
    return len(_leaked)


@guard
async def _inside(function: Function, config: Any, context: Any) -> Any:
    """Everything below this frame is the plugin's doing."""
    try:
        called = function(config, context)
        if not hasattr(called, "__await__"):
            raise Unfit(f"is not async: it returned {type(called).__name__} at once")  # noqa: TRY301
        returned = await called
    except (asyncio.CancelledError, Blocked, Exception):
        raise
    except BaseException as problem:  # noqa: BLE001 - what ends a process would end the worker
        raise Unfit(f"raised {type(problem).__name__}") from None
    try:
        return msgspec.to_builtins(returned, str_keys=True)
    except (TypeError, ValueError, RecursionError, OverflowError) as problem:
        text = f"the step returned something that is not JSON: {type(problem).__name__}: {problem}"
        raise Unfit(text, "invalid_output") from None


@lru_cache(maxsize=1000)
def suspends(code: CodeType) -> bool:
    """Whether a coroutine function can let go of the loop at all. If not, it needs neither a task nor a time limit."""
    if not code.co_flags & inspect.CO_COROUTINE:
        return True  # a wrapper, perhaps
    return any(instruction.opname in SUSPENDS for instruction in dis.get_instructions(code))
