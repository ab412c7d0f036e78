"""The row of a new run, and the bell once it is written."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from engine.core.event import Event, view
from engine.core.ids import uuid7
from engine.core.run import Decision
from engine.flow.execution import now
from engine.flow.frame import Scope
from engine.flow.limits import LimitError, admit, gates_of, has_limits
from engine.pipeline.expression import ExpressionError
from engine.pipeline.match import render_inputs
from engine.pipeline.spec import Pipeline, Trigger
from engine.runtime import Runtime
from engine.store import Ingested, NewRun


def make_run(
    runtime: Runtime, pipeline: Pipeline, trigger: str, scope: Scope, inputs: dict[str, Any], **values: Any
) -> NewRun | Decision:
    """A run of this trigger, or why there is none. The scope has `event` or `events`; `values` are more of NewRun."""
    try:
        gates = gates_of(pipeline, scope.extended(inputs=inputs)) if has_limits(pipeline) else ()
    except LimitError as error:
        return Decision(pipeline.id, trigger, matched=False, reason="limit_error", detail={"error": str(error)})
    return NewRun(
        id=uuid7(),
        pipeline=pipeline.id,
        version=pipeline.version,
        trigger=trigger,
        labels=render_labels(runtime, pipeline, scope.extended(inputs=inputs)) if pipeline.labels else {},
        inputs=msgspec.json.encode(inputs),
        expires_at=expiry_of(pipeline),
        gates=gates,
        held=bool(gates),
        **values,
    )


def expiry_of(pipeline: Pipeline) -> datetime | None:
    """When a run made now must have begun."""
    return now() + timedelta(seconds=pipeline.start_timeout) if pipeline.start_timeout is not None else None


def start_with(
    runtime: Runtime, pipeline: Pipeline, trigger: Trigger, events: Sequence[Event], scope: Scope, **values: Any
) -> NewRun | Decision:
    """A run of these events, the last one if the trigger takes one at a time; or why there is none."""
    if trigger.batch is not None:
        roots = {name: value for name, value in scope.roots.items() if name != "event"}
        scope = Scope(roots | {"events": [view(event) for event in events]}, None)
    inputs = render_inputs(pipeline, trigger, scope)
    if isinstance(inputs, Decision):
        return inputs
    if trigger.batch is not None:
        values |= {"batched": True, "events": tuple(event.id for event in events)}
    else:
        values["event_id"] = events[-1].id
    return make_run(runtime, pipeline, trigger.id, scope, inputs, **values)


def render_labels(runtime: Runtime, pipeline: Pipeline, scope: Mapping[str, Any]) -> dict[str, str]:
    """Labels are for finding runs: one that cannot be rendered is left out rather than losing the run."""
    labels = {}
    for name, template in pipeline.labels.items():
        try:
            value = template.render(scope)
        except ExpressionError as error:
            runtime.log.warning("label.left_out", pipeline=pipeline.id, label=name, error=str(error))
            continue
        labels[name] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return labels


async def launch(runtime: Runtime, runs: Sequence[NewRun], ingested: Ingested) -> None:
    """Let the runs that were written begin: those with limits when it is their turn. Never raises for the databases.

    Those of a crowded queue are not rung here: the leader does it in their turn.
    """
    for run_id, pipeline in ingested.runs:
        runtime.queue.changed(run_id, pipeline, "queued")
    for run_id, queue in ingested.rings:
        runtime.queue.ring_soon([run_id], queue)
    if limited := {run.id for run in runs if run.gates}:
        await admit(runtime, [run_id for run_id, _ in ingested.runs if run_id in limited])
