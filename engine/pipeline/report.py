"""Problems in pipeline files, and how they are shown."""

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
    head = f"{paint[problem.severity]}{problem.severity}[{problem.code}]{off}{paint['bold']}: {problem.message}{off}"
    lines = [head, f"  {bar}-->{off} {problem.file}:{problem.line}:{problem.column}"]
    if problem.source_line.strip():
        text, column = _window(problem.source_line, problem.column)
        length = max(min(problem.length, len(text) - column + 1), 1)
        caret = " " * (column - 1) + paint[problem.severity] + "^" * length + off
        lines += [f"{margin} {bar}|{off}", f"{bar}{problem.line} |{off} {text}", f"{margin} {bar}|{off} {caret}"]
    if problem.help:
        lines.append(f"{margin} {bar}={off} help: {problem.help}")
    return "\n".join(lines)


def _window(line: str, column: int) -> tuple[str, int]:
    """The part of a long line that has the column, and the column in it."""
    line = "".join(character if character.isprintable() else " " for character in line)
    if len(line) <= WIDEST:
        return line, column
    start = max(min(column - WIDEST // 2, len(line) - WIDEST), 0)
    text = line[start : start + WIDEST]
    if start:
        text = "…" + text[1:]
    return text, column - start
