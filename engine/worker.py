"""The queue edge: a SAQ worker for each queue with one job, the runs this process holds, and upkeep."""

import asyncio
import contextlib
import heapq
import itertools
import logging
import os
import signal
import socket
from collections.abc import Coroutine
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from saq.worker import Worker

from engine.core.clock import CLOCK
from engine.core.run import ErrorInfo, RunStatus
from engine.errors import Unavailable
from engine.flow.advance import advance, fail_run
from engine.flow.execution import Hold, now
from engine.flow.upkeep import PERIOD, Upkeep
from engine.memory import MEGABYTE, give_back, limit_memory, settle, used_memory
from engine.queue import JOB
from engine.runtime import Runtime, open_runtime
from engine.settings import Settings
from engine.store import DEFAULT_QUEUE, CheckpointRecord, ClaimedRun, RunUpdate

TAKERS = 4  # SAQ jobs handed over at once; each names up to 16 runs
OTHER_TAKERS = 2  # the same of each further queue
LET_GO = 5.0  # seconds to write what was interrupted
SKEW = 1.0  # seconds between our clock and PostgreSQL's that are worth a word
HANDED_BACK = 5.0  # seconds until a run goes on for which there was no memory
FULL = 5  # times in a row that too much memory is in use
FULL_SHARE = 0.9  # of the limit that is too much
HEARTBEAT = 1.0  # seconds; leases end after upkeep.DEAD_AFTER


