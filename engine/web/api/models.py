"""What the API answers: shapes with descriptions for the schema, and how stored rows become them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from engine.core import event as core
from engine.core.run import FINISHED, AttemptStatus, RunStatus, split_round
from engine.core.run import Decision as StoredDecision
from engine.store.rows import AuditRow, DecisionCount, EventSummary, RunRow, RunSummary, StoredAttempt
from engine.web.explain import explain_decision
from engine.web.waiting import explain_wait

Json = Any  # stored JSON, passed through as it is (msgspec.Raw)


class Run(Struct, frozen=True, kw_only=True):
    """One execution of one pipeline."""

    id: UUID
    pipeline: str
    version: Annotated[str, Meta(description="SHA-256 of the pipeline's source as it was when the run was made.")]
    status: RunStatus
    trigger: Annotated[str | None, Meta(description="The trigger that started it; null: started by hand.")]
    labels: dict[str, str]
    event_id: Annotated[UUID | None, Meta(description="The event that started it, if one did.")]
    parent: Annotated[UUID | None, Meta(description="The run whose step started this one.")]
    replay_of: Annotated[UUID | None, Meta(description="The run this one repeats.")]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    due_at: Annotated[datetime | None, Meta(description="When a queued or waiting run goes on.")]
    seconds: Annotated[float | None, Meta(description="From its start to its end, or until now.")]
    waiting: Annotated[str | None, Meta(description="Why the run is not getting on right now, as a sentence.")]
    error: Annotated[Json, Meta(description="What made it fail: type, message, step, attempt, data.")] = None
    message: Annotated[str | None, Meta(description="What a `stop` step said.")] = None
    url: Annotated[str, Meta(description="This run in the API.")] = ""


class Attempt(Struct, frozen=True, kw_only=True):
    """One try of one step."""

    step: Annotated[str, Meta(description="The step's id, or its place in the file such as `steps[2]`.")]
    number: Annotated[int, Meta(description="1 is the first try.")]
    status: AttemptStatus
    input: Annotated[Json, Meta(description='The step\'s `with:` as it was rendered; secrets as {"$secret": NAME}.')]
    output: Json
    error: Annotated[Json, Meta(description="type, message, data.")]
    usage: Annotated[Json, Meta(description="What the step used, for example tokens.")]
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    cached: Annotated[bool, Meta(description="Whether the output came from the cache.")]
    due_at: Annotated[datetime | None, Meta(description="When the next try is due.")]
    superseded: Annotated[
        int | None, Meta(description="The round that took its place, see `rounds` of the run; null: it counts.")
    ] = None


class RunDetail(Run, frozen=True, kw_only=True):
    """A run with everything that is known about it."""

    inputs: Json
    vars: Json
    outputs: Json
    worker: Annotated[str | None, Meta(description="The worker that holds the run.")]
    turn: Annotated[int, Meta(description="How often a worker has taken the run up.")]
    scheduled_at: datetime | None
    cancel_requested: bool
    rounds: Annotated[int, Meta(description="How often a person has changed its course: retry, resume, migrate.")]
    reopened_at: Annotated[datetime | None, Meta(description="When it was last queued again after its end.")]
    attempts: list[Attempt]
    events: Annotated[list[UUID], Meta(description="The events of a batch, in order; else empty.")] = []


class Event(Struct, frozen=True, kw_only=True):
    """One accepted delivery or emitted event, stored once."""

    id: UUID
    source: str
    type: str
    received_at: datetime
    method: str
    path: Annotated[str, Meta(description="Below /hooks/.")]
    delivery_id: Annotated[str | None, Meta(description="The sender's id of this delivery; repeats of it are dropped.")]
    size: Annotated[int, Meta(description="Bytes of the body.")]
    matched: Annotated[int, Meta(description="Triggers that matched.")]
    decided: Annotated[int, Meta(description="Triggers that were tried.")]
    reason: Annotated[str | None, Meta(description="If nothing matched: the reason of the last trigger tried.")]
    replay_of: Annotated[UUID | None, Meta(description="The event this one repeats.")]
    url: Annotated[str, Meta(description="This event in the API.")] = ""


class Decision(Struct, frozen=True, kw_only=True):
    """Why one trigger did or did not start a run for the event."""

    pipeline: str
    trigger: str
    matched: bool
    reason: Annotated[
        str,
        Meta(
            description="matched, event_type, condition_false, condition_error, invalid_inputs, disabled, "
            "duplicate, dedup_error, chain_too_long; debounced, batched, debounce_error, batch_error, "
            "pipeline_removed, trigger_removed or event_gone."
        ),
    ]
    detail: Annotated[Json, Meta(description="The condition, the values it saw, the error.")]
    sentence: Annotated[str, Meta(description="The same for people.")]


class EventDetail(Event, frozen=True, kw_only=True):
    """An event with its headers, the decisions about it and the runs it started."""

    query: str
    headers: dict[str, str]
    path_params: dict[str, str]
    decisions: list[Decision]
    runs: list[Run]


class Audit(Struct, frozen=True, kw_only=True):
    """Something that was done by hand."""

    id: UUID
    at: datetime
    by: Annotated[str, Meta(description="Name of the token or session.")]
    action: Annotated[str, Meta(description="For example `run.cancel`.")]
    target: Annotated[str, Meta(description="What it was done to, for people.")]
    run_id: UUID | None
    event_id: UUID | None
    detail: Json


class AuditPage(Struct, frozen=True):
    """What was done, newest first. `next`: the cursor of the next page, null on the last one."""

    items: list[Audit]
    next: str | None


class RunPage(Struct, frozen=True):
    """Runs, newest first. `next`: the cursor of the next page, null on the last one."""

    items: list[Run]
    next: str | None


class EventPage(Struct, frozen=True):
    """Events, newest first. `next`: the cursor of the next page, null on the last one."""

    items: list[Event]
    next: str | None


def raw(data: bytes | None) -> Json:
    """Stored JSON on its way out: not decoded, not encoded again."""
    return None if data is None else msgspec.Raw(data)


def elapsed(start: datetime | None, end: datetime | None, now: datetime) -> float | None:
    """Seconds from start to end, or to now; None before the start."""
    return None if start is None else max(0.0, ((end or now) - start).total_seconds())


def run_model(row: RunSummary, now: datetime, attempts: Sequence[StoredAttempt] = ()) -> Run:
    """A stored run as the API shows it in lists."""
    return Run(**_run_fields(row, now, attempts))


def run_detail(row: RunRow, attempts: Sequence[StoredAttempt], now: datetime, events: Sequence[UUID] = ()) -> RunDetail:
    """A stored run, its attempts and the events of its batch as the API shows them."""
    return RunDetail(
        **_run_fields(row, now, attempts),
        inputs=raw(row.inputs),
        vars=raw(row.vars),
        outputs=raw(row.outputs),
        worker=None if row.worker is None or row.status in FINISHED else str(row.worker),
        turn=row.turn,
        scheduled_at=row.scheduled_at,
        cancel_requested=row.cancel_requested,
        rounds=row.rounds,
        reopened_at=row.reopened_at,
        attempts=[attempt_model(attempt, now) for attempt in attempts],
        events=list(events),
    )


def attempt_model(row: StoredAttempt, now: datetime) -> Attempt:
    """A stored attempt as the API shows it."""
    running = row.status == AttemptStatus.RUNNING
    superseded, step = split_round(row.step)
    return Attempt(
        step=step,
        number=row.number,
        status=AttemptStatus(row.status),
        input=raw(row.input),
        output=raw(row.output),
        error=raw(row.error),
        usage=raw(row.usage),
        started_at=row.started_at,
        finished_at=row.finished_at,
        seconds=elapsed(row.started_at, row.finished_at, now) if row.finished_at or running else None,
        cached=row.cached,
        due_at=row.due_at,
        superseded=superseded,
    )


def _run_fields(row: RunSummary, now: datetime, attempts: Sequence[StoredAttempt]) -> dict[str, Any]:
    return {
        "id": row.id,
        "pipeline": row.pipeline,
        "version": row.version,
        "status": RunStatus(row.status),
        "trigger": row.trigger,
        "labels": row.labels,
        "event_id": row.event_id,
        "parent": row.parent,
        "replay_of": row.replay_of,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "due_at": None if row.status in FINISHED else row.due_at,
        "seconds": elapsed(row.started_at, row.finished_at, now),
        "waiting": explain_wait(row, attempts, now),
        "error": raw(row.error),
        "message": row.message or None,
        "url": f"/api/v1/runs/{row.id}",
    }


def audit_model(row: AuditRow) -> Audit:
    """An entry of the audit as the API shows it."""
    return Audit(
        id=row.id,
        at=row.at,
        by=row.by,
        action=row.action,
        target=row.target,
        run_id=row.run_id,
        event_id=row.event_id,
        detail=raw(row.detail),
    )


def event_model(row: EventSummary, count: DecisionCount | None) -> Event:
    """A stored event as the API shows it in lists. `count` None: no trigger listened."""
    return Event(**_event_fields(row), size=row.size, **_counted(count))


def event_detail(
    row: core.Event, decisions: Sequence[StoredDecision], runs: Sequence[RunSummary], now: datetime
) -> EventDetail:
    """A stored event with its decisions and runs."""
    count = None
    if decisions:
        count = DecisionCount(len(decisions), sum(item.matched for item in decisions), decisions[-1].reason)
    return EventDetail(
        **_event_fields(row),
        **_counted(count),
        size=len(row.body),
        query=row.query,
        headers=row.headers,
        path_params=row.path_params,
        decisions=[decision_model(decision) for decision in decisions],
        runs=[run_model(run, now) for run in runs],
    )


def decision_model(row: StoredDecision) -> Decision:
    """A stored decision with its sentence."""
    sentence = explain_decision(row.pipeline, row.trigger, row.matched, row.reason, row.detail)
    return Decision(
        pipeline=row.pipeline,
        trigger=row.trigger,
        matched=row.matched,
        reason=row.reason,
        detail=row.detail,
        sentence=sentence,
    )


def _event_fields(row: EventSummary | core.Event) -> dict[str, Any]:
    return {
        "id": row.id,
        "source": row.source,
        "type": row.type,
        "received_at": row.received_at,
        "method": row.method,
        "path": row.path,
        "delivery_id": row.delivery_id,
        "replay_of": row.replay_of,
        "url": f"/api/v1/events/{row.id}",
    }


def _counted(count: DecisionCount | None) -> dict[str, Any]:
    if count is None:
        return {"decided": 0, "matched": 0, "reason": None}
    return {"decided": count.decided, "matched": count.matched, "reason": None if count.matched else count.reason}
