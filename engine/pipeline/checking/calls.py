"""`uses:` and `with:` of actions and calls."""

from typing import Any

import msgspec

from engine.core.catalog import StepType
from engine.pipeline.checking.callees import START
from engine.pipeline.checking.config import ConfigCheck, is_free
from engine.pipeline.checking.expressions import Desk, compile_value, shape_at, shape_of
from engine.pipeline.checking.inputs import check_given
from engine.pipeline.checking.values import describe, need_text
from engine.pipeline.defaults import CALL
from engine.pipeline.expression import Template
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.expression.template import has_expression
from engine.pipeline.inference.names import Names
from engine.pipeline.inference.shapes import is_whole, of_schema, of_type
from engine.pipeline.inference.types import Shape, typed
from engine.pipeline.marks import Path

LISTING = "`hookwright plugins` lists the installed ones"


class Invocation(msgspec.Struct, frozen=True):
    """What an action or call does, and what is known of its result."""

    uses: str
    with_: Template
    result: Shape = None
    pipeline: str | None = None  # call: the callee


def read_uses(desk: Desk, path: Path, item: dict[str, Any]) -> str:
    """The step type, or the call of a pipeline; unknown ones are noted."""
    where = (*path, "uses")
    if "uses" not in item:
        return ""
    before = len(desk.source.problems)
    uses = need_text(desk.source, where, item["uses"], "`uses`")
    if len(desk.source.problems) == before:
        _check_known(desk, where, uses)
    return uses


def read_action(desk: Desk, path: Path, uses: str, with_: Any, names: Names) -> Invocation:
    """An action. with_: with the defaults of its type; it may use secrets."""
    type_ = desk.catalog.steps.get(uses)
    where = (*path, "with")
    known = names.adding("secrets")
    if type_ is not None:
        shape = shape_at(desk, known)
        ConfigCheck(desk.source, uses, shape).check(where if with_ is not None else path, with_, type_.config)
    empty: Any = None if type_ is not None and is_free(type_.config) else {}
    template = compile_value(desk, where, empty if with_ is None else with_, known)
    _check_tools(desk, (*where, "tools"), with_)
    if uses == START and isinstance(with_, dict):
        _check_start(desk, where, with_, known)
    if uses == "value":
        return Invocation(uses, template, shape_of(template, known, desk.catalog.filters))
    return Invocation(uses, template, _result(type_, with_) if type_ is not None else None)


def read_call(desk: Desk, path: Path, uses: str, with_: Any, names: Names) -> Invocation:
    """A call. with_: the inputs of the other pipeline."""
    name = uses.removeprefix(CALL)
    callee = desk.callees.get(name) if desk.callees is not None else None
    where = (*path, "with")
    if (isinstance(with_, str) and not is_whole(with_)) or not isinstance(with_, dict | str | None):
        message = f"`with` of a call must be a map of inputs, this is {describe(with_)}"
        desk.source.error("E103", where, message, "as in `with: {name: value}`")
        with_ = {}
    elif callee is not None and not isinstance(with_, str):
        owner = where if with_ is not None else (*path, "uses")
        shape = shape_at(desk, names.adding("secrets"))
        check_given(desk.source, owner, with_ or {}, callee.inputs, callee=name, shape=shape)
    template = compile_value(desk, where, with_ if with_ is not None else {}, names.adding("secrets"))
    return Invocation(uses, template, callee.outputs if callee is not None else None, name)


def _result(type_: StepType, with_: Any) -> Shape:
    """What the type declares, and what follows from `with`, such as the `json` of an answer to a given schema."""
    declared = typed(of_type(type_.result))
    if declared is None or type_.result_of is None or not isinstance(with_, dict):
        return declared
    try:
        schemas = type_.result_of(with_)
    except Exception:  # noqa: BLE001 - it is the plugin's, and gets whatever the author has written
        return declared
    known = {name: of_schema(schema) for name, schema in schemas.items() if not has_expression(schema)}
    return msgspec.structs.replace(declared, fields={**declared.fields, **known})


def _check_known(desk: Desk, path: Path, uses: str) -> None:
    if uses.startswith(CALL):
        name = uses.removeprefix(CALL)
        if desk.callees is not None and name not in desk.callees:
            _note_unknown(desk, path, name, (len(CALL), len(uses)) if name else None)
    elif uses not in desk.catalog.steps:
        hint = did_you_mean(uses, desk.catalog.steps)
        message = f"there is no step type `{uses[:80]}`"
        desk.source.error("E114", path, message, f"{hint} {LISTING}".strip())


def _check_start(desk: Desk, path: Path, with_: dict[str, Any], names: Names) -> None:
    """A pipeline that is started is there, and gets the inputs that it declares."""
    name, inputs = with_.get("pipeline"), with_.get("inputs", {})
    if not isinstance(name, str) or has_expression(name) or desk.callees is None:
        return
    if name not in desk.callees:
        _note_unknown(desk, (*path, "pipeline"), name, None)
    elif isinstance(inputs, dict):
        where = (*path, "inputs") if "inputs" in with_ else path
        check_given(
            desk.source,
            where,
            inputs,
            desk.callees[name].inputs,
            callee=name,
            shape=shape_at(desk, names),
            key="inputs",
        )


def _note_unknown(desk: Desk, path: Path, name: str, offset: tuple[int, int] | None) -> None:
    callees = desk.callees or {}
    known = ", ".join(sorted(callees)[:20])
    hint = did_you_mean(name, callees, f"there are: {known}" if known else "")
    desk.source.error("E114", path, f"there is no pipeline `{name[:80]}`", hint, offset=offset)


def _check_tools(desk: Desk, path: Path, with_: Any) -> None:
    """An agent's tools name step types and pipelines as steps do."""
    tools = with_.get("tools") if isinstance(with_, dict) else None
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        uses = tool.get("uses") if isinstance(tool, dict) else None
        if isinstance(uses, str) and "${{" not in uses:
            _check_known(desk, (*path, index, "uses"), uses)
