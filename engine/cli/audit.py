"""hookwright audit: what was done by hand."""

from engine.cli.client import Connection, connect
from engine.cli.exits import OK
from engine.cli.output import FAINT, Json, ago, compact, paint, print_json, say, table


def audit(
    *,
    run: str | None = None,
    event: str | None = None,
    action: str | None = None,
    by: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """List what was done by hand: who, when, what; newest first.

    Example: `hookwright audit --action run.cancel --since 2026-01-31T00:00:00Z`

    Parameters
    ----------
    run
        Only what was done to this run.
    event
        Only what was done with this event.
    action
        Only this, e.g. run.cancel.
    by
        Only by this token or session.
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
            "/audit", run=run, event=event, action=action, by=by, since=since, until=until, limit=limit, cursor=cursor
        )
    if json:
        print_json(page)
        return OK
    if not page["items"]:
        say("Nothing was done by hand.")
        return OK
    rows = [
        [ago(item["at"]), item["by"], item["action"], item["target"], item["run_id"] or item["event_id"] or "",
         compact(item["detail"], 200) if item["detail"] else ""]
        for item in page["items"]
    ]  # fmt: skip
    table(rows, ["AGE", "BY", "ACTION", "TARGET", "ID", "DETAIL"])
    if page["next"]:
        say(paint(f"More: --cursor {page['next']}", FAINT))
    return OK
