"""Chains of pipelines that start each other, by `emit`, `pipeline.start` or by ending, and where they are cut."""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from engine.core.event import Event
from engine.core.run import Decision
from engine.errors import HookwrightError
from engine.runtime import Runtime
from engine.store import ClaimedRun, RunRow

SOURCE = "internal"  # of what `emit` steps emit
ENDED = "hookwright"  # source of `run.finished` events
DEPTH = "x-hookwright-depth"  # header of both: how many links there are from the chain's beginning to this event
RUN = "x-hookwright-run"  # header of both: the run it comes from
MAX_DEPTH = 5  # a longer chain is cut: pipelines that start each other do so without end
TOO_LONG = "chain_too_long"  # reason of a decision, type of an error


class ChainTooLong(HookwrightError):
    """A chain of pipelines that start each other is cut here."""


async def next_depth(runtime: Runtime, run: ClaimedRun | RunRow) -> int:
    """The depth of what this run emits, starts, or says by ending. Unavailable if PostgreSQL is away."""
    if run.parent is not None:
        lineage = await runtime.store.get_lineage(run.id, MAX_DEPTH + 1)
        return lineage.parents + depth_of(await _events(runtime, lineage.first, lineage.event_id)) + 1
    if isinstance(run, ClaimedRun):
        return depth_of([run.event, *(run.events or ())]) + 1
    return depth_of(await _events(runtime, run.id, run.event_id)) + 1


async def _events(runtime: Runtime, run_id: UUID, event_id: UUID | None) -> Iterable[Event]:
    """The events that started a run: one, those of a batch, or none."""
    ids = [event_id] if event_id is not None else await runtime.store.events_of_run(run_id)
    return (await runtime.store.get_events(ids)).values()


def depth_of(events: Iterable[Event | None]) -> int:
    """The depth of a run that these events started. Only our own count: anybody can send headers."""
    own = [event for event in events if event is not None and event.source in (SOURCE, ENDED)]
    return max((int(event.headers.get(DEPTH, "0")) for event in own), default=0)


def explain(what: str, depth: int) -> str:
    """Why a chain ends here, for people."""
    return (
        f"{what}: that would be number {depth} in a chain of pipelines that start each other, {MAX_DEPTH} are allowed; "
        "a chain this long is almost always a loop"
    )


def cut(decision: Decision, depth: int) -> Decision:
    """The decision about a trigger that would have matched."""
    detail = {**decision.detail, "depth": depth, "limit": MAX_DEPTH}
    return msgspec.structs.replace(decision, matched=False, reason=TOO_LONG, detail=detail)
