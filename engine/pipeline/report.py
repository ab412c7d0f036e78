"""Problems in pipeline files, and how they are shown."""

import unicodedata
from typing import Any, Literal

import msgspec

from engine.errors import HookwrightError

WIDEST = 160  # characters of a source line that are shown
COLORS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "dim": "\x1b[1;34m", "bold": "\x1b[1m", "off": "\x1b[0m"}


class Problem(msgspec.Struct, frozen=True):
    """Something wrong, and where. Line and column start at 1; length in characters."""

    code: str  # E0.. YAML, E1.. shape, E2.. expressions, E3.. safety, W3.. warnings
    severity: Literal["error", "warning"]
    message: str
    file: str
    line: int = 1
    column: int = 1
    length: int = 1
    help: str = ""
    source_line: str = ""


class Report(msgspec.Struct):
    """What came of checking files: the pipelines without errors, and all problems."""

    pipelines: list[Any]
    problems: list[Problem]
    groups: dict[str, frozenset[str]] = {}  # of project.yaml
    queues: dict[str, tuple[int, int | None]] = {}  # of project.yaml: priority and concurrency


class PipelineError(HookwrightError):
    """A pipeline has problems."""

    def __init__(self, problems: list[Problem]) -> None:
        first = problems[0]
        super().__init__(f"{first.file}:{first.line}:{first.column}: {first.message}")
        self.problems = problems


def format_problem(problem: Problem, color: bool = False) -> str:
    """The problem with its source line and a caret, as compilers show it."""
    paint = COLORS if color else dict.fromkeys(COLORS, "")
    bar, off = paint["dim"], paint["off"]
    margin = " " * len(str(problem.line))
    message, file, help = _visible(problem.message), _visible(problem.file), _visible(problem.help)
    head = f"{paint[problem.severity]}{problem.severity}[{problem.code}]{off}{paint['bold']}: {message}{off}"
    lines = [head, f"  {bar}-->{off} {file}:{problem.line}:{problem.column}"]
    if problem.source_line.strip():
        text, column = _window(problem.source_line, problem.column)
        length = max(min(problem.length, len(text) - column + 1), 1)
        before, marked = text[: column - 1], text[column - 1 : column - 1 + length]
        caret = " " * _width(before) + paint[problem.severity] + "^" * max(_width(marked), 1) + off
        lines += [f"{margin} {bar}|{off}", f"{bar}{problem.line} |{off} {text}", f"{margin} {bar}|{off} {caret}"]
    if problem.help:
        lines.append(f"{margin} {bar}={off} help: {help}")
    return "\n".join(lines)


def _window(line: str, column: int) -> tuple[str, int]:
    """The part of a long line that has the column, and the column in it."""
    if len(line) <= WIDEST:
        return _visible(line), column
    start = max(min(column - WIDEST // 2, len(line) - WIDEST), 0)
    text = _visible(line[start : start + WIDEST])
    if start:
        text = "…" + text[1:]
    if start + WIDEST < len(line):
        text = text[:-1] + "…"
    return text, column - start


def _visible(text: str) -> str:
    """The text with a space for every character that could steer a terminal or hide."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)


def _width(text: str) -> int:
    """Columns that the text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
