"""Runs: list, look into, cancel."""

from datetime import UTC, datetime
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import JSONBody
from msgspec import Struct

from engine.errors import NotFound
from engine.flow.cancel import cancel_run
from engine.flow.replay import plan_run
from engine.store.rows import RunFilter
from engine.web.api import bulk, control
from engine.web.api.answers import COMMON, ONE, STATE
from engine.web.api.models import RunDetail, RunPage, run_detail
from engine.web.api.replays import DRY, Replay, Replayed, read_wanted, replay_or_rehearse
from engine.web.parameters import (
    PAGE,
    Cursor,
    EventIdFilter,
    LabelFilter,
    Limit,
    PipelineFilter,
    RunId,
    Since,
    StatusFilter,
    Until,
    Who,
    WithRuntime,
    read_labels,
    read_time,
)
from engine.web.queries import page_of_runs
from engine.web.why import Why, why_run


class Cancelled(Struct, frozen=True):
    """What became of a cancel request: `cancelled` at once, or `running` until its worker lets go."""

    id: UUID
    status: str


@get("/", summary="List runs", responses=COMMON)
async def list_runs(
    runtime: WithRuntime,
    pipeline: PipelineFilter = None,
    status: StatusFilter = None,
    label: LabelFilter = None,
    since: Since = None,
    until: Until = None,
    event: EventIdFilter = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> RunPage:
    """Newest first, by the moment they were made. All filters must hold."""
    wanted = RunFilter(
        pipeline=pipeline,
        status=status,
        labels=read_labels(label),
        since=read_time("since", since),
        until=read_time("until", until),
        event_id=event,
        cursor=cursor,
        limit=limit,
    )
    return await page_of_runs(runtime.store, wanted)


@get("/{run_id:str}", summary="Get a run", responses=ONE)
async def get_run(runtime: WithRuntime, run_id: RunId) -> RunDetail:
    """The run with every attempt of every step: inputs, outputs, errors, timings, usage, and why it waits."""
    run = await runtime.store.get_run(run_id)
    if run is None:
        raise NotFound(f"There is no run {run_id}.")
    events = await runtime.store.events_of_run(run_id) if run.batched else []
    return run_detail(run, await runtime.store.get_attempts(run_id), datetime.now(UTC), events)


@get("/{run_id:str}/why", summary="Say what keeps a run", responses=ONE)
async def get_why(runtime: WithRuntime, run_id: RunId) -> Why:
    """What the run waits for (a slot and who has it, a pause, a time, people, a worker), or how it ended."""
    return await why_run(runtime, run_id)


@post(
    "/{run_id:str}/cancel",
    summary="Cancel a run",
    status_code=202,
    responses=STATE,
)
async def cancel(runtime: WithRuntime, who: Who, run_id: RunId) -> Response[Cancelled]:
    """A queued or waiting run ends at once; a running one at its next safe point."""
    return Response(Cancelled(run_id, str(await cancel_run(runtime, run_id, by=who))), status_code=202)


@post("/{run_id:str}/replay", summary="Replay a run", status_code=202, responses=STATE | DRY)
async def replay(
    runtime: WithRuntime, who: Who, run_id: RunId, data: JSONBody[Replay | None] = None
) -> Response[Replayed]:
    """A new run of the same pipeline with the same event, or, if it was started by hand, with the same inputs."""
    plan = await plan_run(runtime, run_id, read_wanted(data))
    event_id = plan.event.id if plan.event is not None else None
    return await replay_or_rehearse(runtime, event_id, plan, data, by=who)


HANDLERS = [list_runs, get_run, get_why, replay, cancel, *control.handlers, bulk.bulk]
router = Router("/runs", route_handlers=HANDLERS, tags=["Runs"])
