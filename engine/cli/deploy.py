"""hookwright deploy, and hookwright pipeline history, diff, rollback."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from cyclopts import App, Parameter

from engine.cli.client import Connection, Refused, connect
from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import (
    CYAN,
    FAINT,
    GREEN,
    RED,
    YELLOW,
    Json,
    ago,
    clean,
    complain,
    in_color,
    note,
    paint,
    print_json,
    say,
    table,
)
from engine.cli.repository import Files, check_places, find_files, seen_from_here

LONGEST = 200  # characters of an author
LINES = (("+++", ""), ("---", ""), ("@@", CYAN), ("+", GREEN), ("-", RED))  # beginnings of lines of a diff


def deploy(
    *paths: Path,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Put pipelines in force on a running Hookwright: all of them, or with one error none.

    The files are checked here and once more there. Runs that are open keep the version they began with. Commit and
    author are kept where the files are in a git repository. Exit code 1 if nothing was deployed because of an error.

    Examples: `hookwright deploy --dry-run`, `hookwright deploy pipelines/triage.yaml`

    Parameters
    ----------
    paths
        A directory: its pipelines become the whole set, others are removed. Files: only these pipelines change, and
        those of their directory that call them. Default: HOOKWRIGHT_PIPELINES, else `pipelines`.
    dry_run
        Only say what would change.
    """
    from engine.plugin.host import load_catalog
    from engine.settings import load_settings

    given = list(paths) or [load_settings().pipelines]
    only = all(path.is_file() for path in given)
    if not only and any(path.is_file() for path in given):
        raise WrongUsage("name either directories, whose pipelines become the whole set, or files")
    files = find_files(given)
    pipelines, problems = _check(files, load_catalog().catalog, only=only)
    if any(problem.severity == "error" for problem in problems):
        return _refuse([item for item in problems if item.severity == "error"], files, json=json)
    if not pipelines:
        raise WrongUsage(f"there are no pipelines in {', '.join(map(str, given))}")
    body = {"pipelines": _offers(files.root, pipelines), "only": only, "dry_run": dry_run}
    with connect(connection) as client:
        try:
            answer = client.post("/deployments/", body)
        except Refused as refusal:
            return _tell_refusal(refusal, json=json)
    if json:
        print_json(answer)
        return OK
    _tell(answer, dry=dry_run)
    return OK


