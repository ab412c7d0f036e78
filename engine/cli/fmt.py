"""hookwright fmt: pipeline, test and project files in one style."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import GREEN, RED, Json, clean, in_color, note, paint, print_json, say

SUFFIXES = (".yaml", ".yml")


def fmt(
    paths: list[Path] | None = None,
    /,
    *,
    check: Annotated[bool, Parameter(negative="")] = False,
    diff: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Format pipelines, tests and project.yaml: indentation, order of keys, quotes, empty lines.

    Comments, expressions and block scalars stay as they are. Each file is read again before it is written: if its data
    or its version would differ, it is left alone. Exit code 1 if a file cannot be read, or with --check if one is not
    formatted.

    Examples: `hookwright fmt`, `hookwright fmt --check pipelines`, `hookwright fmt tests/inbox.test.yaml --diff`

    Parameters
    ----------
    paths
        Files or directories. Default: the pipelines' directory, `tests` and project.yaml.
    check
        Write nothing; say which files are not formatted.
    diff
        Write nothing; show what would change.
    """
    from engine.settings import load_settings

    results = [_format(path, write=not (check or diff)) for path in _files(paths, load_settings().pipelines)]
    failed = any(result["problem"] for result in results) or (check and any(result["changed"] for result in results))
    if json:
        shown = ("file", "changed", "problem", "left") + (("diff",) if diff else ())
        print_json([{name: result[name] for name in shown} for result in results])
        return FAILED if failed else OK
    for result in results:
        _tell(result, diff=diff, check=check)
    changed = sum(result["changed"] for result in results)
    if not results:
        note("No files to format.")
    elif not diff:
        verb = "would be formatted" if check else "formatted"
        say(paint(f"{changed} of {len(results)} files {verb}", GREEN if not failed else ""))
    return FAILED if failed else OK


def _format(path: Path, *, write: bool) -> dict[str, Any]:
    """What became of one file."""
    from engine.pipeline.formatting import format_text
    from engine.pipeline.loader import YamlError
    from engine.pipeline.project import yaml_problem
    from engine.pipeline.report import format_problem

    result: dict[str, Any] = {"file": path.as_posix(), "changed": False, "problem": None, "left": "", "diff": ""}
    try:
        old = path.read_bytes()
        formatted = format_text(old)
        new = formatted.text.encode()
        result["left"] = formatted.left
        if formatted.left or new == old:
            return result
        result["changed"] = True
        result["diff"] = _diff(path, old.decode("utf-8-sig"), formatted.text)
        if write:
            _replace(path, new)
    except YamlError as error:
        problem = yaml_problem(path.as_posix(), error)
        result["problem"] = {"code": problem.code, "message": problem.message, "line": problem.line}
        result["text"] = format_problem(problem, color=in_color())
    except OSError as error:
        message = f"{error.strerror}"
        result["changed"] = False
        result["problem"] = {"code": "E005", "message": message, "line": 1}
        result["text"] = f"{paint('error', RED)}: {path}: {message}"
    return result


def _replace(path: Path, content: bytes) -> None:
    """Write the file as a whole or not at all; its permissions stay, and a link keeps pointing to it."""
    target = path.resolve()
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(target.stat().st_mode & 0o7777)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def _files(paths: list[Path] | None, folder: Path) -> list[Path]:
    """What to format; in directories only files that look like ours. WrongUsage if a path does not exist."""
    if not paths:
        given = [folder, Path("tests"), Path("project.yaml"), Path("project.yml")]
        paths = [path for path in given if path.exists()]
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(file for file in sorted(_below(path)) if _is_ours(file))
        elif path.exists():
            found[path] = None
        else:
            raise WrongUsage(f"there is no file or directory {path}")
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]  # .git, .venv, .github
        yield from (Path(root, name) for name in files if name.endswith(SUFFIXES))


def _is_ours(file: Path) -> bool:
    """A project, a test, or something with the keys of a pipeline; what cannot be read is told later."""
    if file.stem == "project" or file.stem.endswith(".test"):
        return True
    from engine.pipeline.formatting import is_pipeline
    from engine.pipeline.loader import YamlError, load_yaml

    try:
        return is_pipeline(load_yaml(file.read_bytes())[0])
    except OSError:
        return True
    except YamlError as error:
        return "\nsteps:" in error.source


def _diff(path: Path, old: str, new: str) -> str:
    import difflib

    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), str(path), str(path), lineterm="")
    return "\n".join(lines)


def _tell(result: dict[str, Any], *, diff: bool, check: bool) -> None:
    if result["problem"]:
        say(result["text"] + "\n")
    elif result["left"]:
        note(f"{clean(result['file'])} is left as it is: {result['left']}")
    elif result["changed"] and diff:
        for line in result["diff"].splitlines():
            color = GREEN if line.startswith("+") else RED if line.startswith("-") else ""
            say(paint(clean(line), color))
    elif result["changed"]:
        say(f"{'would format' if check else 'formatted'} {clean(result['file'])}")