class Holder:
    """The runs this process holds."""

    def __init__(self, runtime: Runtime, worker_id: UUID) -> None:
        self._runtime = runtime
        self.worker_id = worker_id
        self._most = runtime.settings.concurrency
        self._queues = runtime.settings.queues or None
        self._holds: dict[UUID, tuple[Hold, asyncio.Task[None]]] = {}
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []  # jobs for which there is no room, by priority
        self._numbers = itertools.count()
        self._draining = False

    async def take(self, _context: Any, *, run_ids: list[str], queue: str = DEFAULT_QUEUE) -> None:
        """The SAQ job: claim these runs and start them. Returns at once; a slow run keeps its lease, not the job."""
        await self._room(queue)
        if self._draining:
            return  # upkeep of another worker rings them
        named = [UUID(run_id) for run_id in run_ids]
        try:
            claimed = await self._runtime.store.claim(named, self.worker_id, len(named), self._queues)
            for run in claimed:
                self._start(run)
            if self._queues is not None and len(claimed) < len(named):
                await self._pass_on(set(named) - {run.id for run in claimed})
        except Unavailable as error:
            self._runtime.log.warning("claim.failed", runs=len(run_ids), error=str(error))
        finally:
            self._let_in()

    async def _room(self, queue: str) -> None:
        """Wait for room. Jobs of queues with a higher priority go first."""
        while len(self._holds) >= self._most and not self._draining:
            settings = self._runtime.deployments.queues.get(queue)
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            priority = settings.priority if settings is not None else 0
            heapq.heappush(self._waiting, (-priority, next(self._numbers), turn))
            await turn

    def _let_in(self) -> None:
        """Let the next job in if there is room; all of them once the worker stops."""
        while self._waiting and (len(self._holds) < self._most or self._draining):
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                if not self._draining:
                    return

    async def _pass_on(self, run_ids: set[UUID]) -> None:
        """Ring those that came to the wrong queue where they belong."""
        for run_id, queue in await self._runtime.store.misrouted(list(run_ids), self._queues or ()):
            self._runtime.queue.ring_soon([run_id], queue)

    async def beat(self) -> None:
        """Renew the leases and hear which runs are to be cancelled.

        A worker that was declared dead, after a stall or a long outage, has lost its leases and could claim nothing
        more: it lets go of its runs, which belong to others now, and registers anew.
        """
        asked = CLOCK.mark()
        reply = await self._runtime.store.heartbeat(self.worker_id)
        if abs(moved := CLOCK.set(reply.at, asked)) > SKEW:
            self._runtime.log.warning("clock.set", by_seconds=round(moved, 3))
        if reply.known:
            self.cancel(reply.cancelled_runs)
            return
        for hold, task in list(self._holds.values()):
            hold.reason = "lost"
            task.cancel()
        self.worker_id = await register(self._runtime)
        self._runtime.log.warning("worker.registered_again", worker=str(self.worker_id), lost=len(self._holds))

    def cancel(self, run_ids: list[UUID]) -> None:
        """Stop these runs where they are; they finish as cancelled."""
        for run_id in run_ids:
            if (held := self._holds.get(run_id)) and not held[0].reason and not held[0].closing:
                held[0].reason = "cancel"
                held[1].cancel()

    async def drain(self, hurry: asyncio.Event) -> None:
        """Let runs reach their next checkpoint and hand them back; what takes longer is interrupted and handed back.

        hurry: nobody wants to wait for that any more.
        """
        self._draining = True
        self._let_in()
        for hold, _ in self._holds.values():
            hold.draining = True
        await _first(self.idle(self._runtime.settings.grace), hurry.wait())
        for hold, task in list(self._holds.values()):
            hold.reason = "stop"
            task.cancel()
        await self.idle(LET_GO)

    async def idle(self, seconds: float) -> None:
        """Wait until the runs held now are let go, at most so many seconds."""
        tasks = [task for _, task in self._holds.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def _start(self, run: ClaimedRun) -> None:
        hold = Hold(draining=self._draining)
        task = asyncio.create_task(self._advance(run, hold), name=f"run {run.id}")
        self._holds[run.id] = (hold, task)
        task.add_done_callback(lambda _: self._release(run.id, hold))

    async def _advance(self, run: ClaimedRun, hold: Hold) -> None:
        try:
            await advance(self._runtime, run, hold)
        except asyncio.CancelledError:
            raise
        except MemoryError:  # it may be another run's doing: this one goes on elsewhere, or later
            facts = {"run_id": str(run.id), "pipeline": run.pipeline}
            self._runtime.log.error("run.without_memory", **facts)  # noqa: TRY400 - no memory for its traceback
            await self._hand_back(run)
        except Exception:
            self._runtime.log.exception("run.broken", run_id=str(run.id), pipeline=run.pipeline)
            error = ErrorInfo(type="internal", message="a defect of the engine ended this run; its log has the details")
            with contextlib.suppress(Unavailable):
                await fail_run(self._runtime, run, error)

    async def _hand_back(self, run: ClaimedRun) -> None:
        update = RunUpdate(status=RunStatus.QUEUED, due_at=now() + timedelta(seconds=HANDED_BACK))
        with contextlib.suppress(Unavailable):
            await self._runtime.store.checkpoint(CheckpointRecord(run_id=run.id, turn=run.turn, run=update))

    def _release(self, run_id: UUID, hold: Hold) -> None:
        held = self._holds.get(run_id)
        if held is not None and held[0] is hold:
            del self._holds[run_id]
        self._let_in()


async def register(runtime: Runtime) -> UUID:
    """A new row for this process; its leases hang on it."""
    queues = runtime.settings.queues or None
    return await runtime.store.register_worker("worker", socket.gethostname(), os.getpid(), queues)


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; then drain. A second one cuts that short, a third one ends the process."""
    logging.getLogger("saq").setLevel(logging.ERROR)
    stopping, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _ask, (stopping, hurry))
    async with open_runtime(settings) as runtime:
        holder, upkeep = Holder(runtime, await register(runtime)), Upkeep(runtime)
        await holder.beat()
        await upkeep.follow()
        takers = Takers(runtime, holder)
        takers.follow()
        tasks = [
            asyncio.create_task(_heartbeat(runtime, holder), name="heartbeat"),
            asyncio.create_task(_upkeep(runtime, upkeep, takers), name="upkeep"),
            asyncio.create_task(_ring(runtime, upkeep), name="bell"),
        ]
        if settings.memory is not None and limit_memory(settings.memory):
            tasks.append(asyncio.create_task(_watch_memory(runtime, settings.memory * MEGABYTE), name="memory"))
        settle()
        runtime.log.info(
            "worker.started",
            worker=str(holder.worker_id),
            concurrency=settings.concurrency,
            queues=settings.queues or "all",
        )
        await _until(stopping, tasks)
        runtime.log.info("worker.stopping", worker=str(holder.worker_id))
        await takers.stop()
        await holder.drain(hurry)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Unavailable):
            await runtime.store.unregister_worker(holder.worker_id)
        runtime.log.info("worker.stopped", worker=str(holder.worker_id))


def _ask(events: tuple[asyncio.Event, ...]) -> None:
    """The next of them; when all are set there is nothing left to ask for."""
    for event in events:
        if not event.is_set():
            event.set()
            return
    os._exit(1)


async def _first(*ways: Coroutine[Any, Any, Any]) -> None:
    """Return when one of them does."""
    tasks = [asyncio.create_task(way) for way in ways]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def _watch_memory(runtime: Runtime, most: int) -> None:
    """Return when too much memory stays in use: then a fresh process is better."""
    full = 0
    while full < FULL:
        await asyncio.sleep(HEARTBEAT)
        full = full + 1 if used_memory() > most * FULL_SHARE else 0
        if full == 1:
            give_back()
    runtime.log.error("worker.full", used=used_memory(), most=most)


async def _until(stopping: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Until asked to stop. A background task that ends by itself is a defect: stop, the supervisor starts us anew."""
    waiting = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in done:
        if task is not waiting and (error := task.exception()):
            raise error


class Takers:
    """A SAQ worker for each queue that this process serves."""

    def __init__(self, runtime: Runtime, holder: Holder) -> None:
        self._runtime = runtime
        self._holder = holder
        self._takers: dict[str, tuple[Any, asyncio.Task[None]]] = {}

    def follow(self) -> None:
        """Begin to take from queues that are new. Raises what ended one of those that there are: that is a defect."""
        for name, (_, task) in self._takers.items():
            if task.done():
                task.result()
                raise RuntimeError(f"the taker of queue {name} has ended")
        for name in self._runtime.settings.queues or {DEFAULT_QUEUE, *self._runtime.deployments.queues}:
            if name not in self._takers:
                taker = self._taker(name)
                self._takers[name] = (taker, asyncio.create_task(taker.start(), name=f"taker {name}"))

    def _taker(self, queue: str) -> Any:
        taker: Any = Worker(
            self._runtime.queue.runs(queue),
            functions=[(JOB, partial(self._holder.take, queue=queue))],
            concurrency=TAKERS if queue == DEFAULT_QUEUE else OTHER_TAKERS,
            timers={"sweep": 10, "worker_info": 5, "abort": 60, "schedule": 60},
        )
        taker.SIGNALS = []  # the signals are ours: runs are drained first
        return taker

    async def stop(self) -> None:
        """Take nothing more."""
        await asyncio.gather(*(taker.stop() for taker, _ in self._takers.values()))
        await asyncio.gather(*(task for _, task in self._takers.values()), return_exceptions=True)


async def _heartbeat(runtime: Runtime, holder: Holder) -> None:
    while True:
        try:
            await holder.beat()
        except Unavailable as error:
            runtime.log.warning("heartbeat.failed", error=str(error))
        await asyncio.sleep(HEARTBEAT)


async def _upkeep(runtime: Runtime, upkeep: Upkeep, takers: Takers) -> None:
    while True:
        try:
            await upkeep.follow()
            await upkeep.lead()
        except Unavailable as error:
            runtime.log.warning("upkeep.failed", error=str(error))
        except Exception:
            runtime.log.exception("upkeep.broken")
        takers.follow()
        await asyncio.sleep(PERIOD)


async def _ring(runtime: Runtime, upkeep: Upkeep) -> None:
    while True:
        pause = PERIOD
        try:
            pause = await upkeep.tick()
        except Unavailable as error:
            runtime.log.warning("bell.failed", error=str(error))
        except Exception:
            runtime.log.exception("bell.broken")
        await asyncio.sleep(pause)
