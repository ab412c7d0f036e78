"""A run that ended goes on: it has to get through its limits again."""

from typing import Any

import msgspec

from engine.core.event import view
from engine.core.gate import GateRequest
from engine.errors import Conflict
from engine.flow.frame import Scope
from engine.flow.limits import LimitError, gates_of, has_limits
from engine.pipeline.spec import Pipeline
from engine.runtime import Runtime
from engine.store import RunRow


async def gates_again(runtime: Runtime, run: RunRow, pipeline: Pipeline, inputs: bytes) -> tuple[GateRequest, ...]:
    """What the run has to get through, in order, with keys of the same event and inputs. Conflict if one has none."""
    if not has_limits(pipeline):
        return ()
    roots: dict[str, Any] = {
        "env": runtime.environment,
        "inputs": msgspec.json.decode(inputs),
        "run": {"started_at": run.created_at.isoformat()},
    }
    event = None
    if run.batched:
        ids = await runtime.store.events_of_run(run.id)
        events = [await runtime.store.get_event(event_id) for event_id in ids]
        roots["events"] = [view(found) for found in events if found is not None]
    elif run.event_id is not None:
        event = await runtime.store.get_event(run.event_id)
    try:
        return gates_of(pipeline, Scope(roots, event))
    except LimitError as error:
        raise Conflict(f"run {run.id} cannot go on: {error}") from None
