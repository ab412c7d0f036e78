"""Internal events: what `emit` steps say, and who listens."""

import asyncio
import uuid
from typing import Any

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.errors import Unavailable
from engine.flow.chain import DEPTH, MAX_DEPTH, RUN, SOURCE, TOO_LONG, ChainTooLong, cut, explain, next_depth
from engine.flow.execution import RECONNECT, Execution, now
from engine.flow.record import build_runs, record_event
from engine.runtime import Runtime


async def emit_events(runtime: Runtime, execution: Execution, key: str, emitted: list[tuple[str, Any]]) -> None:
    """Record what a step emitted, before its own checkpoint. Its number in the step makes it count once.

    ChainTooLong: they are recorded, but somebody who listens was not started.
    """
    unheard = ""
    for index, (type_, body) in enumerate(emitted):
        while True:
            try:
                unheard = await _emit(runtime, execution, f"{key}#{index}", type_, body) or unheard
                break
            except Unavailable:
                await asyncio.sleep(RECONNECT)
    if unheard:
        raise ChainTooLong(unheard)


async def _emit(runtime: Runtime, execution: Execution, key: str, type_: str, body: Any) -> str:
    """Why nobody was started who listens; empty: nobody was left out."""
    run, listening = execution.run, list(runtime.deployments.current.events)
    depth = await next_depth(runtime, run)
    event = Event(
        id=uuid7(),
        source=SOURCE,
        type=type_,
        received_at=now(),
        headers={"content-type": "application/json", DEPTH: str(depth), RUN: str(run.id)},
        body=execution.encode(body),
        delivery_id=str(uuid.uuid5(run.id, key)),
    )
    if depth <= MAX_DEPTH:
        await record_event(runtime, event, listening, dedup_scope="emit")
        return ""
    decisions = [cut(each, depth) if each.matched else each for each in build_runs(runtime, listening, event)[1]]
    await record_event(runtime, event, [], dedup_scope="emit", refused=decisions)
    runtime.log.warning("emit.cut", run_id=str(run.id), type=type_, depth=depth)
    heard = sorted({each.pipeline for each in decisions if each.reason == TOO_LONG})
    return explain(f"event `{type_}` is recorded, but does not start {', '.join(heard)}", depth) if heard else ""
