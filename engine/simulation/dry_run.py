"""Dry runs of replays: what stored events would come to, without doing anything."""

import asyncio
from typing import Any

from engine.core.event import view
from engine.core.run import Decision
from engine.errors import HookwrightError, Unavailable
from engine.flow.deploy import load_pipeline
from engine.flow.execution import now
from engine.flow.replay import Plan, Planned, Wanted, check_takeover
from engine.runtime import Runtime
from engine.simulation.differences import Difference
from engine.simulation.rehearsal import OldRun, World, rehearse
from engine.simulation.triggers import explain
from engine.store import RunSummary

_one_at_a_time = asyncio.Semaphore(1)  # they are all work for the processor, which answers requests as well


async def dry_run(runtime: Runtime, plan: Plan, wanted: Wanted) -> list[Difference]:
    """What each run of the plan would do otherwise than the one it repeats, and which would not start any more.

    CannotTakeOver if the replay is to begin at a step and cannot.
    """
    found = []
    for planned in plan.planned:
        await check_takeover(runtime, planned, wanted)
        found.append(await _rehearse(runtime, plan, planned))
    started = {planned.new.pipeline for planned in plan.planned}
    gone = [old for old in plan.olds if old.pipeline not in started and wanted.pipeline in (None, old.pipeline)]
    return [*found, *(_missing(old, plan.decisions) for old in gone)]


async def _rehearse(runtime: Runtime, plan: Plan, planned: Planned) -> Difference:
    old = await _old_run(runtime, planned.old) if planned.old is not None else None
    events: list[dict[str, Any]] | None = None
    if planned.new.batched:
        stored = await runtime.store.get_events(planned.new.events)
        events = [view(stored[id]) for id in planned.new.events if id in stored]
    world = World(
        catalog=runtime.catalog,
        env=runtime.environment,
        url=runtime.settings.url,
        redact=runtime.secrets.redact,
        redact_text=runtime.secrets.redact_text,
    )
    event = None if planned.new.batched else plan.event
    async with _one_at_a_time:
        return await asyncio.to_thread(rehearse, planned.new, planned.pipeline, event, events, old, world, now())


async def _old_run(runtime: Runtime, old: RunSummary) -> OldRun | None:
    row = await runtime.store.get_run(old.id)
    if row is None:
        return None
    try:
        pipeline = await load_pipeline(runtime, old.version)
    except Unavailable:
        raise
    except HookwrightError:
        pipeline = None
    return OldRun(row, await runtime.store.get_attempts(old.id), pipeline)


def _missing(old: RunSummary, decisions: list[Decision]) -> Difference:
    reasons = [explain(decision) for decision in decisions if decision.pipeline == old.pipeline]
    return Difference(
        pipeline=old.pipeline,
        trigger=old.trigger,
        old_run=old.id,
        old_version=old.version,
        version=None,
        same=False,
        before=str(old.status),
        after=None,
        reason="; ".join(reasons) or "no trigger of the pipeline listens to the event any more",
    )
