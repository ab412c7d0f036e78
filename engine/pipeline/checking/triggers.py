"""`triggers:` of a pipeline."""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.core.catalog import TriggerKind, TriggerType
from engine.pipeline.checking.admission import read_batch, read_debounce, read_dedup
from engine.pipeline.checking.config import ConfigCheck
from engine.pipeline.checking.events import shape_of_event
from engine.pipeline.checking.expressions import Desk, compile_condition, compile_value, shape_at
from engine.pipeline.checking.inputs import check_given
from engine.pipeline.checking.keys import check_keys
from engine.pipeline.checking.respond import Course, read_respond
from engine.pipeline.checking.values import (
    NAME,
    TRIGGER_ID,
    describe,
    need_id,
    need_list,
    need_map,
    need_text,
)
from engine.pipeline.defaults import merge
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.expression.template import has_expression
from engine.pipeline.grammar.pipeline import TRIGGER
from engine.pipeline.inference.names import EVENT, Names
from engine.pipeline.inference.shapes import Shape
from engine.pipeline.inference.types import any_of, list_of
from engine.pipeline.inputs import make_input
from engine.pipeline.marks import Path
from engine.pipeline.spec import Input, Position, Trigger

BATCHED = "a run of this pipeline has `events`, a list: its trigger has a `batch`"
MIXED = "only some triggers of this pipeline have a `batch`; hand over what you need as `inputs`"
SINGLE = "no trigger of this pipeline has a `batch`"


class Found(msgspec.Struct, frozen=True):
    """One trigger of the file with the defaults of the project: its place, data and type. type None: unknown."""

    path: Path
    item: dict[str, Any]
    type: TriggerType | None
    event: Shape = None  # what it delivers; None: what every event has

    @property
    def delivers(self) -> bool:
        """Whether its runs have an event; those of an unknown type might."""
        return self.type is None or self.type.kind is not TriggerKind.SCHEDULE

    @property
    def batched(self) -> bool:
        """Whether its runs have `events`."""
        return "batch" in self.item


def find_triggers(desk: Desk, value: Any) -> list[Found]:
    """All triggers that are maps; the others are noted."""
    found: list[Found] = []
    for index, item in enumerate(need_list(desk.source, ("triggers",), value, "`triggers`")):
        path: Path = ("triggers", index)
        if not isinstance(item, dict):
            desk.source.error("E103", path, f"a trigger must be a map, this is {describe(item)}", "begin with `uses:`")
            continue
        uses = item.get("uses")
        type_ = desk.catalog.triggers.get(uses) if isinstance(uses, str) else None
        if type_ is not None:
            fields = {field.encode_name for field in msgspec.structs.fields(type_.config)}
            for entry in desk.defaults.matching(type_.name):
                if entry.project:
                    item = merge(entry, item, desk.source, path, keys=("with",), fields=fields)
        found.append(Found(path, item, type_, shape_of_event(type_, item.get("with"), desk.recorded)))
    return found


def event_names(found: Sequence[Found], names: Names) -> Names:
    """The names with `event` or `events`, whichever the runs of these triggers have."""
    delivering = [item for item in found if item.delivers]
    batched = [item for item in delivering if item.batched]
    shape = _shape(delivering)
    if not batched:
        local = {**names.locals, "event": shape} if shape is not None else names.locals
        absent = {**names.absent, "events": SINGLE}
        return msgspec.structs.replace(names, event=bool(delivering), absent=absent, locals=local)
    if len(batched) == len(delivering):
        locals_ = {**names.locals, "events": list_of(EVENT if shape is None else shape)}
        return msgspec.structs.replace(names, absent={**names.absent, "event": BATCHED}, locals=locals_)
    return msgspec.structs.replace(names, absent={**names.absent, "event": MIXED, "events": MIXED})


def read_triggers(desk: Desk, found: Sequence[Found], inputs: dict[str, Input]) -> tuple[Trigger, ...]:
    """The triggers that could be read, without their answers."""
    taken: set[str] = set()
    triggers = [_read(desk, item, inputs, taken) for item in found]
    return tuple(trigger for trigger in triggers if trigger is not None)


def read_answers(
    desk: Desk, found: Sequence[Found], triggers: tuple[Trigger, ...], course: Course
) -> tuple[Trigger, ...]:
    """The triggers with their answers, which may use what the steps have done."""
    items = {_position(desk, item.path): item for item in found if "respond" in item.item}
    return tuple(
        _answered(desk, items[trigger.position], trigger, course) if trigger.position in items else trigger
        for trigger in triggers
    )


def _answered(desk: Desk, found: Found, trigger: Trigger, course: Course) -> Trigger:
    source, path, value = desk.source, (*found.path, "respond"), found.item["respond"]
    if found.type is not None and found.type.kind is not TriggerKind.WEBHOOK:
        message = f"`{found.type.name}` has nobody to answer"
        source.error("E133", path, message, "`respond` belongs to triggers that receive deliveries", key=True)
    respond = read_respond(desk, path, value, _early(desk, found), course)
    waits = next((name for name in ("batch", "debounce") if name in found.item), None)
    if respond is not None and respond.mode == "sync" and waits is not None:
        message = f"`mode: sync` cannot answer senders whose events wait in a `{waits}`"
        source.error("E133", (*path, "mode"), message, "leave out one of the two")
    return msgspec.structs.replace(trigger, respond=respond)


