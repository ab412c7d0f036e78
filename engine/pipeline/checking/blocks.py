"""`parallel:` and `switch:` of a step, and steps that are never reached."""

import re
from collections.abc import Iterator
from typing import Any

from engine.pipeline.checking.keys import check_keys
from engine.pipeline.checking.values import describe, need_list
from engine.pipeline.grammar.steps import CASE
from engine.pipeline.marks import Path
from engine.pipeline.source import Source

BRANCH = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
ENDING = ("stop", "fail")  # step types after which nothing follows


def empty(value: Any) -> bool:
    """Whether a list of steps has none. What is no list at all is noted by whoever reads it."""
    return value is None or value == []


def find_branches(source: Source, path: Path, value: Any) -> Iterator[tuple[str, Any]]:
    """The branches of `parallel:`: each name, and what stands there."""
    hint = "as in `parallel: {labels: [...], mail: [...]}`"
    if not isinstance(value, dict):
        message = f"`parallel` must be a map from names of branches to steps, this is {describe(value)}"
        source.error("E103", path, message, hint)
        return
    if not value:
        source.error("E104", path, "`parallel` has no branches", hint)
    for name, steps in value.items():
        if not BRANCH.fullmatch(name):
            message = f"`{name[:60]}` is not a name: letters, digits, `_` and `-`, a letter first"
            source.error("E109", (*path, name), message, key=True)
        yield name, steps


def find_cases(source: Source, path: Path, value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """The branches of `switch:` that are maps, each with its index."""
    hint = "as in `switch: [{if: ..., steps: [...]}, {else: [...]}]`"
    cases = need_list(source, path, value, "`switch`")
    if empty(value):
        source.error("E104", path, "`switch` has no branches", hint)
    line = 0  # of the first `else`
    for index, case in enumerate(cases):
        where = (*path, index)
        if not isinstance(case, dict):
            source.error("E103", where, f"a branch of `switch` must be a map, this is {describe(case)}", hint)
            continue
        check_keys(source, where, case, CASE)
        if line:
            message = f"a branch after `else`, which is on line {line}, is never taken"
            source.error("E143", where, message, "`else` comes last")
        if "else" in case:
            line = line or source.marks.key((*where, "else")).line
            for other in ("if", "steps"):
                if other in case:
                    message = f"`else` and `{other}` exclude each other"
                    source.error("E141", (*where, other), message, "`else: [...]` stands alone", key=True)
        else:
            for needed in ("if", "steps"):
                if needed not in case:
                    source.error("E104", where, f"a branch of `switch` needs `{needed}`, or is `else`", hint)
        if "else" in case or "steps" in case:
            yield index, case


def note_unreachable(source: Source, path: Path, items: list[Any]) -> None:
    """Warn of the first step below one that always ends the run."""
    for index, item in enumerate(items[:-1]):
        if _ends(item):
            line = source.marks.value((*path, index)).line
            message = f"this step is never reached: the one on line {line} always ends the run"
            source.warning("W305", (*path, index + 1), message, "add an `if` to that one, or remove what follows")
            return


def _ends(item: Any) -> bool:
    """Whether nothing is done after this step, whatever happens."""
    if not isinstance(item, dict) or item.get("if", True) is not True or "for_each" in item:
        return False
    if item.get("uses") == "stop":
        return True
    if item.get("on_error", "fail") != "fail":
        return False
    if item.get("uses") == "fail":
        return True
    branches, cases = item.get("parallel"), item.get("switch")
    if isinstance(branches, dict):
        return any(_list_ends(steps) for steps in branches.values())
    if isinstance(cases, list):
        lists = [case.get("else", case.get("steps")) for case in cases if isinstance(case, dict)]
        return any(isinstance(case, dict) and "else" in case for case in cases) and all(map(_list_ends, lists))
    return _list_ends(item.get("steps"))


def _list_ends(steps: Any) -> bool:
    return isinstance(steps, list) and any(map(_ends, steps))
