"""From an event to rows: match it against triggers, then one commit, then the bell."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from engine.core.event import Event
from engine.core.run import Decision
from engine.flow.frame import Scope
from engine.flow.gather import fire_ready
from engine.flow.make_run import launch, make_run, start_with
from engine.pipeline.deployment import Binding
from engine.pipeline.expression import ExpressionError
from engine.pipeline.match import match, render_key
from engine.pipeline.spec import Trigger
from engine.runtime import Runtime
from engine.store import MOST_EVENTS, Dedup, Gathering, Ingested, IngestRecord, NewRun, RunKey

DEDUP_WINDOW = 7 * 86400.0  # seconds a delivery id is remembered; GitHub lets people redeliver for three days
MOST_SHOWN = 200  # characters of a key that decisions show
GATHERED = {"debounce": "debounced", "batch": "batched"}  # what decisions say about events that wait for others


def build_runs(
    runtime: Runtime,
    bindings: Iterable[Binding],
    event: Event,
    *,
    replay_of: UUID | None = None,
    scheduled_at: datetime | None = None,
    gatherings: list[Gathering] | None = None,
) -> tuple[list[NewRun], list[Decision]]:
    """The runs this event starts, and for every trigger why or why not. The body is parsed once, if at all.

    gatherings: gets the bursts and batches that it joins. None: it waits for nobody and starts a run by itself.
    """
    scope = Scope({"env": runtime.environment, "run": {"started_at": event.received_at.isoformat()}}, event)
    runs, decisions = [], []
    for binding in bindings:
        pipeline, trigger = binding.pipeline, binding.trigger
        decision, inputs = match(binding, event.type, scope)
        key = None
        if inputs is not None and replay_of is None and trigger.dedup is not None:
            decision, key = _with_key(trigger, decision, event, scope)
        gathers = trigger.debounce is not None or trigger.batch is not None
        if gathers and decision.matched and gatherings is not None:
            decision, gathering = _join(trigger, decision, event, scope, key)
            gatherings += [gathering] if gathering is not None else []
        elif gathers and decision.matched:
            new = start_with(runtime, pipeline, trigger, [event], scope, replay_of=replay_of)
            runs += [new] if isinstance(new, NewRun) else []
            decision = new if isinstance(new, Decision) else decision
        elif inputs is not None and decision.matched:
            new = make_run(
                runtime,
                pipeline,
                trigger.id,
                scope,
                inputs,
                event_id=event.id,
                replay_of=replay_of,
                scheduled_at=scheduled_at,
                key=key,
            )
            runs += [new] if isinstance(new, NewRun) else []
            decision = new if isinstance(new, Decision) else decision
        decisions.append(decision)
    return runs, decisions


def _join(
    trigger: Trigger, decision: Decision, event: Event, scope: Scope, run_key: RunKey | None
) -> tuple[Decision, Gathering | None]:
    """The decision about an event that has to wait for others, and what it joins."""
    rule = trigger.debounce or trigger.batch
    kind = "debounce" if trigger.debounce is not None else "batch"
    assert rule is not None
    try:
        text = render_key(rule.key, scope) if rule.key is not None else ""
    except ExpressionError as error:
        detail = {"error": str(error)}
        return msgspec.structs.replace(decision, matched=False, reason=f"{kind}_error", detail=detail), None
    gathering = Gathering(
        pipeline=decision.pipeline,
        trigger=trigger.id,
        kind=kind,
        key=text,
        at=event.received_at,
        period=trigger.debounce.period if trigger.debounce is not None else None,
        max_wait=rule.max_wait,
        max_size=(trigger.batch.max_size or MOST_EVENTS) if trigger.batch is not None else None,
        run_key=run_key,
    )
    detail = {"key": _shown(text)} if rule.key is not None else {}
    return msgspec.structs.replace(decision, reason=GATHERED[kind], detail=detail), gathering


def _with_key(trigger: Trigger, decision: Decision, event: Event, scope: Scope) -> tuple[Decision, RunKey | None]:
    """The decision about an event that matched, and the key of its run if the trigger has a `dedup` of its own."""
    rule = trigger.dedup
    assert rule is not None
    if rule.key is None:
        return decision, None
    try:
        text = render_key(rule.key, scope)
    except ExpressionError as error:
        detail = {"error": str(error)}
        return msgspec.structs.replace(decision, matched=False, reason="dedup_error", detail=detail), None
    key = RunKey(text, event.received_at, rule.window)
    return msgspec.structs.replace(decision, detail={"key": _shown(text)}), key


def _shown(key: str) -> str:
    """As much of a key as decisions show."""
    key = key.replace("\0", "\ufffd")
    return key if len(key) <= MOST_SHOWN else key[: MOST_SHOWN - 1] + "…"


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
    gatherings: list[Gathering] = []
    runs, decisions = build_runs(runtime, bindings, event, scheduled_at=scheduled_at, gatherings=gatherings)
    decisions += refused
    dedup = Dedup(dedup_scope, event.delivery_id, _window(bindings)) if event.delivery_id else None
    ingested = await runtime.store.ingest(
        IngestRecord(event=event, dedup=dedup, runs=runs, decisions=decisions, gatherings=gatherings)
    )
    if ingested.ready:
        await fire_ready(runtime, ingested.ready)
    if ingested.duplicate:  # whoever recorded it may have died before it was heard
        if ingested.event_id is not None:
            runtime.listener.hear(ingested.event_id)
    else:
        runtime.listener.hear(event)
        await launch(runtime, runs, ingested)
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


async def wake(runtime: Runtime, run_ids: Sequence[UUID]) -> None:
    """Something these runs wait for has happened: let them look. Unavailable if PostgreSQL is away."""
    if run_ids:
        runtime.queue.ring_soon(await runtime.store.wake(run_ids))
