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
from engine.pipeline.match import match, render_dedup_key
from engine.pipeline.spec import Pipeline, Trigger
from engine.runtime import Runtime
from engine.store import Dedup, Ingested, IngestRecord, NewRun, RunKey

DEDUP_WINDOW = 7 * 86400.0  # seconds a delivery id is remembered; GitHub lets people redeliver for three days
MOST_SHOWN = 200  # characters of a dedup key that decisions show


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
        key = None
        if inputs is not None and replay_of is None and binding.trigger.dedup is not None:
            decision, key = _with_key(binding.trigger, decision, event, scope)
        decisions.append(decision)
        if inputs is None or not decision.matched:
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
                key=key,
            )
        )
    return runs, decisions


def _with_key(trigger: Trigger, decision: Decision, event: Event, scope: Scope) -> tuple[Decision, RunKey | None]:
    """The decision about an event that matched, and the key of its run if the trigger has a `dedup` of its own."""
    rule = trigger.dedup
    assert rule is not None
    try:
        text = render_dedup_key(trigger, scope)
    except ExpressionError as error:
        detail = {"error": str(error)}
        return msgspec.structs.replace(decision, matched=False, reason="dedup_error", detail=detail), None
    if text is None:
        return decision, None
    shown = text.replace("\0", "\ufffd")
    shown = shown if len(shown) <= MOST_SHOWN else shown[: MOST_SHOWN - 1] + "…"
    return msgspec.structs.replace(decision, detail={"key": shown}), RunKey(text, event.received_at, rule.window)


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
    dedup = Dedup(dedup_scope, event.delivery_id, _window(bindings)) if event.delivery_id else None
    ingested = await runtime.store.ingest(IngestRecord(event=event, dedup=dedup, runs=runs, decisions=decisions))
    if ingested.duplicate:  # whoever recorded it may have died before it was heard
        if ingested.event_id is not None:
            runtime.listener.hear(ingested.event_id)
    else:
        runtime.listener.hear(event)
        ring(runtime, ingested.runs)
        facts = {"id": str(event.id), "source": event.source, "type": event.type, "runs": len(ingested.runs)}
        runtime.observers.notify("event_received", event=facts)
    return ingested


def _window(bindings: Sequence[Binding]) -> float:
    """How long the sender's delivery id is remembered: as the triggers say, the longest where they differ.

    Those of our own events are what makes them count once after a crash: no trigger shortens that.
    """
    windows = [
        rule.window
        if (rule := binding.trigger.dedup) is not None and rule.key is None and binding.type.webhook is not None
        else DEDUP_WINDOW
        for binding in bindings
    ]
    return max(windows, default=DEDUP_WINDOW)


def ring(runtime: Runtime, runs: Sequence[tuple[UUID, str]]) -> None:
    """Ring the runs, without waiting for the bell: one that fails costs time, not work."""
    if not runs:
        return
    for run_id, pipeline in runs:
        runtime.queue.changed(run_id, pipeline, "queued")
    runtime.queue.ring_soon([run_id for run_id, _ in runs])


async def wake(runtime: Runtime, run_ids: Sequence[UUID]) -> None:
    """Something these runs wait for has happened: let them look. Unavailable if PostgreSQL is away."""
    if run_ids:
        runtime.queue.ring_soon(await runtime.store.wake(run_ids))


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
