"""Schedules: a tick is an event with a unique key, so any number of schedulers lose none and double none."""

from datetime import datetime, timedelta
from typing import Any

from engine.core.cron import next_tick
from engine.core.event import Event
from engine.core.ids import uuid7
from engine.flow.execution import now
from engine.flow.record import record_event
from engine.pipeline.deployment import Binding
from engine.runtime import Runtime

LATE = 60.0  # seconds after which a tick counts as missed
MOST = 1000  # missed ticks that `catch_up: all` runs at once


async def plan(runtime: Runtime) -> None:
    """Make the schedule table agree with the deployment; a schedule that stays keeps its next tick."""
    moment = now()
    wanted = []
    for binding in runtime.deployments.current.schedules:
        tick = next_tick(binding.config.cron, binding.config.timezone, moment)
        wanted.append((binding.pipeline.id, binding.trigger.id, _spelling(binding), tick))
    await runtime.store.sync_schedules(wanted)


async def fire_due(runtime: Runtime, moment: datetime | None = None) -> int:
    """Record every tick that is due as an event with its run; how many runs that made."""
    moment = moment or now()
    bindings = {(binding.pipeline.id, binding.trigger.id): binding for binding in runtime.deployments.current.schedules}
    fired = 0
    for row in await runtime.store.due_schedules(moment):
        binding = bindings.get((row.pipeline, row.trigger))
        if binding is None:
            continue
        ticks, following = due_ticks(binding, row.next_at, moment)
        for tick in ticks:
            fired += await _fire(runtime, binding, tick)
        await runtime.store.advance_schedule(row.pipeline, row.trigger, expected=row.next_at, next_at=following)
    return fired


def due_ticks(binding: Binding, first: datetime, moment: datetime) -> tuple[list[datetime], datetime]:
    """The ticks to run now and the next one to wait for. `catch_up` decides about those that were missed."""
    config: Any = binding.config
    ticks: list[datetime] = []
    tick = first
    while tick <= moment and len(ticks) <= MOST:
        ticks.append(tick)
        tick = next_tick(config.cron, config.timezone, tick)
    if tick <= moment:  # more than MOST were missed
        tick = next_tick(config.cron, config.timezone, moment)
    missed = [due for due in ticks if moment - due > timedelta(seconds=LATE)]
    current = ticks[len(missed) :]
    if config.catch_up == "all":
        return ticks, tick
    if config.catch_up == "last" and missed and not current:
        return missed[-1:], tick
    return current[-1:] if config.catch_up == "last" else current, tick


async def _fire(runtime: Runtime, binding: Binding, tick: datetime) -> int:
    event = Event(
        id=uuid7(),
        source="schedule",
        type="schedule.tick",
        received_at=now(),
        delivery_id=f"{binding.trigger.id}@{tick.isoformat()}",
    )
    scope = f"schedule:{binding.pipeline.id}"
    recorded = await record_event(runtime, event, [binding], dedup_scope=scope, scheduled_at=tick)
    return len(recorded.runs) if not recorded.duplicate else 0


def _spelling(binding: Binding) -> str:
    return f"{binding.config.cron} {binding.config.timezone}"
