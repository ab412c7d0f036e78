"""Compare what a test expects with what came: maps partially, lists by element, everything else exactly. Pure."""

import re
from typing import Any

import msgspec

from engine.pipeline.expression.errors import did_you_mean

Path = tuple[str | int, ...]
LONGEST = 400  # characters of a value in a message
WORD = re.compile(r"[A-Za-z_][\w-]*")


class Missing:
    """Stands for a value that is not there."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()


class Mismatch(msgspec.Struct, frozen=True):
    """One place where the two differ. path: within the expected value."""

    path: Path
    expected: Any
    got: Any
    note: str = ""


def compare(expected: Any, got: Any, path: Path = ()) -> list[Mismatch]:
    """Every place where `got` is not as expected. Keys that are not expected do not matter."""
    if isinstance(expected, dict) and isinstance(got, dict):
        found: list[Mismatch] = []
        for key, value in expected.items():
            if key in got:
                found += compare(value, got[key], (*path, key))
            else:
                note = did_you_mean(key, got, f"there is: {', '.join(map(str, got))}" if got else "it is empty")
                found.append(Mismatch((*path, key), value, MISSING, note))
        return found
    if isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return [Mismatch(path, expected, got, f"{len(expected)} expected, there are {len(got)}")]
        pairs = enumerate(zip(expected, got, strict=True))
        return [item for index, (one, other) in pairs for item in compare(one, other, (*path, index))]
    if same(expected, got):
        return []
    return [Mismatch(path, expected, got, _why(expected, got))]


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, and neither is true or '1'."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


def in_order(expected: list[str], got: list[str]) -> str | None:
    """The first of the expected names that does not come after the one before it; None: all do."""
    position = 0
    for name in expected:
        try:
            position = got.index(name, position) + 1
        except ValueError:
            return name
    return None


def show(value: Any, width: int = LONGEST) -> str:
    """A value on one line, for people."""
    if isinstance(value, Missing):
        return repr(value)
    try:
        text = msgspec.json.encode(value, enc_hook=str).decode()
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= width else text[: width - 1] + "…"


def show_path(path: Path) -> str:
    """`outputs.failed[0].id`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif WORD.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]" if text else part
    return text


def _why(expected: Any, got: Any) -> str:
    kinds = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a map"}
    one, other = kinds.get(type(expected)), kinds.get(type(got))
    if one and other and one != other:
        return f"{one} was expected, this is {other}"
    if isinstance(expected, str) and isinstance(got, str) and expected.strip() == got.strip():
        return "they differ in white space"
    return ""
