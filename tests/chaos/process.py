"""A process that can be killed at any statement: the engine's own code on a store of its own, in this event loop.

Every statement to PostgreSQL is a fault point, before it is sent and after its commit, and so is every effect of a
step. Once killed, nothing of the process happens any more: its statements are not sent, its tasks end, its connections
break. What it had said to the database stands.

Or it freezes at a statement, as on a stalled machine: everybody takes it for dead, and some time later it goes on.
"""

import asyncio
import contextvars
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from engine.flow.upkeep import Upkeep
from engine.listener import Listener
from engine.runtime import Deployments, Runtime
from engine.store import Store
from engine.store.connection import Held
from engine.worker import Holder
from tests.chaos.ledger import Effects, Ledger

T = TypeVar("T")

WHO: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("WHO", default=None)


class Killed(Exception):
    """The process that was asked to do something has died."""


class Process:
    """One incarnation. `fuse`: it dies when it reaches so many fault points; 0: it lives."""

    def __init__(
        self, number: int, base: Runtime, bell: Any, ledger: Ledger, *, fuse: int = 0, freezes: bool = False
    ) -> None:
        self.number = number
        self.fuse = fuse
        self.reached = 0
        self.freezes = freezes
        self.dead = asyncio.Event()
        self.frozen = asyncio.Event()
        self.thawed = asyncio.Event()
        self.place = ""  # where it died
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self.holder: Holder | None = None
        effects = Effects(ledger, number, self.reach)
        own = {
            name: msgspec.structs.replace(type_, function=getattr(effects, type_.function.__name__))
            for name, type_ in base.catalog.steps.items()
            if name.startswith("chaos.")
        }
        catalog = msgspec.structs.replace(base.catalog, steps={**base.catalog.steps, **own})
        self.store = Store(base.settings.database_url or "", 2)
        self.connections = [each for each in vars(self.store).values() if isinstance(each, Held)]
        for connection in (*self.connections, self.store._database):
            self._guard(connection)
        deployments = Deployments(versions=base.deployments.versions)  # compiled once for all
        self.listener = Listener(self.store, bell)
        self.runtime: Runtime = replace(
            base, store=self.store, queue=bell, listener=self.listener, catalog=catalog, deployments=deployments
        )

        self.upkeep = Upkeep(self.runtime)

    def _guard(self, connection: Any) -> None:
        fetch: Callable[..., Awaitable[list[Any]]] = connection.fetch

        async def guarded(statement: str, *arguments: Any) -> list[Any]:
            await self._reach_statement("before " + statement)
            rows = await fetch(statement, *arguments)
            await self._reach_statement("after " + statement)
            return rows

        connection.fetch = guarded

    async def _reach_statement(self, place: str) -> None:
        if self.freezes and self.fuse and self.reached + 1 >= self.fuse:
            self.fuse, self.place = 0, " ".join(place.split())[:100] + " (frozen)"
            self.frozen.set()
        if self.frozen.is_set() and not self.thawed.is_set():
            await self.thawed.wait()
        self.reach(place)

    def reach(self, place: str) -> None:
        """A fault point: the dead come no further."""
        if self.dead.is_set():
            raise asyncio.CancelledError
        self.reached += 1
        if self.fuse and self.reached >= self.fuse and not self.freezes:
            self.place = " ".join(place.split())[:100]
            self.kill()
            raise asyncio.CancelledError

    def kill(self) -> None:
        """SIGKILL."""
        self.dead.set()
        if self.holder is not None:
            for hold, _ in self.holder._holds.values():
                hold.reason = "lost"
        for task in list(self.tasks):
            task.cancel()

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the process do something. Killed: it died or froze, and perhaps it was or will be done all the same."""
        token = WHO.set(self)
        try:
            task = asyncio.get_running_loop().create_task(work)
        finally:
            WHO.reset(token)
        freezing = asyncio.ensure_future(self.frozen.wait())
        await asyncio.wait([task, freezing], return_when=asyncio.FIRST_COMPLETED)
        freezing.cancel()
        if not task.done():
            raise Killed
        if task.cancelled() or self.dead.is_set():
            if not task.cancelled():
                task.exception()
            raise Killed
        return task.result()

    async def thaw(self) -> None:
        """It goes on where it froze, and finishes what it can."""
        self.thawed.set()
        while pending := [task for task in self.tasks if not task.done()]:
            await asyncio.wait(pending, timeout=5.0)

    async def bury(self) -> None:
        """Break its connections, as the kernel does for a dead process."""
        while pending := [task for task in self.tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending)
        for connection in self.connections:
            connection._drop()
        if self.store._database._pool is not None:
            self.store._database._pool.terminate()

    async def work(self, run_ids: list[UUID]) -> None:
        """What a worker does when it is rung, until it holds nothing any more."""
        assert self.holder is not None
        await self.holder.take(None, run_ids=[str(run_id) for run_id in run_ids])
        while self.holder._holds:
            await self.holder.idle(5.0)


def watch_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Every task is known to belong to the process whose code made it."""

    def make(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        process = WHO.get()
        if process is not None:
            process.tasks.add(task)
        return task

    loop.set_task_factory(make)
