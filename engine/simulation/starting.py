"""What starts a run, in the order of admission: request, trigger, batch or debounce, inputs, labels, key."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from engine.core.catalog import TriggerKind
from engine.core.duration import format_duration, parse_duration
from engine.core.run import Decision
from engine.pipeline.deployment import Binding
from engine.pipeline.expression import ExpressionError, Template
from engine.pipeline.expression.moments import iso, parse_moment
from engine.pipeline.match import InvalidInputs, match, render_inputs, validate_inputs
from engine.pipeline.spec import Pipeline, Trigger
from engine.simulation.events import make_event
from engine.simulation.requests import Refused, delivery_of, receive
from engine.simulation.setting import Setting
from engine.simulation.triggers import Mistake, bind, default_type, explain, takes_source

NOW = "2026-03-01T09:00:00Z"
MANUAL = "manual"


class Start(msgspec.Struct):
    """What admission came to. outcome: empty if a run starts, else not_triggered or refused."""

    outcome: str = ""
    reason: str = ""
    error: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    trigger: Trigger | None = None
    event: dict[str, Any] | None = None
    events: list[dict[str, Any]] | None = None
    inputs: dict[str, Any] = {}
    labels: dict[str, str] = {}
    key: str | None = None
    after: float = 0.0  # seconds between the test's `now` and the start of the run
    scheduled_at: str | None = None
    notes: list[str] = []
    refused_by: list[str] = []  # triggers whose `if` was false


def admit(setting: Setting) -> Start:
    """Whether the test's event or inputs start a run. Mistake if the test asks for something impossible."""
    start = _begin(setting)
    if start.outcome:
        return start
    pipeline, data = setting.pipeline, setting.data
    given = data.get("inputs") or {}
    try:
        start.inputs = validate_inputs(pipeline, {**start.inputs, **given} if given else start.inputs)
    except InvalidInputs as error:
        return _refuse("invalid_input", str(error), 400)
    scope = _admission_scope(setting, start)
    _label(pipeline, start, scope)
    limit = pipeline.concurrency if pipeline.concurrency and pipeline.concurrency.key else pipeline.rate_limit
    if limit is not None and limit.key is not None:
        try:
            start.key = _text(limit.key, scope)
        except ExpressionError as error:
            start.notes.append(f"the key of concurrency or rate_limit cannot be evaluated: {error}")
    return start


def _begin(setting: Setting) -> Start:
    data = setting.data
    if "raw" in data:
        return _from_request(setting)
    if "events" in data or "event" in data:
        given = data["events"] if "events" in data else [data["event"]]
        return _from_events(setting, given)
    wanted = data.get("trigger")
    if wanted is None:
        return Start(scheduled_at=data.get("scheduled_at"), inputs={})
    binding = _bindings(setting)[0]
    if binding.type.kind is not TriggerKind.SCHEDULE:
        return _from_events(setting, [{}])
    scheduled = data.get("scheduled_at") or iso(setting.now)
    scope = {"env": setting.env, "run": {"started_at": iso(setting.now), "scheduled_at": scheduled}}
    decision, inputs = match(binding, binding.type.name, scope)
    if inputs is None:
        return _not_triggered([decision])
    return Start(trigger=binding.trigger, inputs=_without_defaults(binding, scope), scheduled_at=scheduled)


def _from_request(setting: Setting) -> Start:
    try:
        binding, event, answer = receive(setting, _bindings(setting, webhooks=True))
    except Refused as refusal:
        return _refuse(refusal.type, str(refusal), refusal.status)
    if answer is not None:
        return Start("not_triggered", "the request is answered at once: a sender's check of the address", None, answer)
    return _from_events(setting, [event], only=binding)


def _from_events(setting: Setting, given: list[dict[str, Any]], *, only: Binding | None = None) -> Start:
    bindings = [only] if only is not None else _bindings(setting)
    if not bindings:
        raise Mistake("the pipeline has no trigger that could take an event; give `inputs`")
    decisions: list[Decision] = []
    for binding in bindings:
        taken: list[tuple[float, dict[str, Any]]] = []
        no: list[Decision] = []
        for number, item in enumerate(given, 1):
            after = parse_duration(item["after"]) if "after" in item else 0.0
            event, decision = _match(setting, binding, item, number, after)
            if decision.matched:
                taken.append((after, event))
            else:
                no.append(decision)
        decisions += no
        if taken:
            start = _collect(setting, binding, taken)
            start.notes += [explain(decision) for decision in no if decision.reason.endswith("error")]
            return start
    return _not_triggered(decisions)


