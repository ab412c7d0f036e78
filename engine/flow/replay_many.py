"""Replay many events: page by page, each by its key. Nothing is open between two pages, and none is begun twice."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from engine.core.catalog import TriggerKind
from engine.errors import HookwrightError, NotFound, Unavailable
from engine.flow import audit
from engine.flow.chain import ENDED, SOURCE
from engine.flow.replay import Plan, Replayed, Wanted, plan_event, start
from engine.runtime import Runtime
from engine.store import ReplayFilter

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
    found = []
    for event in events:
        replayed, reason, error = None, "", ""
        try:
            plan = await plan_event(runtime, event.id, wanted)
            if look is not None:
                await look(event.id, plan)
            else:
                replayed = await start(runtime, plan, wanted, by=by)
        except Unavailable:
            raise
        except NotFound as problem:
            reason = str(problem)
        except HookwrightError as problem:
            error = str(problem)
        found.append(EventOutcome(event.id, event.type, replayed, reason, error))
    return found, following


async def count_events(runtime: Runtime, chosen: ReplayFilter) -> int:
    """How many events a replay would look at; 100,000 stands for any number above."""
    return await runtime.store.count_events(msgspec.structs.replace(chosen, without=OWN_SOURCES))
