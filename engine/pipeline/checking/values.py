"""Plain values of the grammar: texts, numbers, durations, ids, words."""

import re
from collections.abc import Iterable
from typing import Any

from engine.core.duration import parse_duration
from engine.pipeline.expression.errors import suggest
from engine.pipeline.marks import Path
from engine.pipeline.source import Source

PIPELINE_ID = re.compile(r"[a-z][a-z0-9-]{0,99}")
STEP_ID = re.compile(r"[a-z][a-z0-9_]{0,99}")
TRIGGER_ID = re.compile(r"[a-z][a-z0-9_.-]{0,99}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
LONGEST = 3650 * 86400.0  # seconds


def need_map(source: Source, path: Path, value: Any, what: str) -> dict[str, Any]:
    """The value if it is a map; nothing at all is an empty one."""
    if isinstance(value, dict):
        return value
    if value is not None:
        source.error("E103", path, f"{what} must be a map, this is {describe(value)}")
    return {}


def need_list(source: Source, path: Path, value: Any, what: str) -> list[Any]:
    """The value if it is a list; nothing at all is an empty one."""
    if isinstance(value, list):
        return value
    if value is not None:
        hint = "begin each with `- `" if isinstance(value, dict) else ""
        source.error("E103", path, f"{what} must be a list, this is {describe(value)}", hint)
    return []


def need_text(source: Source, path: Path, value: Any, what: str, *, default: str = "") -> str:
    """The value if it is a text without expressions."""
    if isinstance(value, str):
        if "${{" in value and "$${{" not in value:
            source.error("E119", path, f"{what} cannot contain an expression")
        return value
    source.error("E103", path, f"{what} must be a text, this is {describe(value)}", quote_hint(value))
    return default


def need_bool(source: Source, path: Path, value: Any, what: str, *, default: bool) -> bool:
    """The value if it is true or false."""
    if isinstance(value, bool):
        return value
    hint = "write `true` or `false` without quotes" if isinstance(value, str) else ""
    source.error("E103", path, f"{what} must be true or false, this is {describe(value)}", hint)
    return default


def need_number(source: Source, path: Path, value: Any, what: str, *, least: float, most: float) -> float | None:
    """The value if it is a number in this range."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if least <= value <= most:
            return value
        source.error("E103", path, f"{what} must be {least:g} to {most:g}")
        return None
    source.error("E103", path, f"{what} must be a number, this is {describe(value)}")
    return None


def need_integer(source: Source, path: Path, value: Any, what: str, *, least: int, most: int) -> int | None:
    """The value if it is a whole number in this range."""
    number = need_number(source, path, value, what, least=least, most=most)
    if isinstance(number, float):
        source.error("E103", path, f"{what} must be a whole number")
        return None
    return number


def need_duration(source: Source, path: Path, value: Any, what: str) -> float | None:
    """Seconds, if the value is a duration above zero."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        source.error("E108", path, f"{what} needs a unit", f"write `{value}s`, `{value}m` or `{value}h`")
        return None
    if not isinstance(value, str):
        source.error("E108", path, f"{what} must be a duration, this is {describe(value)}", "as in 30s, 5m, 1h30m")
        return None
    if "${{" in value:
        source.error("E119", path, f"{what} cannot contain an expression")
        return None
    try:
        seconds = parse_duration(value)
    except ValueError:
        source.error(
            "E108", path, f"`{value[:60]}` is not a duration", "write for example 500ms, 30s, 5m, 2h, 3d, 1h30m"
        )
        return None
    if not 0 < seconds <= LONGEST:
        source.error("E108", path, f"{what} must be above zero and at most ten years")
        return None
    return seconds


def need_id(source: Source, path: Path, value: Any, what: str, pattern: re.Pattern[str]) -> str | None:
    """The value if it is an id of this form."""
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    if not isinstance(value, str):
        source.error("E103", path, f"{what} must be a text, this is {describe(value)}", quote_hint(value))
        return None
    glue = "_" if pattern is STEP_ID else "-"
    other = re.sub(rf"[^a-z0-9{glue}]+", glue, value.lower()).strip(glue).lstrip("0123456789" + glue)
    hint = f"`{other}` would do" if other and pattern.fullmatch(other) else ""
    source.error("E109", path, f"`{value[:60]}` is not an id: small letters, digits and `{glue}`, a letter first", hint)
    return None


def need_word(source: Source, path: Path, value: Any, what: str, words: Iterable[str]) -> str | None:
    """The value if it is one of the words."""
    words = list(words)
    if value in words:
        return str(value)
    close = suggest(value, words) if isinstance(value, str) else None
    hint = f"did you mean `{close}`?" if close else f"one of: {', '.join(words)}"
    shown = f"`{value[:60]}`" if isinstance(value, str) else describe(value)
    source.error("E111", path, f"{shown} is not possible for {what}", hint)
    return None


def describe(value: Any) -> str:
    """What a YAML value is, for people."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "a map"


def quote_hint(value: Any) -> str:
    """Advice for numbers and words that should have been texts."""
    return "put it in quotes" if isinstance(value, int | float) else ""
