"""Events that have been seen: from a directory, or from the running Hookwright."""

from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from engine.cli.client import Client, Connection, connect
from engine.cli.exits import WrongUsage
from engine.cli.output import note

SUFFIXES = (".json", ".yaml", ".yml")
KEYS = frozenset({"id", "source", "type", "time", "headers", "query", "path_params", "path", "body"})
MOST_FILES = 1000
MOST_EVENTS = 200  # of the running Hookwright: the newest
MOST_ALIKE = 10  # of one source, type and path


def read_folder(folder: Path) -> list[Any]:
    """The events in the files of a directory: an object with the keys of an event, or just its body."""
    if not folder.is_dir():
        raise WrongUsage(f"--events: there is no directory {folder}")
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES and path.is_file()]
    if not paths:
        note(f"--events: there are no events in {folder}")
    return [_recorded(_read(path)) for path in paths[:MOST_FILES]]


def fetch(connection: Connection | None) -> list[Any]:
    """The newest events of the running Hookwright, those with a JSON body."""
    with connect(connection) as client:
        listed = client.get("/events", limit=MOST_EVENTS)["items"]
        alike: Counter[tuple[str, str, str]] = Counter()
        found = []
        for item in listed:
            kind = (item["source"], item["type"], item["path"] or "")
            alike[kind] += 1
            body = _body(client, item["id"]) if alike[kind] <= MOST_ALIKE else None
            if body is not None:
                found.append(_recorded({"source": kind[0], "type": kind[1], "path": kind[2], "body": body}))
    return found


def _recorded(event: dict[str, Any]) -> Any:
    from engine.pipeline.checking.events import Recorded

    texts = {name: str(event[name]) for name in ("source", "type", "path") if event.get(name)}
    return Recorded(body=event["body"], **texts)


def _read(path: Path) -> dict[str, Any]:
    from engine.pipeline.loader import YamlError, load_yaml, read_file
    from engine.pipeline.project import yaml_problem

    try:
        text = read_file(path)
        value = msgspec.json.decode(text) if path.suffix == ".json" else load_yaml(text)[0]
    except YamlError as error:
        problem = yaml_problem(path.as_posix(), error)
        raise WrongUsage(f"--events: {path}:{problem.line}:{problem.column}: {problem.message}") from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongUsage(f"--events: {path}: {error}") from None
    if isinstance(value, dict) and "body" in value and value.keys() <= KEYS:
        return value
    return {"body": value}


def _body(client: Client, event_id: str) -> Any:
    """The body as data; None if it is no JSON."""
    answer = client.send("GET", f"/api/v1/events/{quote(event_id, safe='')}/body")
    try:
        return msgspec.json.decode(answer.content) if answer.is_success else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
