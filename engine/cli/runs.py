"""hookwright run, runs list, show, watch, cancel."""

import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from engine.cli import control
from engine.cli.bulk import Chosen, act_on_many
from engine.cli.client import Client, Connection, connect
from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import (
    BOLD,
    FAINT,
    Json,
    ago,
    clean,
    compact,
    paint,
    paint_status,
    print_json,
    print_json_line,
    say,
    table,
)
from engine.core.duration import format_duration
from engine.core.run import FINISHED, RunStatus

FAST, SLOW = 0.1, 1.0  # seconds between looks at a run: at first, and once it takes long
PERIOD = 1.0  # seconds between looks at the list of runs
SCREEN = 50  # runs looked at each time
Status = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]


def run(
    pipeline: str,
    /,
    *,
    input: Annotated[list[str] | None, Parameter(name=["--input", "-i"], negative="")] = None,
    wait: Annotated[bool | None, Parameter(name="--wait", negative="--no-wait")] = None,
    idempotency_key: str | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Start a run of a pipeline; on a terminal, follow it to its end.

    Exit code 1 if the run failed or was cancelled.

    Example: `hookwright run summarize --input text='A long story' --input sentences=2`

    Parameters
    ----------
    pipeline
        The pipeline's `id`.
    input
        One input as name=value; repeat it. The value is read as JSON if it is JSON, else as text.
    wait
        Follow the run to its end. Default: only on a terminal.
    idempotency_key
        A second start with the same key starts nothing and shows the first run.
    """
    inputs = dict(_read_input(item) for item in input or ())
    headers = {"idempotency-key": idempotency_key} if idempotency_key else {}
    follow = sys.stdout.isatty() if wait is None else wait
    with connect(connection) as client:
        started = client.post(f"/pipelines/{_segment(pipeline)}/runs", {"inputs": inputs}, headers)
        if not follow:
            if json:
                print_json(started)
            else:
                say(started["id"])
            return OK
        return _follow(client, started["id"], json=json)


def list_runs(
    *,
    pipeline: str | None = None,
    status: Status | None = None,
    label: Annotated[list[str] | None, Parameter(negative="")] = None,
    event: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """List runs, newest first.

    Example: `hookwright runs list --pipeline github-triage --status failed --since 2026-01-31T00:00:00Z`

    Parameters
    ----------
    pipeline
        Only runs of this pipeline.
    status
        Only runs that stand so.
    label
        Only runs with this label, written name:value; repeat it.
    event
        Only runs that this event started.
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
            "/runs", pipeline=pipeline, status=status, label=label or None, event=event, since=since, until=until,
            limit=limit, cursor=cursor,
        )  # fmt: skip
    if json:
        print_json(page)
        return OK
    if not page["items"]:
        say("No runs.")
        return OK
    table([_row(item) for item in page["items"]], ["RUN", "PIPELINE", "STATUS", "AGE", "TOOK", "NOTE"], status=2)
    if page["next"]:
        say(paint(f"More: --cursor {page['next']}", FAINT))
    return OK


def show(run_id: str, /, *, json: Json = False, connection: Connection | None = None) -> int:
    """Show one run: its steps, inputs, outputs, errors and timings.

    Example: `hookwright runs show 0199f2d0-…`
    """
    with connect(connection) as client:
        found = client.get(f"/runs/{_segment(run_id)}")
    if json:
        print_json(found)
        return OK
    say(f"{paint('Run', BOLD)} {clean(found['id'])}  {paint_status(found['status'])}")
    for name, value in (
        ("pipeline", found["pipeline"]),
        ("trigger", found["trigger"] or "by hand"),
        ("event", found["event_id"]),
        ("events", f"a batch of {len(found['events'])}" if found.get("events") else None),
        ("started by", found.get("parent")),
        ("replay of", found["replay_of"]),
        ("created", f"{found['created_at']} ({ago(found['created_at'])})"),
        ("took", _took(found["seconds"])),
        ("waits", found["waiting"]),
        ("changes", found.get("rounds") or None),
        ("labels", found["labels"] or None),
        ("inputs", found["inputs"] or None),
        ("message", found["message"]),
    ):
        if value not in (None, ""):
            say(f"  {name:<10}{value if isinstance(value, str) and name != 'message' else compact(value)}")
    for attempt in found["attempts"]:
        say(_attempt_line(attempt))
        for name in ("input", "output"):
            if attempt[name] is not None:
                say(f"      {name:<8}{compact(attempt[name])}")
    _outcome(found)
    return OK


def watch(run_id: str | None = None, /, *, json: Json = False, connection: Connection | None = None) -> int:
    """Follow one run to its end, or all runs until Ctrl-C.

    Exit code 1 if the run failed or was cancelled. With --json, one line for each change.

    Examples: `hookwright runs watch`, `hookwright runs watch 0199f2d0-…`
    """
    with connect(connection) as client:
        if run_id is not None:
            return _follow(client, run_id, json=json)
        for item in _changes(client):
            if json:
                print_json_line(item)
            else:
                line = f"{clean(item['id'])}  {paint_status(item['status'])}  {clean(item['pipeline'])}"
                say(f"{line}  {paint(_took(item['seconds']), FAINT)}  {_reason(item)}".rstrip())
    return OK


