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
AT_ONCE = 100  # schedules that are looked at together


async def plan(runtime: Runtime, moment: datetime | None = None) -> None:
    """Make the schedule table agree with the deployment; a schedule that stays keeps its next tick.

    Unless that is later than it should be: a clock was ahead. Ticks that have fired already do not fire again.
    """
    moment = moment or now()
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
    while True:
        rows = await runtime.store.due_schedules(moment, AT_ONCE)
        advanced = 0
        for row in rows:
            binding = bindings.get((row.pipeline, row.trigger))
            if binding is None or row.spec != _spelling(binding):
                continue  # a deployment that this process has not taken over yet
            ticks, following = due_ticks(binding, row.next_at, moment)
            for tick in ticks:
                fired += await _fire(runtime, binding, tick)
            advanced += await runtime.store.advance_schedule(
                row.pipeline, row.trigger, expected=row.next_at, next_at=following
            )
        if len(rows) < AT_ONCE or not advanced:
            return fired


def due_ticks(binding: Binding, first: datetime, moment: datetime) -> tuple[list[datetime], datetime]:
    """The ticks to run now and the next one to wait for. `catch_up` decides about those that were missed.

    With `catch_up: all` at most so many at once: the next one is then over already, and its turn comes with it.
    """
    config: Any = binding.config
    if config.catch_up != "all":
        late = moment - timedelta(seconds=LATE)
        ticks = _between(config, max(first, late), moment) if first <= moment else []
        if config.catch_up == "last":
            ticks = ticks[-1:] or _last(config, first, moment)
        return ticks, next_tick(config.cron, config.timezone, moment)
    ticks, tick = [], first
    while tick <= moment and len(ticks) < MOST:
        ticks.append(tick)
        tick = next_tick(config.cron, config.timezone, tick)
    return ticks, tick


def _between(config: Any, first: datetime, last: datetime) -> list[datetime]:
    """All ticks from the first moment to the last, both included."""
    ticks = []
    tick = next_tick(config.cron, config.timezone, first - timedelta(microseconds=1))
    while tick <= last:
        ticks.append(tick)
        tick = next_tick(config.cron, config.timezone, tick)
    return ticks


def _last(config: Any, first: datetime, moment: datetime) -> list[datetime]:
    """The last tick of a time, found from its end: it may have seen very many."""
    span = timedelta(hours=1)
    while True:
        begin = max(first, moment - span)
        if ticks := _between(config, begin, moment):
            return ticks[-1:]
        if begin == first:
            return []
        span *= 8


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
