"""Bursts and batches become runs: when they are due, or at once when a batch is full.

One statement takes the row away and writes the run, so any number of processes may try: one wins. What the run gets,
and by which version, is decided here and now; the events were matched when they came.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from engine.core.event import Event, view
from engine.core.run import Decision
from engine.errors import HookwrightError, Unavailable
from engine.flow.execution import now
from engine.flow.frame import Scope
from engine.flow.make_run import launch, make_run, start_with
from engine.pipeline.expression import Template
from engine.pipeline.match import render_inputs
from engine.pipeline.spec import Pipeline, Trigger
from engine.runtime import Runtime
from engine.store import MOST_EVENTS, Firing, GatherRow, IngestRecord, NewRun

MOST = 100  # bursts and batches that become runs in one statement
MOST_TOGETHER = 20_000  # events of these batches together
AHEAD = 1.1  # seconds that a round looks ahead; a little more than there is between two
PUT_OFF = timedelta(minutes=1)  # until something that broke is tried again
ENDLESS_ROUNDS = 60  # rounds between two looks at batches that only become due when they are full


class Gatherer:
    """The leader's part: a look in every round, and a timer for what becomes due before the next."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._rounds = 0

    async def round(self) -> None:
        """Make runs of what is due, and set the timer."""
        self._rounds += 1
        if self._rounds % ENDLESS_ROUNDS == 1:
            await fire_outdated(self._runtime)
        await self._fire()

    async def _fire(self) -> None:
        following = await fire_due(self._runtime)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if following is not None:
            delay = max(0.0, (following - now()).total_seconds())
            self._timer = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._fire_alone())

    async def _fire_alone(self) -> None:
        try:
            await self._fire()
        except Unavailable as error:
            self._runtime.log.warning("gather.failed", error=str(error))


async def fire_due(runtime: Runtime, moment: datetime | None = None) -> datetime | None:
    """Make runs of all that is due; when the next one is, if that is soon."""
    while True:
        at = moment or now()
        rows = await runtime.store.due_gathers(at + timedelta(seconds=AHEAD), MOST)
        due = [row for row in rows if row.due_at is not None and row.due_at <= at]
        await fire(runtime, due, at)
        if len(due) < MOST:
            return next((row.due_at for row in rows if row not in due), None)


async def fire_ready(runtime: Runtime, ids: Sequence[UUID]) -> None:
    """Make runs of these, which became due just now. What does not work out, the leader does a moment later."""
    if not runtime.deployments.loaded:
        return
    try:
        await fire(runtime, await runtime.store.get_gathers(ids), now())
    except Unavailable as error:
        runtime.log.warning("gather.failed", error=str(error))


async def fire_outdated(runtime: Runtime) -> None:
    """Batches without a time that would never be full: their trigger is gone, or has another size now."""
    outdated = []
    for row in await runtime.store.endless_gathers(MOST):
        trigger = _find(runtime, row)[1]
        full = trigger is not None and trigger.batch is not None and row.size >= (trigger.batch.max_size or MOST_EVENTS)
        if trigger is None or trigger.batch is None or full:
            outdated.append(row)
    await fire(runtime, outdated, now())


async def fire(runtime: Runtime, rows: Sequence[GatherRow], moment: datetime) -> None:
    """Make a run of each, or a decision that says why there is none."""
    chunk: list[GatherRow] = []
    size = 0
    for row in rows:
        events = row.size if row.kind == "batch" else 1
        if chunk and (len(chunk) >= MOST or size + events > MOST_TOGETHER):
            await _fire(runtime, chunk, moment)
            chunk, size = [], 0
        chunk.append(row)
        size += events
    if chunk:
        await _fire(runtime, chunk, moment)


async def _fire(runtime: Runtime, rows: Sequence[GatherRow], moment: datetime) -> None:
    """The same for a few, in one commit. If that fails, each by itself."""
    last = await runtime.store.get_events([row.last_event for row in rows])
    try:
        records = in_order([await _decide(runtime, row, last.get(row.last_event), moment) for row in rows])
        answers = await runtime.store.fire(records)
    except Unavailable:
        raise
    except Exception as error:
        if len(rows) > 1:
            for row in rows:
                await _fire(runtime, [row], moment)
            return
        where = {"pipeline": rows[0].pipeline, "trigger": rows[0].trigger, "gather": str(rows[0].id)}
        runtime.log.exception("gather.broken", error=str(error), **where)
        await runtime.store.put_off_gather(rows[0], now() + PUT_OFF)
        return
    for record, answer in zip(records, answers, strict=True):
        if isinstance(answer, HookwrightError) or answer.duplicate:
            continue
        await launch(runtime, record.runs, answer)
        for decision in record.decisions:
            facts = {"pipeline": decision.pipeline, "trigger": decision.trigger, "reason": decision.reason}
            runtime.log.warning("gather.refused", **facts, **decision.detail)


