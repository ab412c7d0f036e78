"""Kinds of values, missing data, equality and text: the rules of docs/expressions.md."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from engine.pipeline.expression.errors import Complaint, ExpressionError, suggest
from engine.pipeline.expression.secret import Secret, has_secret

MAX_WORK = 1_000_000  # items visited plus a sixteenth of the characters produced, per evaluation
MAX_TEXT = 10_000_000  # characters of one text
MAX_INTEGER = 2**64 - 1  # what JSON codecs agree on
SHOWN = 12  # keys in a message

ABSENT: Any = object()


class Missing:
    """Something that is not there; becomes an error as soon as it is used."""

    __slots__ = ("container", "end", "key", "start", "text")

    def __init__(self, text: str, start: int, end: int, container: Any = None, key: Any = None) -> None:
        self.text = text
        self.start = start
        self.end = end
        self.container = container
        self.key = key

    def error(self) -> ExpressionError:
        """The error that names the path and the keys that exist."""
        return ExpressionError(
            f"`{self.text}` is not there", start=self.start, end=self.end, help=self._help(), code="E221"
        )

    def _help(self) -> str:
        hints: list[str] = []
        if isinstance(self.container, Mapping) and isinstance(self.key, str):
            keys = [str(key) for key in self.container]
            close = suggest(self.key, keys)
            if close:
                hints.append(f"did you mean `{close[:80]}`?")
            names = ", ".join(key[:40] for key in keys[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")
            hints.append(f"the object has: {names};" if names else "the object is empty;")
        elif isinstance(self.container, list | tuple):
            hints.append(f"the list has {len(self.container)} items;")
        hints.append("add `?? <fallback>` if it may be missing")
        return " ".join(hints)


class Frame:
    """One evaluation: the scope, the arguments of the lambdas that are open, and the work that is left."""

    __slots__ = ("left", "names", "scope")

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.scope = scope
        self.names: dict[str, Any] = {}
        self.left = MAX_WORK

    def charge(self, work: int) -> None:
        """Take so much of the budget."""
        self.left -= work
        if self.left < 0:
            raise Complaint("this expression does too much work", "work on less data, or in several steps", "E222")

    def text(self, text: str) -> str:
        """The same text, paid for."""
        if len(text) > MAX_TEXT:
            raise Complaint(f"a text may have {MAX_TEXT} characters", code="E222")
        self.charge(1 + len(text) // 16)
        return text


def kind(value: Any) -> str:
    """What a value is, for people: `text`, `a number`, `a list`, ..."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, Secret):
        return "a secret"
    return f"a {type(value).__name__}"


def is_number(value: Any) -> bool:
    """Whether it is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: int | float) -> int | float:
    """The same number if JSON can carry it."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Complaint("the result is too large", code="E223")
    elif not -(2**63) <= value <= MAX_INTEGER:
        raise Complaint("the result is too large", code="E223")
    return value


def text_of(value: Any) -> str:
    """The value as it stands in a text: text as it is, numbers and booleans as in JSON; nothing else."""
    if type(value) is str:
        return value
    if value is None:
        raise Complaint("null cannot be put into text", "add `?? ''`", "E224")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return msgspec.json.encode(value).decode()
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Secret):
        raise refused_secret()
    raise Complaint(f"{kind(value)} cannot be put into text", "use `| to_json` or `| join(', ')`", "E224")


def piece_of(value: Any) -> "str | Secret":
    """As text_of, but a secret stays a secret: for `~` and templates."""
    return value if isinstance(value, Secret) else text_of(value)


def refused_secret() -> Complaint:
    """A secret where only plain values can be."""
    return Complaint(
        "a secret can only be passed on, joined with text, or encoded with `| b64encode`",
        "it must not be compared, filtered or printed",
        "E307",
    )


