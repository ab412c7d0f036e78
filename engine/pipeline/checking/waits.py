"""`wait:` of a step: a time, events or an approval."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from engine.pipeline.checking.events import shape_of_incoming
from engine.pipeline.checking.expressions import Desk, compile_condition, compile_value
from engine.pipeline.checking.inputs import read_inputs
from engine.pipeline.checking.keys import check_keys, is_section
from engine.pipeline.checking.values import describe, need_duration, need_list, need_text, need_word
from engine.pipeline.expression import Template
from engine.pipeline.expression.template import has_expression
from engine.pipeline.grammar.steps import APPROVAL, WAIT, WAIT_EVENT
from engine.pipeline.inference.names import EVENT, Names
from engine.pipeline.inference.shapes import is_whole, of_schema
from engine.pipeline.inference.types import BOOLEAN, NULL, STRING, Shape, nullable, object_of
from engine.pipeline.marks import Path
from engine.pipeline.spec import Approval, Step, Wait, WaitEvent

KINDS = ("for", "until", "events", "approval")
FITTING = {  # what goes with each
    "for": frozenset[str](),
    "until": frozenset[str](),
    "events": frozenset({"timeout", "on_timeout", "since"}),
    "approval": frozenset({"timeout", "on_timeout", "on_reject"}),
}
LINKS = object_of(dict.fromkeys(("approve_url", "reject_url", "url"), STRING))
HINT = "as in `wait: 30m`, or a map with one of `for`, `until`, `events`, `approval`"

Notify = Callable[[Path, Any, Names], tuple[Step, ...]]


def read_wait(desk: Desk, path: Path, value: Any, names: Names, notify: Notify) -> tuple[Wait | None, Shape]:
    """The wait, and what is known of its result. notify: reads the steps of an approval."""
    source = desk.source
    if not isinstance(value, dict):
        return Wait(for_=_duration(desk, path, value, names)), _ended(NULL)
    check_keys(source, path, value, WAIT)
    found = [key for key in value if key in KINDS]
    if not found:
        source.error("E104", path, "`wait` does not say what it waits for", HINT, key=True)
        return None, None
    for other in found[1:]:
        message = f"a wait is for one thing: `{found[0]}` and `{other}` exclude each other"
        source.error("E141", (*path, other), message, "make two steps of it", key=True)
    kind = found[0]
    _check_fitting(desk, path, value, kind)
    made: dict[str, Any] = {}
    if kind == "for":
        made["for_"] = _duration(desk, (*path, "for"), value["for"], names)
    elif kind == "until":
        made["until"] = _time(desk, (*path, "until"), value["until"], names)
    elif kind == "events":
        made["events"] = _events(desk, (*path, "events"), value["events"], names)
    elif kind == "approval":
        made["approval"] = _approval(desk, (*path, "approval"), value["approval"], names, notify)
    if "timeout" in value:
        made["timeout"] = _duration(desk, (*path, "timeout"), value["timeout"], names)
    for name in ("on_timeout", "on_reject", "since"):
        if name in value:
            words = WAIT.keys[name].words
            made[name] = need_word(source, (*path, name), value[name], f"`{name}`", words) or words[0]
    wait = Wait(**made)
    if wait.approval is not None:
        return wait, _decided(wait.approval)
    return wait, _ended(nullable(object_of(EVENT)) if kind == "events" else NULL)


def _check_fitting(desk: Desk, path: Path, value: dict[str, Any], kind: str) -> None:
    source = desk.source
    for key in value:
        if key in WAIT.keys and key not in KINDS and key not in FITTING[kind]:
            fitting = " and ".join(f"`{name}`" for name in KINDS if key in FITTING[name])
            source.error(
                "E142", (*path, key), f"`{key}` does not go with `{kind}`", f"it goes with {fitting}", key=True
            )
    if kind in ("events", "approval") and "timeout" not in value:
        hint = "add `timeout: 3d`; and `on_timeout: continue`, if silence is not a failure"
        source.warning("W306", path, "without a `timeout` this waits until the run's time is over", hint, key=True)


def _duration(desk: Desk, path: Path, value: Any, names: Names) -> Template:
    """A duration that is written out, or an expression that yields one."""
    if isinstance(value, str) and has_expression(value):
        return compile_value(desk, path, value, names)
    need_duration(desk.source, path, value, f"`{path[-1]}`")
    return compile_value(desk, path, value if isinstance(value, str) else "1s", names)


def _time(desk: Desk, path: Path, value: Any, names: Names) -> Template:
    if isinstance(value, str) and has_expression(value):
        return compile_value(desk, path, value, names)
    try:
        zone = datetime.fromisoformat(value).tzinfo if isinstance(value, str) else None
    except ValueError:
        zone = None
    if zone is None:
        hint = "as in 2026-03-01T09:00:00Z, with a time zone; `for:` takes a duration"
        desk.source.error("E103", path, "`until` must be a time", hint)
    return compile_value(desk, path, value, names)


def _events(desk: Desk, path: Path, value: Any, names: Names) -> tuple[WaitEvent, ...]:
    source = desk.source
    items = need_list(source, path, value, "`events`")
    if isinstance(value, list) and not value:
        source.error("E104", path, "`events` is empty", "as in `events: [{source: stripe, type: invoice.paid}]`")
    return tuple(_event(desk, (*path, index), item, names) for index, item in enumerate(items))


def _event(desk: Desk, path: Path, item: Any, names: Names) -> WaitEvent:
    source = desk.source
    hint = "as in `{source: stripe, type: invoice.paid}`"
    if not isinstance(item, dict):
        source.error("E103", path, f"an event of `wait` must be a map, this is {describe(item)}", hint)
        return WaitEvent()
    check_keys(source, path, item, WAIT_EVENT)
    found: dict[str, Any] = {
        name: need_text(source, (*path, name), item[name], f"`{name}`") for name in ("source", "type") if name in item
    }
    if "if" in item:
        incoming = shape_of_incoming(item.get("source"), item.get("type"), desk.catalog, desk.recorded)
        known = names.adding(locals={**names.locals, "incoming": incoming})
        found["condition"] = compile_condition(desk, (*path, "if"), item["if"], known)
    elif found:
        hint = "compare it with something of this run, as in `if: incoming.body.order == inputs.order`"
        source.warning("W307", path, "any event like this ends the wait, also one that belongs to another run", hint)
    else:
        source.error("E104", path, "an event of `wait` needs `source`, `type` or `if`", hint)
    return WaitEvent(**found)


def _approval(desk: Desk, path: Path, value: Any, names: Names, notify: Notify) -> Approval | None:
    source = desk.source
    hint = "as in `approval: {prompt: Pay it?}`"
    if not is_section(source, path, value, APPROVAL, hint):
        return None
    if "prompt" not in value:
        source.error("E104", path, "`approval` needs `prompt`", hint, key=True)
    prompt = value.get("prompt", "")
    if not isinstance(prompt, str):
        source.error("E103", (*path, "prompt"), f"`prompt` must be a text, this is {describe(prompt)}")
    steps: tuple[Step, ...] = ()
    if "notify" in value:
        known = names.adding(locals={**names.locals, "approval": LINKS})
        steps = notify((*path, "notify"), value["notify"], known)
    return Approval(
        prompt=compile_value(desk, (*path, "prompt"), prompt, names),
        approvers=_people(desk, (*path, "approvers"), value["approvers"], names) if "approvers" in value else None,
        exclude=_people(desk, (*path, "exclude"), value["exclude"], names) if "exclude" in value else None,
        form=read_inputs(source, value.get("form"), (*path, "form")),
        notify=steps,
    )


def _people(desk: Desk, path: Path, value: Any, names: Names) -> Template:
    """A list of users and groups, or an expression that yields one."""
    hint = "as in `[group:finance]`"
    if isinstance(value, list):
        for index, item in enumerate(value):
            if not isinstance(item, str):
                message = f"a user or group must be a text, this is {describe(item)}"
                desk.source.error("E103", (*path, index), message, hint)
    elif not is_whole(value):
        desk.source.error("E103", path, f"`{path[-1]}` must be a list, this is {describe(value)}", hint)
    return compile_value(desk, path, value, names)


def _ended(event: Shape) -> Shape:
    return object_of({"timed_out": BOOLEAN, "event": event})


def _decided(approval: Approval) -> Shape:
    form = {name: of_schema(item.schema) for name, item in approval.form.items()}
    known = {"by": nullable(STRING), "at": nullable(STRING), "form": nullable(object_of(form))}
    return object_of({"approved": BOOLEAN, **known, "timed_out": BOOLEAN})