def in_order(records: Sequence[IngestRecord]) -> list[IngestRecord]:
    """The same with run ids that rise: those made within a millisecond do not, and batches of a key have an order."""
    ids = iter(sorted(run.id for record in records for run in record.runs))
    ordered = []
    for record in records:
        runs = [msgspec.structs.replace(run, id=next(ids)) for run in record.runs]
        firing = record.firing
        if firing is not None and firing.run_id is not None:
            firing = firing._replace(run_id=runs[0].id)
        ordered.append(msgspec.structs.replace(record, runs=runs, firing=firing))
    return ordered


async def _decide(runtime: Runtime, row: GatherRow, last: Event | None, moment: datetime) -> IngestRecord:
    """What is to be written about it."""
    pipeline, trigger = _find(runtime, row)
    if last is None:
        return _refuse(row, "event_gone")
    if pipeline is None or not pipeline.enabled:
        return _refuse(row, "pipeline_removed" if pipeline is None else "disabled")
    if trigger is None:
        return _refuse(row, "trigger_removed")
    roots: dict[str, Any] = {"env": runtime.environment, "run": {"started_at": moment.isoformat()}}
    if row.kind == "batch" and trigger.batch is not None:
        return await _batch(runtime, row, pipeline, trigger, roots)
    events = [last]
    if row.kind == "batch" and trigger.debounce is None:  # it takes them one at a time now
        events = await runtime.store.gathered_events(row.id)
    runs: list[NewRun] = []
    refused: list[Decision] = []
    for number, event in enumerate(events):
        new = start_with(
            runtime, pipeline, trigger, [event], Scope(dict(roots), event), idempotency_key=_key(row, number)
        )
        runs += [new] if isinstance(new, NewRun) else []
        refused += [new] if isinstance(new, Decision) else []
    decisions = [_about(row, refused[-1])] if refused else []
    return IngestRecord(runs=runs, decisions=decisions, firing=Firing(row.id, row.size, row.last_event))


async def _batch(
    runtime: Runtime, row: GatherRow, pipeline: Pipeline, trigger: Trigger, roots: dict[str, Any]
) -> IngestRecord:
    """One run with all events. They are only read if something at its start does: the worker reads them again."""
    if _reads_events(pipeline, trigger):
        roots["events"] = [view(event) for event in await runtime.store.gathered_events(row.id)]
    scope = Scope(roots, None)
    inputs = render_inputs(pipeline, trigger, scope)
    if isinstance(inputs, Decision):
        decision = _about(row, inputs)
        return IngestRecord(decisions=[decision], firing=Firing(row.id, row.size, row.last_event))
    run = make_run(runtime, pipeline, trigger.id, scope, inputs, batched=True, idempotency_key=_key(row))
    if isinstance(run, Decision):
        return IngestRecord(decisions=[_about(row, run)], firing=Firing(row.id, row.size, row.last_event))
    return IngestRecord(runs=[run], firing=Firing(row.id, row.size, row.last_event, run.id))


def _reads_events(pipeline: Pipeline, trigger: Trigger) -> bool:
    limits = [limit for limit in (pipeline.concurrency, pipeline.rate_limit) if limit is not None]
    values = [*trigger.inputs.values(), *pipeline.labels.values()]
    values += [value for limit in limits for value in (limit.key, limit.limit) if isinstance(value, Template)]
    return any("events" in value.roots for value in values)


def _find(runtime: Runtime, row: GatherRow) -> tuple[Pipeline | None, Trigger | None]:
    pipeline = runtime.deployments.current.pipelines.get(row.pipeline)
    triggers = pipeline.triggers if pipeline is not None else ()
    return pipeline, next((trigger for trigger in triggers if trigger.id == row.trigger), None)


def _refuse(row: GatherRow, reason: str) -> IngestRecord:
    decision = _about(row, Decision(row.pipeline, row.trigger, matched=False, reason=reason))
    return IngestRecord(decisions=[decision], firing=Firing(row.id, row.size, row.last_event))


def _about(row: GatherRow, decision: Decision) -> Decision:
    """The decision with what it is about."""
    return msgspec.structs.replace(decision, detail={**decision.detail, "gather": str(row.id), "size": row.size})


def _key(row: GatherRow, number: int = 0) -> str:
    """The idempotency key of a run that comes of it: so the run is found by what decisions say."""
    return f"gather:{row.id}/{number}" if number else f"gather:{row.id}"
