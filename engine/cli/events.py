"""hookwright events list, show."""

import sys
from typing import Annotated
from urllib.parse import quote

from cyclopts import App, Parameter

from engine.cli.client import Connection, connect
from engine.cli.exits import FAILED, OK
from engine.cli.output import BOLD, FAINT, GREEN, Json, ago, clean, compact, paint, paint_status, print_json, say, table


def list_events(
    *,
    source: str | None = None,
    type: str | None = None,
    path: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """List events, newest first.

    Example: `hookwright events list --source github --type issues.opened`

    Parameters
    ----------
    source
        Only events of this sender, e.g. github.
    type
        Only events of this type, e.g. issues.opened.
    path
        Only deliveries to this path below /hooks/.
    since
        Not older than this time (RFC 3339).
    until
        Older than this time (RFC 3339).
    limit
        How many at most; up to 200.
    cursor
        The `next` of the page before.
    """
    with connect(connection) as client:
        page = client.get(
            "/events", source=source, type=type, path=path, since=since, until=until, limit=limit, cursor=cursor
        )
    if json:
        print_json(page)
        return OK
    if not page["items"]:
        say("No events.")
        return OK
    rows = [
        [item["id"], item["source"], item["type"], item["path"], ago(item["received_at"]), _matched(item)]
        for item in page["items"]
    ]
    table(rows, ["EVENT", "SOURCE", "TYPE", "PATH", "AGE", "MATCHED"])
    if page["next"]:
        say(paint(f"More: --cursor {page['next']}", FAINT))
    return OK


def show(
    event_id: str,
    /,
    *,
    body: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Show one event: which triggers were tried, why they matched or not, and the runs it started.

    Example: `hookwright events show 0199f2d0-… --body > body.json`

    Parameters
    ----------
    body
        Write the raw body, byte for byte, to standard output, and nothing else.
    """
    with connect(connection) as client:
        if body:
            answer = client.send("GET", f"/api/v1/events/{quote(event_id, safe='')}/body")
            if not answer.is_success:
                client.get(f"/events/{quote(event_id, safe='')}")  # tells what is wrong
                return FAILED
            sys.stdout.buffer.write(answer.content)
            return OK
        found = client.get(f"/events/{quote(event_id, safe='')}")
    if json:
        print_json(found)
        return OK
    say(f"{paint('Event', BOLD)} {clean(found['id'])}  {clean(found['source'])} {clean(found['type'])}")
    for name, value in (
        ("received", f"{found['received_at']} ({ago(found['received_at'])})"),
        ("delivery", found["delivery_id"]),
        ("path", found["path"]),
        ("size", f"{found['size']} bytes"),
        ("replay of", found["replay_of"]),
    ):
        if value:
            say(f"  {name:<10}{clean(value)}")
    for item in found["decisions"]:
        word = paint("matched", GREEN) if item["matched"] else paint("no match", FAINT)
        say(f"  {word}  {clean(item['pipeline'])} / {clean(item['trigger'])}: {clean(item['sentence'])}")
        if item["detail"] and not item["matched"]:
            say(f"      {compact(item['detail'])}")
    for item in found["runs"]:
        say(f"  run {clean(item['id'])}  {clean(item['pipeline'])}  {paint_status(item['status'])}")
    return OK


def create_group() -> App:
    """`hookwright events ...`"""
    group = App(name="events", help="Look at events; `hookwright replay` runs them again.")
    group.command(list_events, name="list")
    group.command(show)
    return group


def _matched(item: dict[str, object]) -> str:
    if item["matched"]:
        return f"{item['matched']} of {item['decided']}"
    return f"0 of {item['decided']}" + (f" ({item['reason']})" if item["reason"] else "")
