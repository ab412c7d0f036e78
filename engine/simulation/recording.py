"""A test file from a real run: its event, what its steps answered, and what came of it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec

from engine.core.catalog import Catalog, Effect, TriggerKind
from engine.core.event import parse_body
from engine.pipeline.expression.moments import iso
from engine.pipeline.spec import Pipeline
from engine.simulation.environment import REAL
from engine.simulation.keys import Found, Keys
from engine.simulation.masking import Masks
from engine.simulation.writing import write

Get = Callable[[str], Any]
OWN_ERRORS = frozenset({"expression", "invalid_input", "secret", "unknown_step"})  # they come again by themselves
KEPT_HEADERS = ("content-type", "x-", "webhook-", "stripe-", "ce-")  # beginnings of names that pipelines read
HEAD = "# Recorded from run {run}. Addresses, tokens and secrets are masked; read it before you keep it.\n"


def record_run(
    get: Get, body: Callable[[str], bytes], run_id: str, pipelines: Mapping[str, Pipeline], catalog: Catalog
) -> str:
    """The text of a test file. get: the decoded answer of the API below /api/v1; body: the bytes of an answer."""
    run = get(f"/runs/{quote(run_id, safe='')}")
    pipeline = pipelines.get(run["pipeline"])
    masks = Masks()
    case: dict[str, Any] = {"name": f"recorded from run {run['id']}"}
    began = run["started_at"] or run["created_at"]
    case["now"] = _moment(began)
    if run["event_id"] is not None:
        event = get(f"/events/{quote(run['event_id'], safe='')}")
        case |= _started_by(run, pipeline, catalog)
        case["event"] = _event(event, body(f"/events/{quote(run['event_id'], safe='')}/body"))
    else:
        case |= _started_by(run, pipeline, catalog)
        if run["inputs"]:
            case["inputs"] = run["inputs"]
    counting = [item for item in run["attempts"] if item.get("superseded") is None]
    attempts = [item for item in counting if item["status"] not in ("running", "interrupted")]
    keys = Keys(pipeline) if pipeline is not None else None
    case |= _answers(attempts, keys, catalog, began)
    case["expect"] = _expectations(run, attempts, keys)
    kept = {key: value for key, value in case.items() if value not in ({}, [])}
    return HEAD.format(run=run["id"]) + write({"pipeline": run["pipeline"], "tests": [masks.mask(kept)]})


def _started_by(run: Mapping[str, Any], pipeline: Pipeline | None, catalog: Catalog) -> dict[str, Any]:
    """`trigger`, where the event alone does not say it."""
    triggers = pipeline.triggers if pipeline is not None else ()
    found = next((trigger for trigger in triggers if trigger.id == run["trigger"]), None)
    type_ = catalog.triggers.get(found.uses) if found is not None else None
    if type_ is not None and type_.kind is TriggerKind.SCHEDULE:
        when = {"scheduled_at": _moment(run["scheduled_at"])} if run.get("scheduled_at") else {}
        return {"trigger": run["trigger"], **when}
    return {"trigger": run["trigger"]} if found is not None and len(triggers) > 1 else {}


def _event(event: Mapping[str, Any], content: bytes) -> dict[str, Any]:
    headers = {name: value for name, value in event["headers"].items() if name.startswith(KEPT_HEADERS)}
    found = {
        "id": event["id"],
        "source": event["source"],
        "type": event["type"],
        "time": _moment(event["received_at"]),
        "headers": headers,
        "query": dict(parse_qsl(event["query"])),
        "path_params": event["path_params"],
        "body": parse_body(event["headers"].get("content-type", ""), content),
    }
    return {key: value for key, value in found.items() if value not in ({}, "")}


def _answers(attempts: list[dict[str, Any]], keys: Keys | None, catalog: Catalog, began: str) -> dict[str, Any]:
    """Mocks of what had effects, decisions of approvals, and the events that ended waits."""
    mocks: dict[str, list[dict[str, Any]]] = {}
    approvals: dict[str, list[dict[str, Any]]] = {}
    timeline: list[dict[str, Any]] = []
    for attempt in sorted(attempts, key=lambda item: (item["started_at"] or "", item["number"])):
        found = keys.find(attempt["step"]) if keys is not None else None
        if found is None:
            if keys is None and attempt["status"] != "skipped":
                _add(mocks, attempt["step"], recorded_mock(attempt, None))
            continue
        step = found.place.step
        if attempt["status"] == "skipped" or (step.for_each is not None and not found.item):
            continue
        if step.shape == "wait":
            recorded_wait(found, attempt, began, approvals, timeline)
        elif step.shape == "action" and step.uses not in REAL and has_effect(catalog, step.uses):
            _add(mocks, step.id or step.uses, recorded_mock(attempt, found))
    return {
        "mocks": {name: items[0] if len(items) == 1 else items for name, items in mocks.items()},
        "approvals": {name: items[0] if len(items) == 1 else items for name, items in approvals.items()},
        "timeline": timeline,
    }


def recorded_mock(attempt: Mapping[str, Any], found: Found | None) -> dict[str, Any] | None:
    """What the step type answered, or what the step kept of it; None: the engine refused before it was asked."""
    if attempt["status"] in ("failed", "timed_out"):
        error = attempt["error"] or {}
        if error.get("type") in OWN_ERRORS:
            return None
        plain = {key: error[key] for key in ("type", "message", "data") if error.get(key) is not None}
        return {"error": {**plain, "retryable": attempt["due_at"] is not None}}
    step = found.place.step if found is not None else None
    raw = step is not None and (step.output is None or step.repeat is not None)
    return {"output" if raw else "kept": attempt["output"]}


def recorded_wait(
    found: Found,
    attempt: Mapping[str, Any],
    began: str,
    approvals: dict[str, list[dict[str, Any]]],
    timeline: list[dict[str, Any]],
) -> None:
    output = attempt["output"] or {}
    wait = found.place.step.wait
    if wait is not None and wait.approval is not None and output.get("by"):
        decided = {"approved": output["approved"], "by": output["by"], "form": output.get("form") or {}}
        after = _after(attempt["started_at"], output.get("at") or attempt["finished_at"])
        approvals.setdefault(found.name, []).append({**decided, "after": after})
    event = output.get("event")
    if event:
        kept = {key: event[key] for key in ("source", "type", "body") if key in event}
        timeline.append({"after": _after(began, event.get("time") or attempt["finished_at"]), **kept})


def _expectations(run: Mapping[str, Any], attempts: list[dict[str, Any]], keys: Keys | None) -> dict[str, Any]:
    expect: dict[str, Any] = {"outcome": run["status"]}
    if run["error"]:
        expect["error"] = {key: run["error"][key] for key in ("type", "step") if run["error"].get(key)}
    if run["message"]:
        expect["message"] = run["message"]
    ran: dict[str, None] = {}
    for attempt in sorted(attempts, key=lambda item: (item["started_at"] or "", item["number"])):
        found = keys.find(attempt["step"]) if keys is not None else None
        if (
            found is not None
            and attempt["status"] != "skipped"
            and found.place.step.shape in ("action", "call", "wait")
        ):
            ran[found.name] = None
    if ran:
        expect["ran"] = list(ran)
    if run["outputs"]:
        expect["outputs"] = run["outputs"]
    return expect


def has_effect(catalog: Catalog, uses: str) -> bool:
    type_ = catalog.steps.get(uses)
    return type_ is None or type_.effect is not Effect.PURE


def _add(mocks: dict[str, list[dict[str, Any]]], name: str, mock: dict[str, Any] | None) -> None:
    if mock is not None:
        mocks.setdefault(name, []).append(mock)


def _moment(text: str) -> str:
    return iso(msgspec.convert(text, datetime))


def _after(start: str, end: str) -> str:
    seconds = (msgspec.convert(end, datetime) - msgspec.convert(start, datetime)).total_seconds()
    return f"{max(seconds, 0):.3f}".rstrip("0").rstrip(".") + "s"
