"""What filters ask of their arguments."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.pipeline.expression.errors import Complaint
from engine.pipeline.expression.secret import Secret
from engine.pipeline.expression.values import kind, refused_secret


def need_text(value: Any, what: str) -> str:
    """The value if it is text."""
    if isinstance(value, str):
        return value
    hint = "turn it into text with `| string` or `| to_json`" if not isinstance(value, Secret) else ""
    raise _wrong(value, what, "text", hint)


def need_list(value: Any, what: str) -> Sequence[Any]:
    """The value if it is a list."""
    if isinstance(value, list | tuple):
        return value
    hint = "`| items`, `| keys` and `| values` make lists of an object" if isinstance(value, Mapping) else ""
    raise _wrong(value, what, "a list", hint)


def need_object(value: Any, what: str) -> Mapping[str, Any]:
    """The value if it is an object."""
    if isinstance(value, Mapping):
        return value
    raise _wrong(value, what, "an object", "")


def need_integer(value: Any, what: str) -> int:
    """The value if it is a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _wrong(value, what, "a whole number", "")


def _wrong(value: Any, what: str, wanted: str, hint: str) -> Complaint:
    if isinstance(value, Secret):
        return refused_secret()
    return Complaint(f"{what} must be {wanted}, this is {kind(value)}", hint, "E225")