def cancel(
    run_id: str | None = None,
    /,
    *,
    chosen: Chosen | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Cancel a run, or all that match: at once if they have not begun, at their next safe point if they have.

    What a run has done is undone as its pipeline says, and its `finally` runs.

    Example: `hookwright runs cancel 0199f2d0-…`, `hookwright runs cancel --pipeline import --status waiting --yes`
    """
    with connect(connection) as client:
        if run_id is None:
            return act_on_many(client, "cancel", chosen or Chosen(), json=json)
        _refuse_both(chosen)
        answer = client.post(f"/runs/{_segment(run_id)}/cancel")
    if json:
        print_json(answer)
    else:
        say(f"{clean(answer['id'])}  {paint_status(answer['status'])}")
    return OK


def retry(
    run_id: str | None = None,
    /,
    *,
    latest: Annotated[bool, Parameter(negative="")] = False,
    chosen: Chosen | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Let a failed or cancelled run, or all failed ones that match, go on at the step that failed.

    What is finished is not repeated; what was undone is.

    Example: `hookwright runs retry 0199f2d0-… --latest`, `hookwright runs retry --pipeline import --status failed`

    Parameters
    ----------
    latest
        In the newest version of the pipeline, if the run can go on there.
    """
    with connect(connection) as client:
        if run_id is None:
            return act_on_many(client, "retry", chosen or Chosen(), json=json, latest=latest)
        _refuse_both(chosen)
        return control.retry_one(client, run_id, latest=latest, json=json)


def _refuse_both(chosen: Chosen | None) -> None:
    if chosen is not None and chosen.read():
        raise WrongUsage("name a run or choose many, not both")


def create_run_group() -> App:
    """`hookwright run PIPELINE`; and `hookwright run retry RUN`, for who has just typed `run`."""
    group = App(name="run")
    group.default(run)
    for command, name in (
        (cancel, "cancel"),
        (retry, "retry"),
        (control.resume, "resume"),
        (control.migrate, "migrate"),
    ):
        group.command(command, name=name, show=False)
    return group


def create_group() -> App:
    """`hookwright runs ...`"""
    group = App(name="runs", help="Look at runs and act on them.")
    group.command(list_runs, name="list")
    group.command(show)
    group.command(watch)
    group.command(cancel)
    group.command(retry)
    group.command(control.resume)
    group.command(control.migrate)
    return group


def _read_input(text: str) -> tuple[str, Any]:
    """`name=value` as a pair; the value is decoded if it is JSON."""
    name, found, value = text.partition("=")
    if not found or not name:
        raise WrongUsage(f"--input {text!r}: write name=value")
    try:
        return name, msgspec.json.decode(value.encode())
    except msgspec.DecodeError:
        return name, value


def _segment(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _follow(client: Client, run_id: str, *, json: bool) -> int:
    """Print each finished attempt until the run has ended; FAILED unless it succeeded."""
    told: set[tuple[str, int, int | None]] = set()
    began = time.monotonic()
    while True:
        found = client.get(f"/runs/{_segment(run_id)}")
        if not json:
            for attempt in found["attempts"]:
                key = (attempt["step"], attempt["number"], attempt.get("superseded"))
                if key not in told and attempt["status"] != "running":
                    told.add(key)
                    say(_attempt_line(attempt))
        if found["status"] in FINISHED:
            break
        time.sleep(FAST if time.monotonic() - began < 5.0 else SLOW)
    if json:
        print_json(found)
    else:
        say(f"{paint_status(found['status'])} after {_took(found['seconds'])}  {paint(clean(found['id']), FAINT)}")
        _outcome(found)
    return OK if found["status"] == RunStatus.SUCCEEDED else FAILED


def _changes(client: Client) -> Iterator[dict[str, Any]]:
    """The newest runs, and then each run that is new or stands differently."""
    seen: dict[str, str] = {}
    while True:
        items = client.get("/runs", limit=SCREEN)["items"]
        for item in reversed(items):
            if seen.get(item["id"]) != item["status"]:
                yield item
        seen = {item["id"]: item["status"] for item in items}
        time.sleep(PERIOD)


def _row(item: dict[str, Any]) -> list[Any]:
    return [
        item["id"],
        item["pipeline"],
        item["status"],
        ago(item["created_at"]),
        _took(item["seconds"]),
        _reason(item),
    ]


def _reason(item: dict[str, Any]) -> str:
    """What is worth knowing about this run in a list: its error, or what it waits for."""
    error = item.get("error")
    text = (
        error["message"]
        if isinstance(error, dict) and "message" in error
        else item.get("waiting") or item.get("message")
    )
    line = " ".join(clean(text or "").split())
    return line if len(line) <= 80 else line[:79] + "…"


def _attempt_line(attempt: dict[str, Any]) -> str:
    number = f" (attempt {attempt['number']})" if attempt["number"] > 1 else ""
    cached = paint("  cached", FAINT) if attempt["cached"] else ""
    took = paint(_took(attempt["seconds"]), FAINT)
    if attempt.get("superseded") is not None:
        cached += paint(f"  before change {attempt['superseded']}", FAINT)
    line = f"  {paint_status(attempt['status'])}  {clean(attempt['step'])}{number}  {took}"
    error = attempt["error"]
    tail = (
        f"\n      {clean(error.get('type', 'error'))}: {clean(error.get('message', ''))}"
        if isinstance(error, dict)
        else ""
    )
    return line + cached + tail


def _outcome(found: dict[str, Any]) -> None:
    if found["error"]:
        error = found["error"]
        where = f" in step {error['step']}" if error.get("step") else ""
        say(f"  error{clean(where)}: {clean(error.get('type', ''))}: {clean(error.get('message', ''))}")
    if found["outputs"]:
        say(f"  outputs {compact(found['outputs'], 2000)}")


def _took(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(seconds)
