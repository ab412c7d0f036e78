"""hookwright approvals, approve, reject: questions of runs to people."""

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from cyclopts import Parameter

from engine.cli.client import Connection, connect
from engine.cli.exits import OK, WrongUsage
from engine.cli.output import FAINT, Json, ago, clean, paint, paint_status, print_json, say, table

SHOWN = 80  # characters of a prompt in the list


def approvals(
    *,
    pipeline: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """List the questions that somebody can decide now, newest first.

    Example: `hookwright approvals --pipeline refund-approval`

    Parameters
    ----------
    pipeline
        Only questions of this pipeline.
    limit
        How many at most; up to 200.
    cursor
        The `next` of the page before.
    """
    with connect(connection) as client:
        page = client.get("/approvals", pipeline=pipeline, limit=limit, cursor=cursor)
    if json:
        print_json(page)
        return OK
    if not page["items"]:
        say("Nobody is asked anything.")
        return OK
    table([_row(item) for item in page["items"]], ["APPROVAL", "PIPELINE", "AGE", "ENDS", "ASKED", "PROMPT"])
    if page["next"]:
        say(paint(f"More: --cursor {page['next']}", FAINT))
    return OK


def approve(
    approval_id: str,
    /,
    *,
    form: Annotated[list[str] | None, Parameter(name=["--form", "-f"], negative="")] = None,
    comment: str = "",
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Approve: the run goes on. Who approves is the name of the token.

    Exit code 1 if somebody was faster, the time is over, or you may not.

    Example: `hookwright approve 0199f2d0-… --form note='as agreed' --form amount=5`

    Parameters
    ----------
    approval_id
        From `hookwright approvals`.
    form
        One field of the form as name=value; repeat it. The value is read as JSON if it is JSON, else as text.
    comment
        For the audit.
    """
    return _decide(approval_id, form, comment, approved=True, json=json, connection=connection)


def reject(
    approval_id: str,
    /,
    *,
    form: Annotated[list[str] | None, Parameter(name=["--form", "-f"], negative="")] = None,
    comment: str = "",
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Reject: the step fails, or the run goes on unapproved if the pipeline says `on_reject: continue`.

    Exit code 1 if somebody was faster, the time is over, or you may not.

    Example: `hookwright reject 0199f2d0-… --comment 'no invoice'`

    Parameters
    ----------
    approval_id
        From `hookwright approvals`.
    form
        One field of the form as name=value; repeat it. None is needed.
    comment
        For the audit.
    """
    return _decide(approval_id, form, comment, approved=False, json=json, connection=connection)


def _decide(
    approval_id: str,
    form: list[str] | None,
    comment: str,
    *,
    approved: bool,
    json: bool,
    connection: Connection | None,
) -> int:
    body: dict[str, Any] = {"approved": approved, "form": dict(_read_field(item) for item in form or ())}
    if comment:
        body["comment"] = comment
    with connect(connection) as client:
        found = client.post(f"/approvals/{quote(approval_id, safe='')}/decision", body)
    if json:
        print_json(found)
    else:
        say(f"{paint_status(found['state'])} by {clean(found['by'])}: {' '.join(clean(found['prompt']).split())}")
        say(paint(f"run {clean(found['run_id'])} goes on", FAINT))
    return OK


def _read_field(text: str) -> tuple[str, Any]:
    """`name=value` as a pair; the value is decoded if it is JSON."""
    name, found, value = text.partition("=")
    if not found or not name:
        raise WrongUsage(f"--form {text!r}: write name=value")
    try:
        return name, msgspec.json.decode(value.encode())
    except msgspec.DecodeError:
        return name, value


def _row(item: dict[str, Any]) -> list[Any]:
    prompt = " ".join(item["prompt"].split())
    asked = "whoever has a link" if item["approvers"] is None else ", ".join(item["approvers"])
    return [
        item["id"],
        item["pipeline"],
        ago(item["created_at"]),
        item["expires_at"],
        asked,
        prompt if len(prompt) <= SHOWN else prompt[: SHOWN - 1] + "…",
    ]
