"""The pages of runs."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromQuery, URLEncodedBody
from litestar.response import Redirect

from engine.core.run import FINISHED, RunStatus
from engine.errors import Conflict, NotFound
from engine.flow.bulk import STATUSES
from engine.flow.cancel import cancel_run
from engine.flow.migrate_run import migrate_run
from engine.flow.resume_run import KINDS, list_decidable, resume_run
from engine.flow.retry_run import retry_run
from engine.store.rows import AuditFilter, RunFilter
from engine.web.api.models import RunPage, audit_model, run_detail
from engine.web.dashboard.pages import SAMPLE, link, page
from engine.web.dashboard.pictures import draw_timeline
from engine.web.dashboard.questions import open_questions
from engine.web.dashboard.rows import (
    MOST_STEPS,
    count_steps,
    count_tokens,
    counting,
    earlier_rounds,
    most_telling,
    read_error,
    run_lines,
    spans,
    step_rows,
    step_types,
)
from engine.web.parameters import Cursor, RunId, Who, WithRuntime, read_labels
from engine.web.problems import InvalidParameter
from engine.web.queries import page_of_runs
from engine.web.why import reasons_of

PAGE = 50
Form = URLEncodedBody[dict[str, Any] | None]
STANDING = (RunStatus.QUEUED, RunStatus.WAITING)


@get("/runs", include_in_schema=False)
async def runs_page(
    runtime: WithRuntime,
    pipeline: FromQuery[str] = "",
    status: FromQuery[str] = "",
    label: FromQuery[str] = "",
    cursor: Cursor = None,
) -> Response[Any]:
    """Runs, newest first, with filters."""
    chosen = _chosen(pipeline, status, label)
    known = sorted(runtime.deployments.current.pipelines)
    wrong, found = "", RunPage([], None)
    try:
        _, wanted = read_filter(pipeline, status, label, limit=PAGE, cursor=cursor)
        found = await page_of_runs(runtime.store, wanted)
    except InvalidParameter as error:
        wrong = str(error)
    return page(
        "runs.html",
        page="runs",
        runs=run_lines(found.items),
        pipelines=known if not pipeline or pipeline in known else [*known, chosen["pipeline"]],
        statuses=[str(name) for name in RunStatus],
        chosen=chosen,
        filtered=any(chosen.values()),
        bulk=_bulk(chosen) if found.items else [],
        wrong=wrong,
        sample=SAMPLE,
        here=link("/runs", **chosen, cursor=cursor),
        first=link("/runs", **chosen) if cursor else None,
        next=link("/runs", **chosen, cursor=found.next) if found.next else None,
    )


@get("/runs/{run_id:str}", include_in_schema=False)
async def run_page(runtime: WithRuntime, run_id: RunId) -> Response[Any]:
    """One run: facts, timeline, steps, data."""
    row = await runtime.store.get_run(run_id)
    if row is None:
        raise NotFound(f"There is no run {run_id}.")
    attempts = await runtime.store.get_attempts(run_id)
    trail, _ = await runtime.store.list_audit(AuditFilter(run_id=run_id))
    now = datetime.now(UTC)
    current_attempts = counting(attempts)
    shown = most_telling(current_attempts)
    begun = [span for span in spans(shown) if row.replay_of is None or span.start >= row.created_at]
    current = runtime.deployments.current.pipelines.get(row.pipeline)
    picture = None
    if begun:
        start = min([row.started_at or row.created_at, *(span.start for span in begun)])
        picture = draw_timeline(begun, start=start, end=max(row.finished_at or now, start))
    return page(
        "run.html",
        page="runs",
        run=run_detail(row, attempts, now, await runtime.store.events_of_run(run_id) if row.batched else []),
        finished=row.status in FINISHED,
        error=read_error(row.error),
        current_version=current.version if current else None,
        steps=step_rows(shown, step_types(current) if current else {}, now),
        hidden=count_steps(current_attempts) - count_steps(shown),
        earlier=[(number, lines[:MOST_STEPS]) for number, lines in earlier_rounds(attempts, now)],
        decidable=(await list_decidable(runtime, row, attempts))[:MOST_STEPS],
        newer=current is not None and current.version != row.version,
        timeline=picture,
        tokens=count_tokens(attempts),
        reasons=await reasons_of(runtime, row, attempts, now) if row.status in STANDING else [],
        trail=[audit_model(item) for item in trail],
        questions=[] if row.status in FINISHED else await open_questions(runtime, run_id),
    )


@post("/runs/{run_id:str}/cancel", include_in_schema=False)
async def cancel(runtime: WithRuntime, who: Who, run_id: RunId) -> Response[Any]:
    """The cancel button. A run that ended in the meantime is simply shown."""
    try:
        await cancel_run(runtime, run_id, by=who)
    except Conflict:
        runtime.log.info("cancel.late", run_id=str(run_id))
    return Redirect(f"/runs/{run_id}", status_code=303)


@post("/runs/{run_id:str}/retry", include_in_schema=False)
async def retry(runtime: WithRuntime, who: Who, run_id: RunId, data: Form = None) -> Response[Any]:
    """The retry buttons: in the run's own version, or in the newest."""
    await retry_run(runtime, run_id, by=who, latest=(data or {}).get("latest") == "yes")
    return Redirect(f"/runs/{run_id}", status_code=303)


