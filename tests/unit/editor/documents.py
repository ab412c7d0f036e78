"""A document with a cursor, in a repository of its own or in that of the examples."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from engine.editor.completion import complete
from engine.editor.definition import Target, find_definition
from engine.editor.hover import find_hover
from engine.editor.items import Item
from engine.editor.repository import Repository, make_knowledge
from tests.language.catalog import ROOT, make_catalog

CURSOR = "‸"


def repository(root: Path, documents: dict[Path, str]) -> Repository:
    """A repository with unsaved documents."""
    return Repository(root, make_catalog(), documents, knowledge())


@cache
def knowledge() -> Mapping[Any, Any]:
    """What the schemas of the examples' catalog say."""
    return make_knowledge(make_catalog())


def put(text: str, root: Path = ROOT, file: str = "pipelines/draft.yaml") -> tuple[Repository, Path, str, int]:
    """The repository with an unsaved document, and the offset of the cursor in it."""
    offset = text.index(CURSOR)
    source = text.replace(CURSOR, "", 1)
    path = root / file
    return repository(root, {path: source}), path, source, offset


def offered(text: str, root: Path = ROOT, file: str = "pipelines/draft.yaml") -> dict[str, Item]:
    """Suggestions at the cursor by label."""
    return {item.label: item for item in complete(*put(text, root, file))}


def after(text: str, label: str, root: Path = ROOT, file: str = "pipelines/draft.yaml") -> str:
    """The document once a suggestion has been taken."""
    where, path, source, offset = put(text, root, file)
    item = next(item for item in complete(where, path, source, offset) if item.label == label)
    return source[: item.start] + item.insert + source[item.end :]


def told(text: str, root: Path = ROOT, file: str = "pipelines/draft.yaml") -> str:
    """What the hover at the cursor says."""
    found = find_hover(*put(text, root, file))
    return found.text if found is not None else ""


def target(text: str, root: Path = ROOT, file: str = "pipelines/draft.yaml") -> tuple[str, str] | None:
    """The file that the definition is in, and the text that is selected there."""
    found: Target | None = find_definition(*put(text, root, file))
    if found is None:
        return None
    return found.path.relative_to(root).as_posix(), found.source[found.start : found.end]
