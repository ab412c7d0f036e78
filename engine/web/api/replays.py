"""Replays: one event or run, or all events of a filter, page by page; dry runs of both."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Meta, Struct, field

from engine.flow.deploy import load_pipeline
from engine.flow.replay import EffectStep, Plan, Wanted, effects_of, find_version, start
from engine.flow.replay import Replayed as Outcome
from engine.flow.replay_many import count_events, replay_page
from engine.runtime import Runtime
from engine.simulation.differences import Difference
from engine.simulation.dry_run import dry_run
from engine.store import ReplayFilter
from engine.web.api.answers import STATE
from engine.web.api.models import Decision, decision_model
from engine.web.parameters import EARLIEST, NO_NUL, Who, WithRuntime, read_time

MOST, MOST_DRY = 100, 20  # events of a page
SHOWN = 10  # differences of a page that are told in full

Name = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]


class Replay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to start again, and how. Empty: every pipeline that matches, as it is now."""

    pipeline: Annotated[Name | None, Meta(description="Only this pipeline.")] = None
    version: Annotated[
        Name | None, Meta(description="A stored version: its hash, or the beginning of it. null: what is in force.")
    ] = None
    from_step: Annotated[
        Name | None,
        Meta(description="Begin at this step; what came before it is taken over from the run that is repeated."),
    ] = field(default=None, name="from")
    reuse_keys: Annotated[bool, Meta(description="Steps get the idempotency keys of the run that is repeated.")] = False
    run: Annotated[UUID | None, Meta(description="The run to repeat. null: the event's newest, for each pipeline.")] = (
        None
    )
    dry_run: Annotated[bool, Meta(description="Start nothing: say what would differ from the old run.")] = False
    plan: Annotated[bool, Meta(description="Start nothing: say which runs there would be, and what they may do.")] = (
        False
    )


class PlannedRun(Struct, frozen=True):
    """A run that would be started."""

    pipeline: str
    version: str
    trigger: str | None
    replay_of: Annotated[UUID | None, Meta(description="The run it would repeat.")]


class StartedRun(Struct, frozen=True):
    """A run that was started."""

    id: UUID
    pipeline: str
    status_url: str


class Replayed(Struct, frozen=True):
    """The runs a replay started, and what each trigger said this time; of a dry run what would differ."""

    event_id: UUID | None
    runs: list[StartedRun]
    decisions: list[Decision]
    effects: Annotated[list[EffectStep], Meta(description="Steps of the new runs that do something to the world.")] = []
    planned: Annotated[list[PlannedRun], Meta(description="Of a plan: the runs that would be started.")] = []
    differences: Annotated[list[Difference] | None, Meta(description="Of a dry run, one for each run.")] = None


DRY = {200: ResponseSpec(Replayed, description="A dry run: nothing was started.", generate_examples=False)}


