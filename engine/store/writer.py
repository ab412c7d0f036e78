"""Group commit: many callers, one writer, one statement for all that came in while the last one was under way."""

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import asyncpg

from engine.errors import HookwrightError, Unavailable
from engine.store.rows import InvalidData

R = TypeVar("R")  # a record
T = TypeVar("T")  # what its caller gets

MOST = 500  # records in one commit
LATER = 0.005  # seconds that a record nobody awaits may wait for company
KEPT = 50_000  # records nobody awaits that are kept while PostgreSQL is away
CLOSE_PATIENCE = 3.0  # seconds for the last commit
AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)  # nothing was written, nobody is to blame


@dataclass(slots=True)
class _Entry(Generic[R, T]):
    record: R
    answer: asyncio.Future[T] | None  # None: nobody awaits it


class GroupWriter(Generic[R, T]):
    """Collects records and hands them to `commit` in batches, in the order they came.

    commit(records): answers, one for each record, all in one transaction; an answer may be an exception.
    sorter(): for each batch a function that says of one record after another whether it may still join the batch.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[R]], Awaitable[Sequence[T | HookwrightError]]],
        *,
        sorter: Callable[[], Callable[[R], bool]] | None = None,
    ) -> None:
        self._commit = commit
        self._sorter = sorter
        self._waiting: deque[_Entry[R, T]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.commits = 0  # for metrics and tests
        self.records = 0

    async def submit(self, record: R) -> T:
        """The answer, once it is committed. Unavailable: PostgreSQL is away; it may have been written nevertheless."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._add(_Entry(record, answer))
        self._wake()
        return await answer

    def submit_later(self, record: R) -> None:
        """Write it with the next batch; nobody learns what became of it. Kept while PostgreSQL is away."""
        self._add(_Entry(record, None))
        if self._task is None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LATER, self._wake)

    def _add(self, entry: _Entry[R, T]) -> None:
        if self._closed:
            raise Unavailable("the store is closed")
        self._waiting.append(entry)

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None and self._waiting:
            # its own context: it serves many callers, and none of their context variables may stick to it
            self._task = asyncio.create_task(self._flush(), context=contextvars.Context())

    async def _flush(self) -> None:
        try:
            while batch := self._take():
                if not await self._write(batch):
                    break
        finally:
            self._task = None
            if any(entry.answer is not None for entry in self._waiting):
                self._wake()
            elif self._waiting and not self._closed:  # only kept ones, PostgreSQL is away
                self._timer = asyncio.get_running_loop().call_later(1.0, self._wake)

    def _take(self) -> list[_Entry[R, T]]:
        batch: list[_Entry[R, T]] = []
        joins = self._sorter() if self._sorter is not None else None
        while self._waiting and len(batch) < MOST:
            if joins is not None and not joins(self._waiting[0].record):
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _write(self, batch: list[_Entry[R, T]]) -> bool:
        """Commit a batch and answer its callers; False if PostgreSQL is away."""
        try:
            answers = await self._attempt([entry.record for entry in batch])
        except Unavailable as error:
            kept = [entry for entry in batch if entry.answer is None]
            self._waiting.extendleft(reversed(kept[-KEPT:] if len(self._waiting) < KEPT else []))
            _answer(batch, [error] * len(batch))
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, its caller must hear of it
            if len(batch) == 1:
                _answer(batch, [_blame(error)])
                return True
            for entry in batch:  # one of them is to blame: find out which
                if not await self._write([entry]):
                    _answer(batch, [Unavailable("PostgreSQL is away")] * len(batch))
                    return False
            return True
        _answer(batch, answers)
        return True

    async def _attempt(self, records: list[R]) -> Sequence[T | HookwrightError]:
        for left in (2, 1, 0):
            try:
                answers = await self._commit(records)
            except AGAIN as error:
                if not left:
                    raise Unavailable(f"PostgreSQL is overloaded: {error}") from error
                continue
            self.commits += 1
            self.records += len(records)
            return answers
        raise AssertionError

    async def close(self) -> None:
        """Write what is waiting, then take no more."""
        self._closed = True
        self._wake()
        task = self._task
        if task is not None:
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(CLOSE_PATIENCE):
                    await asyncio.shield(task)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._timer is not None:
            self._timer.cancel()
        _answer(list(self._waiting), [Unavailable("the store is closed")] * len(self._waiting))
        self._waiting.clear()


def _answer(batch: list[_Entry[Any, Any]], answers: Sequence[Any]) -> None:
    for entry, answer in zip(batch, answers, strict=True):
        if entry.answer is None or entry.answer.done():  # nobody asked, or nobody waits any more
            continue
        if isinstance(answer, BaseException):
            entry.answer.set_exception(answer)
        else:
            entry.answer.set_result(answer)


def _blame(error: Exception) -> Exception:
    if isinstance(error, HookwrightError):
        return error
    refused = InvalidData(f"PostgreSQL cannot store this: {error}")
    refused.__cause__ = error
    return refused