@post("/runs/{run_id:str}/resume", include_in_schema=False)
async def resume(runtime: WithRuntime, who: Who, run_id: RunId, data: Form = None) -> Response[Any]:
    """The form with which a person decides about a step."""
    typed = {name: value for name, value in (data or {}).items() if isinstance(value, str)}
    kind, value = typed.get("kind", ""), None
    if kind not in KINDS:
        raise InvalidParameter("kind", f"is one of {', '.join(KINDS)}")
    if kind in ("input", "output"):
        try:
            value = msgspec.json.decode(typed.get("value", ""))
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            raise InvalidParameter("value", f"is not JSON: {error}") from None
    await resume_run(runtime, run_id, by=who, kind=kind, step=typed.get("step") or None, value=value)
    return Redirect(f"/runs/{run_id}", status_code=303)


@post("/runs/{run_id:str}/migrate", include_in_schema=False)
async def migrate(runtime: WithRuntime, who: Who, run_id: RunId) -> Response[Any]:
    """The button that moves a waiting run to the newest version."""
    await migrate_run(runtime, run_id, by=who)
    return Redirect(f"/runs/{run_id}", status_code=303)


def _bulk(chosen: dict[str, str]) -> list[tuple[str, str]]:
    """What can be done with all runs that are shown: the words of a button, and where it leads."""
    if not any(chosen.values()):
        return []
    actions = []
    for action, words in (("cancel", "Cancel all of these"), ("retry", "Retry all of these")):
        if not chosen["status"] or chosen["status"] in STATUSES[action]:
            actions.append((words, link("/runs/bulk", action=action, **chosen)))
    return actions


def read_filter(
    pipeline: str, status: str, label: str, *, limit: int, cursor: UUID | None = None
) -> tuple[dict[str, str], RunFilter]:
    """What was chosen on the page, and the filter of it. InvalidParameter if one makes no sense."""
    chosen = _chosen(pipeline, status, label)
    wanted = RunFilter(
        pipeline=_clean("pipeline", chosen["pipeline"]),
        status=_status(chosen["status"]),
        labels=read_labels([_clean("label", chosen["label"]) or ""] if chosen["label"] else None),
        cursor=cursor,
        limit=limit,
    )
    return chosen, wanted


def _chosen(pipeline: str, status: str, label: str) -> dict[str, str]:
    return {"pipeline": pipeline[:200], "status": status[:20], "label": label.strip()[:200]}


def _status(name: str) -> RunStatus | None:
    try:
        return msgspec.convert(name, RunStatus) if name else None
    except msgspec.ValidationError:
        raise InvalidParameter("status", f"there is no status {name!r}") from None


def _clean(name: str, text: str) -> str | None:
    if "\x00" in text:
        raise InvalidParameter(name, "must not hold a NUL character")
    return text or None


handlers = [runs_page, run_page, cancel, retry, resume, migrate]
