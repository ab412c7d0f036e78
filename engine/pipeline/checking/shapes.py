"""Which of its six shapes a step has, and which keys go with it."""

from typing import Any

from engine.pipeline.defaults import CALL
from engine.pipeline.grammar.steps import STEP
from engine.pipeline.marks import Path
from engine.pipeline.source import Source

SHAPES = {"uses": "action", "steps": "group", "parallel": "parallel", "switch": "switch", "wait": "wait"}
ANYWHERE = frozenset({"id", "name", "if", "on_error", "compensate"})
CALLABLE = frozenset(STEP.keys) - SHAPES.keys()  # what goes with an action or a call
FITTING = {
    "action": CALLABLE,
    "call": CALLABLE,
    "group": ANYWHERE | {"for_each", "timeout", "output", "sensitive"},
    "parallel": ANYWHERE,
    "switch": ANYWHERE,
    "wait": ANYWHERE | {"output", "sensitive"},
}
BELONGS = {  # to what a key belongs that does not go with every shape
    "for_each": "`for_each` goes with actions, calls and groups; put this step into a group, `steps:`",
    "timeout": "`timeout` goes with actions, calls and groups; put this step into a group, `steps:`",
    "output": "`output` goes with actions, calls, groups and waits",
    "sensitive": "`sensitive` goes with actions, calls, groups and waits",
}


def find_shape(source: Source, path: Path, item: dict[str, Any]) -> str:
    """The shape; what speaks against it is noted. Without one it is read as an action."""
    found = [key for key in item if key in SHAPES]
    if not found:
        hint = "as in `uses: http.request`; or one of `steps`, `parallel`, `switch`, `wait`"
        source.error("E104", path, "a step needs `uses`", hint)
        return "action"
    for other in found[1:]:
        message = f"a step has one shape: `{found[0]}` and `{other}` exclude each other"
        source.error("E141", (*path, other), message, "make two steps of it", key=True)
    uses = item.get("uses")
    shape = SHAPES[found[0]]
    if shape == "action" and isinstance(uses, str) and uses.startswith(CALL):
        return "call"
    if len(found) == 1:
        _check_fitting(source, path, item, shape)
    return shape


def _check_fitting(source: Source, path: Path, item: dict[str, Any], shape: str) -> None:
    for key in item:
        if key not in STEP.keys or key in SHAPES or key in FITTING[shape]:
            continue
        hint = BELONGS.get(key, f"`{key}` goes with actions and calls, which have `uses:`")
        if shape == "wait" and key == "timeout":
            hint = "write it inside of `wait:`, beside what is waited for"
        source.error("E142", (*path, key), f"`{key}` does not go with `{_word(shape)}`", hint, key=True)


def _word(shape: str) -> str:
    return next(key for key, name in SHAPES.items() if name == shape)