def _match(
    setting: Setting, binding: Binding, item: dict[str, Any], number: int, after: float
) -> tuple[dict[str, Any], Decision]:
    at = setting.now + timedelta(seconds=after)
    kind = str(item.get("type") or _type_of(binding, item, at))
    event = make_event(item, number=number, at=at, source=binding.type.source or "test", type=kind)
    source = str(event["source"])
    if not takes_source(binding, source):
        detail = {"source": source, "wanted": binding.type.source or binding.type.name}
        return event, Decision(setting.pipeline.id, binding.trigger.id, matched=False, reason="source", detail=detail)
    scope = {"env": setting.env, "event": event, "run": {"started_at": iso(at)}}
    return event, match(binding, kind, scope)[0]


def _type_of(binding: Binding, item: dict[str, Any], at: datetime) -> str:
    """The type that the trigger would read off the headers; without headers the first it wants."""
    if binding.type.webhook is not None and item.get("headers"):
        try:
            found = binding.type.webhook.event_type(delivery_of(item, at), binding.config)
        except Exception:  # noqa: BLE001 - a plugin that stumbles over half an event
            found = ""
        if found:
            return found
    return default_type(binding)


def _collect(setting: Setting, binding: Binding, taken: list[tuple[float, dict[str, Any]]]) -> Start:
    """One run from what matched: a batch, the last of a burst, or the only event."""
    trigger = binding.trigger
    taken = _without_repeats(setting, trigger, sorted(taken, key=lambda pair: pair[0]))
    if trigger.batch is not None:
        fired, count = _batch(setting, trigger, taken)
        events = [event for _, event in taken[:count]]
        return _with_inputs(setting, binding, Start(trigger=trigger, events=events, after=fired), {"events": events})
    if trigger.debounce is not None:
        fired = _debounce(setting, trigger, taken)
        event = taken[-1][1]
    elif len(taken) == 1:
        fired, event = taken[0]
    else:
        raise Mistake(
            f"`events` start {len(taken)} runs: trigger `{trigger.id}` has neither `batch` nor `debounce`; "
            "a test describes one run"
        )
    return _with_inputs(setting, binding, Start(trigger=trigger, event=event, after=fired), {"event": event})


def _with_inputs(setting: Setting, binding: Binding, start: Start, roots: dict[str, Any]) -> Start:
    """The same with the inputs that the trigger gives; a burst or batch gets them only now."""
    moment = setting.now + timedelta(seconds=start.after)
    scope = {"env": setting.env, "run": {"started_at": iso(moment)}, **roots}
    if "inputs" not in setting.data:
        inputs = render_inputs(setting.pipeline, binding.trigger, scope)
        if isinstance(inputs, Decision):
            return _not_triggered([inputs])
    start.inputs = _without_defaults(binding, scope)
    return start


def _batch(setting: Setting, trigger: Trigger, taken: list[tuple[float, dict[str, Any]]]) -> tuple[float, int]:
    """When the batch is complete, and how many events are in it."""
    batch = trigger.batch
    assert batch is not None
    _one_key(setting, batch.key, taken, "batch")
    first = taken[0][0]
    full = taken[batch.max_size - 1][0] if batch.max_size is not None and len(taken) >= batch.max_size else None
    late = first + batch.max_wait if batch.max_wait is not None else None
    moments = [moment for moment in (full, late) if moment is not None]
    if not moments:
        raise Mistake(f"the batch is never complete: `max_size` is {batch.max_size} and it has no `max_wait`")
    fired = min(moments)
    count = sum(at <= fired for at, _ in taken)
    count = min(count, batch.max_size) if batch.max_size is not None else count
    if count < len(taken):
        raise Mistake(f"these events start 2 runs: the first batch is complete after {format_duration(fired)}")
    return fired, count


def _debounce(setting: Setting, trigger: Trigger, taken: list[tuple[float, dict[str, Any]]]) -> float:
    """When it has been quiet long enough."""
    debounce = trigger.debounce
    assert debounce is not None
    _one_key(setting, debounce.key, taken, "debounce")
    latest = taken[0][0] + debounce.max_wait if debounce.max_wait is not None else None
    due = 0.0
    for index, (at, _) in enumerate(taken):
        if index and at > due:
            raise Mistake(f"these events start 2 runs: the first after {format_duration(due)}, when it has been quiet")
        due = at + debounce.period if latest is None else min(at + debounce.period, latest)
    return due


