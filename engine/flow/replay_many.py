"""Replay many events: page by page, each by its key. Nothing is open between two pages, and none is begun twice."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from engine.core.catalog import TriggerKind
from engine.errors import HookwrightError, NotFound, Unavailable
from engine.flow import audit
from engine.flow.chain import ENDED, SOURCE
from engine.flow.replay import Plan, Replayed, Wanted, plan_event, start_all
from engine.runtime import Runtime
from engine.store import ReplayFilter

AT_ONCE = 8  # events of a page that are read at the same time
OWN_SOURCES = (SOURCE, ENDED, str(TriggerKind.SCHEDULE))  # they come again by themselves when runs do


class EventOutcome(msgspec.Struct, frozen=True):
    """What became of one event. `error`: why nothing was started, if that is a mistake; `reason`: if it is not."""

    event_id: UUID
    type: str
    replayed: Replayed | None = None
    reason: str = ""
    error: str = ""


Look = Callable[[UUID, Plan], Awaitable[None]]  # what a dry run does with a plan


async def replay_page(
    runtime: Runtime, chosen: ReplayFilter, wanted: Wanted, *, by: str = audit.SYSTEM, look: Look | None = None
) -> tuple[list[EventOutcome], UUID | None]:
    """Replay a page of events, oldest first; the cursor of the next one, None: this was the last.

    wanted.key: a page that is repeated with the same key starts nothing twice. look: nothing is started, it gets the
    plan of each event instead. Unavailable: PostgreSQL is away; repeat the page.
    """
    chosen = msgspec.structs.replace(chosen, without=OWN_SOURCES)
    events, following = await runtime.store.events_to_replay(chosen)
    gate = asyncio.Semaphore(AT_ONCE)

    async def prepare(event_id: UUID) -> Plan | HookwrightError:
        async with gate:
            try:
                return await plan_event(runtime, event_id, wanted)
            except Unavailable:
                raise
            except HookwrightError as problem:
                return problem

    plans = await asyncio.gather(*(prepare(event.id) for event in events))
    ready = [plan for plan in plans if isinstance(plan, Plan)]
    done = iter(await start_all(runtime, ready, wanted, by=by) if look is None else ())
    found = []
    for event, plan in zip(events, plans, strict=True):
        if isinstance(plan, NotFound):
            found.append(EventOutcome(event.id, event.type, reason=str(plan)))
            continue
        problem = plan if not isinstance(plan, Plan) else None
        if look is not None and isinstance(plan, Plan):
            problem = await _look(look, event.id, plan)
        replayed = next(done, None) if problem is None else None
        found.append(EventOutcome(event.id, event.type, replayed, error=str(problem) if problem else ""))
    return found, following


async def _look(look: Look, event_id: UUID, plan: Plan) -> HookwrightError | None:
    """What is wrong with it, if anything is."""
    try:
        await look(event_id, plan)
    except Unavailable:
        raise
    except HookwrightError as problem:
        return problem
    return None


async def count_events(runtime: Runtime, chosen: ReplayFilter) -> int:
    """How many events a replay would look at; 100,000 stands for any number above."""
    return await runtime.store.count_events(msgspec.structs.replace(chosen, without=OWN_SOURCES))
