"""Which names an expression in a place can use: the checker itself is asked, with the expression left out."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec

from engine.editor.places import Place
from engine.editor.repository import Known, Repository
from engine.editor.tree import parse
from engine.pipeline.checking.callees import called_ids, started_ids
from engine.pipeline.checking.events import Recorded
from engine.pipeline.checking.repository import Unit, read_units
from engine.pipeline.inference.names import Names
from engine.pipeline.marks import Path
from engine.pipeline.project import Project, load_project
from engine.pipeline.source import Files, Source

EVENTS = "events"  # folder of recorded events
MOST_EVENTS = 200
LARGEST = 1_000_000  # bytes of a recorded event


def find_names(repository: Repository, path: FilePath, place: Place) -> Names | None:
    """The names of the place; None if the checker does not get there."""
    source = Source(path.name, place.tree.data, place.tree.marks)
    project = load_project(repository.root, repository.catalog, overlay=repository.open)
    called = (
        _unit(Source(known.path.name, known.data, known.tree.marks), known.text, repository, project)
        for known in _called(repository, place.tree.data)
    )
    units = [_unit(source, "", repository, project), *called]
    read_units(units, repository.catalog, recorded=recorded_events(repository))
    return nearest(source.scopes, place.path)


def nearest(scopes: Mapping[Path, Any], path: Path) -> Names | None:
    """The names of the value that the path leads to or into."""
    for length in range(len(path), 0, -1):
        names = scopes.get(path[:length])
        if isinstance(names, Names):
            return names
    return None


def recorded_events(repository: Repository) -> list[Recorded]:
    """The events in the folder `events/` of the repository: whole ones, or only their bodies."""
    folder = repository.root / EVENTS
    found: list[Recorded] = []
    for path in sorted(folder.glob("**/*"))[:MOST_EVENTS] if folder.is_dir() else ():
        event = _event(path)
        if event is not None and "body" not in event:  # a body alone
            found.append(Recorded(event))
        elif event is not None:
            texts = {name: event[name] for name in ("source", "type", "path") if isinstance(event.get(name), str)}
            found.append(Recorded(event["body"], **texts))
    return found


def _event(path: FilePath) -> dict[str, Any] | None:
    try:
        if path.suffix not in (".json", ".yaml", ".yml") or path.stat().st_size > LARGEST:
            return None
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if path.suffix == ".json":
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return None
    else:
        tree = parse(text)
        value = tree.data if tree is not None else None
    return value if isinstance(value, dict) else None


def _unit(source: Source, text: str, repository: Repository, project: Project) -> Unit:
    return Unit(source, text, Files(repository.root), project.env, frozenset(project.queues), project.defaults)


def _called(repository: Repository, data: Any) -> list[Known]:
    """The pipelines that the data calls, and those that they call."""
    pipelines = repository.pipelines()
    found: dict[str, Known] = {}
    waiting = set(called_ids(data) | started_ids(data))
    while waiting:
        known = pipelines.get(waiting.pop())
        if known is not None and known.id not in found:
            found[known.id] = known
            waiting |= called_ids(known.data)
    return list(found.values())
