"""hookwright explain: what a code of `hookwright check` means."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engine.cli.exits import OK
from engine.cli.output import BOLD, CYAN, RED, YELLOW, Json, paint, print_json, say
from engine.cli.repository import check_places, find_files
from engine.errors import NotFound


def explain(code: str | None = None, /, *, json: Json = False) -> int:
    """Say what a code of `hookwright check` means, with a wrong example and the right one.

    Without a code: list them all.

    Examples: `hookwright explain E204`, `hookwright explain`

    Parameters
    ----------
    code
        As it stands in the message, e.g. E204.
    """
    from engine.pipeline.codes.registry import CODES, LEVELS, Code, find_code
    from engine.pipeline.codes.registry import explain as make_page

    if code is None:
        if json:
            print_json({"codes": [_plain(item) for item in CODES.values()]})
            return OK
        for level, title in LEVELS.items():
            say(paint(f"{level}  {title}", BOLD))
            for item in CODES.values():
                if item.code.startswith(level):
                    say(f"  {paint(item.code, RED if item.severity == 'error' else YELLOW)}  {item.title}")
        say("\n`hookwright explain E204` shows one with examples.")
        return OK
    found = find_code(code)
    if not isinstance(found, Code):
        raise NotFound(f"there is no code `{code[:40]}`: {found}")
    message = said(found)
    if json:
        print_json(_plain(found) | {"message": message})
        return OK
    head, _, rest = make_page(found, message).partition("\n")
    say(
        f"{paint(head, BOLD)}\n{rest}".replace("\nWrong:", f"\n{paint('Wrong:', RED)}").replace(
            "\nRight:", f"\n{paint('Right:', CYAN)}"
        )
    )
    return OK


def said(code: Any) -> str:
    """What the checker says to the wrong example; nothing if that takes more than the checker."""
    if code.types or code.said_by != "check":
        return ""
    from engine.pipeline.report import format_problem
    from engine.plugin.host import load_catalog

    problems = check_example(code.wrong, load_catalog().catalog)[1]
    return "\n\n".join(format_problem(problem) for problem in problems if problem.code == code.code)


def check_example(files: Mapping[str, str], catalog: Any) -> tuple[list[Any], list[Any]]:
    """The pipelines without errors, and the problems, of a small repository that is given as texts."""
    with TemporaryDirectory(prefix="hookwright-") as folder:
        root = Path(folder)
        for name, text in ({"project.yaml": "language: 1\n"} | dict(files)).items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(text.encode())
        return check_places(find_files([root]), catalog)


def _plain(code: Any) -> dict[str, Any]:
    return {
        "code": code.code,
        "severity": code.severity,
        "title": code.title,
        "meaning": code.meaning,
        "at_run_time": code.at_run_time,
        "wrong": dict(code.wrong),
        "right": dict(code.right),
    }
