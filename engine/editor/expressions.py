"""Completion and hover within expressions: the checker's own, with what only the repository knows."""

import re
from collections.abc import Iterator
from pathlib import Path as FilePath

from engine.editor.items import Item
from engine.editor.places import Place
from engine.editor.repository import Repository
from engine.editor.schema import Kind
from engine.editor.scope import find_names
from engine.pipeline.complete import Completion, complete, describe_at
from engine.pipeline.expression.manual import describe_filter, describe_function
from engine.pipeline.expression.manual_filters import Entry
from engine.pipeline.inference.names import Names, step_fields
from engine.pipeline.inference.types import describe
from engine.pipeline.source import MAX_FILE

FILE = re.compile(r"\b(?:file|template)\(\s*['\"]([^'\"]*)$")
LISTED = re.compile(r"\b(secrets|env|steps|inputs|vars)\.(\w*)$")
STEP = re.compile(r"\bsteps\.(\w+)\.(\w*)$")
FOLDERS = ("prompts", "mail", "sql", "templates")  # where the files of expressions usually are
KINDS = {
    "name": "name", "field": "field", "filter": "filter", "function": "function", "test": "word", "value": "word",
}  # fmt: skip
ROOTS = {
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
NOWHERE = Names(  # assertions of tests
    roots=("steps", "outputs", "run", "emitted", "started", "response", "error", "elapsed")
)


def complete_expression(
    repository: Repository, path: FilePath, kind: Kind, source: str, offset: int, place: Place
) -> list[Item]:
    """Suggestions within an expression."""
    before = source[place.start : offset]
    rest = re.match(r"\w*", source[offset : place.end])
    end = offset + (rest.end() if rest else 0)
    if found := FILE.search(before):
        return [Item(name, "word", name, offset - len(found[1]), end) for name in _files(repository)]
    names = find_names(repository, path, place) if kind == "pipeline" else NOWHERE
    names = names or NOWHERE
    listed = list(_listed(repository, names, before))
    word = re.search(r"[\w.]*$" if re.search(r"(?<!\|)\|\s*[\w.]*$", before) else r"\w*$", before)
    start = offset - (len(word[0]) if word else 0)
    suggestions = listed or _suggestions(repository, names, before, source[place.start : place.end])
    return [
        Item(item.label, KINDS[item.kind], item.label, start, end, item.detail, _documentation(item))
        for item in suggestions
    ]


def describe_name(repository: Repository, path: FilePath, kind: Kind, place: Place, source: str, offset: int) -> str:
    """What is known about the name at the offset: what it is for, and its type."""
    names = find_names(repository, path, place) if kind == "pipeline" else NOWHERE
    text = source[place.start : place.end]
    at = offset - place.start
    end = at + len(re.match(r"\w*", text[at:])[0])  # type: ignore[index]  # it matches nothing at least
    chain = re.search(r"[\w.\[\]'\"]*$", text[:end])
    word = chain[0].lstrip(".'\"[]") if chain else ""
    if not word or names is None:
        return ""
    known = {item.label: item.detail for item in _listed(repository, names, text[:end])}
    shown = known.get(word.rpartition(".")[2]) or describe_at(text, at, names, filters=repository.catalog.filters)
    about = ROOTS.get(word, "")
    if not shown and not about:
        return ""
    return "\n\n".join(part for part in (f"```text\n{word}: {shown}\n```" if shown else f"`{word}`", about) if part)


def entry_text(entry: Entry) -> str:
    """The manual's entry of a filter, function or test."""
    examples = "\n".join(f"{source}  ->  {value}" for source, value in entry.examples)
    return f"`{entry.usage}`\n\n{entry.meaning}" + (f"\n\n```text\n{examples}\n```" if examples else "")


def _suggestions(repository: Repository, names: Names, before: str, text: str) -> list[Completion]:
    """The checker's; of words that fit and words that do not, all: the editor filters."""
    cut = re.sub(r"\w*$", "", before)
    found = complete(cut, len(cut), names, filters=repository.catalog.filters)
    return found or complete(before, len(before), names, filters=repository.catalog.filters)


def _listed(repository: Repository, names: Names, before: str) -> Iterator[Completion]:
    """Names that are listed somewhere: secrets, variables of the environment, steps, and what those have."""
    if found := STEP.search(before):
        view = names.steps.get(found[1])
        for name, shape in step_fields(view).items() if view is not None else ():
            yield Completion(name, "field", describe(shape, 1) if shape is not None else "")
        return
    listed = LISTED.search(before)
    if listed is None or listed[1] not in names.roots or listed[1] in names.locals:
        return
    root = listed[1]
    if root == "secrets":
        yield from (Completion(name, "field", "secret") for name in _secrets(repository))
    elif root == "env":
        yield from (Completion(name, "field", "string") for name in sorted(names.env))
    elif root == "steps":
        for name, view in names.steps.items():
            output = describe(view.output, 1) if view.output is not None else ""
            yield Completion(name, "field", output, view.doubt and f"It {view.doubt}.")
    else:
        for name, shape in (names.inputs if root == "inputs" else names.vars).items():
            yield Completion(name, "field", describe(shape, 1) if shape is not None else "")


def _documentation(item: Completion) -> str:
    entry = describe_filter(item.label) if item.kind == "filter" else None
    entry = describe_function(item.label) if item.kind == "function" else entry
    if entry is not None:
        return entry_text(entry)
    return item.documentation or (ROOTS.get(item.label, "") if item.kind == "name" else "")


def _files(repository: Repository) -> list[str]:
    """Files of the repository that can be read into an expression."""
    found: list[str] = []
    for folder in FOLDERS:
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
