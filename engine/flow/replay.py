"""Replay: a new run from a stored event."""

from uuid import UUID

import msgspec

from engine.core.catalog import TriggerKind
from engine.core.event import Event
from engine.core.run import Decision
from engine.errors import NotFound
from engine.flow.chain import ENDED, SOURCE
from engine.flow.make_run import ring
from engine.flow.record import build_runs
from engine.pipeline.deployment import Binding
from engine.runtime import Runtime
from engine.store import IngestRecord


class Replayed(msgspec.Struct, frozen=True):
    """The new runs, and for every trigger that was tried why or why not."""

    runs: list[tuple[UUID, str]]
    decisions: list[Decision]


async def replay_event(runtime: Runtime, event_id: UUID, *, pipeline: str | None = None) -> Replayed:
    """Start what this event starts today, once more: dedup is bypassed, idempotency keys are new.

    pipeline: only this one. NotFound if there is no such event, or nobody listens to its path any more.
    """
    event = await runtime.store.get_event(event_id)
    if event is None:
        raise NotFound(f"there is no event {event_id}")
    bindings = [found for found in _listeners(runtime, event) if pipeline in (None, found.pipeline.id)]
    if not bindings:
        who = f"pipeline {pipeline}" if pipeline else "any pipeline"
        raise NotFound(f"no trigger of {who} listens to this event ({event.source} on {event.path or event.type})")
    runs, decisions = build_runs(runtime, bindings, event, replay_of=event_id)
    ingested = await runtime.store.ingest(IngestRecord(runs=runs)) if runs else None
    started = ingested.runs if ingested else []
    ring(runtime, started)
    runtime.log.info("event.replayed", event_id=str(event_id), runs=len(started))
    return Replayed(started, decisions)


def _listeners(runtime: Runtime, event: Event) -> list[Binding]:
    deployment = runtime.deployments.current
    if event.source == SOURCE:
        return list(deployment.events)
    if event.source == ENDED:
        return list(deployment.finished)
    if event.source == TriggerKind.SCHEDULE:
        trigger = (event.delivery_id or "").partition("@")[0]
        return [binding for binding in deployment.schedules if binding.trigger.id == trigger]
    found = deployment.find(event.path)
    return list(found[0].bindings) if found else []
