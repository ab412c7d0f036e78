"""`inputs:` of a pipeline, and the values that a trigger hands to them."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.pipeline.checking.values import NAME, need_map
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.expression.template import has_expression
from engine.pipeline.inference.shapes import is_whole, of_schema
from engine.pipeline.inference.types import Shape, misfit, named
from engine.pipeline.inputs import make_input
from engine.pipeline.marks import Path
from engine.pipeline.source import Source
from engine.pipeline.spec import Input


def read_inputs(source: Source, value: Any, owner: Path = ("inputs",)) -> dict[str, Input]:
    """The declared inputs by name. owner: where they stand; the `form` of an approval is declared like this as well."""
    inputs: dict[str, Input] = {}
    for name, declaration in need_map(source, owner, value, f"`{owner[-1]}`").items():
        path: Path = (*owner, name)
        if not NAME.fullmatch(name):
            source.error("E109", path, f"`{name[:60]}` is not a name: letters, digits and `_`", key=True)
            continue
        if has_expression(declaration):
            source.error("E119", path, "the declaration of an input cannot contain an expression")
            continue
        try:
            inputs[name] = make_input(declaration)
        except (ValueError, TypeError) as error:
            message, _, hint = str(error).partition("; ")
            source.error("E116", path, message, hint)
            inputs[name] = Input(schema={}, required=False)
    return inputs


def check_given(
    source: Source,
    path: Path,
    given: dict[str, Any],
    inputs: Mapping[str, Input],
    *,
    callee: str = "",
    shape: Callable[[str], Shape] | None = None,
    key: str = "with",
) -> None:
    """Values for inputs: known names, none missing, literals of the right type. path leads to the map, or its owner.

    callee: the id of a pipeline that a step calls; without it, a trigger gives them to its own pipeline.
    shape: of a text that is wholly an expression. key: of the step, where the values stand.
    """
    owner = f"pipeline `{callee}`" if callee else "this pipeline"
    for name, value in given.items():
        where = (*path, name)
        if name not in inputs:
            declared = f"it has: {', '.join(inputs)}" if inputs else "it declares no inputs"
            hint = did_you_mean(name, inputs, declared)
            source.error("E121", where, f"{owner} has no input `{name}`", hint, key=True)
        elif not has_expression(value) and (validator := inputs[name].validator) is not None:
            for message in validator(value)[:1]:
                source.error("E121", where, f"input `{name}` {message}")
        elif shape is not None and is_whole(value):
            found = shape(value)
            if needed := misfit(found, of_schema(inputs[name].schema)):
                source.error("E121", where, f"input `{name}` must be {needed}, this is {named(found)}")
    missing = [name for name, item in inputs.items() if item.required and name not in given]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        if callee:
            source.error("E121", path, f"pipeline `{callee}` needs {names}", f"add them to `{key}:`", key=True)
            return
        hint = "add them to the trigger's `inputs:`, or give them a `default`"
        source.error("E121", path, f"the trigger gives no value for {names}", hint, key=True)
