"""hookwright check: what is wrong in pipeline files, before anything runs."""

from pathlib import Path
from typing import Any, Literal

from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import GREEN, Json, in_color, note, paint, print_json, say


def check(
    paths: list[Path] | None = None,
    /,
    *,
    format: Literal["text", "json"] = "text",
    secrets: bool = False,
    json: Json = False,
) -> int:
    """Check pipeline files: shape, step types, expressions, references. Nothing is started, no database is needed.

    Exit code 1 if there is an error; warnings do not count.

    Examples: `hookwright check`, `hookwright check pipelines/github-triage.yaml --format json`

    Parameters
    ----------
    paths
        Files or directories. Default: HOOKWRIGHT_PIPELINES, else `pipelines`.
    format
        text, with the lines and carets; or json.
    secrets
        Also say which secrets the pipelines use that are not set here.
    """
    from engine.settings import load_settings

    settings = load_settings()
    chosen = paths or [settings.pipelines]
    report = read_files(chosen)
    problems = [_plain(problem) for problem in report.problems]
    if secrets:
        problems += _missing(report.pipelines, settings)
    errors = sum(problem["severity"] == "error" for problem in problems)
    if json or format == "json":
        print_json({"pipelines": [item.id for item in report.pipelines], "errors": errors, "problems": problems})
        return FAILED if errors else OK
    from engine.pipeline.check import format_problem

    for problem in report.problems:
        say(format_problem(problem, color=in_color()) + "\n")
    for problem in problems[len(report.problems) :]:
        say(f"{problem['severity']}[{problem['code']}]: {problem['message']}\n  = help: {problem['help']}\n")
    good, bad = len(report.pipelines), len({problem["file"] for problem in problems if problem["severity"] == "error"})
    if errors:
        say(f"{_count(errors, 'error')} in {_count(bad, 'file')}; {_count(good, 'pipeline')} without")
        return FAILED
    warnings = len(problems)
    say(
        f"{paint(_count(good, 'pipeline'), GREEN)} checked, no errors"
        + (f", {_count(warnings, 'warning')}" * bool(warnings))
    )
    if not good:
        note(f"No pipelines in {', '.join(map(str, chosen))}.")
    return OK


def read_files(paths: list[Path]) -> Any:
    """The Report on all pipeline files in these places. ConfigurationError if a place does not exist."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted({*path.glob("**/*.yaml"), *path.glob("**/*.yml")})
        elif path.exists():
            files.append(path)
        else:
            raise WrongUsage(f"there is no file or directory {path}")
    from engine.pipeline.check import check_files
    from engine.plugin.host import load_catalog

    return check_files(files, load_catalog().catalog, root=find_root(paths[0]))


def find_root(path: Path) -> Path:
    """The repository of these files: the nearest directory above with project.yaml, else the parent."""
    start = path.resolve() if path.is_dir() else path.resolve().parent
    for folder in (start, *start.parents):
        if (folder / "project.yaml").exists() or (folder / "project.yml").exists():
            return folder
    return start.parent


def _missing(pipelines: list[Any], settings: Any) -> list[dict[str, Any]]:
    from engine.runtime import open_secrets

    known = open_secrets(settings).names()
    return [
        {
            "code": "E306", "severity": "error", "message": f"secret {name} is not set", "file": pipeline.file,
            "line": 1, "column": 1, "length": 1, "source_line": "",
            "help": f"set HOOKWRIGHT_SECRET_{name}, or write {name}=... into {settings.data_dir / 'secrets.env'}",
        }
        for pipeline in pipelines
        for name in pipeline.secrets
        if name not in known
    ]  # fmt: skip


def _plain(problem: Any) -> dict[str, Any]:
    names = ("code", "severity", "message", "file", "line", "column", "length", "help", "source_line")
    return {name: _text(getattr(problem, name)) for name in names}


def _text(value: Any) -> Any:
    return value if isinstance(value, int | type(None)) else str(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
