"""Filters on objects, and JSON."""

from typing import Any

import msgspec

from engine.pipeline.expression.arguments import need_object, need_text
from engine.pipeline.expression.errors import Complaint
from engine.pipeline.expression.secret import has_secret
from engine.pipeline.expression.signature import table
from engine.pipeline.expression.values import Frame, kind, refused_secret


def keys(frame: Frame, value: Any) -> list[str]:
    found = need_object(value, "what `keys` is used on")
    frame.charge(1 + len(found))
    return list(found)


def values(frame: Frame, value: Any) -> list[Any]:
    found = need_object(value, "what `values` is used on")
    frame.charge(1 + len(found))
    return list(found.values())


def items(frame: Frame, value: Any) -> list[dict[str, Any]]:
    found = need_object(value, "what `items` is used on")
    frame.charge(1 + len(found))
    return [{"key": key, "value": item} for key, item in found.items()]


def pick(frame: Frame, value: Any, *names: Any) -> dict[str, Any]:
    found = need_object(value, "what `pick` is used on")
    frame.charge(1 + len(names))
    return {name: found[name] for name in _names(names, "pick") if name in found}


def omit(frame: Frame, value: Any, *names: Any) -> dict[str, Any]:
    found = need_object(value, "what `omit` is used on")
    frame.charge(1 + len(found))
    without = set(_names(names, "omit"))
    return {name: item for name, item in found.items() if name not in without}


def merge(frame: Frame, value: Any, other: Any) -> dict[str, Any]:
    one = need_object(value, "what `merge` is used on")
    two = need_object(other, "the argument of `merge`")
    frame.charge(1 + len(one) + len(two))
    return {**one, **two}


def to_json(frame: Frame, value: Any, indent: Any = 0) -> str:
    if has_secret(value):
        raise refused_secret()
    if not isinstance(indent, int) or not 0 <= indent <= 8:
        raise Complaint("the indent of `to_json` is 0 to 8")
    try:
        data = msgspec.json.encode(value)
        if indent:
            data = msgspec.json.format(data, indent=indent)
    except (TypeError, ValueError, OverflowError):
        raise Complaint(f"{kind(value)} cannot be written as JSON") from None
    return frame.text(data.decode())


def from_json(frame: Frame, value: Any) -> Any:
    text = need_text(value, "what `from_json` is used on")
    frame.charge(1 + len(text) // 4)
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError) as error:
        raise Complaint(f"this is not JSON: {error}", code="E225") from None


def _names(names: tuple[Any, ...], filter: str) -> list[str]:
    flat: list[str] = []
    for name in names:
        for item in name if isinstance(name, list | tuple) else [name]:
            flat.append(need_text(item, f"an argument of `{filter}`"))  # noqa: PERF401
    return flat


FILTERS = table(keys, values, items, pick, omit, merge, to_json, from_json)
