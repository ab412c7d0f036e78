"""What is told about the thing under the pointer: keys, fields, step types, filters, names in expressions."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.editor.completion import CALL, describe_input
from engine.editor.expressions import describe_name, entry_text
from engine.editor.places import Place, find_place, word_at
from engine.editor.repository import Known, Repository
from engine.editor.schema import Kind
from engine.editor.tree import at, parse, path_at
from engine.pipeline.expression.manual import TESTS, describe_filter, describe_function
from engine.pipeline.expression.manual_filters import Entry
from engine.pipeline.marks import Path
from engine.plugin.reference import description

PIPE = re.compile(r"\|\s*$")
IS = re.compile(r"\bis\s+(?:not\s+)?$")
BY_TEST = {entry.name: entry for entry in TESTS}


class Hover(msgspec.Struct, frozen=True):
    """Markdown, and the range of the document it is about."""

    text: str
    start: int
    end: int


def find_hover(repository: Repository, path: FilePath, source: str, offset: int) -> Hover | None:
    """What is known about the place; None if that is nothing."""
    kind = repository.kind(path)
    if kind is None:
        return None
    if (place := find_place(source, offset)) is not None:
        return _in_expression(repository, path, kind, source, offset, place)
    tree = parse(source)
    around = path_at(tree, offset) if tree is not None else None
    if tree is None or around is None:
        return None
    where, mark, on_key = around
    if on_key and mark.key_start is not None and mark.key_end is not None:
        text = _key(repository, kind, tree.data, where)
        return Hover(text, mark.key_start, mark.key_end) if text else None
    if mark.text is None and isinstance(at(tree.data, where), dict | list):
        return None
    text = _value(repository, kind, tree.data, where)
    return Hover(text, mark.start, mark.end) if text else None


def describe_type(catalog: Catalog, uses: str, *, trigger: bool) -> str:
    """A step or trigger type: its text, and what it returns. Empty if it is not installed."""
    type_: Any = (catalog.triggers if trigger else catalog.steps).get(uses)
    if type_ is None:
        return ""
    text = inspect.cleandoc(type_.config.__doc__ or "").partition("\nExample:")[0].strip()
    parts = [f"**{uses}**", text]
    if not trigger and isinstance(type_.result, type) and issubclass(type_.result, msgspec.Struct):
        parts.append("Output:\n" + "\n".join(_outputs(type_.result)))
    if not trigger:
        parts.append(f"Effect: {type_.effect}. From {type_.plugin} {type_.version}.".replace(" .", "."))
    return "\n\n".join(parts)


def describe_pipeline(known: Known) -> str:
    """A pipeline that is called: what it is for, and its inputs."""
    parts = [f"**pipeline:{known.id}**"]
    if isinstance(known.data.get("description"), str):
        parts.append(known.data["description"])
    inputs = known.data.get("inputs")
    if isinstance(inputs, dict) and inputs:
        parts.append("Inputs:\n" + "\n".join(f"* `{name}` {describe_input(value)}" for name, value in inputs.items()))
    return "\n\n".join(parts)


def _key(repository: Repository, kind: Kind, data: Any, path: Path) -> str:
    """A key: what the schema says; for inputs of a called pipeline what that declares."""
    text = repository.knowledge[kind].describe(data, path)
    if not text and len(path) > 1 and path[-2] == "with":
        uses = at(data, (*path[:-2], "uses"))
        if isinstance(uses, str) and uses.startswith(CALL):
            callee = repository.pipelines().get(uses.removeprefix(CALL))
            declared = callee.data.get("inputs") if callee is not None else None
            if isinstance(declared, dict) and path[-1] in declared:
                text = describe_input(declared[path[-1]])
    return f"**{path[-1]}**\n\n{text}" if text else ""


def _value(repository: Repository, kind: Kind, data: Any, path: Path) -> str:
    value = at(data, path)
    if path and path[-1] == "uses" and isinstance(value, str):
        if value.startswith(CALL):
            known = repository.pipelines().get(value.removeprefix(CALL))
            return describe_pipeline(known) if known is not None else ""
        return describe_type(repository.catalog, value, trigger=path[0] == "triggers")
    if kind == "test" and path == ("pipeline",) and isinstance(value, str):
        known = repository.pipelines().get(value)
        return describe_pipeline(known) if known is not None else ""
    for offer in repository.knowledge[kind].words(data, path):
        if offer.label == value and offer.documentation:
            return f"**{value}**\n\n{offer.documentation}"
    return repository.knowledge[kind].describe(data, path)


def _in_expression(
    repository: Repository, path: FilePath, kind: Kind, source: str, offset: int, place: Place
) -> Hover | None:
    found = word_at(source, place.start, place.end, offset)
    if found is None:
        return None
    word, start, end = found
    before, after = source[place.start : start], source[end : place.end].lstrip()
    entry: Entry | None = None
    if PIPE.search(before) and not before.rstrip().endswith("||"):
        entry = describe_filter(word)
        if entry is None and word in repository.catalog.filters:
            return Hover(f"`{word}`\n\n{inspect.getdoc(repository.catalog.filters[word]) or ''}".strip(), start, end)
    elif IS.search(before):
        entry = BY_TEST.get(word)
    elif after.startswith("("):
        entry = describe_function(word)
    if entry is not None:
        return Hover(entry_text(entry), start, end)
    text = describe_name(repository, path, kind, place, source, offset)
    return Hover(text, start, end) if text else None


def _outputs(result: type[msgspec.Struct]) -> Iterator[str]:
    information = msgspec.inspect.type_info(result)
    assert isinstance(information, msgspec.inspect.StructType)
    for field in information.fields:
        yield f"* `{field.encode_name}` {description(field.type)}".rstrip()
