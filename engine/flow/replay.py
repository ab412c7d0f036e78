"""Replay: a new run from a stored event, or from a run that no event started."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from engine.core.catalog import Effect, TriggerKind
from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import Decision
from engine.errors import BadRequest, NotFound
from engine.flow import audit
from engine.flow.chain import ENDED, SOURCE
from engine.flow.deploy import load_pipeline
from engine.flow.execution import now
from engine.flow.frame import Scope
from engine.flow.limits import gates_of
from engine.flow.make_run import expiry_of, launch, render_labels, start_with
from engine.flow.record import build_runs
from engine.flow.takeover import steps_to_take
from engine.pipeline.comparison import inner_steps
from engine.pipeline.deployment import Binding, Deployment, deploy
from engine.pipeline.match import validate_inputs
from engine.pipeline.spec import Pipeline
from engine.runtime import Runtime
from engine.store import IngestRecord, NewAudit, NewRun, ReplayRow, RunSummary

LEAST_PREFIX = 4  # characters of a version's hash


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay, and how."""

    pipeline: str | None = None  # only this one
    version: str | None = None  # a hash, or the beginning of one; None: what is in force
    run: UUID | None = None  # the run to repeat; None: the newest one of the event, for each pipeline
    from_step: str | None = None  # what came before it is taken over from the old run
    reuse_keys: bool = False  # steps get the idempotency keys of the old run
    key: str | None = None  # a second replay of the same event with the same key starts nothing


class Planned(msgspec.Struct, frozen=True):
    """A run that a replay would start."""

    new: NewRun
    pipeline: Pipeline
    old: RunSummary | None  # the run it repeats; None: the event started none of this pipeline


class Plan(msgspec.Struct, frozen=True):
    """What a replay comes to. `event` None: the run to repeat was started by hand."""

    event: Event | None
    planned: list[Planned]
    decisions: list[Decision]
    olds: list[RunSummary]  # the newest run of each pipeline that the event started


class Replayed(msgspec.Struct, frozen=True):
    """The new runs, and for every trigger that was tried why or why not."""

    runs: list[tuple[UUID, str]]
    decisions: list[Decision]


class EffectStep(msgspec.Struct, frozen=True):
    """A step that does something to the world. `step` has the calls that lead to it: `page/alert`."""

    pipeline: str
    step: str
    uses: str
    effect: str  # idempotent | effect


async def replay_event(
    runtime: Runtime, event_id: UUID, wanted: Wanted | None = None, *, by: str = audit.SYSTEM
) -> Replayed:
    """Start what this event starts, once more: dedup is bypassed, idempotency keys are new.

    NotFound if there is no such event, version or step, or nobody listens to its path. CannotTakeOver lists what keeps
    the new run from beginning at the step.
    """
    return await start(runtime, await plan_event(runtime, event_id, wanted or Wanted()), wanted or Wanted(), by=by)


async def start(runtime: Runtime, plan: Plan, wanted: Wanted, *, by: str = audit.SYSTEM) -> Replayed:
    """Record the runs of a plan, with what they take over, and ring them."""
    return (await start_all(runtime, [plan], wanted, by=by))[0]


async def start_all(
    runtime: Runtime, plans: Sequence[Plan], wanted: Wanted, *, by: str = audit.SYSTEM
) -> list[Replayed]:
    """The same for several plans, in their order; those of one call share a commit, as far as it can be."""
    chosen = [msgspec.structs.replace(plan, planned=[_numbered(item) for item in plan.planned]) for plan in plans]
    for plan in chosen:
        for planned in plan.planned:
            await _keep(runtime, planned, wanted)
    records = [IngestRecord(runs=[planned.new for planned in plan.planned]) for plan in chosen]
    answers = iter(await asyncio.gather(*(runtime.store.ingest(record) for record in records if record.runs)))
    replayed, notes = [], []
    for plan, record in zip(chosen, records, strict=True):
        ingested = next(answers) if record.runs else None
        if ingested is not None and not ingested.duplicate:
            await launch(runtime, record.runs, ingested)
        started = ingested.runs if ingested is not None else []
        notes += [_note(item, wanted, by) for item in plan.planned if (item.new.id, item.new.pipeline) in started]
        replayed.append(Replayed(started, plan.decisions))
    await audit.record_all(runtime, notes)
    return replayed


def _numbered(planned: Planned) -> Planned:
    """With a fresh id: runs are in the order of their ids, and plans may have been made in any."""
    return msgspec.structs.replace(planned, new=msgspec.structs.replace(planned.new, id=uuid7()))