def history(
    pipeline: str,
    /,
    *,
    limit: int = 20,
    cursor: int | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """List which version of a pipeline came into force when, by whom and from which commit; newest first.

    Example: `hookwright pipeline history github-triage`

    Parameters
    ----------
    pipeline
        The pipeline's `id`; it may have been removed.
    limit
        How many at most; up to 200.
    cursor
        The `next` of the page before.
    """
    with connect(connection) as client:
        page = client.get(f"/pipelines/{quote(pipeline, safe='')}/history", limit=limit, cursor=cursor)
    if json:
        print_json(page)
        return OK
    rows = [
        [
            (item["version"] or "removed")[:12],
            "in force" if item["in_force"] else "",
            ago(item["at"]),
            item["kind"],
            item["by"],
            (item["commit"] or "")[:12] + ("+" if "+" in (item["commit"] or "") else ""),
            item["author"],
        ]
        for item in page["items"]
    ]
    table(rows, ["VERSION", "", "AGE", "BY WAY OF", "BY", "COMMIT", "AUTHOR"])
    if page["rolled_back_from"]:
        note(f"Rolled back: its file says {page['rolled_back_from'][:12]}, which comes into force when it changes.")
    if page["next"]:
        say(paint(f"More: --cursor {page['next']}", FAINT))
    return OK


def diff(
    pipeline: str,
    before: str | None = None,
    after: str | None = None,
    /,
    *,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Show how two versions of a pipeline differ: files, defaults and called pipelines included.

    Example: `hookwright pipeline diff github-triage 1a2b3c4d`

    Parameters
    ----------
    pipeline
        The pipeline's `id`.
    before
        A version, by the beginning of its hash. Default: the one that was replaced.
    after
        Another one. Default: the one in force.
    """
    with connect(connection) as client:
        found = client.get(f"/pipelines/{quote(pipeline, safe='')}/diff", before=before, after=after)
    if json:
        print_json(found)
        return OK
    if not found["diff"]:
        note("The texts are the same.")
    for line in found["diff"].splitlines():
        color = next((color for begin, color in LINES if line.startswith(begin)), "")
        say(paint(clean(line), color))
    return OK


def rollback(
    pipeline: str, /, *, to: str | None = None, json: Json = False, connection: Connection | None = None
) -> int:
    """Put an earlier version of a pipeline in force again, until its file changes or it is deployed anew.

    Runs that are open keep their version. Exit code 1 if there is no such version, or it is in force already.

    Example: `hookwright pipeline rollback github-triage --to 1a2b3c4d`

    Parameters
    ----------
    pipeline
        The pipeline's `id`.
    to
        A version, by the beginning of its hash. Default: the one that was replaced.
    """
    with connect(connection) as client:
        answer = client.post(f"/pipelines/{quote(pipeline, safe='')}/rollback", {"to": to} if to else None)
    if json:
        print_json(answer)
        return OK
    before = f"{answer['previous'][:12]} → " if answer["previous"] else ""
    say(f"{clean(answer['pipeline'])}  {before}{paint(answer['version'][:12], GREEN)}")
    return OK


def create_group() -> App:
    """`hookwright pipeline ...`"""
    group = App(name="pipeline", help="Look at versions of a pipeline and go back to one.")
    group.command(history)
    group.command(diff)
    group.command(rollback)
    return group


def _check(files: Files, catalog: Any, *, only: bool) -> tuple[list[Any], list[Any]]:
    """The pipelines to deploy, and what is wrong. With single files, those that call them come along."""
    if not only:
        return check_places(files, catalog)
    from engine.pipeline.check import check_files

    report = check_files([*files.pipelines, *files.companions], catalog, root=files.root)
    asked = {path.resolve() for path in files.pipelines}
    chosen = {item.id for item in report.pipelines if (files.root / item.file).resolve() in asked}
    for item in report.pipelines:
        if chosen & _called(item):
            chosen.add(item.id)
    pipelines = [item for item in report.pipelines if item.id in chosen]
    names = {item.file for item in pipelines}
    own = [item for item in report.problems if item.file in names or (files.root / item.file).resolve() in asked]
    return pipelines, own


def _called(pipeline: Any) -> set[str]:
    """Ids of all pipelines that it reaches by calls."""
    found: set[str] = set()
    for name, callee in pipeline.called.items():
        found |= {name} | _called(callee)
    return found


def _offers(root: Path, pipelines: Sequence[Any]) -> list[dict[str, Any]]:
    from engine.flow.origin import NOWHERE, origins_of

    origins = origins_of(root, pipelines)
    found = []
    for item in pipelines:
        commit, author = origins.get(item.version, NOWHERE)
        found.append({"source": msgspec.Raw(item.source), "commit": commit, "author": author and author[:LONGEST]})
    return found


def _refuse(problems: Sequence[Any], files: Files, *, json: bool) -> int:
    from engine.pipeline.formats import make_json
    from engine.pipeline.report import format_problem

    shown = [msgspec.structs.replace(item, file=seen_from_here(item.file, files.root)) for item in problems]
    if json:
        print_json(make_json(shown, []))
        return FAILED
    for problem in shown:
        say(format_problem(problem, color=in_color()) + "\n")
    complain("nothing was deployed: mend these first")
    return FAILED


def _tell_refusal(refusal: Refused, *, json: bool) -> int:
    if json:
        print_json(refusal.problem)
    else:
        complain(str(refusal))
    return FAILED


def _tell(answer: dict[str, Any], *, dry: bool) -> None:
    for item in answer["changes"]:
        name, version, previous = clean(item["pipeline"]), item["version"], item["previous"]
        if version is None:
            say(f"  {paint('-', RED)} {name}  removed (was {previous[:12]})")
        elif previous is None:
            say(f"  {paint('+', GREEN)} {name}  {version[:12]}")
        else:
            ends = "; its rollback ends" if item["ends_rollback"] else ""
            say(f"  {paint('~', YELLOW)} {name}  {previous[:12]} → {version[:12]}{ends}")
    count = len(answer["changes"])
    word = "would change" if dry else "changed"
    say(f"{count} {word}, {answer['unchanged']} stay as they are" if count else "Everything is in force already.")
    for item in answer["warnings"]:
        note(f"{paint('warning', YELLOW)}: {clean(item['file'])}:{item['line']}: {clean(item['message'])}")
    if answer["folder"] and count and not dry:
        note(f"This server also takes pipelines from {clean(answer['folder'])}: what changes there replaces this.")
