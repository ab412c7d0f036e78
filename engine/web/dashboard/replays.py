"""The page from which an event or a run is replayed, with its dry run."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import QueryParameter, URLEncodedBody
from litestar.response import Redirect
from msgspec import Meta, Struct

from engine.errors import BadRequest, Conflict, HookwrightError, NotFound
from engine.flow.replay import Plan, Wanted, effects_of, plan_event, plan_run, start
from engine.runtime import Runtime
from engine.simulation.dry_run import dry_run
from engine.web.dashboard.pages import page
from engine.web.parameters import NO_NUL, EventId, RunId, Who, WithRuntime

VERSIONS = 20  # to choose from
Typed = Annotated[str, QueryParameter(max_length=200, pattern=NO_NUL)]
Text = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]
MISTAKES = (NotFound, Conflict, BadRequest)  # of what was asked for: they are shown on the page


class ReplayForm(Struct, frozen=True):
    """What is chosen."""

    pipeline: Text = ""
    version: Text = ""
    step: Text = ""
    reuse_keys: Text = ""

    def wanted(self) -> Wanted:
        """As the use case takes it."""
        return Wanted(
            pipeline=self.pipeline.strip() or None,
            version=self.version.strip() or None,
            from_step=self.step.strip() or None,
            reuse_keys=bool(self.reuse_keys),
        )


@get("/events/{event_id:str}/replay", include_in_schema=False)
async def event_replay_page(
    runtime: WithRuntime, event_id: EventId, pipeline: Typed = "", version: Typed = "", step: Typed = "",
    reuse_keys: Typed = "", dry: Typed = "",
) -> Response[Any]:  # fmt: skip
    """What a replay of the event would start; with `dry`, what would differ."""
    form = ReplayForm(pipeline, version, step, reuse_keys)
    return await _show(runtime, "events", event_id, form, dry=bool(dry))


@get("/runs/{run_id:str}/replay", include_in_schema=False)
async def run_replay_page(
    runtime: WithRuntime, run_id: RunId, version: Typed = "", step: Typed = "", reuse_keys: Typed = "", dry: Typed = ""
) -> Response[Any]:
    """The same for a run."""
    return await _show(runtime, "runs", run_id, ReplayForm("", version, step, reuse_keys), dry=bool(dry))


@post("/events/{event_id:str}/replay", include_in_schema=False)
async def replay_event(
    runtime: WithRuntime, who: Who, event_id: EventId, data: URLEncodedBody[ReplayForm | None] = None
) -> Response[Any]:
    """Start: to the new run if there is one, to the event if there are several or none."""
    return await _start(runtime, "events", event_id, data or ReplayForm(), by=who)


@post("/runs/{run_id:str}/replay", include_in_schema=False)
async def replay_run(
    runtime: WithRuntime, who: Who, run_id: RunId, data: URLEncodedBody[ReplayForm | None] = None
) -> Response[Any]:
    """The same for a run."""
    return await _start(runtime, "runs", run_id, data or ReplayForm(), by=who)


async def _start(runtime: Runtime, kind: str, id: UUID, form: ReplayForm, *, by: str) -> Response[Any]:
    wanted = form.wanted()
    try:
        replayed = await start(runtime, await _plan(runtime, kind, id, wanted), wanted, by=by)
    except MISTAKES:
        return await _show(runtime, kind, id, form, dry=False, status=422)
    target = f"/runs/{replayed.runs[0][0]}" if len(replayed.runs) == 1 else f"/{kind}/{id}"
    return Redirect(target, status_code=303)


async def _show(
    runtime: Runtime, kind: str, id: UUID, form: ReplayForm, *, dry: bool, status: int = 200
) -> Response[Any]:
    await _must_exist(runtime, kind, id)
    wanted, problem, plan, differences = form.wanted(), None, None, None
    try:
        plan = await _plan(runtime, kind, id, wanted)
        differences = await dry_run(runtime, plan, wanted) if dry or wanted.from_step is not None else None
    except MISTAKES as mistake:
        problem = mistake
    effects = {}
    for planned in plan.planned if plan is not None else ():
        effects[planned.pipeline.version] = list(effects_of(runtime, planned.pipeline))
    return page(
        "replay.html",
        status=status if problem is not None else 200,
        page=kind,
        kind=kind,
        id=id,
        form=form,
        plan=plan,
        problem=problem,
        problems=getattr(problem, "problems", []),
        effects=[item for found in effects.values() for item in found],
        differences=differences if dry else None,
        pipelines=await _pipelines(runtime, kind, id),
        versions=await _versions(runtime, kind, id, form, plan),
    )


async def _plan(runtime: Runtime, kind: str, id: UUID, wanted: Wanted) -> Plan:
    return await (plan_event if kind == "events" else plan_run)(runtime, id, wanted)


async def _must_exist(runtime: Runtime, kind: str, id: UUID) -> None:
    found: object = await (runtime.store.get_event(id) if kind == "events" else runtime.store.get_run(id))
    if found is None:
        raise NotFound(f"There is no {kind[:-1]} {id}.")


async def _pipelines(runtime: Runtime, kind: str, id: UUID) -> list[str]:
    """Those that the event has started, or may start now; of a run there is no choice."""
    if kind == "runs":
        return []
    found = {run.pipeline for run in await runtime.store.runs_of_event(id)}
    return sorted(found | {decision.pipeline for decision in await runtime.store.list_decisions(id)})


async def _versions(
    runtime: Runtime, kind: str, id: UUID, form: ReplayForm, plan: Plan | None
) -> list[tuple[str, str]]:
    """Hash and name of the versions to choose from; none while it is not clear of which pipeline."""
    names = {form.pipeline} if form.pipeline else {item.new.pipeline for item in plan.planned} if plan else set()
    if kind == "runs" and (run := await runtime.store.get_run(id)) is not None:
        names = {run.pipeline}
    if len(names) != 1:
        return []
    try:
        rows, _ = await runtime.store.list_deployed(names.pop(), limit=VERSIONS)
    except HookwrightError:
        return []
    seen: dict[str, str] = {}
    for row in rows:
        if row.version is not None:
            seen.setdefault(row.version, f"{row.version[:12]} · {row.at:%Y-%m-%d %H:%M} UTC · {row.by}")
    return list(seen.items())


handlers = [event_replay_page, run_replay_page, replay_event, replay_run]
