"""hookwright why run, why event: what keeps a run, and why an event started what it started."""

from typing import Any
from urllib.parse import quote

from cyclopts import App

from engine.cli.client import Connection, connect
from engine.cli.exits import OK
from engine.cli.output import BOLD, FAINT, Json, clean, paint, paint_status, print_json, say


def run(run_id: str, /, *, json: Json = False, connection: Connection | None = None) -> int:
    """Say what a run waits for, who holds it, or how it ended.

    Example: `hookwright why run 0199f2d0-…`
    """
    with connect(connection) as client:
        found = client.get(f"/runs/{quote(run_id, safe='')}/why")
    return _tell(found, json=json)


def event(event_id: str, /, *, json: Json = False, connection: Connection | None = None) -> int:
    """Say which runs an event started, and for every other trigger why not.

    Example: `hookwright why event 0199f2d0-…`
    """
    with connect(connection) as client:
        found = client.get(f"/events/{quote(event_id, safe='')}/why")
    return _tell(found, json=json)


def _tell(found: dict[str, Any], *, json: bool) -> int:
    if json:
        print_json(found)
        return OK
    status = found["status"].replace("_", " ")
    say(f"{paint_status(status)}  {paint(clean(found['summary']), BOLD)}")
    for reason in found["reasons"]:
        if reason["text"] != found["summary"]:
            say(f"  {paint('-', FAINT)} {clean(reason['text'])}")
    return OK


def create_group() -> App:
    """The commands below `hookwright why`."""
    group = App(name="why", help="Why is it waiting, why did it not fire.")
    group.command(run)
    group.command(event)
    return group
