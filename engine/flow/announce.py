"""`run.finished`: who wants to hear that a run has ended, and the event that tells them.

That a run is to be announced is committed together with its end (RunUpdate.announce). Whoever ends it records the
event right afterwards; what a crash left out, upkeep does. The delivery id is the run's id: it counts once, however
many try.
"""

import asyncio
from typing import Any
from uuid import UUID

import msgspec

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import Decision, ErrorInfo, RunStatus
from engine.errors import Unavailable
from engine.flow.chain import DEPTH, ENDED, MAX_DEPTH, RUN, TOO_LONG, next_depth
from engine.flow.execution import now
from engine.flow.record import record_event
from engine.pipeline.deployment import RUN_FINISHED, Binding
from engine.pipeline.match import awaits
from engine.runtime import Runtime
from engine.store import RunRow

MOST = 100  # announced at once


def is_awaited(runtime: Runtime, pipeline: str | None, status: RunStatus) -> bool:
    """Whether a trigger wants to hear that a run of this pipeline (None: of any) has ended so.

    A process that does not know yet what is deployed says yes: upkeep, which knows, decides.
    """
    deployments = runtime.deployments
    if not deployments.current.finished:
        return not deployments.loaded
    if pipeline is None:
        return any(status in binding.config.outcomes for binding in deployments.current.finished)
    return any(awaits(binding.config, pipeline, status) for binding in deployments.current.finished)


async def announce(runtime: Runtime, run_id: UUID) -> None:
    """Record the event of an ended run, and start who waits for it. If that fails, upkeep does it."""
    if not runtime.deployments.loaded:
        return
    try:
        await _announce(runtime, run_id)
    except Unavailable as error:
        runtime.log.warning("announcement.failed", run_id=str(run_id), error=str(error))
        return
    except Exception:  # it would fail again and again, and hold up the others
        runtime.log.exception("announcement.given_up", run_id=str(run_id))
    try:
        await runtime.store.settle_announcements([run_id])
    except Unavailable as error:
        runtime.log.warning("announcement.failed", run_id=str(run_id), error=str(error))


async def announce_owed(runtime: Runtime, older_than: float) -> int:
    """Announce what was left out by processes that died, if it ended at least so many seconds ago; how many runs."""
    run_ids = await runtime.store.owed_announcements(older_than, MOST)
    await asyncio.gather(*(announce(runtime, run_id) for run_id in run_ids))
    return len(run_ids)


async def _announce(runtime: Runtime, run_id: UUID) -> None:
    run = await runtime.store.get_run(run_id)
    if run is None:
        return
    bindings = [
        binding for binding in runtime.deployments.current.finished if awaits(binding.config, run.pipeline, run.status)
    ]
    if not bindings:
        return
    depth = await next_depth(runtime, run)
    event = Event(
        id=uuid7(),
        source=ENDED,
        type=RUN_FINISHED,
        received_at=now(),
        headers={"content-type": "application/json", DEPTH: str(depth), RUN: str(run_id)},
        body=msgspec.json.encode(make_body(run, f"{runtime.settings.url}/runs/{run_id}")),
        delivery_id=f"{run_id}/{run.rounds}" if run.rounds else str(run_id),  # a run may end more than once
    )
    if depth > MAX_DEPTH:
        runtime.log.warning("announcement.cut", run_id=str(run_id), depth=depth)
        await record_event(
            runtime, event, [], dedup_scope=RUN_FINISHED, refused=[_cut(each, depth) for each in bindings]
        )
    else:
        await record_event(runtime, event, bindings, dedup_scope=RUN_FINISHED)


def make_body(run: RunRow, url: str) -> dict[str, Any]:
    """`event.body`, as the checker types it: `run`, its `error` or None, its `outputs` or None."""
    error = msgspec.json.decode(run.error, type=ErrorInfo) if run.error is not None else None
    return {
        "run": {
            "id": str(run.id),
            "url": url,
            "pipeline": run.pipeline,
            "version": run.version,
            "outcome": str(run.status),
            "trigger": run.trigger,
            "labels": run.labels,
            "event_id": str(run.event_id) if run.event_id is not None else None,
            "parent": str(run.parent) if run.parent is not None else None,
            "replay_of": str(run.replay_of) if run.replay_of is not None else None,
            "message": run.message,
            "created_at": run.created_at,
            "scheduled_at": run.scheduled_at,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
        },
        "error": {name: getattr(error, name) for name in ErrorInfo.__struct_fields__} if error is not None else None,
        "outputs": msgspec.json.decode(run.outputs) if run.outputs is not None else None,
    }


def _cut(binding: Binding, depth: int) -> Decision:
    detail = {"depth": depth, "limit": MAX_DEPTH}
    return Decision(binding.pipeline.id, binding.trigger.id, matched=False, reason=TOO_LONG, detail=detail)
