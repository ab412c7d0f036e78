"""Arithmetic, tests, and joining text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.pipeline.expression.errors import Complaint, ExpressionError
from engine.pipeline.expression.secret import Secret, join
from engine.pipeline.expression.values import Frame, Missing, is_number, kind, number, piece_of, refused_secret

Operator = Callable[[Any, Any, Frame], Any]


def join_pieces(parts: Sequence[tuple[Callable[[Frame], Any], int, int]], frame: Frame) -> str | Secret:
    """The values as one text; (function, start, end) for each."""
    pieces: list[str | Secret] = []
    for run, start, end in parts:
        try:
            piece = piece_of(run(frame))
            pieces.append(frame.text(piece) if isinstance(piece, str) else piece)
        except Complaint as complaint:
            raise ExpressionError(
                complaint.message, start=start, end=end, help=complaint.help, code=complaint.code
            ) from None
    return join(pieces)


def _add(left: Any, right: Any, frame: Frame) -> Any:
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        frame.charge(1 + len(left) + len(right))
        return [*left, *right]
    if isinstance(left, str | Secret) or isinstance(right, str | Secret):
        raise Complaint(f"`+` cannot add {kind(left)} and {kind(right)}", "use `~` to join text", "E225")
    _numbers(left, right, "+")
    return number(left + right)


def _subtract(left: Any, right: Any, frame: Frame) -> Any:
    _numbers(left, right, "-")
    return number(left - right)


def _multiply(left: Any, right: Any, frame: Frame) -> Any:
    _numbers(left, right, "*")
    return number(left * right)


def _divide(left: Any, right: Any, frame: Frame) -> Any:
    _numbers(left, right, "/", divides=True)
    if isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right  # 500 / 100 is 5: JSON has one kind of number
    return number(left / right)


def _floor(left: Any, right: Any, frame: Frame) -> Any:
    _numbers(left, right, "//", divides=True)
    return number(left // right)


def _modulo(left: Any, right: Any, frame: Frame) -> Any:
    _numbers(left, right, "%", divides=True)
    return number(left % right)


def _numbers(left: Any, right: Any, operator: str, *, divides: bool = False) -> None:
    if not is_number(left) or not is_number(right):
        if isinstance(left, Secret) or isinstance(right, Secret):
            raise refused_secret()
        wrong = right if is_number(left) else left
        hint = "turn the text into a number with `| int` or `| float`" if isinstance(wrong, str) else ""
        raise Complaint(f"`{operator}` needs numbers, this is {kind(wrong)}", hint, "E225")
    if divides and right == 0:
        raise Complaint("division by zero", code="E223")


OPERATORS: dict[str, Operator] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "//": _floor,
    "%": _modulo,
}


def _empty(value: Any) -> bool:
    return isinstance(value, str | list | tuple | Mapping) and len(value) == 0


TESTS: dict[str, Callable[[Any], bool]] = {
    "defined": lambda value: value.__class__ is not Missing,
    "null": lambda value: value is None or value.__class__ is Missing,
    "string": lambda value: isinstance(value, str),
    "number": is_number,
    "integer": lambda value: is_number(value) and not isinstance(value, float),
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list | tuple),
    "object": lambda value: isinstance(value, Mapping),
    "empty": _empty,
}
