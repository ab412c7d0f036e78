"""Pause and resume a pipeline, a source or a queue: events are taken as always, their runs wait."""

from typing import Literal

from engine.core.catalog import TriggerKind
from engine.errors import NotFound
from engine.flow import audit
from engine.flow.chain import ENDED, SOURCE
from engine.runtime import Runtime

Kind = Literal["pipeline", "source", "queue"]
MOST = 1000  # runs set aside or brought back in one statement
ROUNDS = 20  # of so many; the rest comes with the next round of upkeep


async def pause(runtime: Runtime, kind: Kind, name: str, *, by: str, reason: str = "") -> bool:
    """Claim no run of it any more; whether it was not paused yet. NotFound if there is no such thing.

    Runs that have begun go on, unless it is their queue.
    """
    _check(runtime, kind, name)
    paused = await runtime.store.pause(kind, name, by, reason)
    if paused:
        await audit.record(runtime, by, f"{kind}.pause", target=name, reason=reason)
        await set_aside(runtime)
    return paused


async def resume(runtime: Runtime, kind: Kind, name: str, *, by: str) -> bool:
    """Go on, and ring the runs that wait; whether it was paused."""
    resumed = await runtime.store.resume(kind, name)
    if resumed:
        await audit.record(runtime, by, f"{kind}.resume", target=name)
        await bring_back(runtime)
    return resumed


async def set_aside(runtime: Runtime) -> int:
    """Set aside what is due and paused; how many runs. Nothing to do while nothing is paused."""
    count = 0
    for _ in range(ROUNDS):
        runs = await runtime.store.set_aside(MOST)
        count += len(runs)
        if len(runs) < MOST:
            break
    return count


async def bring_back(runtime: Runtime) -> int:
    """Ring what was set aside and may go on; how many runs. Also what a crash, or a late writer, left behind."""
    count = 0
    for _ in range(ROUNDS):
        runs = await runtime.store.bring_back(MOST)
        runtime.queue.ring_soon(runs)
        count += len(runs)
        if len(runs) < MOST:
            break
    return count


def _check(runtime: Runtime, kind: Kind, name: str) -> None:
    known: set[str] = set()
    if kind == "pipeline":
        known = set(runtime.deployments.current.pipelines)
    elif kind == "source":
        known = {SOURCE, ENDED, str(TriggerKind.SCHEDULE)}
        known |= {found.source for found in runtime.catalog.triggers.values() if found.source}
    if known and name not in known:
        raise NotFound(f"there is no {kind} {name}; there is: {', '.join(sorted(known))}")
    if kind == "pipeline" and not known:
        raise NotFound(f"there is no pipeline {name}: none is deployed")
