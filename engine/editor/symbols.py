"""The outline of a document: a pipeline's triggers, inputs, variables and steps; a test file's tests."""

from collections.abc import Iterator
from typing import Any

import msgspec

from engine.editor.tree import Tree
from engine.pipeline.marks import Path

LISTS = ("steps", "on_error", "compensate", "notify", "else")
PARTS = {"triggers": "triggers", "inputs": "inputs", "vars": "variables", "outputs": "outputs"}
SHAPES = ("uses", "wait", "parallel", "switch", "steps")


class Symbol(msgspec.Struct, frozen=True):
    """One line of the outline. kind: part | step | group | field | test. Offsets in the document."""

    name: str
    detail: str
    kind: str
    start: int
    end: int
    name_start: int
    name_end: int
    children: tuple["Symbol", ...] = ()


def outline(tree: Tree) -> list[Symbol]:
    """What the document has, from top to bottom."""
    data = tree.data if isinstance(tree.data, dict) else {}
    found: list[Symbol] = []
    for key, value in data.items():
        if key in PARTS or key in ("steps", "on_error", "finally", "tests", "mocks"):
            children = tuple(_children(tree, key, value))
            if children:
                found.append(_symbol(tree, (key,), key, "", "part", children))
    return found


def _children(tree: Tree, key: str, value: Any) -> Iterator[Symbol]:
    if key in ("steps", "on_error", "finally"):
        yield from _steps(tree, (key,), value)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield _symbol(tree, (key, name), name, item if isinstance(item, str) else "", "field")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                name = item.get("name") if key == "tests" else item.get("id") or item.get("uses")
                kind = "test" if key == "tests" else "step"
                yield _symbol(tree, (key, index), _text(name, f"{key}[{index}]"), "", kind)


def _steps(tree: Tree, path: Path, value: Any) -> Iterator[Symbol]:
    for index, step in enumerate(value if isinstance(value, list) else ()):
        if isinstance(step, dict):
            where = (*path, index)
            shape = next((name for name in SHAPES if name in step), "")
            detail = _text(step.get("uses"), shape)
            children = tuple(_inner(tree, where, step))
            name = _text(step.get("id"), _text(step.get("name"), detail or f"step {index + 1}"))
            yield _symbol(
                tree, where, name, detail if detail != name else "", "group" if children else "step", children
            )


def _inner(tree: Tree, path: Path, step: dict[str, Any]) -> Iterator[Symbol]:
    for key, value in step.items():
        if key in LISTS and isinstance(value, list):
            steps = tuple(_steps(tree, (*path, key), value))
            if key == "steps":
                yield from steps
            elif steps:
                yield _symbol(tree, (*path, key), key, "", "part", steps)
        elif key == "parallel" and isinstance(value, dict):
            for name, branch in value.items():
                where = (*path, key, name)
                yield _symbol(tree, where, name, "branch", "part", tuple(_steps(tree, where, branch)))
        elif key == "switch" and isinstance(value, list):
            for index, case in enumerate(value):
                if isinstance(case, dict):
                    where = (*path, key, index)
                    name = "else" if "else" in case else f"if {_text(case.get('if'), '...')}"
                    inner = [
                        part for item in ("steps", "else") for part in _steps(tree, (*where, item), case.get(item))
                    ]
                    yield _symbol(tree, where, name, "", "part", tuple(inner))
        elif key in ("wait", "approval") and isinstance(value, dict):
            yield from _inner(tree, (*path, key), value)


def _symbol(tree: Tree, path: Path, name: str, detail: str, kind: str, children: tuple[Symbol, ...] = ()) -> Symbol:
    mark = tree.marks.marks[path]
    named = tree.marks.marks.get((*path, "id")) or tree.marks.marks.get((*path, "name"))
    start = mark.key_start if mark.key_start is not None else mark.start
    end = max(mark.end, start)
    if named is not None:
        name_start, name_end = named.start, named.end
    else:
        name_start = start
        name_end = mark.key_end if mark.key_end is not None else min(end, start + len(name))
    return Symbol(name or "?", detail, kind, start, max(end, name_end), name_start, name_end, children)


def _text(value: Any, otherwise: str) -> str:
    return value if isinstance(value, str) and value.strip() else otherwise
