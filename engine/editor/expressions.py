"""Completion and hover within expressions."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as FilePath

from engine.editor.items import Item
from engine.editor.places import Place
from engine.editor.repository import Repository
from engine.editor.schema import Kind
from engine.editor.scope import find_names, recorded_events
from engine.pipeline.check_names import ERROR, EVENT, RUN, Names, step_fields
from engine.pipeline.expression.manual import FILTERS, FUNCTIONS, TESTS
from engine.pipeline.expression.manual_filters import Entry
from engine.pipeline.shapes import of_values
from engine.pipeline.source import MAX_FILE
from engine.pipeline.types import Shape, describe, field_of, fields_of, item_of, object_of, typed

CHAIN = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\s*(?:'[^']*'|\"[^\"]*\"|\d+)\s*\])*)\.(\w*)$")
PART = re.compile(r"[A-Za-z_]\w*|'([^']*)'|\"([^\"]*)\"|\d+")
FILTER = re.compile(r"(?<!\|)\|\s*([\w.]*)$")
TEST = re.compile(r"\bis\s+(?:not\s+)?(\w*)$")
ROOT = re.compile(r"(\w*)$")
FILE = re.compile(r"\b(?:file|template)\(\s*['\"]([^'\"]*)$")
LAMBDA = re.compile(r"([\w.\[\]']+)\s*\|\s*\w+\(\s*(\w+)\s*=>|(\w+)\s*=>")
WORDS = ("and", "or", "not", "in", "is", "if", "else", "true", "false", "null")
ROOT_TEXTS = {
    "event": "The event that started the run: `body`, `headers`, `type`, ...",
    "events": "The events of a batch.",
    "inputs": "The pipeline's inputs.",
    "vars": "The pipeline's variables.",
    "env": "Environment variables that project.yaml allows.",
    "run": "The run: `id`, `url`, `started_at`, ...",
    "steps": "Steps that have run: `steps.ID.output`.",
    "secrets": "Secrets by name: `secrets.NAME`.",
    "error": "What went wrong: `type`, `message`, `step`, `attempt`, `data`.",
    "result": "What the step returned.",
    "outputs": "The pipeline's outputs.",
    "incoming": "The event that may end the wait.",
    "approval": "Links of the approval: `approve_url`, `reject_url`, `url`.",
    "index": "Number of the current item, from 0.",
}


def complete_expression(
    repository: Repository, path: FilePath, kind: Kind, source: str, offset: int, place: Place
) -> list[Item]:
    """Suggestions within an expression."""
    before = source[place.start : offset]
    rest = re.match(r"\w*", source[offset : place.end])
    end = offset + (rest.end() if rest else 0)

    def make(label: str, item_kind: str, typed: str, documentation: str = "", detail: str = "") -> Item:
        return Item(label, item_kind, label, offset - len(typed), end, detail, documentation)

    if found := FILE.search(before):
        return [make(name, "word", found[1]) for name in _files(repository)]
    if _in_text(before):
        return []
    if found := FILTER.search(before):
        return [make(name, "filter", found[1], text, "filter") for name, text in _filters(repository)]
    if found := TEST.search(before):
        return [make(entry.name, "word", found[1], entry_text(entry), "test") for entry in TESTS]
    names = find_names(repository, path, place) if kind == "pipeline" else None
    if found := CHAIN.search(before):
        fields = _fields(repository, names, _parts(found[1]), before)
        return [make(name, "field", found[2], text) for name, text in fields]
    typed = ROOT.search(before)
    word = typed[1] if typed else ""
    items = [make(name, "name", word, text) for name, text in _roots(names, before)]
    items += [make(entry.name, "function", word, entry_text(entry), "function") for entry in FUNCTIONS]
    return items + [make(name, "word", word) for name in WORDS] if word else items


def describe_name(repository: Repository, path: FilePath, kind: Kind, place: Place, source: str, word: str) -> str:
    """What is known about a dotted name: what it is for, and its type."""
    parts = word.split(".")
    names = find_names(repository, path, place) if kind == "pipeline" else None
    before = source[place.start : place.end]
    text = ROOT_TEXTS.get(word, "")
    if names is None:
        return f"`{word}`\n\n{text}" if text else ""
    shape = _shape(repository, names, parts, before)
    if len(parts) > 1:
        known = dict(_fields(repository, names, parts[:-1], before))
        if parts[-1] not in known and shape is None:
            return ""
        text = "" if shape is not None else known.get(parts[-1], "")
    type_ = typed(shape)
    if type_ is not None and type_.description and type_.description not in text:
        text = f"{text}\n\n{type_.description}".strip()
    parts = [f"```text\n{word}: {describe(shape, 2)}\n```" if shape is not None else f"`{word}`", text]
    return "\n\n".join(part for part in parts if part)


def entry_text(entry: Entry) -> str:
    """The manual's entry of a filter, function or test."""
    examples = "\n".join(f"{source}  ->  {value}" for source, value in entry.examples)
    return f"`{entry.usage}`\n\n{entry.meaning}" + (f"\n\n```text\n{examples}\n```" if examples else "")