async def plan_event(runtime: Runtime, event_id: UUID, wanted: Wanted) -> Plan:
    """What a replay of the event would start. Writes nothing. Raises as replay_event does."""
    event = await runtime.store.get_event(event_id)
    if event is None:
        raise NotFound(f"there is no event {event_id}")
    deployment = await _deployment(runtime, wanted)
    bindings = [found for found in _listeners(deployment, event) if wanted.pipeline in (None, found.pipeline.id)]
    if not bindings:
        raise NotFound(_nobody(deployment, event, wanted))
    olds = list({run.pipeline: run for run in await runtime.store.runs_of_event(event_id)}.values())
    if wanted.run is not None:
        old_run = await _old_run(runtime, wanted.run)
        olds, bindings = [old_run], [found for found in bindings if found.trigger.id == old_run.trigger] or bindings
    runs, decisions = build_runs(runtime, bindings, event, replay_of=event_id, scheduled_at=_scheduled_at(event))
    by_pipeline = {old.pipeline: old for old in olds}
    planned = []
    for run in runs:
        old = by_pipeline.get(run.pipeline)
        new = msgspec.structs.replace(
            run, replay_of=old.id if old else None, idempotency_key=_key(wanted, event_id, run)
        )
        pipeline = next(found.pipeline for found in bindings if found.pipeline.id == run.pipeline)
        planned.append(Planned(new, pipeline, old))
    return Plan(event, planned, decisions, olds)


async def plan_run(runtime: Runtime, run_id: UUID, wanted: Wanted) -> Plan:
    """What a replay of the run would start: its event for its pipeline, or, without an event, its inputs once more."""
    old = await _old_run(runtime, run_id)
    wanted = msgspec.structs.replace(wanted, pipeline=old.pipeline, run=run_id)
    if old.event_id is not None:
        return await plan_event(runtime, old.event_id, wanted)
    pipeline = (await _deployment(runtime, wanted)).pipelines.get(old.pipeline)
    if pipeline is None:
        raise NotFound(f"pipeline {old.pipeline} is not deployed any more: name a version")
    events = await runtime.store.events_of_run(run_id)
    if events:
        new: NewRun | Decision = await _batch(runtime, pipeline, old, events)
    else:
        new = await _by_hand(runtime, pipeline, old)
    if isinstance(new, Decision):
        return Plan(None, [], [new], [old])
    new = msgspec.structs.replace(new, idempotency_key=_key(wanted, run_id, new))
    return Plan(None, [Planned(new, pipeline, old)], [], [old])


async def _batch(runtime: Runtime, pipeline: Pipeline, old: RunSummary, event_ids: Sequence[UUID]) -> NewRun | Decision:
    """The same events together once more; or why not."""
    trigger = next((found for found in pipeline.triggers if found.id == old.trigger and found.batch is not None), None)
    if trigger is None:
        raise NotFound(f"pipeline {pipeline.id} has no trigger {old.trigger} with a `batch` in this version")
    stored = await runtime.store.get_events(event_ids)
    events = [stored[id] for id in event_ids if id in stored]
    if not events:
        raise NotFound(f"the events of run {old.id} are not kept any more")
    scope = Scope({"env": runtime.environment, "run": {"started_at": events[-1].received_at.isoformat()}}, None)
    return start_with(runtime, pipeline, trigger, events, scope, replay_of=old.id)


async def _by_hand(runtime: Runtime, pipeline: Pipeline, old: RunSummary) -> NewRun:
    """The same inputs once more."""
    row = await runtime.store.get_run(old.id)
    inputs = validate_inputs(pipeline, msgspec.json.decode(row.inputs) if row is not None else {})
    scope = {"env": runtime.environment, "inputs": inputs, "run": {"started_at": now().isoformat()}}
    gates = gates_of(pipeline, scope)
    return NewRun(
        id=uuid7(),
        pipeline=pipeline.id,
        version=pipeline.version,
        trigger=old.trigger,
        labels=render_labels(runtime, pipeline, scope),
        inputs=msgspec.json.encode(inputs),
        replay_of=old.id,
        scheduled_at=old.scheduled_at,
        expires_at=expiry_of(pipeline),
        gates=gates,
        held=bool(gates),
    )


def effects_of(runtime: Runtime, pipeline: Pipeline, path: str = "") -> Iterator[EffectStep]:
    """Every step of the pipeline, and of those that it calls, that does something to the world."""
    for first in (*pipeline.steps, *pipeline.on_error, *pipeline.finally_):
        for step in inner_steps(first):
            name = f"{path}{step.id or step.key}"
            callee = pipeline.called.get(step.pipeline or "")
            if callee is not None:
                yield from effects_of(runtime, callee, f"{name}/")
            elif step.shape == "action":
                type_ = runtime.catalog.steps.get(step.uses)
                effect = type_.effect if type_ is not None else Effect.EFFECT
                if effect is not Effect.PURE:
                    yield EffectStep(pipeline.id, name, step.uses, str(effect))