def _read(desk: Desk, found: Found, inputs: dict[str, Input], taken: set[str]) -> Trigger | None:
    source, path, item, type_ = desk.source, found.path, found.item, found.type
    check_keys(source, path, item, TRIGGER)
    if "uses" not in item:
        source.error("E104", path, "a trigger needs `uses`", "as in `uses: webhook`")
        return None
    uses = need_text(source, (*path, "uses"), item["uses"], "`uses`")
    with_ = item.get("with")
    if type_ is None:
        hint = did_you_mean(uses, desk.catalog.triggers, "`hookwright plugins list` shows the installed ones")
        source.error("E113", (*path, "uses"), f"there is no trigger type `{uses[:80]}`", hint)
    else:
        shape = shape_at(desk, Names(roots=("secrets", "env"), env=desk.env))
        ConfigCheck(source, uses, shape).check((*path, "with") if "with" in item else path, with_, type_.config)
    if isinstance(with_, dict):
        _check_settings(desk, (*path, "with"), with_)
    early = _early(desk, found)
    given = need_map(source, (*path, "inputs"), item.get("inputs"), "`inputs`")
    late = event_names([found], msgspec.structs.replace(early, locals={}, absent={}))  # a batch has `events`
    where = (*path, "inputs") if "inputs" in item else path
    check_given(source, where, given, inputs, shape=shape_at(desk, late))
    if "batch" in item and "debounce" in item:
        message = "`batch` and `debounce` exclude each other"
        source.error("E131", (*path, "batch"), message, "`batch` keeps all events, `debounce` the last one", key=True)
    return Trigger(
        id=_trigger_id(desk, path, item, uses, taken),
        uses=uses,
        with_=compile_value(
            desk, (*path, "with"), with_ if with_ is not None else {}, Names(roots=("secrets", "env"), env=desk.env)
        ),
        condition=compile_condition(desk, (*path, "if"), item["if"], early) if "if" in item else None,
        inputs={
            name: compile_value(desk, (*path, "inputs", name), value, late)
            for name, value in given.items()
            if NAME.fullmatch(name)
        },
        position=_position(desk, path),
        dedup=read_dedup(desk, (*path, "dedup"), item["dedup"], early) if "dedup" in item else None,
        debounce=read_debounce(desk, (*path, "debounce"), item["debounce"], early) if "debounce" in item else None,
        batch=read_batch(desk, (*path, "batch"), item["batch"], early) if "batch" in item else None,
    )


def _early(desk: Desk, found: Found) -> Names:
    """What is known when the event of a trigger arrives."""
    names = Names(roots=("event", "env"), env=desk.env, event=found.delivers)
    shape = _shape([found]) if found.delivers else None
    return names if shape is None else msgspec.structs.replace(names, locals={"event": shape})


def _shape(found: Sequence[Found]) -> Shape:
    """The event that these triggers deliver; None: as every event has it, with any body."""
    return any_of(item.event for item in found) if found else None


def _check_settings(desk: Desk, path: Path, with_: dict[str, Any]) -> None:
    """What only the language knows about the settings of a type."""
    if "auth" in with_:
        _check_auth(desk, (*path, "auth"), with_["auth"])
    schema = with_.get("body_schema")
    if not isinstance(schema, dict):
        return
    where = (*path, "body_schema")
    if has_expression(schema):
        desk.source.error("E119", where, "`body_schema` cannot contain an expression")
        return
    try:
        make_input(schema)
    except (ValueError, TypeError) as error:
        message, _, hint = str(error).partition("; ")
        desk.source.error("E116", where, message, hint)


def _check_auth(desk: Desk, path: Path, auth: Any) -> None:
    """`auth:` names a signature scheme and its settings: `{hmac: {...}}`; or it is the word none."""
    if auth == "none":
        message = "anybody can start runs of this pipeline: `auth: none` checks nothing"
        desk.source.warning("W302", path, message, "use `bearer`, `hmac` or `standard` if the sender can")
    if not desk.catalog.schemes or not isinstance(auth, dict):
        return
    for name, written in auth.items():
        scheme = desk.catalog.schemes.get(name)
        if scheme is None:
            hint = did_you_mean(name, desk.catalog.schemes, f"there are: {', '.join(desk.catalog.schemes)}")
            desk.source.error("E111", (*path, name), f"there is no signature scheme `{name[:60]}`", hint, key=True)
        elif has_expression(written):  # one that is written out has been checked with the whole trigger
            settings = scheme.settings(written)
            ConfigCheck(desk.source, name).value((*path, name), settings, scheme.config, f"`{name}`")


def _trigger_id(desk: Desk, path: Path, item: dict[str, Any], uses: str, taken: set[str]) -> str:
    """The id as written; else the type's name, numbered if it comes again."""
    if "id" in item:
        name = need_id(desk.source, (*path, "id"), item["id"], "`id`", TRIGGER_ID)
        if name is not None and name in taken:
            desk.source.error("E110", (*path, "id"), f"there is a trigger `{name}` already")
        if name is not None:
            taken.add(name)
            return name
    name, number = uses, 1
    while name in taken:
        number += 1
        name = f"{uses}-{number}"
    taken.add(name)
    return name


def _position(desk: Desk, path: Path) -> Position:
    place = desk.source.marks.value(path)
    return Position(line=place.line, column=place.column)