class ReplayMany(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events to start again, oldest first, and how. Our own events and ticks only if `source` names them."""

    source: Name | None = None
    type: Annotated[Name | None, Meta(description="May have `*` and `?`: `issues.*`.")] = None
    path: Annotated[Name | None, Meta(description="Below /hooks/.")] = None
    since: Annotated[datetime, Meta(description="Not older than this.")]
    until: Annotated[datetime | None, Meta(description="Older than this; null: now.")] = None
    pipeline: Annotated[Name | None, Meta(description="Only this pipeline.")] = None
    version: Annotated[Name | None, Meta(description="A stored version, by the beginning of its hash.")] = None
    reuse_keys: bool = False
    dry_run: bool = False
    key: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100, pattern=NO_NUL)] | None,
        Meta(description="A page that is sent again with the same key starts nothing twice."),
    ] = None
    cursor: Annotated[UUID | None, Meta(description="`next` of the page before.")] = None
    limit: Annotated[int, Meta(ge=1, le=MOST, description="Events of a page; of a dry run at most 20.")] = MOST_DRY


class ReplayPlan(Struct, frozen=True):
    """What a replay of many would look at, and what it might do."""

    events: Annotated[int, Meta(description="100,000 stands for any number above.")]
    until: Annotated[datetime, Meta(description="Send it as `until` with each page: what comes later is left out.")]
    effects: Annotated[list[EffectStep], Meta(description="Steps that do something to the world.")]


class ReplayedEvent(Struct, frozen=True):
    """What became of one event."""

    event_id: UUID
    type: str
    runs: list[StartedRun]
    reason: Annotated[str, Meta(description="Why nothing was started: no trigger matched.")] = ""
    error: Annotated[str, Meta(description="Why it could not be replayed.")] = ""


class ReplayPage(Struct, frozen=True):
    """A page of a replay of many. `next` null: it was the last."""

    items: list[ReplayedEvent]
    next: str | None
    same: Annotated[int, Meta(description="Of a dry run: runs that would do the same again.")] = 0
    differ: Annotated[int, Meta(description="Of a dry run: runs that would not.")] = 0
    differences: Annotated[list[Difference], Meta(description="Of a dry run: the first ten that differ.")] = []


@post("/plan", summary="Look before a replay of many", status_code=200, responses=STATE)
async def plan_many(runtime: WithRuntime, data: JSONBody[ReplayMany]) -> ReplayPlan:
    """How many events it is about, and which steps of the pipelines concerned do something to the world."""
    chosen = _filter(data)
    effects = await _effects(runtime, data)
    return ReplayPlan(await count_events(runtime, chosen), chosen.until, effects)


@post("/", summary="Replay many events", status_code=200, responses=STATE)
async def replay_many(runtime: WithRuntime, who: Who, data: JSONBody[ReplayMany]) -> ReplayPage:
    """One page, oldest events first; send `next` as `cursor` for the next one, with the same `until` and `key`."""
    wanted = Wanted(pipeline=data.pipeline, version=data.version, reuse_keys=data.reuse_keys, key=data.key)
    found: list[Difference] = []
    nothing: dict[UUID, str] = {}

    async def look(event_id: UUID, plan: Plan) -> None:
        differences = await dry_run(runtime, plan, wanted)
        found.extend(differences)
        if not differences:
            nothing[event_id] = _why(plan)

    outcomes, following = await replay_page(runtime, _filter(data), wanted, by=who, look=look if data.dry_run else None)
    items = [
        ReplayedEvent(
            outcome.event_id,
            outcome.type,
            _started(outcome.replayed) if outcome.replayed is not None else [],
            outcome.reason or nothing.get(outcome.event_id, "") or _reason(outcome.replayed),
            outcome.error,
        )
        for outcome in outcomes
    ]
    differing = [difference for difference in found if not difference.same]
    following_text = None if following is None else str(following)
    return ReplayPage(items, following_text, len(found) - len(differing), len(differing), differing[:SHOWN])


async def replay_or_rehearse(
    runtime: Runtime, event_id: UUID | None, plan: Plan, data: Replay | None, *, by: str
) -> Response[Replayed]:
    """The answer to a replay of one event or run, once it is planned."""
    wanted = read_wanted(data)
    pipelines = {planned.pipeline.version: planned.pipeline for planned in plan.planned}
    effects = [effect for pipeline in pipelines.values() for effect in effects_of(runtime, pipeline)]
    decisions = [decision_model(item) for item in plan.decisions]
    if data is not None and data.plan:
        runs = [
            PlannedRun(item.new.pipeline, item.new.version, item.new.trigger, item.new.replay_of)
            for item in plan.planned
        ]
        return Response(Replayed(event_id, [], decisions, effects, runs), status_code=200)
    if data is not None and data.dry_run:
        differences = await dry_run(runtime, plan, wanted)
        return Response(Replayed(event_id, [], decisions, effects, differences=differences), status_code=200)
    outcome = await start(runtime, plan, wanted, by=by)
    return Response(Replayed(event_id, _started(outcome), decisions, effects), status_code=202)


def read_wanted(data: Replay | None) -> Wanted:
    """The request as the use case takes it."""
    if data is None:
        return Wanted()
    return Wanted(
        pipeline=data.pipeline,
        version=data.version,
        run=data.run,
        from_step=data.from_step,
        reuse_keys=data.reuse_keys,
    )


def _started(outcome: Outcome) -> list[StartedRun]:
    return [StartedRun(run_id, pipeline, f"/api/v1/runs/{run_id}") for run_id, pipeline in outcome.runs]


def _reason(outcome: Outcome | None) -> str:
    if outcome is None or outcome.runs:
        return ""
    return "; ".join(decision_model(item).sentence for item in outcome.decisions)


def _why(plan: Plan) -> str:
    return "; ".join(decision_model(item).sentence for item in plan.decisions)


def _filter(data: ReplayMany) -> ReplayFilter:
    return ReplayFilter(
        since=read_time("since", data.since) or EARLIEST,
        until=read_time("until", data.until) or datetime.now(UTC),
        source=data.source,
        type=data.type,
        path=data.path,
        cursor=data.cursor,
        limit=min(data.limit, MOST_DRY) if data.dry_run else data.limit,
    )


async def _effects(runtime: Runtime, data: ReplayMany) -> list[EffectStep]:
    """Of the pipeline that is meant; of all that something can start, if none is."""
    if data.version is not None:
        pipelines = [await load_pipeline(runtime, await find_version(runtime, data.version, data.pipeline))]
    else:
        known = runtime.deployments.current.pipelines
        names = sorted(known) if data.pipeline is None else [data.pipeline]
        pipelines = [known[name] for name in names if name in known and known[name].triggers]
    return [effect for pipeline in pipelines for effect in effects_of(runtime, pipeline)]


router = Router("/replays", route_handlers=[plan_many, replay_many], tags=["Events"])
