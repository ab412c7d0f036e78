"""Filters on lists. A field name or a lambda says what of each item counts."""

from collections.abc import Callable, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

from engine.pipeline.expression.arguments import need_integer, need_list
from engine.pipeline.expression.errors import Complaint, did_you_mean
from engine.pipeline.expression.secret import Secret
from engine.pipeline.expression.signature import table
from engine.pipeline.expression.values import (
    ABSENT,
    Frame,
    boolean,
    identity,
    kind,
    order,
    refused_secret,
    total,
)

Each = Callable[[Any], Any]


def length(frame: Frame, value: Any) -> int:
    if not isinstance(value, str | list | tuple | Mapping):
        raise Complaint(f"{kind(value)} has no length", "a text, a list or an object has one", "E225")
    return len(value)


def first(frame: Frame, value: Any) -> Any:
    items = value if isinstance(value, str) else need_list(value, "what `first` is used on")
    return items[0] if items else ABSENT


def last(frame: Frame, value: Any) -> Any:
    items = value if isinstance(value, str) else need_list(value, "what `last` is used on")
    return items[-1] if items else ABSENT


def map_(frame: Frame, value: Any, by: Any) -> list[Any]:
    each = _each(frame, by, "map")
    return [each(item) for item in _items(frame, value, "map")]


def where(frame: Frame, value: Any, by: Any) -> list[Any]:
    each = _each(frame, by, "where")
    return [item for item in _items(frame, value, "where") if boolean(each(item), "what `where` asks")]


def any_(frame: Frame, value: Any, by: Any = None) -> bool:
    each = _each(frame, by, "any")
    return any(boolean(each(item), "what `any` asks") for item in _items(frame, value, "any"))


def all_(frame: Frame, value: Any, by: Any = None) -> bool:
    each = _each(frame, by, "all")
    return all(boolean(each(item), "what `all` asks") for item in _items(frame, value, "all"))


def sort_by(frame: Frame, value: Any, by: Any) -> list[Any]:
    each = _each(frame, by, "sort_by")
    items = _items(frame, value, "sort_by")
    frame.charge(len(items) * max(len(items).bit_length(), 1))
    keyed: list[tuple[Any, Any]] = [(each(item), item) for item in items]
    if len(keyed) == 1:
        _compare_first(keyed[0], keyed[0])  # one item is not compared with anything, but must be comparable
    return [item for _, item in sorted(keyed, key=cmp_to_key(_compare_first))]


def group_by(frame: Frame, value: Any, by: Any) -> list[dict[str, Any]]:
    each = _each(frame, by, "group_by")
    groups: dict[Any, tuple[Any, list[Any]]] = {}
    for item in _items(frame, value, "group_by"):
        key = each(item)
        groups.setdefault(identity(key, frame), (key, []))[1].append(item)
    return [{"key": key, "items": items} for key, items in groups.values()]


def unique(frame: Frame, value: Any, by: Any = None) -> list[Any]:
    each = _each(frame, by, "unique")
    seen: dict[Any, Any] = {}
    for item in _items(frame, value, "unique"):
        seen.setdefault(identity(each(item), frame), item)
    return list(seen.values())


def flatten(frame: Frame, value: Any) -> list[Any]:
    flat: list[Any] = []
    for item in _items(frame, value, "flatten"):
        if isinstance(item, list | tuple):
            frame.charge(len(item))
            flat.extend(item)
        else:
            flat.append(item)
    return flat


def reverse(frame: Frame, value: Any) -> Any:
    if isinstance(value, str):
        return frame.text(value[::-1])
    return list(reversed(_items(frame, value, "reverse")))


def chunk(frame: Frame, value: Any, size: Any) -> list[list[Any]]:
    items, width = _items(frame, value, "chunk"), need_integer(size, "the size of `chunk`")
    if width < 1:
        raise Complaint("the size of `chunk` is at least 1")
    return [list(items[start : start + width]) for start in range(0, len(items), width)]


def zip_(frame: Frame, value: Any, other: Any) -> list[list[Any]]:
    one, two = _items(frame, value, "zip"), need_list(other, "the argument of `zip`")
    if len(one) != len(two):
        raise Complaint(f"`zip` needs two lists of one length, these have {len(one)} and {len(two)}")
    return [list(pair) for pair in zip(one, two, strict=True)]


def sum_(frame: Frame, value: Any) -> int | float:
    return total(_items(frame, value, "sum"))


def min_(frame: Frame, value: Any) -> Any:
    return smallest(_items(frame, value, "min"))


def max_(frame: Frame, value: Any) -> Any:
    return largest(_items(frame, value, "max"))


def smallest(items: Sequence[Any]) -> Any:
    """The smallest number or text; ABSENT if there is none."""
    return _extreme(items, -1)


def largest(items: Sequence[Any]) -> Any:
    """The largest number or text; ABSENT if there is none."""
    return _extreme(items, 1)


def _extreme(items: Sequence[Any], sign: int) -> Any:
    if not items:
        return ABSENT
    best = items[0]
    _compare(best, best)
    for item in items[1:]:
        if _compare(item, best) * sign > 0:
            best = item
    return best


def _compare_first(one: tuple[Any, Any], other: tuple[Any, Any]) -> int:
    return _compare(one[0], other[0])


def _compare(one: Any, other: Any) -> int:
    if order(one, other, "<"):
        return -1
    return 1 if order(other, one, "<") else 0


def _items(frame: Frame, value: Any, name: str) -> Sequence[Any]:
    items = need_list(value, f"what `{name}` is used on")
    frame.charge(1 + len(items))
    return items


def _each(frame: Frame, by: Any, name: str) -> Each:
    if by is None:
        return lambda item: item
    if callable(by):
        each: Each = by
        return each
    if isinstance(by, str):
        return lambda item: _field(item, by, name)
    raise Complaint(f"`{name}` takes the name of a field or a lambda, this is {kind(by)}", f"as in `{name}('id')`")


def _field(item: Any, field: str, name: str) -> Any:
    if isinstance(item, Secret):
        raise refused_secret()
    if not isinstance(item, Mapping):
        raise Complaint(f"`{name}('{field}')` needs objects, this item is {kind(item)}", code="E225")
    if field not in item:
        hint = did_you_mean(field, [str(key) for key in item])
        raise Complaint(
            f"an item has no `{field}`", f"{hint} use `{name}(o => o.{field} ?? null)` if so".strip(), "E221"
        )
    return item[field]


FILTERS = table(
    length,
    first,
    last,
    map_,
    where,
    any_,
    all_,
    sort_by,
    group_by,
    unique,
    flatten,
    reverse,
    chunk,
    zip_,
    sum_,
    min_,
    max_,
)
