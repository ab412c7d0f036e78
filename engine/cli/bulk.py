"""Acting on many runs: how many, are you sure, and a bar that grows."""

import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from engine.cli.client import Client
from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import Json, clean, note, print_json, say

FILTER = Group("Many at once", sort_key=40)
PAGE = 50  # runs of one request
SHOWN = 20  # refusals that are listed
WIDTH = 30  # characters of the bar
Status = Literal["queued", "running", "waiting", "failed", "cancelled"]


@Parameter(name="*", group=FILTER)
@dataclass(frozen=True)
class Chosen:
    """Which runs, in place of one id."""

    pipeline: str | None = None
    "All runs of this pipeline that can be."
    status: Status | None = None
    "All that stand so."
    label: Annotated[list[str] | None, Parameter(negative="")] = None
    "All with this label, written name:value or name=value; repeat it."
    since: str | None = None
    "Made at this time or later (RFC 3339)."
    until: str | None = None
    "Made before this time (RFC 3339)."
    yes: Annotated[bool, Parameter(negative="")] = False
    "Do not ask."

    def read(self) -> dict[str, Any]:
        """The filter as the API wants it."""
        found: dict[str, Any] = {
            name: value
            for name in ("pipeline", "status", "since", "until")
            if (value := getattr(self, name)) is not None
        }
        if self.label:
            found["labels"] = dict(_read_label(text) for text in self.label)
        return found


def act_on_many(client: Client, action: str, chosen: Chosen, *, json: Json, latest: bool = False) -> int:
    """Ask, then act page by page. FAILED if a run was refused."""
    wanted = chosen.read()
    if not wanted:
        raise WrongUsage("name a run, or choose many with --pipeline, --status, --label, --since or --until")
    body = {"action": action, "filter": wanted, "latest": latest, "limit": PAGE}
    counted = client.post("/runs/bulk", body | {"count": True})
    count, more = counted["matching"], counted["more"]
    if count and not chosen.yes:
        _confirm(f"{action} {'more than ' if more else ''}{count} run{'s' if count != 1 else ''}")
    done, refused, cursor = 0, list[dict[str, Any]](), None
    bar = sys.stderr.isatty() and not json
    while count:
        page = client.post("/runs/bulk", body | ({"cursor": cursor} if cursor else {}))
        done, cursor = done + page["done"], page["next"]
        refused += page["refused"]
        if bar:
            _draw(done + len(refused), count)
        if cursor is None:
            break
    if bar and count:
        sys.stderr.write("\n")
    if json:
        print_json({"action": action, "matching": count, "done": done, "refused": refused})
    else:
        for item in refused[:SHOWN]:
            note(f"{clean(item['id'])}  {clean(item['message'])}")
        if len(refused) > SHOWN:
            note(f"and {len(refused) - SHOWN} more were refused; --json lists them")
        say(f"{done} done, {len(refused)} refused" if count else "No run matches.")
    return FAILED if refused else OK


def _confirm(what: str) -> None:
    if not sys.stdin.isatty():
        raise WrongUsage(f"this would {what}: add --yes")
    sys.stderr.write(f"This will {what}. Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise WrongUsage("nothing was done")


def _draw(done: int, count: int) -> None:
    share = min(1.0, done / max(count, 1))
    filled = round(share * WIDTH)
    sys.stderr.write(f"\r[{'#' * filled}{'.' * (WIDTH - filled)}] {done} of {max(count, done)}")
    sys.stderr.flush()


def _read_label(text: str) -> tuple[str, str]:
    for mark in (":", "="):
        name, found, value = text.partition(mark)
        if found and name:
            return name, value
    raise WrongUsage(f"--label {text!r}: write name:value")
