"""hookwright check: what is wrong in pipeline files, before anything runs."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.cli.client import Connection
from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import GREEN, Json, in_color, note, paint, print_json, say
from engine.cli.recorded import fetch, read_folder
from engine.cli.repository import Files, check_places, find_files, find_root, read_files, seen_from_here

__all__ = ["check", "find_root", "read_files"]

NAME = re.compile(r"\s*(?:export\s+)?(?:HOOKWRIGHT_SECRET_)?(?P<name>[A-Za-z_]\w*)\s*=\s*\S")


def check(
    paths: list[Path] | None = None,
    /,
    *,
    format: Literal["text", "json", "sarif", "github"] = "text",
    events: Path | None = None,
    recorded: bool = False,
    secrets: bool = False,
    env: str | None = None,
    strict: bool = False,
    quiet: bool = False,
    json: Json = False,
    connection: Connection | None = None,
) -> int:
    """Check pipeline files: shape, step types, expressions, references. Nothing is started, no database is needed.

    Exit code 1 if there is an error; warnings count with --strict only.

    Examples: `hookwright check`, `hookwright check pipelines/github-triage.yaml --format json`

    Parameters
    ----------
    paths
        Files or directories. Default: HOOKWRIGHT_PIPELINES, else `pipelines`, and `tests`.
    format
        text, with the lines and carets; json; sarif, for code scanning; github, annotations of a workflow.
    events
        Directory of recorded events, as JSON or YAML: `event....` is checked against them.
    recorded
        Check `event....` against the newest events of the running Hookwright.
    secrets
        Also say which secrets the pipelines use that are not set here.
    env
        Also say which secrets are not set in another environment: a file of NAME=value lines, or NAME of `.env.NAME`.
    strict
        Warnings count as well.
    quiet
        Errors only, and nothing at all if there are none.
    """
    from engine.plugin.host import load_catalog
    from engine.settings import load_settings

    settings = load_settings()
    files = find_files(paths or [settings.pipelines, *(path for path in [Path("tests")] if path.is_dir())])
    recorded_events = [*(read_folder(events) if events is not None else []), *(fetch(connection) if recorded else [])]
    pipelines, problems = check_places(files, load_catalog().catalog, recorded_events)
    if secrets or env:
        problems += _missing(files, pipelines, _names(env) if env else _set_here(settings))
    if quiet:
        problems = [problem for problem in problems if problem.severity == "error"]
    problems = [
        msgspec.structs.replace(problem, file=seen_from_here(problem.file, files.root)) for problem in _sorted(problems)
    ]
    failed = any(problem.severity == "error" or strict for problem in problems)
    _show(problems, pipelines, len(files.tests), format="json" if json else format, quiet=quiet, failed=failed)
    if format == "text" and not json and not quiet:
        _tell_what_waits(pipelines)
        if not (files.pipelines or files.tests):
            note(f"No pipelines in {', '.join(map(str, paths or [settings.pipelines]))}.")
    return FAILED if failed else OK


def _sorted(problems: Sequence[Any]) -> list[Any]:
    """File by file, in the order in which the files come; then by place."""
    order = {file: index for index, file in enumerate(dict.fromkeys(problem.file for problem in problems))}
    return sorted(problems, key=lambda problem: (order[problem.file], problem.line, problem.column))


def _show(
    problems: Sequence[Any], pipelines: Sequence[Any], tests: int, *, format: str, quiet: bool, failed: bool
) -> None:
    from engine.pipeline.formats import make_github, make_json, make_sarif
    from engine.pipeline.report import format_problem

    if format == "json":
        print_json(make_json(problems, [item.id for item in pipelines]))
    elif format == "sarif":
        print_json(make_sarif(problems))
    elif format == "github":
        for line in make_github(problems):
            say(line)
    else:
        for problem in problems:
            say(format_problem(problem, color=in_color()) + "\n")
        if not quiet:
            say(_summary(problems, len(pipelines), tests, failed=failed))


def _summary(problems: Sequence[Any], pipelines: int, tests: int, *, failed: bool) -> str:
    errors = [problem for problem in problems if problem.severity == "error"]
    warnings = len(problems) - len(errors)
    if failed:
        found = [_count(len(errors), "error")] * bool(errors) + [_count(warnings, "warning")] * bool(warnings)
        bad = len({problem.file for problem in (errors or problems)})
        return f"{' and '.join(found)} in {_count(bad, 'file')}; {_count(pipelines, 'pipeline')} without errors"
    checked = _count(pipelines, "pipeline") + f" and {_count(tests, 'test file')}" * bool(tests)
    return f"{paint(checked, GREEN)} checked, no errors" + f", {_count(warnings, 'warning')}" * bool(warnings)


def _missing(files: Files, pipelines: Sequence[Any], known: frozenset[str]) -> list[Any]:
    """A problem for each secret that a file names and that is not among the known ones."""
    from engine.pipeline.checking.secrets import missing_in_text, missing_secrets

    problems = missing_secrets(pipelines, known)
    good = {(files.root / pipeline.file).resolve() for pipeline in pipelines}
    for path in files.pipelines:
        if path.resolve() not in good:
            name = os.path.relpath(path.resolve(), files.root.resolve())
            problems += missing_in_text(name, path.read_text(encoding="utf-8", errors="replace"), known)
    return problems


def _tell_what_waits(pipelines: Sequence[Any]) -> None:
    """What this version checks and simulates, but does not execute yet."""
    from engine.flow.support import unsupported

    waiting = {
        pipeline.id: dict.fromkeys(_what(problem) for problem in unsupported(pipeline)) for pipeline in pipelines
    }
    if any(waiting.values()):
        note("This version does not execute these yet, and does not deploy pipelines that use them (E120):")
    for name, what in waiting.items():
        if what:
            note(f"  {name}: {', '.join(what)}")


def _what(problem: Any) -> str:
    return str(problem.message).removesuffix(" is not executed by this version yet")


def _set_here(settings: Any) -> frozenset[str]:
    from engine.runtime import open_secrets

    return frozenset(open_secrets(settings).names())


def _names(env: str) -> frozenset[str]:
    """The names that a file of NAME=value lines gives a value."""
    path = next((path for path in (Path(env), Path(f".env.{env}")) if path.exists() and not path.is_dir()), None)
    if path is None:
        raise WrongUsage(f"--env: there is neither a file {env} nor .env.{env}")
    found = (NAME.match(line) for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return frozenset(match["name"] for match in found if match is not None)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
