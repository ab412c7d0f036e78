"""Where the thing under the cursor is defined: steps, inputs, variables, pipelines, files."""

import re
from pathlib import Path as FilePath
from typing import Any

import msgspec

from engine.editor.completion import CALL, STEP_LISTS, STEPS_BY_NAME, tested_pipeline
from engine.editor.ids import find_step
from engine.editor.places import find_place
from engine.editor.repository import Known, Repository
from engine.editor.tree import Tree, at, parse, path_at
from engine.pipeline.marks import Path

REFERENCE = re.compile(r"\b(steps|inputs|vars)\s*(?:\.\s*([A-Za-z_][\w-]*)|\[\s*(?:'([^']*)'|\"([^\"]*)\")\s*\])")
FILE = re.compile(r"\b(?:file|template)\(\s*(?:'([^']*)'|\"([^\"]*)\")")


class Target(msgspec.Struct, frozen=True):
    """A range of a file; offsets in its text."""

    path: FilePath
    source: str
    start: int = 0
    end: int = 0


def find_definition(repository: Repository, path: FilePath, source: str, offset: int) -> Target | None:
    """The definition of what stands at the offset; None if it is not a reference or leads nowhere."""
    kind = repository.kind(path)
    if kind is None:
        return None
    if (place := find_place(source, offset)) is not None:
        known = tested_pipeline(repository, place.tree.data) if kind == "test" else repository.document(path)
        return _in_expression(repository, known, source, place.start, place.end, offset)
    tree = parse(source)
    around = path_at(tree, offset) if tree is not None else None
    if tree is None or around is None:
        return None
    where, mark, on_key = around
    if on_key:
        return _of_key(repository, tree, where)
    value = mark.text if mark.text is not None else ""
    if value.startswith(CALL):
        return _pipeline(repository, value.removeprefix(CALL))
    if kind == "test":
        if where == ("pipeline",):
            return _pipeline(repository, value)
        if where and (where[-1] == "event" or (len(where) > 1 and where[-2] == "events")):
            return _file(repository, value)
        if where and (where[-1] == "crash_after" or (len(where) > 1 and where[-2] in STEP_LISTS)):
            return _step(tested_pipeline(repository, tree.data), value)
    if len(where) > 1 and where[-2:] == ("respond", "after"):
        return _step(repository.document(path), value)
    return None


def _in_expression(
    repository: Repository, known: Known | None, source: str, start: int, end: int, offset: int
) -> Target | None:
    for found in FILE.finditer(source, start, end):
        if found.start() <= offset <= found.end():
            return _file(repository, found[1] if found[1] is not None else found[2])
    for found in REFERENCE.finditer(source, start, end):
        if found.start() <= offset <= found.end():
            name = next(group for group in (found[2], found[3], found[4], "") if group is not None)
            return _step(known, name) if found[1] == "steps" else _key(known, (found[1], name))
    return None


def _of_key(repository: Repository, tree: Tree, path: Path) -> Target | None:
    """Keys that name something: inputs of a called pipeline or of a trigger, steps in a test."""
    if len(path) < 2:
        return None
    name = str(path[-1])
    if path[-2] == "with":
        uses = at(tree.data, (*path[:-2], "uses"))
        if isinstance(uses, str) and uses.startswith(CALL):
            return _key(repository.pipelines().get(uses.removeprefix(CALL)), ("inputs", name))
    tested = tested_pipeline(repository, tree.data)
    if tested is not None and path[-2] in STEPS_BY_NAME:
        return _step(tested, name)
    if tested is not None and path[-2] == "inputs":
        return _key(tested, ("inputs", name))
    return None


def _pipeline(repository: Repository, name: str) -> Target | None:
    return _key(repository.pipelines().get(name), ("id",))


def _file(repository: Repository, name: str) -> Target | None:
    found = repository.below(name)
    return Target(found, "") if found is not None else None


def _step(known: Known | None, name: str) -> Target | None:
    path = find_step(known.data, name) if known is not None else None
    if known is None or path is None:
        return None
    mark = known.tree.marks.marks.get((*path, "id"))
    return Target(known.path, known.text, mark.start, mark.end) if mark is not None else None


def _key(known: Known | None, path: Path) -> Target | None:
    mark: Any = known.tree.marks.marks.get(path) if known is not None else None
    if known is None or mark is None or mark.key_start is None:
        return None
    return Target(known.path, known.text, mark.key_start, mark.key_end)