def _one_key(setting: Setting, key: Template | None, taken: list[tuple[float, dict[str, Any]]], what: str) -> None:
    if key is None:
        return
    keys: set[str] = set()
    for _, event in taken:
        try:
            keys.add(_text(key, {"env": setting.env, "event": event}))
        except ExpressionError as error:
            raise Mistake(f"`{what}.key` cannot be evaluated: {error}") from None
    if len(keys) > 1:
        raise Mistake(f"these events start {len(keys)} runs: the keys of `{what}` are {', '.join(sorted(keys))}")


def _without_repeats(
    setting: Setting, trigger: Trigger, taken: list[tuple[float, dict[str, Any]]]
) -> list[tuple[float, dict[str, Any]]]:
    """Events whose `dedup` key came before within its window are dropped, as in production."""
    if trigger.dedup is None or trigger.dedup.key is None:
        return taken
    seen: dict[str, float] = {}
    kept = []
    for at, event in taken:
        try:
            key = _text(trigger.dedup.key, {"env": setting.env, "event": event})
        except ExpressionError as error:
            raise Mistake(f"`dedup` cannot be evaluated: {error}") from None
        if key not in seen or at - seen[key] >= trigger.dedup.window:
            seen[key] = at
            kept.append((at, event))
    return kept


def _without_defaults(binding: Binding, scope: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that the trigger gives; those of the test may replace some before they are checked."""
    return {name: template.render(scope) for name, template in binding.trigger.inputs.items()}


def _bindings(setting: Setting, *, webhooks: bool = False) -> list[Binding]:
    wanted = setting.data.get("trigger")
    found = [
        bind(setting.pipeline, trigger, setting.catalog, env=setting.env, secrets=setting.secret)
        for trigger in setting.pipeline.triggers
        if wanted is None or trigger.id == wanted
    ]
    if wanted is not None and not found:
        raise Mistake(f"the pipeline has no trigger `{wanted}`")
    if wanted is not None and not webhooks:
        return found
    kinds = (TriggerKind.WEBHOOK,) if webhooks else (TriggerKind.WEBHOOK, TriggerKind.EVENT)
    return [binding for binding in found if binding.type.kind in kinds]


def _label(pipeline: Pipeline, start: Start, scope: Mapping[str, Any]) -> None:
    """Labels as production makes them: one that cannot be rendered is left out, and noted."""
    for name, template in pipeline.labels.items():
        try:
            start.labels[name] = _text(template, scope)
        except ExpressionError as error:
            start.notes.append(f"the label `{name}` is left out: {error}")


def _admission_scope(setting: Setting, start: Start) -> dict[str, Any]:
    started = iso(setting.now + timedelta(seconds=start.after))
    scope: dict[str, Any] = {
        "env": setting.env,
        "inputs": start.inputs,
        "run": {"started_at": started, "scheduled_at": start.scheduled_at, "pipeline": setting.pipeline.id},
    }
    if start.event is not None:
        scope["event"] = start.event
    if start.events is not None:
        scope["events"] = start.events
    return scope


def _text(template: Template, scope: Mapping[str, Any]) -> str:
    value = template.render(scope)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _not_triggered(decisions: list[Decision]) -> Start:
    """Nobody took it. A trigger that could not be decided is told as an error."""
    reason = "; ".join(dict.fromkeys(explain(decision) for decision in decisions))
    for decision in decisions:
        if decision.reason in ("condition_error", "invalid_inputs"):
            error = {"type": decision.reason, "message": str(decision.detail.get("error", ""))}
            return Start("not_triggered", reason, error)
    by = [decision.trigger for decision in decisions if decision.reason == "condition_false"]
    return Start("not_triggered", reason, refused_by=by)


def _refuse(type_: str, message: str, status: int) -> Start:
    body = {"status": status, "detail": message}
    response = {"status": status, "headers": {"content-type": "application/problem+json"}, "body": body}
    return Start("refused", message, {"type": type_, "message": message}, response)


def read_now(data: Mapping[str, Any]) -> datetime:
    """The test's clock at its beginning."""
    return parse_moment(data.get("now", NOW))