async def find_version(runtime: Runtime, prefix: str, pipeline: str | None = None) -> str:
    """The hash of the stored version that begins so. NotFound; BadRequest if it is too short or several do."""
    text = prefix.strip().lower()
    if len(text) < LEAST_PREFIX or not all(letter in "0123456789abcdef" for letter in text):
        raise BadRequest(f"version {prefix!r}: give {LEAST_PREFIX} or more hexadecimal digits of its hash")
    found = await runtime.store.find_versions(text, pipeline)
    if not found:
        whose = f"pipeline {pipeline} has" if pipeline else "there is"
        raise NotFound(f"{whose} no version {prefix}: `hookwright pipeline history` lists them")
    if len(found) > 1:
        listed = ", ".join(f"{row.hash[:16]} ({row.pipeline}, {row.created_at:%Y-%m-%d %H:%M})" for row in found)
        raise BadRequest(f"version {prefix} is ambiguous: {listed}")
    return found[0].hash


async def _deployment(runtime: Runtime, wanted: Wanted) -> Deployment:
    """What is in force, or the wanted version alone."""
    if wanted.version is None:
        return runtime.deployments.current
    pipeline = await load_pipeline(runtime, await find_version(runtime, wanted.version, wanted.pipeline))
    return deploy([pipeline], runtime.catalog, secrets=runtime.secrets.get, env=runtime.environment)


def _listeners(deployment: Deployment, event: Event) -> list[Binding]:
    if event.source == SOURCE:
        return list(deployment.events)
    if event.source == ENDED:
        return list(deployment.finished)
    if event.source == TriggerKind.SCHEDULE:
        trigger = (event.delivery_id or "").partition("@")[0]
        return [binding for binding in deployment.schedules if binding.trigger.id == trigger]
    found = deployment.find(event.path)
    return list(found[0].bindings) if found else []


def _scheduled_at(event: Event) -> datetime | None:
    """The time that a tick of a schedule stands for."""
    if event.source != TriggerKind.SCHEDULE or not event.delivery_id:
        return None
    return datetime.fromisoformat(event.delivery_id.partition("@")[2])


def _nobody(deployment: Deployment, event: Event, wanted: Wanted) -> str:
    who = f"pipeline {wanted.pipeline}" if wanted.pipeline else "any pipeline"
    who += f" in version {wanted.version}" if wanted.version else ""
    text = f"no trigger of {who} listens to this event ({event.source} on {event.path or event.type})"
    unbound = [problem.message for problem in deployment.problems if wanted.version or wanted.pipeline is None]
    return f"{text}; {'; '.join(unbound)}" if unbound else text


async def _old_run(runtime: Runtime, run_id: UUID) -> RunSummary:
    found = await runtime.store.get_run(run_id)
    if found is None:
        raise NotFound(f"there is no run {run_id}")
    return found


def _key(wanted: Wanted, id: UUID, run: NewRun) -> str | None:
    return f"replay:{wanted.key}:{id}:{run.trigger}" if wanted.key is not None else None


async def check_takeover(runtime: Runtime, planned: Planned, wanted: Wanted) -> list[str]:
    """The keys of the attempts that the run takes over; none unless it is to begin at a step.

    NotFound, CannotTakeOver as replay_event.
    """
    old, new = planned.old, planned.new
    if wanted.from_step is None:
        return []
    row = await runtime.store.get_run(old.id) if old is not None else None
    if old is None or row is None:
        raise NotFound(f"there is no run of {new.pipeline} to take the earlier steps from")
    return steps_to_take(
        wanted.from_step,
        await load_pipeline(runtime, old.version),
        planned.pipeline,
        inputs=(row.inputs, new.inputs),
        marks=await runtime.store.list_marks(old.id),
    )


async def _keep(runtime: Runtime, planned: Planned, wanted: Wanted) -> None:
    """Write what the run takes over, before it exists."""
    old, new = planned.old, planned.new
    if old is None and wanted.from_step is None:
        if wanted.version is not None:  # nothing else says that its version was chosen, see engine.flow.pin
            await runtime.store.keep_replay(ReplayRow(run_id=new.id), None, [])
        return
    if wanted.from_step is None and not wanted.reuse_keys:
        return
    steps = await check_takeover(runtime, planned, wanted)
    assert old is not None
    before = await runtime.store.get_replay(old.id) if wanted.reuse_keys and old.replay_of is not None else None
    keys = (before.key_run if before is not None else None) or old.id
    kept = ReplayRow(run_id=new.id, key_run=keys if wanted.reuse_keys else None, from_step=wanted.from_step)
    await runtime.store.keep_replay(kept, old.id if wanted.from_step is not None else None, steps)


def _note(planned: Planned, wanted: Wanted, by: str) -> NewAudit:
    new = planned.new
    detail = {name: value for name, value in (("from", wanted.from_step), ("reuse_keys", wanted.reuse_keys)) if value}
    replay_of = str(new.replay_of) if new.replay_of is not None else None
    return NewAudit(
        by=by,
        action="event.replay" if new.event_id is not None else "run.replay",
        target=new.pipeline,
        run_id=new.id,
        event_id=new.event_id,
        detail={"version": new.version, "replay_of": replay_of, **detail},
    )
