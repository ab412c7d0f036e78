"""`for_each:` and `repeat:` of a step."""

import re
from typing import Any

import msgspec

from engine.pipeline.checking.expressions import Desk, compile_condition, compile_value, shape_of
from engine.pipeline.checking.keys import check_keys, is_section
from engine.pipeline.checking.limits import read_key
from engine.pipeline.checking.values import STEP_ID, describe, need_duration, need_id, need_integer, need_word
from engine.pipeline.expression import Template
from engine.pipeline.grammar.section import FAIL_OR_CONTINUE
from engine.pipeline.grammar.steps import FOR_EACH, REPEAT
from engine.pipeline.inference.names import Names
from engine.pipeline.inference.shapes import is_whole
from engine.pipeline.inference.types import INTEGER, Kind, item_of, lacks, named
from engine.pipeline.marks import Path
from engine.pipeline.spec import ForEach, Repeat

MOST_AT_A_TIME = 1000  # items
MOST_RUNS = 100_000  # of a `repeat`
PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?) ?%")
WORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "true", "false", "null"})
TAKEN = frozenset(
    (
        *("event", "events", "inputs", "vars", "env", "run", "steps", "secrets", "error", "result", "outputs"),
        *("incoming", "approval", "index"),
    )
)
BEFORE = "`if` is decided once, before the loop; leave items out with `| where(...)`"


def read_for_each(desk: Desk, path: Path, value: Any, names: Names) -> tuple[ForEach, Names]:
    """The loop, and the names that its items see."""
    hint = "as in `for_each: ${{ steps.list.output }}`"
    if not isinstance(value, dict):
        items = _items(desk, path, value, names, hint)
        return ForEach(items=items), _inside(desk, path, "item", names, items)
    check_keys(desk.source, path, value, FOR_EACH)
    if "items" not in value:
        desk.source.error("E104", path, "`for_each` needs `items`", hint, key=True)
    items = _items(desk, (*path, "items"), value.get("items", []), names, hint)
    name = "item"
    if "as" in value:
        name = need_id(desk.source, (*path, "as"), value["as"], "`as`", STEP_ID) or "item"
    inside = _inside(desk, (*path, "as") if "as" in value else path, name, names, items)
    found: dict[str, Any] = {"items": items, "name": name}
    if "key" in value:
        found["key"] = read_key(desk, (*path, "key"), value["key"], inside)
    if "concurrency" in value:
        where = (*path, "concurrency")
        number = need_integer(desk.source, where, value["concurrency"], "`concurrency`", least=1, most=MOST_AT_A_TIME)
        found["concurrency"] = number or 1
    if "on_item_error" in value:
        where = (*path, "on_item_error")
        found["on_item_error"] = (
            need_word(desk.source, where, value["on_item_error"], "`on_item_error`", FAIL_OR_CONTINUE) or "fail"
        )
    if "max_errors" in value:
        found |= _max_errors(desk, (*path, "max_errors"), value["max_errors"])
    return ForEach(**found), inside


def read_repeat(desk: Desk, path: Path, value: Any, names: Names) -> Repeat | None:
    """The repetition. names: with the `result`."""
    source = desk.source
    hint = "as in `repeat: {until: result.body.done, every: 30s, max: 20}`"
    if not is_section(source, path, value, REPEAT, hint):
        return None
    found: dict[str, Any] = {}
    for name in ("every", "max_elapsed"):
        if name in value and (seconds := need_duration(source, (*path, name), value[name], f"`{name}`")) is not None:
            found[name] = seconds
    if "max" in value:
        found["max"] = need_integer(source, (*path, "max"), value["max"], "`max`", least=1, most=MOST_RUNS)
    if "until" not in value:
        source.error("E104", path, "`repeat` needs `until`", hint, key=True)
        return None
    return Repeat(until=compile_condition(desk, (*path, "until"), value["until"], names), **found)


def _items(desk: Desk, path: Path, value: Any, names: Names, hint: str) -> Template:
    if isinstance(value, str):
        if not is_whole(value):
            desk.source.error("E103", path, "the items must be a list, this is a text", hint)
    elif not isinstance(value, list):
        desk.source.error("E103", path, f"the items must be a list, this is {describe(value)}", hint)
        value = []
    items = compile_value(desk, path, value, names)
    found = shape_of(items, names, desk.catalog.filters) if is_whole(value) else None
    if lacks(found, Kind.ARRAY):
        hint = "" if lacks(found, Kind.OBJECT) else "`| items`, `| keys` and `| values` make lists of a map"
        desk.source.error("E225", path, f"the items must be a list, this is {named(found)}", hint)
    return items


def _inside(desk: Desk, path: Path, name: str, names: Names, items: Template) -> Names:
    """The names with the item; what it would hide is noted."""
    if name in TAKEN:
        desk.source.error("E144", path, f"`{name}` means something else in expressions", "choose another name")
    elif name in names.locals:
        message = f"`{name}` would hide the item of the loop around this one"
        desk.source.error("E144", path, message, "choose another name with `as:`")
    elif name in WORDS:
        desk.source.error("E144", path, f"`{name}` is a word of expressions", "choose another name")
    absent = {key: why for key, why in names.absent.items() if key not in (name, "index")}
    if name != "item" and "item" not in names.locals:
        absent["item"] = f"the items of this loop are called `{name}`"
    local = {**names.locals, name: item_of(shape_of(items, names, desk.catalog.filters)), "index": INTEGER}
    return msgspec.structs.replace(names, locals=local, absent=absent)


def _max_errors(desk: Desk, path: Path, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        found = PERCENT.fullmatch(value.strip())
        if found is not None and float(found[1]) <= 100:
            return {"max_errors_percent": float(found[1])}
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return {"max_errors": value}
    desk.source.error("E103", path, "`max_errors` must be a whole number or a share", "as in `10` or `20%`")
    return {}
