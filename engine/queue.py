"""The doorbell: SAQ jobs that name runs, and live updates. Redis may lose all of it; PostgreSQL rings again.

Each queue of runs is a SAQ queue of its own. Only a small part of a backlog is ever in Redis: while a queue is crowded,
new runs stay unrung in PostgreSQL, and the leader brings them here in a fair order, see engine/flow/turns.py.
"""

import asyncio
import contextlib
import copy
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import msgspec
import redis.asyncio
import structlog
from redis.exceptions import RedisError
from saq.job import TERMINAL_STATUSES, Job, Status
from saq.queue.redis import RedisQueue

from engine.core.ids import uuid7
from engine.errors import Unavailable

NAME = "hookwright"
DEFAULT = "default"  # the queue of runs whose pipeline names none
JOB = "advance"  # the one SAQ job: advance the named runs
BATCH = 16  # runs named by one job
LAST_RING = 1.0  # seconds for the last ring of a process that stops
PACE = 0.004  # seconds between two rings of one process: what comes meanwhile shares a job
MOST_UNRUNG = 20_000  # runs that wait for a Redis that hangs; upkeep rings the rest
CROWD = 32  # jobs in Redis beyond which runs of a queue are not rung directly
BACKLOG = "hookwright:backlog:"  # keys that are there while the leader has more runs than it brings
BACKLOG_LIFE = 1.0  # seconds; a leader that dies must not keep everybody from ringing
GLANCE = 0.05  # seconds between two looks at a crowded queue
LIVE = "hookwright:live"  # pub/sub channel of run changes
LIVE_PERIOD = 0.1  # seconds between two messages of one process
LIVE_MOST = 100  # changes in one message; pages show no more
EPOCH = "hookwright:epoch"  # a key that is gone when Redis lost its memory
RECONNECT = 0.5  # seconds between looks at a Redis that is away; without it SAQ's worker spins
SUSPECT = 5.0  # seconds a job must look abandoned before it is dropped

log = structlog.get_logger("queue")
REDIS_ERRORS = (RedisError, OSError, TimeoutError)


class RunQueue(RedisQueue):
    """SAQ's Redis queue where a job is a hint and nothing is retried: the claim in PostgreSQL decides."""

    def __init__(self, client: redis.asyncio.Redis, queue: str = DEFAULT) -> None:
        name = NAME if queue == DEFAULT else f"{NAME}:{queue}"
        super().__init__(client, name=name, dump=msgspec.json.encode, load=msgspec.json.decode)
        self._suspects: dict[bytes, float] = {}  # job id -> when it first looked abandoned (monotonic)
        self._away = False

    async def notify(self, job: Job) -> None:
        """Nobody listens to single jobs: save SAQ's PUBLISH."""

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109 - SAQ's signature
        try:
            job = await super().dequeue(timeout, poll_interval)
        except REDIS_ERRORS as error:
            if not self._away:
                log.warning("redis.away", error=str(error))
            self._away = True
            await asyncio.sleep(RECONNECT)
            return None
        if self._away:
            self._away = False
            log.info("redis.back")
        return job

    async def enqueue_many(self, jobs: Sequence[Job], backlog: str) -> tuple[int, bool]:
        """All jobs in one round trip. How many wait here then, and whether the key `backlog` is there."""
        async with self.redis.pipeline(transaction=False) as pipe:
            queue = copy.copy(self)
            queue.redis = cast(Any, pipe)  # SAQ sends its script through `client=self.redis`
            for job in jobs:
                await queue.enqueue(job)
                job.queue = self
            self._enqueue_script = queue._enqueue_script
            pipe.llen(self._queued)
            pipe.exists(backlog)
            *_, depth, behind = await pipe.execute()
        return int(depth), bool(behind)

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        """Drop jobs whose worker is gone. They are not run again: upkeep rings their runs.

        SAQ's own sweep may abort a healthy job between its dequeue and its first write (its issue 277), so a job
        must look abandoned twice, SUSPECT seconds apart.
        """
        ids: list[bytes] = await cast(Any, self.redis.lrange(self._active, 0, -1))
        jobs = [self.deserialize(raw) for raw in await self.redis.mget(ids)] if ids else []
        workers = sorted({job.worker_id for job in jobs if job and job.worker_id})
        infos = (
            await self.redis.mget([self.namespace(f"worker_info:{worker}") for worker in workers]) if workers else []
        )
        alive = {worker for worker, info in zip(workers, infos, strict=True) if info}
        now, suspects, dropped = time.monotonic(), {}, []
        for job_id, job in zip(ids, jobs, strict=True):
            if job and job.status == Status.ACTIVE and job.worker_id in alive:
                continue
            first = suspects[job_id] = self._suspects.get(job_id, now)
            if now - first < SUSPECT and not (job and job.status in TERMINAL_STATUSES):
                continue
            del suspects[job_id]
            dropped.append(job_id.decode())
            async with self.redis.pipeline(transaction=True) as pipe:
                pipe.lrem(self._active, 0, cast(Any, job_id))
                pipe.zrem(self._incomplete, job_id)
                pipe.delete(job_id)
                await pipe.execute()
        self._suspects = suspects
        return dropped


