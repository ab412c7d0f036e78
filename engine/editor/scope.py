"""Which names an expression in a place can use: the checker itself is asked, with the expression left out."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import msgspec

from engine.editor.places import Place
from engine.editor.repository import Known, Repository
from engine.editor.tree import parse
from engine.pipeline.calls import called_ids
from engine.pipeline.check_names import EVENT, Names
from engine.pipeline.check_repository import Unit, read_units
from engine.pipeline.marks import Path
from engine.pipeline.project import Project, read_project
from engine.pipeline.shapes import of_values
from engine.pipeline.source import Files, Source
from engine.pipeline.types import fields_of, object_of

EVENTS = "events"  # folder of recorded events
MOST_EVENTS = 200
LARGEST = 1_000_000  # bytes of a recorded event


def find_names(repository: Repository, path: FilePath, place: Place) -> Names | None:
    """The names of the place; None if the checker does not get there."""
    source = Source(path.name, place.tree.data, place.tree.marks)
    project = read_own_project(repository)
    called = (
        _unit(Source(known.path.name, known.data, known.tree.marks), known.text, repository, project)
        for known in _called(repository, place.tree.data)
    )
    units = [_unit(source, "", repository, project), *called]
    read_units(units, repository.catalog)
    names = nearest(source.scopes, place.path)
    return _with_events(repository, names) if names is not None and names.event else names


def nearest(scopes: Mapping[Path, Any], path: Path) -> Names | None:
    """The names of the value that the path leads to or into."""
    for length in range(len(path), 0, -1):
        names = scopes.get(path[:length])
        if isinstance(names, Names):
            return names
    return None


def read_own_project(repository: Repository) -> Project:
    """The project, saved or not."""
    for name in ("project.yaml", "project.yml"):
        text = repository.text(repository.root / name)
        if text is not None:
            return read_project(text, repository.catalog, file=name, files=Files(repository.root))
    return Project()


def _with_events(repository: Repository, names: Names) -> Names:
    """The names with an `event` that has the fields of recorded ones where nothing was declared."""
    events = recorded_events(repository)
    if "event" not in names.roots or not events:
        return names
    declared = names.locals.get("event", object_of(EVENT))
    fields = dict(fields_of(declared))
    for name, shape in fields_of(of_values(events)).items():
        if fields.get(name) is None:
            fields[name] = shape
    return msgspec.structs.replace(names, locals={**names.locals, "event": object_of(fields)})


def recorded_events(repository: Repository) -> list[dict[str, Any]]:
    """The events in the folder `events/` of the repository."""
    folder = repository.root / EVENTS
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("**/*"))[:MOST_EVENTS] if folder.is_dir() else ():
        event = _event(path)
        if event is not None:
            found.append(event)
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
    return Unit(source, text, Files(repository.root), project.env, project.queues, project.defaults)


def _called(repository: Repository, data: Any) -> list[Known]:
    """The pipelines that the data calls, and those that they call."""
    pipelines = repository.pipelines()
    found: dict[str, Known] = {}
    waiting = set(called_ids(data))
    while waiting:
        known = pipelines.get(waiting.pop())
        if known is not None and known.id not in found:
            found[known.id] = known
            waiting |= called_ids(known.data)
    return list(found.values())
