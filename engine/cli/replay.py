"""hookwright replay: one event or run again, or all events of a filter."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID, uuid4

from cyclopts import Parameter

from engine.cli.client import Client, Connection, connect
from engine.cli.differences import Totals, tell_difference, tell_totals
from engine.cli.exits import FAILED, INTERRUPTED, OK, WrongUsage
from engine.cli.output import FAINT, Json, clean, note, paint, print_json, say
from engine.cli.progress import Bar
from engine.core.duration import parse_duration
from engine.errors import HookwrightError, NotFound

PAGE, DRY_PAGE = 50, 20  # events of one request
MOST_EFFECTS = 30  # steps that a question lists


def replay(
    event: str | None = None,
    /,
    *,
    pipeline: str | None = None,
    version: str | None = None,
    latest: Annotated[bool, Parameter(negative="")] = False,
    step: Annotated[str | None, Parameter(name="--from")] = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    reuse_keys: Annotated[bool, Parameter(negative="")] = False,
    source: str | None = None,
    type: str | None = None,
    path: str | None = None,
    since: str | None = None,
    until: str | None = None,
    resume: str | None = None,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="")] = False,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Run a stored event again, or all events of a filter: new runs, or with --dry-run what would differ.

    Steps that do something to the world are listed first, and you are asked; without a terminal, or with --json, give
    --yes. Deduplication is bypassed. Exit code 1 if nothing was started, or if an event could not be replayed.

    Examples: `hookwright replay 0199f2d0-… --version 1a2b3c4d --dry-run`, `hookwright replay 0199f2d0-… --from notify`,
    `hookwright replay --source github --type 'issues.*' --since 7d --pipeline triage`

    Parameters
    ----------
    event
        The id of an event, or of the run to repeat. Without it the filters say which events.
    pipeline
        Only this pipeline. Default: all that match.
    version
        A stored version, by the beginning of its hash; `hookwright pipeline history` lists them.
    latest
        The version in force, which is the default.
    step
        Begin at this step, with what came before it taken over from the old run.
    dry_run
        Start nothing: say what would differ from the old runs, with their answers in the place of effects.
    reuse_keys
        Hand steps the idempotency keys of the old run, so that receivers can tell that it is the same call.
    source
        Only events of this sender. Hookwright's own events and schedules only if they are named here.
    type
        Only events of this type; may have * and ?.
    path
        Only deliveries to this path below /hooks/.
    since
        Not older than this: a time (RFC 3339), or how long ago, such as 7d.
    until
        Older than this, written in the same way. Default: now.
    resume
        Go on where a replay of many was stopped, with what it printed; give the same filters.
    yes
        Do not ask.
    """
    if latest and version is not None:
        raise WrongUsage("--latest and --version cannot be used together")
    filters = {"source": source, "type": type, "path": path}
    chosen = any(value is not None for value in (*filters.values(), since, until, resume))
    if event is not None and chosen:
        raise WrongUsage("give either an event, or filters such as --source and --since")
    how = {"pipeline": pipeline, "version": version, "reuse_keys": reuse_keys}
    with connect(connection) as client:
        if event is not None:
            return _one(client, event, {**how, "from": step}, dry=dry_run, yes=yes, json=json)
        if step is not None:
            raise WrongUsage("--from is for one event: give its id")
        if since is None and resume is None:
            raise WrongUsage("give the id of an event, or say which events: --since 7d, and --source, --type, --path")
        given = {**how, **filters, "since": read_since(since) if since is not None else None}
        many = _Many(client, given, read_since(until) if until is not None else None, resume, dry=dry_run, json=json)
        return many.run(yes=yes)


def _one(client: Client, id: str, body: dict[str, Any], *, dry: bool, yes: bool, json: bool) -> int:
    address = _address(client, id)
    body = {name: value for name, value in body.items() if value not in (None, False)}
    if dry:
        answer = client.post(f"{address}/replay", body | {"dry_run": True})
        if json:
            print_json(answer)
            return OK
        for difference in answer["differences"]:
            tell_difference(difference)
        if not answer["differences"]:
            _tell_decisions(answer)
        return OK
    plan = client.post(f"{address}/replay", body | {"plan": True})
    if not plan["planned"]:
        print_json(plan) if json else _tell_decisions(plan)
        return FAILED
    which = ", ".join(f"{item['pipeline']} {item['version'][:10]}" for item in plan["planned"])
    _ask(f"Start {which}?", plan["effects"], yes=yes, json=json)
    answer = client.post(f"{address}/replay", body)
    if json:
        print_json(answer)
    for item in answer["runs"] if not json else ():
        say(f"{clean(item['id'])}  {clean(item['pipeline'])}")
    return OK if answer["runs"] else FAILED


