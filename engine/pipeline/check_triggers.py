"""`triggers:` of a pipeline."""

from typing import Any

from engine.core.catalog import TriggerKind
from engine.pipeline.check_config import ConfigCheck
from engine.pipeline.check_expressions import Desk, compile_condition, compile_value
from engine.pipeline.check_inputs import check_given
from engine.pipeline.check_keys import check_keys
from engine.pipeline.check_names import Names
from engine.pipeline.check_values import (
    NAME,
    TRIGGER_ID,
    describe,
    need_id,
    need_list,
    need_map,
    need_text,
)
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.expression.template import has_expression
from engine.pipeline.grammar_pipeline import TRIGGER
from engine.pipeline.marks import Path
from engine.pipeline.spec import Input, Position, Trigger


def read_triggers(desk: Desk, value: Any, inputs: dict[str, Input]) -> tuple[Trigger, ...]:
    """The triggers that could be read."""
    triggers: list[Trigger] = []
    taken: set[str] = set()
    for index, item in enumerate(need_list(desk.source, ("triggers",), value, "`triggers`")):
        path: Path = ("triggers", index)
        if not isinstance(item, dict):
            desk.source.error("E103", path, f"a trigger must be a map, this is {describe(item)}", "begin with `uses:`")
            continue
        trigger = _read(desk, path, item, inputs, taken)
        if trigger is not None:
            triggers.append(trigger)
    return tuple(triggers)


def delivers_event(desk: Desk, value: Any) -> bool:
    """Whether a run can have an event; unknown trigger types might deliver one."""
    uses = [item.get("uses") for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    types = [desk.catalog.triggers.get(name) for name in uses if isinstance(name, str)]
    return any(type_ is None or type_.kind is not TriggerKind.SCHEDULE for type_ in types)


def _read(desk: Desk, path: Path, item: dict[str, Any], inputs: dict[str, Input], taken: set[str]) -> Trigger | None:
    source = desk.source
    check_keys(source, path, item, TRIGGER)
    if "uses" not in item:
        source.error("E104", path, "a trigger needs `uses`", "as in `uses: webhook`")
        return None
    uses = need_text(source, (*path, "uses"), item["uses"], "`uses`")
    type_ = desk.catalog.triggers.get(uses)
    with_ = item.get("with")
    if type_ is None:
        hint = did_you_mean(uses, desk.catalog.triggers, "`hookwright plugins list` shows the installed ones")
        source.error("E113", (*path, "uses"), f"there is no trigger type `{uses[:80]}`", hint)
    else:
        ConfigCheck(source, uses).check((*path, "with") if "with" in item else path, with_, type_.config)
    if isinstance(with_, dict) and "auth" in with_:
        _check_auth(desk, (*path, "with", "auth"), with_["auth"])
    place = Names(roots=("secrets", "env"), env=desk.env)
    event = Names(roots=("event", "env"), env=desk.env, event=type_ is None or type_.kind is not TriggerKind.SCHEDULE)
    given = need_map(source, (*path, "inputs"), item.get("inputs"), "`inputs`")
    check_given(source, (*path, "inputs") if "inputs" in item else path, given, inputs)
    return Trigger(
        id=_trigger_id(desk, path, item, uses, taken),
        uses=uses,
        with_=compile_value(desk, (*path, "with"), with_ if with_ is not None else {}, place),
        condition=compile_condition(desk, (*path, "if"), item["if"], event) if "if" in item else None,
        inputs={
            name: compile_value(desk, (*path, "inputs", name), value, event)
            for name, value in given.items()
            if NAME.fullmatch(name)
        },
        position=_position(desk, path),
    )


def _check_auth(desk: Desk, path: Path, auth: Any) -> None:
    """`auth:` names a signature scheme and its settings: `{hmac: {...}}`; or it is the word none."""
    if auth == "none":
        message = "anybody can start runs of this pipeline: `auth: none` checks nothing"
        desk.source.warning("W302", path, message, "use `bearer`, `hmac` or `standard` if the sender can")
    if not desk.catalog.schemes or not isinstance(auth, dict):
        return
    for name, settings in auth.items():
        scheme = desk.catalog.schemes.get(name)
        if scheme is None:
            hint = did_you_mean(name, desk.catalog.schemes, f"there are: {', '.join(desk.catalog.schemes)}")
            desk.source.error("E111", (*path, name), f"there is no signature scheme `{name[:60]}`", hint, key=True)
        elif has_expression(settings):  # one that is written out has been checked with the whole trigger
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
