"""From an event to rows: match it against triggers, then one commit, then the bell."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import Decision
from engine.flow.frame import Scope
from engine.pipeline.deployment import Binding
from engine.pipeline.expression import ExpressionError
from engine.pipeline.match import match
from engine.pipeline.spec import Pipeline
from engine.runtime import Runtime
from engine.store import Dedup, Ingested, IngestRecord, NewRun

DEDUP_WINDOW = 7 * 86400.0  # seconds a delivery id is remembered; GitHub lets people redeliver for three days


def build_runs(
    runtime: Runtime,
    bindings: Iterable[Binding],
    event: Event,
    *,
    replay_of: UUID | None = None,
    scheduled_at: datetime | None = None,
) -> tuple[list[NewRun], list[Decision]]:
    """The runs this event starts, and for every trigger why or why not. The body is parsed once, if at all."""
    scope = Scope({"env": runtime.environment, "run": {"started_at": event.received_at.isoformat()}}, event)
    runs, decisions = [], []
    for binding in bindings:
        decision, inputs = match(binding, event.type, scope)
        decisions.append(decision)
        if inputs is None:
            continue
        pipeline = binding.pipeline
        runs.append(
            NewRun(
                id=uuid7(),
                pipeline=pipeline.id,
                version=pipeline.version,
                event_id=event.id,
                trigger=binding.trigger.id,
                labels=render_labels(runtime, pipeline, scope.extended(inputs=inputs)) if pipeline.labels else {},
                inputs=msgspec.json.encode(inputs),
                replay_of=replay_of,
                scheduled_at=scheduled_at,
            )
        )
    return runs, decisions


async def record_event(
    runtime: Runtime,
    event: Event,
    bindings: Sequence[Binding],
    *,
    dedup_scope: str,
    scheduled_at: datetime | None = None,
    refused: Sequence[Decision] = (),
) -> Ingested:
    """Store the event with its runs and decisions in one commit, then ring. Its delivery id counts once per scope.

    refused: decisions about triggers that are not even asked.
    """
    runs, decisions = build_runs(runtime, bindings, event, scheduled_at=scheduled_at)
    decisions += refused
    dedup = Dedup(dedup_scope, event.delivery_id, DEDUP_WINDOW) if event.delivery_id else None
    ingested = await runtime.store.ingest(IngestRecord(event=event, dedup=dedup, runs=runs, decisions=decisions))
    if not ingested.duplicate:
        ring(runtime, ingested.runs)
        facts = {"id": str(event.id), "source": event.source, "type": event.type, "runs": len(runs)}
        runtime.observers.notify("event_received", event=facts)
    return ingested


def ring(runtime: Runtime, runs: Sequence[tuple[UUID, str]]) -> None:
    """Ring the runs, without waiting for the bell: one that fails costs time, not work."""
    if not runs:
        return
    for run_id, pipeline in runs:
        runtime.queue.changed(run_id, pipeline, "queued")
    runtime.queue.ring_soon([run_id for run_id, _ in runs])


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
