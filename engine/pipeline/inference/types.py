"""What a value can be, known before anything runs. None in place of a Type: anything is possible."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec


class Kind(StrEnum):
    """The kinds of values that expressions know."""

    NULL = "null"
    BOOLEAN = "boolean"
    INTEGER = "integer"  # a whole number; every one of them is a NUMBER as well
    NUMBER = "number"
    STRING = "string"
    ARRAY = "array"
    OBJECT = "object"
    SECRET = "secret"  # text that may be passed on and joined, and nothing else


class Type(msgspec.Struct, frozen=True):
    """The kinds a value can be of, and what is known of each. No kinds at all: there is no such value.

    `fields` are those that an object can have; not all need to be there. A closed one has no others.
    """

    kinds: frozenset[Kind]
    fields: Mapping[str, "Shape"] = {}
    closed: bool = False
    rest: "Shape" = None  # what other fields are, if it is not closed
    item: "Shape" = None  # what the items of a list are
    words: tuple[str, ...] | None = None  # all texts it can be; None: any text
    partial: bool = False  # the fields are those seen or documented so far: one behind `??` may have another name
    description: str = ""


Shape = Type | Mapping[str, Any] | None  # a plain mapping is a closed object of these fields

NULL = Type(frozenset({Kind.NULL}))
BOOLEAN = Type(frozenset({Kind.BOOLEAN}))
INTEGER = Type(frozenset({Kind.INTEGER}))
NUMBER = Type(frozenset({Kind.NUMBER}))
STRING = Type(frozenset({Kind.STRING}))
ARRAY = Type(frozenset({Kind.ARRAY}))
OBJECT = Type(frozenset({Kind.OBJECT}))
SECRET = Type(frozenset({Kind.SECRET}))
NEVER = Type(frozenset())  # what the items of an empty list are

MAX_WORDS = 40  # texts that are remembered of one value
SHOWN = 6  # fields in a description
NUMBERS = frozenset({Kind.INTEGER, Kind.NUMBER})


def typed(shape: Shape) -> Type | None:
    """The shape as a Type."""
    if shape is None or isinstance(shape, Type):
        return shape
    return object_of(shape)


def object_of(fields: Mapping[str, Shape], *, closed: bool = True, rest: Shape = None) -> Type:
    """An object with these fields, and no others if it is closed."""
    return Type(frozenset({Kind.OBJECT}), fields=fields, closed=closed, rest=rest)


def map_of(rest: Shape) -> Type:
    """An object whose fields have any names."""
    return object_of({}, closed=False, rest=rest)


def list_of(item: Shape) -> Type:
    """A list of such items."""
    return Type(frozenset({Kind.ARRAY}), item=item)


def word_of(*words: str) -> Type:
    """One of these texts."""
    return Type(frozenset({Kind.STRING}), words=tuple(dict.fromkeys(words)) if len(words) <= MAX_WORDS else None)


def nullable(shape: Shape) -> Shape:
    """The same, or null."""
    return either(shape, NULL)


def without_null(shape: Shape) -> Shape:
    """What is left when null is taken care of."""
    found = typed(shape)
    if found is None or Kind.NULL not in found.kinds:
        return found
    return msgspec.structs.replace(found, kinds=found.kinds - {Kind.NULL})


def either(one: Shape, other: Shape) -> Shape:
    """What one of two values can be."""
    left, right = typed(one), typed(other)
    if left is None or right is None:
        return None
    if left is right or not right.kinds:
        return left
    if not left.kinds:
        return right
    objects = [item for item in (left, right) if Kind.OBJECT in item.kinds]
    lists = [item for item in (left, right) if Kind.ARRAY in item.kinds]
    texts = [item for item in (left, right) if Kind.STRING in item.kinds]
    first = objects[0] if objects else left
    fields, closed, rest = first.fields, first.closed, first.rest
    if len(objects) == 2 and left.fields is not right.fields:
        fields, closed = _both(left, right), left.closed and right.closed
        rest = either(left.rest, right.rest) if not left.closed and not right.closed else _open(left, right)
    elif len(objects) == 2:
        closed = left.closed and right.closed
        rest = either(left.rest, right.rest)
    return Type(
        left.kinds | right.kinds,
        fields=fields,
        closed=closed,
        rest=rest,
        item=either(lists[0].item, lists[1].item) if len(lists) == 2 else (lists[0].item if lists else None),
        words=_words(texts),
        partial=left.partial or right.partial,
        description=left.description if left.description == right.description else "",
    )


def any_of(shapes: Iterable[Shape]) -> Shape:
    """What one of many values can be; NEVER if there are none."""
    found: Shape = NEVER
    for shape in shapes:
        found = either(found, shape)
        if found is None:
            return None
    return found


def item_of(shape: Shape) -> Shape:
    """What the items of a list look like."""
    found = typed(shape)
    return found.item if found is not None and Kind.ARRAY in found.kinds else None


def fields_of(shape: Shape) -> Mapping[str, Shape]:
    """The fields that are known of an object."""
    found = typed(shape)
    return found.fields if found is not None else {}


def field_of(shape: Shape, name: str) -> Shape:
    """What a field of an object is; NEVER if it cannot have that field."""
    found = typed(shape)
    if found is None or Kind.OBJECT not in found.kinds:
        return None
    if name in found.fields:
        return found.fields[name]
    return NEVER if found.closed else found.rest


def lacks(shape: Shape, *kinds: Kind) -> bool:
    """Whether the value can certainly not be of one of these kinds. A null that may be something else is not asked."""
    found = typed(shape)
    if found is None:
        return False
    known = found.kinds - {Kind.NULL}
    wanted = {*kinds, *NUMBERS} if Kind.NUMBER in kinds else {*kinds}
    return bool(known) and known.isdisjoint(wanted)


def admits(shape: Shape, value: Any) -> bool:
    """Whether the value is one of those."""
    found = typed(shape)
    if found is None:
        return True
    if isinstance(value, str):
        return Kind.STRING in found.kinds and (found.words is None or value in found.words)
    if isinstance(value, list | tuple):
        return Kind.ARRAY in found.kinds and all(admits(found.item, item) for item in value)
    if isinstance(value, Mapping):
        return Kind.OBJECT in found.kinds and all(
            (name in found.fields or not found.closed) and admits(field_of(found, name), item)
            for name, item in value.items()
        )
    return not KINDS_OF[type(value)].isdisjoint(found.kinds) if type(value) in KINDS_OF else True


def describe(shape: Shape, depth: int = 2) -> str:
    """The type for people: `{text: string, tokens: integer}`, `string[]`, `'bug' | 'docs'`."""
    found = typed(shape)
    if found is None:
        return "any"
    return " | ".join(_describe(found, kind, depth) for kind in _shown(found)) or "nothing"


def misfit(given: Shape, wanted: Shape) -> str:
    """Why a value of the one type can never be of the other: what it must be instead; empty if it can be."""
    one, other = typed(given), typed(wanted)
    if one is None or other is None or not other.kinds:
        return ""
    kinds = other.kinds | {Kind.SECRET} if Kind.STRING in other.kinds else other.kinds
    kinds = kinds | NUMBERS if kinds & NUMBERS else kinds
    if lacks(one, *kinds):
        known = other.kinds - {Kind.NULL, Kind.INTEGER} if Kind.NUMBER in other.kinds else other.kinds - {Kind.NULL}
        return " or ".join(NEEDED[kind] for kind in Kind if kind in known) or "null"
    if one.kinds - {Kind.NULL} == {Kind.STRING} and one.words and other.words and not {*one.words} & {*other.words}:
        return "one of " + ", ".join(f"`{word}`" for word in other.words)
    return ""


def named(shape: Shape) -> str:
    """What a value is, in the words of the checker: `a text`, `a whole number`; or the text itself."""
    found = typed(shape)
    kinds = found.kinds - {Kind.NULL} if found is not None else frozenset()
    if found is not None and kinds == {Kind.STRING} and found.words and len(found.words) <= SHOWN:
        return ("one of " if len(found.words) > 1 else "") + ", ".join(f"`{word}`" for word in found.words)
    kinds = kinds - {Kind.INTEGER} if Kind.NUMBER in kinds else kinds
    return " or ".join(NEEDED[kind] for kind in Kind if kind in kinds) or "null"


def kind_of(shape: Shape) -> str:
    """What a value is, in the words of the evaluator: `text`, `a number`, `a list`; null is left out."""
    found = typed(shape)
    words = [] if found is None else [WORDS[kind] for kind in Kind if kind in found.kinds - {Kind.NULL}]
    return " or ".join(dict.fromkeys(words)) or "null"


def _shown(found: Type) -> list[Kind]:
    """The kinds in the order in which they are named, null last."""
    hidden = {Kind.INTEGER} if Kind.NUMBER in found.kinds else set()
    return sorted(found.kinds - hidden, key=lambda kind: (kind is Kind.NULL, [*Kind].index(kind)))


def _describe(found: Type, kind: Kind, depth: int) -> str:
    if kind is Kind.STRING and found.words is not None:
        shown = " | ".join(f"'{word}'" for word in found.words[:SHOWN])
        return shown + (" | ..." if len(found.words) > SHOWN else "")
    if kind is Kind.ARRAY:
        inner = describe(found.item, depth)
        item = typed(found.item)
        several = item is not None and (len(_shown(item)) > 1 or len(item.words or ()) > 1)
        return f"({inner})[]" if several else f"{inner}[]"
    if kind is Kind.OBJECT:
        if not found.fields:
            return "object" if found.rest is None else f"{{...: {describe(found.rest, depth - 1)}}}"
        if not depth:
            return "{...}"
        names = list(found.fields)
        parts = [f"{name}: {describe(found.fields[name], depth - 1)}" for name in names[:SHOWN]]
        return f"{{{', '.join(parts)}{', ...' if len(names) > SHOWN or not found.closed else ''}}}"
    return kind.value


def _both(one: Type, other: Type) -> dict[str, Shape]:
    fields: dict[str, Shape] = {}
    for name in (*one.fields, *(name for name in other.fields if name not in one.fields)):
        fields[name] = either(field_of(one, name), field_of(other, name))
    return fields


def _open(one: Type, other: Type) -> Shape:
    return one.rest if not one.closed else other.rest


def _words(texts: list[Type]) -> tuple[str, ...] | None:
    words = tuple(dict.fromkeys(word for text in texts for word in text.words or ()))
    return None if not texts or any(text.words is None for text in texts) or len(words) > MAX_WORDS else words


KINDS_OF: dict[type, frozenset[Kind]] = {
    type(None): frozenset({Kind.NULL}),
    bool: frozenset({Kind.BOOLEAN}),
    int: NUMBERS,
    float: frozenset({Kind.NUMBER}),
}
NEEDED = {
    Kind.NULL: "null",
    Kind.BOOLEAN: "true or false",
    Kind.INTEGER: "a whole number",
    Kind.NUMBER: "a number",
    Kind.STRING: "a text",
    Kind.ARRAY: "a list",
    Kind.OBJECT: "a map",
    Kind.SECRET: "a secret",
}
WORDS = {
    Kind.NULL: "null",
    Kind.BOOLEAN: "true or false",
    Kind.INTEGER: "a number",
    Kind.NUMBER: "a number",
    Kind.STRING: "text",
    Kind.ARRAY: "a list",
    Kind.OBJECT: "an object",
    Kind.SECRET: "a secret",
}
