"""Resume a run with what a person decides about one of its steps: other inputs, an output, or that it is skipped."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from engine.core.outcome import Failed
from engine.core.run import ErrorInfo, RunStatus
from engine.errors import BadRequest, Conflict, HookwrightError
from engine.flow import audit
from engine.flow.deploy import load_pipeline
from engine.flow.execute import read_config
from engine.flow.execution import Call, Done
from engine.flow.fitting import check_output
from engine.flow.reopen import Given, asks, open_places, plan_decision, plan_retry
from engine.flow.retry_run import ENDED_BADLY, Reopened, find_run, load_run, reopen, ring_changed
from engine.flow.stored import Place
from engine.pipeline.expression import from_stored
from engine.pipeline.match import validate_inputs
from engine.runtime import Runtime
from engine.store import Course, NewAudit, RunRow, StoredAttempt

MOST_SHOWN = 10_000  # bytes of a value that the audit keeps
LEAVES = ("action", "wait")
KINDS = ("input", "output", "skip", "retry")


async def resume_run(
    runtime: Runtime, run_id: UUID, *, by: str, kind: str, step: str | None = None, value: Any = None
) -> Reopened:
    """Let a failed, cancelled or waiting run go on with a decision about a step.

    kind: `input` (value is its `with`, as the step type wants it), `output` (value takes the place of what it would
    have returned), `skip`, or `retry` (all its attempts anew). step: its key or id; None if there is only one.
    NotFound; Conflict if the run is at work or has succeeded, or the step is not to be decided; BadRequest if the value
    does not fit.
    """
    run = await find_run(runtime, run_id)
    if run.status == RunStatus.SUCCEEDED:
        raise Conflict(f"run {run_id} has succeeded: there is nothing to decide")
    if kind not in KINDS:
        raise BadRequest(f"a decision is one of {', '.join(KINDS)}")
    if run.status == RunStatus.RUNNING:
        raise Conflict(f"run {run_id} is at work: wait until it has failed or waits, or cancel it")
    pipeline, attempts = await load_run(runtime, run)
    now, note = datetime.now(UTC), f"resumed by {by}"
    ended = run.status in ENDED_BADLY
    error = msgspec.json.decode(run.error, type=ErrorInfo) if ended and run.error is not None else None
    if ended:
        known = plan_retry(pipeline, attempts, error=error, now=now, note=note).places
    else:
        begun = open_places(pipeline, attempts)
        known = {key: place for key, place in begun.items() if _can_be_decided(place)}
    place = _choose(known, step, ended=ended)
    given = Given(kind, _check(runtime, place, kind, value))
    trace = NewAudit(by=by, action="run.resume", target=run.pipeline, run_id=run_id, detail=_detail(place.key, given))
    if ended:
        plan = plan_retry(pipeline, attempts, error=error, now=now, note=note, decided={place.key: given})
        return await reopen(runtime, run, pipeline, plan, trace)
    plan = plan_decision(attempts, place, given, now=now, note=note)
    course = Course(
        run_id=run_id,
        turn=run.turn,
        rounds=run.rounds,
        audit=trace,
        superseded=plan.superseded,
        written=plan.written,
    )
    number = await runtime.store.change_run(course)
    if number is None:
        raise Conflict(f"run {run_id} changed just now: look at it and try again")
    ring_changed(runtime, run)
    audit.log(runtime, trace)
    return Reopened(run_id, number, run.version, plan.goes_on)


async def list_decidable(runtime: Runtime, run: RunRow, attempts: list[StoredAttempt]) -> list[str]:
    """The keys of the steps about which a person can decide now; none if its version cannot be loaded."""
    if run.status not in (*ENDED_BADLY, RunStatus.WAITING):
        return []
    try:
        pipeline = await load_pipeline(runtime, run.version)
    except HookwrightError:
        return []
    if run.status == RunStatus.WAITING:
        return [key for key, place in open_places(pipeline, attempts).items() if _can_be_decided(place)]
    error = msgspec.json.decode(run.error, type=ErrorInfo) if run.error is not None else None
    return list(plan_retry(pipeline, attempts, error=error, now=datetime.now(UTC), note="").places)


def _can_be_decided(place: Place) -> bool:
    """Whether it is a step of its own, and not one that holds others that are under way."""
    return place.step.shape in LEAVES and (place.step.for_each is None or place.item)


def _choose(known: Mapping[str, Place], step: str | None, *, ended: bool) -> Place:
    """The place that is meant, by its key or, if that is clear, by the step's id."""
    leaves = {key: place for key, place in known.items() if place.step.shape in LEAVES or len(known) == 1}
    if step is None:
        if len(leaves) == 1:
            return next(iter(leaves.values()))
        raise BadRequest(f"name the step: {_names(known)}")
    if step in known:
        return known[step]
    found = [place for place in known.values() if place.step.id == step]
    if len(found) == 1:
        return found[0]
    state = "failed at" if ended else "stands at"
    what = "names several places" if found else "is none of them"
    raise Conflict(f"the run {state} {_names(known)}; `{step}` {what}")


def _names(known: Mapping[str, Place]) -> str:
    shown = [f"`{key}`" for key in list(known)[:10]]
    more = f" and {len(known) - 10} more" if len(known) > 10 else ""
    return (", ".join(shown) + more) or "no step"


def _check(runtime: Runtime, place: Place, kind: str, value: Any) -> bytes:
    """The value as it is stored. BadRequest if the step cannot take it."""
    step, name = place.step, place.step.id or place.key
    if asks(step) and kind in ("output", "skip"):
        raise BadRequest(f"step `{name}` asks people: they decide; `retry` asks them again")
    if kind == "input":
        if step.shape not in ("action", "call") or (step.for_each is not None and not place.item):
            raise BadRequest(f"step `{name}` has no inputs of its own: give an output, or skip it")
        if step.shape == "call":
            callee = place.pipeline.called.get(step.pipeline or "")
            value = validate_inputs(callee, value) if callee is not None and isinstance(value, dict) else value
        else:
            _check_config(runtime, place, value)
        return runtime.secrets.redact(msgspec.json.encode(value))
    if kind == "output":
        if (unfit := check_output(value)) is not None:
            raise BadRequest(unfit[1])
        if step.for_each is not None and not place.item and not isinstance(value, list):
            raise BadRequest(f"the output of the loop `{name}` is a list")
        return runtime.secrets.redact(msgspec.json.encode(value))
    return b"null"


def _check_config(runtime: Runtime, place: Place, value: Any) -> None:
    """BadRequest if the step type does not take this as its `with`."""
    step = place.step
    type_ = runtime.catalog.steps.get(step.uses)
    if type_ is None:
        raise BadRequest(f"step type `{step.uses}` is not installed")
    rendered = from_stored(value) if step.with_.secrets else value

    def lookup(name: str) -> str | None:
        return runtime.secrets.get(name) if name in step.with_.secrets else None

    call = Call(step, place.key, type_, rendered, b"", "")
    config = read_config(call, lookup, attempt=1)
    if isinstance(config, Done) and isinstance(config.outcome, Failed):
        raise BadRequest(config.outcome.error.message)


def _detail(key: str, given: Given) -> dict[str, Any]:
    detail: dict[str, Any] = {"step": key, "decision": given.kind}
    if given.kind in ("input", "output"):
        size = len(given.value)
        detail["value"] = msgspec.json.decode(given.value) if size <= MOST_SHOWN else f"{size:,} bytes"
    return detail
