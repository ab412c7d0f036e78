"""Is this process alive, is it ready, and what does it count."""

import asyncio
from collections.abc import Awaitable

import msgspec
from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from engine import metrics
from engine.core.run import FINISHED
from engine.errors import Unavailable
from engine.runtime import Runtime
from engine.web.parameters import WithRuntime

PATIENCE = 2.0  # seconds a dependency may take to answer


class Health(msgspec.Struct, frozen=True):
    """Always `ok` when it answers at all."""

    status: str = "ok"


class Readiness(msgspec.Struct, frozen=True):
    """Whether PostgreSQL and Redis can be reached: `ok` or what went wrong."""

    status: str
    postgresql: str
    redis: str


@get("/healthz", tags=["Health"], summary="Is the process alive", sync_to_thread=False)
def healthz() -> Health:
    """200 as long as the process answers. Asks nothing of PostgreSQL or Redis."""
    return Health()


@get("/readyz", tags=["Health"], summary="Can it work")
async def readyz(runtime: WithRuntime) -> Response[Readiness]:
    """200 if PostgreSQL and Redis answer, else 503 and which one does not."""
    postgresql, redis = await asyncio.gather(_check(runtime.store.ping()), _check(runtime.queue.ping()))
    ready = postgresql == redis == "ok"
    return Response(
        Readiness("ok" if ready else "unavailable", postgresql, redis),
        status_code=200 if ready else 503,
        headers={} if ready else {"Retry-After": "2"},
    )


@get("/metrics", tags=["Health"], summary="Prometheus metrics", media_type="text/plain")
async def prometheus(runtime: WithRuntime) -> Response[bytes]:
    """Counters of this process and the state of all runs, in Prometheus text format.

    What PostgreSQL and Redis know is read at each scrape; if one is away, `hookwright_up` is 0 and its figures are old.
    """
    await asyncio.gather(_read_store(runtime), _read_queue(runtime))
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _read_store(runtime: Runtime) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            stats, ended = await asyncio.gather(runtime.store.stats(), runtime.store.count_ended(24))
    except (Unavailable, TimeoutError):
        metrics.UP.labels("postgresql").set(0)
        return
    metrics.UP.labels("postgresql").set(1)
    for status, count in (("queued", stats.queued), ("running", stats.running), ("waiting", stats.waiting)):
        metrics.RUNS.labels(status).set(count)
    for status in FINISHED:
        metrics.ENDED.labels(status).set(sum(count for (_, name), count in ended.items() if name == status))
    metrics.OLDEST_DUE.set(stats.oldest_due)
    metrics.WORKERS.set(stats.workers)


async def _read_queue(runtime: Runtime) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            depth = await runtime.queue.depth(runtime.deployments.queues or ("default",))
    except (Unavailable, TimeoutError):
        metrics.UP.labels("redis").set(0)
        return
    metrics.UP.labels("redis").set(1)
    metrics.QUEUE_DEPTH.set(depth)


async def _check(answer: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(PATIENCE):
            await answer
    except TimeoutError:
        return f"no answer within {PATIENCE:.0f} s"
    except Unavailable:
        return "unreachable"  # why stands in the log: addresses are nobody's business here
    return "ok"