def _address(client: Client, id: str) -> str:
    """Whether it is an event or a run. NotFound if it is neither."""
    segment = quote(id, safe="")
    for address in (f"/events/{segment}", f"/runs/{segment}"):
        try:
            client.get(address)
        except NotFound:
            continue
        return address
    raise NotFound(f"there is no event and no run {id}")


def _tell_decisions(answer: dict[str, Any]) -> None:
    say("No trigger matched: no run was started.")
    for item in answer["decisions"]:
        say(f"  {clean(item['pipeline'])} / {clean(item['trigger'])}: {clean(item['sentence'])}")


def _ask(question: str, effects: list[dict[str, Any]], *, yes: bool, json: bool) -> None:
    """Return if it may be done. WrongUsage if nobody can be asked, KeyboardInterrupt if the answer is no."""
    if yes or not effects:
        return
    listed = [f"  {item['pipeline']} / {item['step']} ({item['uses']})" for item in effects[:MOST_EFFECTS]]
    listed += [f"  and {len(effects) - MOST_EFFECTS} more"] if len(effects) > MOST_EFFECTS else []
    text = "\n".join(clean(line) for line in listed)
    if json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise WrongUsage(f"these steps do something to the world; give --yes, or --dry-run to look first:\n{text}")
    note(f"These steps do something to the world:\n{text}")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise KeyboardInterrupt


class _Many:
    """A replay of all events of a filter, page by page."""

    def __init__(
        self, client: Client, given: dict[str, Any], until: str | None, resume: str | None, *, dry: bool, json: bool
    ) -> None:
        self.client = client
        self.dry = dry
        self.json = json
        self.key, self.cursor = uuid4().hex, ""
        given = {**given, "until": until}
        if resume is not None:
            self.key, self.cursor, given["since"], given["until"] = _read_resume(resume)
        self.given = {name: value for name, value in given.items() if value not in (None, False)}
        self.totals = Totals()

    def run(self, *, yes: bool) -> int:
        """All pages; the exit code."""
        plan = self.client.post("/replays/plan", self.given)
        self.given["until"] = plan["until"]
        count = "100,000 or more" if plan["events"] >= 100_000 else f"{plan['events']:,}"
        if not self.dry:
            _ask(f"Replay {count} events?", plan["effects"], yes=yes, json=self.json)
        bar = Bar(plan["events"], shown=not self.json)
        over = False
        try:
            while not over:
                over = self._page()
                bar.show(self.totals.events, self._counts())
            bar.clear()
        except KeyboardInterrupt:
            bar.clear()
            self._tell(stopped=True)
            return INTERRUPTED
        except HookwrightError:
            bar.clear()
            note(f"stopped after {self.totals.events:,} events; go on with --resume {self._resume()}")
            raise
        self._tell(stopped=False)
        return FAILED if self.totals.errors else OK

    def _page(self) -> bool:
        body = {**self.given, "key": self.key, "limit": DRY_PAGE if self.dry else PAGE, "dry_run": self.dry}
        if self.cursor:
            body["cursor"] = self.cursor
        page = self.client.post("/replays", body)
        self.totals.add(page)
        self.cursor = page["next"] or self.cursor
        return page["next"] is None

    def _counts(self) -> str:
        if self.dry:
            return f"{self.totals.same:,} same, {self.totals.differ:,} differ"
        return f"{self.totals.runs:,} runs"

    def _resume(self) -> str:
        return "/".join((self.key, self.cursor, self.given["since"], self.given["until"]))

    def _tell(self, *, stopped: bool) -> None:
        resume = self._resume() if stopped else None
        if self.json:
            print_json(self.totals.plain() | {"resume": resume})
            return
        tell_totals(self.totals, dry=self.dry)
        if stopped:
            note(f"stopped; go on with {paint(f'--resume {resume}', FAINT, stream=sys.stderr)}")


def read_since(text: str) -> str:
    """A time as the API takes it: RFC 3339 as it is, a duration as that long ago."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.now(UTC) - timedelta(seconds=parse_duration(text))
        except (ValueError, OverflowError):
            raise WrongUsage(
                f"{text!r} is neither a time such as 2026-01-31T00:00:00Z nor a duration such as 7d"
            ) from None
    if moment.tzinfo is None:
        moment = moment.astimezone()
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read_resume(text: str) -> tuple[str, str, str, str]:
    """Key, cursor, since and until."""
    parts = text.split("/")
    try:
        key, cursor, since, until = parts
        if cursor:
            UUID(cursor)
    except ValueError:
        raise WrongUsage("--resume: this is not what a stopped replay printed") from None
    return key, cursor, since, until
