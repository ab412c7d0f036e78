"""`respond:` of a trigger: what the sender is answered, and what the answer may use."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.pipeline.checking.expressions import Desk, compile_value
from engine.pipeline.checking.keys import check_keys
from engine.pipeline.checking.values import describe, need_duration, need_integer, need_map, need_word
from engine.pipeline.expression import Template
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.expression.template import has_expression
from engine.pipeline.grammar.pipeline import RESPOND
from engine.pipeline.inference.names import Names, StepView
from engine.pipeline.inference.shapes import Shape, is_whole
from engine.pipeline.marks import Path
from engine.pipeline.spec import Respond

HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
DOUBT = "may not have run: the run may have failed before"


class Course(msgspec.Struct, frozen=True):
    """What is known of a run where an answer to its sender is written."""

    names: Names  # with the steps of `steps:`, in the order of the file
    own: tuple[str | None, ...]  # ids of the steps at the top level
    outputs: Mapping[str, Shape]


def read_respond(desk: Desk, path: Path, value: Any, early: Names, course: Course) -> Respond | None:
    """The answer. early: what an asynchronous one may use."""
    source = desk.source
    if not isinstance(value, dict):
        hint = "as in `respond: {mode: sync, timeout: 20s}`"
        source.error("E103", path, f"`respond` must be a map, this is {describe(value)}", hint)
        return None
    check_keys(source, path, value, RESPOND)
    mode = "async"
    if "mode" in value:
        mode = need_word(source, (*path, "mode"), value["mode"], "`mode`", ("async", "sync")) or "async"
    if mode == "async":
        for name in ("timeout", "after"):
            if name in value:
                hint = "an asynchronous answer waits for nothing: add `mode: sync`"
                source.error("E133", (*path, name), f"`{name}` belongs to `mode: sync`", hint, key=True)
    after = _after(desk, (*path, "after"), value["after"], course) if mode == "sync" and "after" in value else None
    names = early if mode == "async" else _sync_names(course, after)
    found: dict[str, Any] = {"mode": mode, "after": after}
    if "timeout" in value and mode == "sync":
        seconds = need_duration(source, (*path, "timeout"), value["timeout"], "`timeout`")
        found |= {"timeout": seconds} if seconds is not None else {}
    if "status" in value:
        found["status"] = _status(desk, (*path, "status"), value["status"], names)
    if "headers" in value:
        found["headers"] = _headers(desk, (*path, "headers"), value["headers"], names)
    if "body" in value:
        found["body"] = compile_value(desk, (*path, "body"), value["body"], names)
    return Respond(**found)


def _after(desk: Desk, path: Path, value: Any, course: Course) -> str | None:
    if not isinstance(value, str):
        desk.source.error("E103", path, f"`after` must be the id of a step, this is {describe(value)}")
        return None
    if value in course.own:
        return value
    if value in course.names.steps:
        message = f"step `{value[:60]}` stands inside of another step"
        desk.source.error("E205", path, message, "`after` names a step of the pipeline's own list")
        return None
    known = [name for name in course.own if name is not None]
    hint = did_you_mean(value, known, f"there are: {', '.join(known)}" if known else "give the step an `id`")
    desk.source.error("E205", path, f"there is no step `{value[:60]}`", hint)
    return None


def _sync_names(course: Course, after: str | None) -> Names:
    """At the end everything is known, but a failed run has not come to all of its steps."""
    names = course.names
    if after is None:
        steps = {name: _doubted(view) for name, view in names.steps.items()}
        absent = {name: why for name, why in names.absent.items() if name != "outputs"}
        outputs = {**names.locals, "outputs": course.outputs}
        return msgspec.structs.replace(names, steps=steps, outcome=True, absent=absent, locals=outputs)
    ids = list(names.steps)
    done = set(ids[: ids.index(after) + 1]) if after in ids else set(ids)
    return msgspec.structs.replace(
        names,
        steps={name: view for name, view in names.steps.items() if name in done},
        later_steps=names.later_steps | (set(ids) - done),
        absent={**names.absent, "outputs": f"the answer is given after `{after}`, before the run has ended"},
    )


def _doubted(view: StepView) -> StepView:
    return view if view.doubt else msgspec.structs.replace(view, doubt=DOUBT)


def _status(desk: Desk, path: Path, value: Any, names: Names) -> Template | int | None:
    if isinstance(value, str) and has_expression(value):
        if not is_whole(value):
            hint = "make the whole value one `${{ }}` to keep its type"
            desk.source.error("E103", path, "`status` must be a number, this is a mix of text and expressions", hint)
        return compile_value(desk, path, value, names)
    return need_integer(desk.source, path, value, "`status`", least=200, most=599)


def _headers(desk: Desk, path: Path, value: Any, names: Names) -> dict[str, Template]:
    headers: dict[str, Template] = {}
    for name, item in need_map(desk.source, path, value, "`headers`").items():
        where = (*path, name)
        if not HEADER.fullmatch(name):
            desk.source.error("E109", where, f"`{name[:60]}` is not the name of a header", key=True)
        elif not isinstance(item, str | int | float) or isinstance(item, bool):
            desk.source.error("E103", where, f"a header must be a text, this is {describe(item)}")
        else:
            headers[name] = compile_value(desk, where, item, names)
    return headers
