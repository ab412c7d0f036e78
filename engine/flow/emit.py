"""Internal events: what `emit` steps say, and who listens."""

import asyncio
import uuid
from typing import Any

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.errors import Unavailable
from engine.flow.chain import DEPTH, MAX_DEPTH, RUN, SOURCE, next_depth
from engine.flow.execution import RECONNECT, Execution, now
from engine.flow.record import record_event
from engine.runtime import Runtime


async def emit_events(runtime: Runtime, execution: Execution, key: str, emitted: list[tuple[str, Any]]) -> None:
    """Record what a step emitted, before its own checkpoint. Its number in the step makes it count once."""
    run = execution.run
    depth = next_depth(run.event, *(run.events or ()))
    for index, (type_, body) in enumerate(emitted):
        event = Event(
            id=uuid7(),
            source=SOURCE,
            type=type_,
            received_at=now(),
            headers={"content-type": "application/json", DEPTH: str(depth), RUN: str(run.id)},
            body=execution.encode(body),
            delivery_id=str(uuid.uuid5(run.id, f"{key}#{index}")),
        )
        bindings = runtime.deployments.current.events if depth <= MAX_DEPTH else ()
        if depth > MAX_DEPTH:
            runtime.log.warning("emit.cut", run_id=str(run.id), type=type_, depth=depth)
        while True:
            try:
                await record_event(runtime, event, list(bindings), dedup_scope="emit")
                break
            except Unavailable:
                await asyncio.sleep(RECONNECT)