class Queue:
    """What the rest of the engine sees of Redis as a queue."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.from_url(url, socket_timeout=3, socket_connect_timeout=2, max_connections=1000)
        self._blocking = redis.asyncio.from_url(
            url, socket_timeout=None, socket_connect_timeout=2, max_connections=1000
        )
        self._ringing: dict[str, RunQueue] = {}
        self._changes: dict[UUID, dict[str, Any]] = {}
        self._publishing: asyncio.Task[None] | None = None
        self._unrung: dict[str, list[UUID]] = {}
        self._rung_at = 0.0  # when the bell last rang, on the loop's clock
        self._bell: asyncio.Task[None] | None = None
        self._crowded: dict[str, float] = {}  # crowded queues, and when they were last looked at (monotonic)
        self._glance: asyncio.Task[None] | None = None

    def runs(self, queue: str = DEFAULT) -> RunQueue:
        """What a SAQ worker takes the runs of one queue from."""
        return RunQueue(self._blocking, queue)

    async def ring(self, run_ids: Sequence[UUID], queue: str = DEFAULT) -> None:
        """Ask the workers to advance these runs now. Unavailable if Redis is away; upkeep rings later then."""
        jobs = [
            Job(
                function=JOB,
                key=uuid7().hex,  # SAQ's own key asks the system's uuid daemon each time
                kwargs={"run_ids": [str(run_id) for run_id in run_ids[start : start + BATCH]]},
                timeout=0,  # a job only hands runs over; leases watch the rest
                retries=1,
                ttl=-1,  # leave nothing behind when finished
            )
            for start in range(0, len(run_ids), BATCH)
        ]
        if not jobs:
            return
        try:
            depth, behind = await self._list(queue).enqueue_many(jobs, BACKLOG + queue)
        except REDIS_ERRORS as error:
            raise Unavailable(f"Redis is away: {error}") from error
        self._note(queue, depth, behind)

    def ring_soon(self, run_ids: Sequence[UUID], queue: str = DEFAULT) -> None:
        """Ring in the background: at once when it is calm, in batches when many come. Nobody waits for the bell.

        A ring that fails is logged; upkeep rings again. One in the wrong queue is passed on by whoever hears it.
        """
        unrung = self._unrung.setdefault(queue, [])
        if len(unrung) < MOST_UNRUNG:
            unrung.extend(run_ids)
        if self._bell is None or self._bell.done():
            self._bell = asyncio.create_task(self._ring_unrung())

    async def _ring_unrung(self) -> None:
        loop = asyncio.get_running_loop()
        while self._unrung:
            if (early := self._rung_at + PACE - loop.time()) > 0:
                await asyncio.sleep(early)
            unrung, self._unrung = self._unrung, {}
            self._rung_at = loop.time()
            for queue, run_ids in unrung.items():
                try:
                    await self.ring(run_ids, queue)
                except Unavailable as error:
                    log.warning("ring.failed", runs=len(run_ids), error=str(error))
                except Exception:  # redis-py lets an AttributeError out if the connection closes under it
                    log.exception("ring.failed", runs=len(run_ids))

    def _list(self, queue: str) -> RunQueue:
        if (found := self._ringing.get(queue)) is None:
            found = self._ringing[queue] = RunQueue(self._client, queue)
        return found

    # Backlogs

    def crowded(self) -> list[str]:
        """Queues whose new runs are not to be rung: the leader brings them in their turn.

        What this process last saw when it rang; while there is such a queue, it looks again now and then.
        """
        if not self._crowded:
            return []
        if (self._glance is None or self._glance.done()) and min(self._crowded.values()) < time.monotonic() - GLANCE:
            self._glance = asyncio.create_task(self._look_again())
        return list(self._crowded)

    async def _look_again(self) -> None:
        queues = list(self._crowded)
        with contextlib.suppress(Unavailable):
            depths = await self.depths(queues)
            try:
                behind = await self._client.mget([BACKLOG + queue for queue in queues])
            except REDIS_ERRORS:
                return
            for queue, mark in zip(queues, behind, strict=True):
                self._note(queue, depths[queue], mark is not None)

    def _note(self, queue: str, depth: int, behind: bool) -> None:
        if behind or depth > CROWD:
            self._crowded[queue] = time.monotonic()
        else:
            self._crowded.pop(queue, None)

    async def mark_backlogs(self, behind: Mapping[str, bool]) -> None:
        """Tell every process which queues have more runs than are brought, and which have not. Unavailable."""
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for queue, is_behind in behind.items():
                    if is_behind:
                        pipe.set(BACKLOG + queue, 1, px=int(BACKLOG_LIFE * 1000))
                    else:
                        pipe.delete(BACKLOG + queue)
                await pipe.execute()
        except REDIS_ERRORS as error:
            raise Unavailable(f"Redis is away: {error}") from error

    async def depths(self, queues: Iterable[str]) -> dict[str, int]:
        """Jobs of each queue that nobody has taken yet. Unavailable if Redis is away."""
        names = list(queues)
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.llen(self._list(name).namespace("queued"))
                return dict(zip(names, map(int, await pipe.execute()), strict=True))
        except REDIS_ERRORS as error:
            raise Unavailable(f"Redis is away: {error}") from error

    async def depth(self, queues: Iterable[str] = (DEFAULT,)) -> int:
        """Jobs of these queues that nobody has taken yet. Unavailable if Redis is away."""
        return sum((await self.depths(queues)).values())

    async def epoch(self) -> bytes:
        """A token that stays the same until Redis loses its memory (FLUSHALL, restart without a log)."""
        try:
            await self._client.set(EPOCH, uuid7().hex, nx=True)
            return cast(bytes, await self._client.get(EPOCH))
        except REDIS_ERRORS as error:
            raise Unavailable(f"Redis is away: {error}") from error

    async def ping(self) -> None:
        """Unavailable if Redis is away."""
        try:
            await cast(Any, self._client.ping())
        except REDIS_ERRORS as error:
            raise Unavailable(f"Redis is away: {error}") from error

    def changed(self, run_id: UUID, pipeline: str, status: str) -> None:
        """Tell the pages, soon and together with others, that this run changed. Lost without harm if Redis is away."""
        self._changes[run_id] = {"run": str(run_id), "pipeline": pipeline, "status": status}
        if self._publishing is None or self._publishing.done():
            self._publishing = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        await asyncio.sleep(LIVE_PERIOD)
        changes = list(self._changes.values())[-LIVE_MOST:]
        self._changes.clear()
        with contextlib.suppress(*REDIS_ERRORS):
            await self._client.publish(LIVE, msgspec.json.encode(changes))

    async def subscribe(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Changes as they are published: [{"run", "pipeline", "status"}]. Reconnects by itself; ends when closed."""
        while True:
            try:
                async with self._blocking.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(LIVE)
                    async for message in channel.listen():
                        yield msgspec.json.decode(message["data"])
            except REDIS_ERRORS:
                await asyncio.sleep(RECONNECT)

    async def close(self) -> None:
        """Ring what is waiting, then close every connection."""
        for task in (self._publishing, self._bell, self._glance):
            if task is not None:
                await asyncio.wait([task], timeout=LAST_RING)
                task.cancel()
        for client in (self._client, self._blocking):
            with contextlib.suppress(*REDIS_ERRORS):
                await client.aclose()


def connect_queue(redis_url: str) -> Queue:
    """A queue on this Redis; connects when first used."""
    return Queue(redis_url)
