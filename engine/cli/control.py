"""hookwright runs retry, resume, migrate."""

import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from cyclopts import Parameter

from engine.cli.client import Client, Connection, connect
from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import FAINT, Json, clean, paint, paint_status, print_json, say

MOST_INPUT = 10_000_000  # characters read from standard input


def resume(
    run_id: str,
    /,
    *,
    step: str | None = None,
    input: str | None = None,
    output: str | None = None,
    skip: Annotated[bool, Parameter(negative="")] = False,
    retry: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Let a failed, cancelled or waiting run go on with your decision about one of its steps.

    Example: `hookwright runs resume 0199f2d0-… --step charge --output '{"id": "ch_1"}'`

    Parameters
    ----------
    step
        The step's key or id; needed if there are several to decide about.
    input
        Run the step again with this as its `with:`, JSON; `@FILE` reads a file, `-` standard input.
    output
        Do not run the step again: this is its output, JSON; `@FILE` reads a file, `-` standard input.
    skip
        Skip the step.
    retry
        Run the step again as it is.
    """
    given: dict[str, Any] = {}
    for name, text in (("input", input), ("output", output)):
        if text is not None:
            given[name] = _read_json(f"--{name}", text)
    given |= {name: True for name, wanted in (("skip", skip), ("retry", retry)) if wanted}
    if len(given) != 1:
        raise WrongUsage("give exactly one of --input, --output, --skip and --retry")
    if step is not None:
        given["step"] = step
    with connect(connection) as client:
        _tell(client.post(f"/runs/{quote(run_id, safe='')}/resume", given), json=json)
    return OK


def migrate(
    run_id: str,
    /,
    *,
    to: str = "latest",
    check: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Let a queued or waiting run go on in another version of its pipeline.

    It can if every step that has begun is still there, and all that the others need. Otherwise the differences are
    listed, and nothing changes. Exit code 1 if it cannot.

    Example: `hookwright runs migrate 0199f2d0-… --check`

    Parameters
    ----------
    to
        A version, or `latest`.
    check
        Only say whether it could.
    """
    with connect(connection) as client:
        answer = client.post(f"/runs/{quote(run_id, safe='')}/migrate", {"to": to, "check": check})
    if json:
        print_json(answer)
    else:
        for difference in answer["differences"]:
            say(clean(difference["message"]))
        if not answer["differences"]:
            same = answer["before"] == answer["version"]
            done = "is in this version already" if same else "can go on there" if check else "goes on there"
            say(f"{clean(answer['id'])}  {done}  {paint(clean(answer['version'][:12]), FAINT)}")
    return FAILED if answer["differences"] else OK


def retry_one(client: Client, run_id: str, *, latest: bool, json: bool) -> int:
    """One run, by its id."""
    _tell(client.post(f"/runs/{quote(run_id, safe='')}/retry", {"latest": latest}), json=json)
    return OK


def _tell(answer: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(answer)
        return
    steps = answer["steps"]
    shown = ", ".join(steps[:5]) + (f" and {len(steps) - 5} more" if len(steps) > 5 else "")
    say(f"{clean(answer['id'])}  {paint_status('queued')}  {clean(f'goes on at {shown}' if shown else 'goes on')}")


def _read_json(option: str, text: str) -> Any:
    """The value of an option that is JSON, or names where it is."""
    try:
        if text == "-":
            text = sys.stdin.read(MOST_INPUT)
        elif text.startswith("@"):
            text = Path(text[1:]).read_text()
        return msgspec.json.decode(text.encode())
    except (OSError, UnicodeError) as error:
        raise WrongUsage(f"{option}: {error}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise WrongUsage(f"{option}: this is not JSON: {error}") from None
