"""What can be written at the cursor: keys, words, step types, ids of pipelines and steps, names in expressions."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import msgspec

from engine.editor.expressions import complete_expression
from engine.editor.ids import step_ids
from engine.editor.items import Item
from engine.editor.knowledge import Offer
from engine.editor.places import find_place
from engine.editor.repository import Known, Repository
from engine.editor.schema import Kind
from engine.editor.tree import Cursor, at, find_cursor, without_cursor
from engine.pipeline.marks import Path

CALL = "pipeline:"
STEPS_BY_NAME = frozenset({"mocks", "approvals", "steps"})  # maps of a test whose keys name steps
STEP_LISTS = frozenset({"ran", "not_ran", "skipped", "compensated"})  # lists of a test that name steps


def complete(repository: Repository, path: FilePath, source: str, offset: int) -> list[Item]:
    """Suggestions at an offset of a document."""
    kind = repository.kind(path)
    if kind is None:
        return []
    if (place := find_place(source, offset)) is not None:
        return complete_expression(repository, path, kind, source, offset, place)
    cursor = find_cursor(source, offset)
    if cursor is None:
        return []
    data = without_cursor(cursor.tree.data)
    if cursor.is_key:
        return list(_keys(repository, kind, source, cursor, data))
    return list(_values(repository, kind, cursor, data))


def _keys(repository: Repository, kind: Kind, source: str, cursor: Cursor, data: Any) -> Iterator[Item]:
    """Keys of the map at the cursor that it does not have yet; and words, if a text can stand there as well."""
    written = at(data, cursor.path)
    present = set(written) if isinstance(written, dict) else set()
    rest = source[cursor.end : source.find("\n", cursor.end) if "\n" in source[cursor.end :] else len(source)]
    has_colon = rest.lstrip().startswith(":")
    knowledge = repository.knowledge[kind]
    for offer in (*knowledge.keys(data, cursor.path), *_own_keys(repository, kind, data, cursor.path)):
        if offer.label in present and not has_colon:
            continue
        insert = offer.label if has_colon else offer.label + _after_key(offer, source, cursor)
        yield Item(
            offer.label,
            "key",
            insert,
            cursor.start,
            cursor.end,
            detail=offer.detail,
            documentation=offer.documentation,
            first=offer.required,
        )
    if not present and not has_colon:
        for offer in (*knowledge.words(data, cursor.path), *_own_words(repository, kind, data, cursor.path)):
            yield _word(offer, cursor)


def _values(repository: Repository, kind: Kind, cursor: Cursor, data: Any) -> Iterator[Item]:
    knowledge = repository.knowledge[kind]
    for offer in (*knowledge.words(data, cursor.path), *_own_words(repository, kind, data, cursor.path)):
        yield _word(offer, cursor)


def _word(offer: Offer, cursor: Cursor) -> Item:
    kind = "type" if cursor.path and cursor.path[-1] == "uses" else "word"
    return Item(
        offer.label, kind, offer.label, cursor.start, cursor.end, offer.detail, offer.documentation, offer.required
    )


def _own_keys(repository: Repository, kind: Kind, data: Any, path: Path) -> Iterator[Offer]:
    """Keys that come from the repository and not from the schema: inputs, and steps in tests."""
    if kind == "test":
        tested = tested_pipeline(repository, data)
        if tested is None or not path:
            return
        if path[-1] == "inputs":
            yield from _inputs(tested)
        elif path[-1] in STEPS_BY_NAME:
            for name in step_ids(tested.data):
                yield Offer(name, "step", takes="object")
    elif kind == "pipeline" and path and path[-1] == "with":
        uses = at(data, (*path[:-1], "uses"))
        if isinstance(uses, str) and uses.startswith(CALL):
            callee = repository.pipelines().get(uses.removeprefix(CALL))
            if callee is not None:
                yield from _inputs(callee)
    elif kind == "pipeline" and len(path) == 3 and path[0] == "triggers" and path[2] == "inputs":
        declared = data.get("inputs")
        for name in declared if isinstance(declared, dict) else ():
            yield Offer(name, "input", describe_input(declared[name]))


def _own_words(repository: Repository, kind: Kind, data: Any, path: Path) -> Iterator[Offer]:
    """Values that come from the repository: ids of pipelines and steps, queues, connections."""
    last = path[-1] if path else None
    if kind == "test":
        if path == ("pipeline",):
            yield from _pipelines(repository, "")
        elif (tested := tested_pipeline(repository, data)) is not None and (
            last == "crash_after" or (len(path) > 1 and path[-2] in STEP_LISTS)
        ):
            yield from (Offer(name, "step") for name in step_ids(tested.data))
    elif kind == "pipeline":
        if last == "uses" and path[0] != "triggers":
            own = data.get("id")
            yield from (offer for offer in _pipelines(repository, CALL) if offer.label != f"{CALL}{own}")
        elif last == "after" and len(path) > 1 and path[-2] == "respond":
            yield from (Offer(name, "step") for name in step_ids(data))
        elif last in ("queue", "connection"):
            yield from _of_project(repository, "queues" if last == "queue" else "connections")


def tested_pipeline(repository: Repository, data: Any) -> Known | None:
    """The pipeline that a test file names."""
    name = data.get("pipeline") if isinstance(data, dict) else None
    return repository.pipelines().get(name) if isinstance(name, str) else None


def _pipelines(repository: Repository, prefix: str) -> Iterator[Offer]:
    for name, known in sorted(repository.pipelines().items()):
        text = known.data.get("description")
        yield Offer(prefix + name, "pipeline", text if isinstance(text, str) else "")


def _of_project(repository: Repository, key: str) -> Iterator[Offer]:
    found = repository.project_data().get(key)
    for name in found if isinstance(found, dict | list) else ():
        if isinstance(name, str):
            yield Offer(name, key.removesuffix("s"))


def _inputs(known: Known) -> Iterator[Offer]:
    declared = known.data.get("inputs")
    for name, value in declared.items() if isinstance(declared, dict) else ():
        needed = not isinstance(value, dict) or "default" not in value
        yield Offer(name, f"input of {known.id}", describe_input(value), needed)


def describe_input(value: Any) -> str:
    """A declared input for people."""
    if isinstance(value, str):
        return f"`{value}`. Required."
    if not isinstance(value, dict):
        return ""
    kind = value.get("type") or ", ".join(str(word) for word in value.get("enum", ())) or "any"
    text = f"`{kind}`. " + (f"{value['description']}. " if isinstance(value.get("description"), str) else "")
    if "default" not in value:
        return f"{text}Required."
    return f"{text}Default: `{msgspec.json.encode(value['default']).decode()}`."


def _after_key(offer: Offer, source: str, cursor: Cursor) -> str:
    """What follows a key: in block style a map or list begins on the next line."""
    line = source[source.rfind("\n", 0, cursor.start) + 1 : cursor.start]
    if offer.takes not in ("object", "array") or line.strip(" -"):
        return ": "
    indent = "\n" + " " * (len(line) + 2)
    return f":{indent}- " if offer.takes == "array" else f":{indent}"