def equal(left: Any, right: Any, frame: Frame) -> bool:
    """Deep equality: 1 == 1.0, but true is not 1 and '1' is not 1."""
    frame.charge(1)
    if isinstance(left, Secret) or isinstance(right, Secret):
        raise refused_secret()
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, str | int | float) or left is None:
        if isinstance(left, str) and isinstance(right, str) and len(left) == len(right):
            frame.charge(len(left) // 16)
        return not isinstance(right, list | tuple | Mapping) and bool(left == right)
    if isinstance(left, Mapping):
        if not isinstance(right, Mapping) or len(left) != len(right):
            return False
        return all(key in right and equal(value, right[key], frame) for key, value in left.items())
    if isinstance(left, list | tuple):
        if not isinstance(right, list | tuple) or len(left) != len(right):
            return False
        return all(equal(one, other, frame) for one, other in zip(left, right, strict=True))
    return bool(left == right)


def identity(value: Any, frame: Frame) -> Any:
    """A hashable that is the same for equal values."""
    frame.charge(1)
    if isinstance(value, Secret):
        raise refused_secret()
    if isinstance(value, bool) or value is None:
        return (type(value), value)
    if isinstance(value, Mapping):
        return (dict, frozenset((key, identity(item, frame)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return (list, tuple(identity(item, frame) for item in value))
    if isinstance(value, str):
        frame.charge(len(value) // 16)
    return value


def order(left: Any, right: Any, operator: str) -> bool:
    """``<`` and its kin: two numbers or two texts."""
    if not ((is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str))):
        if isinstance(left, Secret) or isinstance(right, Secret):
            raise refused_secret()
        hint = ""
        if {kind(left), kind(right)} == {"a number", "text"}:
            hint = "turn the text into a number with `| int` or `| float`"
        raise Complaint(f"`{operator}` cannot compare {kind(left)} with {kind(right)}", hint, "E225")
    if operator == "<":
        return bool(left < right)
    if operator == "<=":
        return bool(left <= right)
    if operator == ">":
        return bool(left > right)
    return bool(left >= right)


def contains(container: Any, item: Any, frame: Frame) -> bool:
    """Whether the list has an equal item, the text that part, the object that key."""
    if isinstance(item, Secret) or isinstance(container, Secret):
        raise refused_secret()
    if isinstance(container, list | tuple):
        return any(equal(item, other, frame) for other in container)
    if isinstance(container, str) and isinstance(item, str):
        frame.charge(1 + len(container) // 16)
        return item in container
    if isinstance(container, Mapping) and isinstance(item, str):
        return item in container
    if isinstance(container, str | Mapping):
        raise Complaint(f"cannot look for {kind(item)} in {kind(container)}", "only text can be in it", "E225")
    raise Complaint(f"cannot look into {kind(container)}", "a list, a text or an object can contain something", "E225")


def boolean(value: Any, where: str) -> bool:
    """The value if it is true or false; else a complaint that says how to make it one."""
    if value is True or value is False:
        return bool(value)
    if isinstance(value, Secret):
        raise refused_secret()
    hint = "compare it with something"
    if isinstance(value, list | tuple | str | Mapping):
        hint = "did you mean `| length > 0`?"
    elif is_number(value):
        hint = "did you mean `!= 0`?"
    elif value is None:
        hint = "did you mean `is not null`, or `?? false`?"
    raise Complaint(f"{where} must be true or false, this is {kind(value)}", hint, "E226")


def shorten(value: Any, limit: int = 200) -> Any:
    """The value for a decision record: long texts and large trees as a text of at most so many characters."""
    if isinstance(value, Missing):
        return "(not there)"
    if has_secret(value):
        return "***"
    if isinstance(value, str):
        return value if len(value) <= limit else value[: limit - 1] + "…"
    if value is None or isinstance(value, bool | int | float):
        return value
    try:
        if len(text := msgspec.json.encode(value).decode()) > limit:
            return text[: limit - 1] + "…"
    except (TypeError, ValueError, OverflowError, RecursionError):
        return f"({kind(value)})"
    return value


def total(values: Iterable[Any]) -> int | float:
    """The sum of numbers."""
    result: int | float = 0
    for value in values:
        if not is_number(value):
            raise Complaint(f"`sum` adds numbers, this is {kind(value)}", code="E225")
        result = number(result + value)
    return result
