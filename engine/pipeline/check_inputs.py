"""`inputs:` of a pipeline, and the values that a trigger hands to them."""

from typing import Any

from engine.pipeline.check_values import NAME, need_map
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.expression.template import has_expression
from engine.pipeline.inputs import make_input
from engine.pipeline.marks import Path
from engine.pipeline.source import Source
from engine.pipeline.spec import Input


def read_inputs(source: Source, value: Any) -> dict[str, Input]:
    """The declared inputs by name."""
    inputs: dict[str, Input] = {}
    for name, declaration in need_map(source, ("inputs",), value, "`inputs`").items():
        path: Path = ("inputs", name)
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


def check_given(source: Source, path: Path, given: dict[str, Any], inputs: dict[str, Input]) -> None:
    """Values for inputs: known names, none missing, literals of the right type. path leads to the map, or its owner."""
    for name, value in given.items():
        where = (*path, name)
        if name not in inputs:
            declared = f"it has: {', '.join(inputs)}" if inputs else "it declares no inputs"
            hint = did_you_mean(name, inputs, declared)
            source.error("E121", where, f"this pipeline has no input `{name}`", hint, key=True)
        elif not has_expression(value) and (validator := inputs[name].validator) is not None:
            for message in validator(value)[:1]:
                source.error("E121", where, f"input `{name}` {message}")
    missing = [name for name, item in inputs.items() if item.required and name not in given]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        hint = "add them to the trigger's `inputs:`, or give them a `default`"
        source.error("E121", path, f"the trigger gives no value for {names}", hint, key=True)
