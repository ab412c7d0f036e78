"""hookwright pause, resume, paused: hold runs back without losing an event."""

from typing import Literal
from urllib.parse import quote

import msgspec

from engine.cli.client import Connection, connect
from engine.cli.exits import OK
from engine.cli.output import Json, ago, clean, print_json, say, table

Kind = Literal["pipeline", "source", "queue"]


def pause(
    kind: Kind, name: str, /, *, reason: str = "", json: Json = False, connection: Connection | None = None
) -> int:
    """Pause a pipeline, a source or a queue: events are taken and recorded as always, their runs wait.

    Runs that have begun go on; of a queue nothing is taken up any more. Nothing is lost: `hookwright resume` lets all
    of it run.

    Example: `hookwright pause pipeline triage --reason "the tracker is down"`

    Parameters
    ----------
    kind
        What: pipeline, source (such as github) or queue.
    name
        Which one.
    reason
        Shown on the runs that wait.
    """
    body = msgspec.json.encode({"reason": reason})
    with connect(connection) as client:
        path = f"/pauses/{kind}/{quote(name, safe='')}"
        found = client.call("PUT", path, content=body, headers={"content-type": "application/json"})
    if json:
        print_json(found)
    else:
        say(f"The {kind} {clean(name)} is paused: {ago(found['at'])}, by {clean(found['by'])}.")
    return OK


def resume(kind: Kind, name: str, /, *, json: Json = False, connection: Connection | None = None) -> int:
    """Resume what is paused; the runs that wait go on at once. Exit code 1 if it is not paused.

    Example: `hookwright resume queue gpu`

    Parameters
    ----------
    kind
        What: pipeline, source or queue.
    name
        Which one.
    """
    with connect(connection) as client:
        client.call("DELETE", f"/pauses/{kind}/{quote(name, safe='')}")
    if json:
        print_json({"kind": kind, "name": name, "paused": False})
    else:
        say(f"The {kind} {clean(name)} goes on.")
    return OK


def paused(*, json: Json = False, connection: Connection | None = None) -> int:
    """List what is paused, by whom and why.

    Example: `hookwright paused`
    """
    with connect(connection) as client:
        found = client.get("/pauses")
    if json:
        print_json(found)
    elif found:
        rows = [[item["kind"], item["name"], ago(item["at"]), item["by"], item["reason"]] for item in found]
        table(rows, ["WHAT", "NAME", "SINCE", "BY", "REASON"])
    else:
        say("Nothing is paused.")
    return OK