def _filters(repository: Repository) -> Iterator[tuple[str, str]]:
    yield from ((entry.name, entry_text(entry)) for entry in FILTERS)
    for name, function in sorted(repository.catalog.filters.items()):
        yield name, inspect.getdoc(function) or ""


def _roots(names: Names | None, before: str) -> Iterator[tuple[str, str]]:
    """Names that can begin here."""
    for found in LAMBDA.finditer(before):
        yield found[2] or found[3], "The argument of the lambda."
    roots: Iterable[str] = (*names.locals, *names.roots) if names is not None else ("steps", "inputs", "outputs", "run")
    for name in dict.fromkeys(roots):
        if name == "event" and names is not None and not names.event:
            continue
        yield name, ROOT_TEXTS.get(name, "")


def _fields(repository: Repository, names: Names | None, parts: list[str], before: str) -> Iterator[tuple[str, str]]:
    """What can follow the dot, and what it is."""
    if names is None:
        return
    if len(parts) == 1 and parts[0] not in names.locals:
        if parts[0] == "secrets":
            yield from ((name, "") for name in _secrets(repository))
            return
        if parts[0] == "env":
            yield from ((name, "Environment variable.") for name in sorted(names.env))
            return
        if parts[0] == "steps":
            yield from ((name, view.doubt and f"It {view.doubt}.") for name, view in names.steps.items())
            return
    for name, shape in fields_of(_shape(repository, names, parts, before)).items():
        type_ = typed(shape)
        yield name, " ".join(part for part in (_of_type(shape), type_.description if type_ else "") if part)


def _of_type(shape: Shape) -> str:
    return f"`{describe(shape, 1)}`" if shape is not None else ""


def _shape(repository: Repository, names: Names, parts: list[str], before: str) -> Shape:
    """What is known about the value of a chain of names."""
    shape, rest = _start(repository, names, parts, before)
    for part in rest:
        shape = item_of(shape) if part.isdecimal() else field_of(shape, part)
    return shape


def _start(repository: Repository, names: Names, parts: list[str], before: str) -> tuple[Shape, list[str]]:
    """What the first names of a chain are, and the others."""
    root, rest = parts[0], parts[1:]
    for found in LAMBDA.finditer(before):
        if root == found[2]:
            return item_of(_shape(repository, names, _parts(found[1]), "")), rest
    if root == "event" and names.event:
        return _event(repository, names.locals.get("event", object_of(EVENT))), rest
    if root in names.locals:
        return names.locals[root], rest
    if root == "steps":
        view = names.steps.get(rest[0]) if rest else None
        return (object_of(step_fields(view)), rest[1:]) if view is not None else (None, [])
    known: Mapping[str, Shape] = {
        "run": object_of(RUN),
        "error": object_of(ERROR),
        "inputs": object_of(names.inputs),
        "vars": object_of(names.vars),
        "result": names.result,
    }
    return known.get(root), rest


def _event(repository: Repository, shape: Shape) -> Shape:
    """The event as it is declared, with what recorded ones have."""
    events = recorded_events(repository)
    if not events:
        return shape
    recorded = of_values(events)
    fields = dict(fields_of(shape))
    for name, found in fields_of(recorded).items():
        if fields.get(name) is None:
            fields[name] = found
    return object_of(fields)


def _parts(chain: str) -> list[str]:
    return [found[1] or found[2] or found[0] for found in PART.finditer(chain)]


def _in_text(before: str) -> bool:
    """Whether the cursor is within quotes."""
    quote = ""
    for letter in before:
        if letter == quote:
            quote = ""
        elif not quote and letter in "'\"":
            quote = letter
    return bool(quote)


def _files(repository: Repository) -> list[str]:
    """Files of the repository that can be read into an expression."""
    found: list[str] = []
    for folder in ("prompts", "mail", "sql", "templates"):
        for path in sorted((repository.root / folder).glob("**/*")):
            if path.is_file() and path.stat().st_size <= MAX_FILE and len(found) < 500:
                found.append(path.relative_to(repository.root).as_posix())
    return found


def _secrets(repository: Repository) -> list[str]:
    """Secrets that the repository's pipelines name."""
    found = {
        name
        for known in repository.pipelines().values()
        for name in re.findall(r"\bsecrets\.([A-Za-z_]\w*)", known.text)
    }
    return sorted(found)
