"""What can stand where the cursor is in an expression: names, fields, filters, functions, words of an enum.

For editors and consoles. `complete` needs only the text and the Names of the place; `Source.scopes` has these for every
value and condition of a file that was checked. `describe_at` says what the part under the cursor is.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

from engine.pipeline.expression.errors import ExpressionError
from engine.pipeline.expression.manual import FILTERS, FUNCTIONS, TESTS
from engine.pipeline.expression.nodes import Compare, Field, Filter, Index, Literal, Name, Node, Test
from engine.pipeline.expression.parser import parse
from engine.pipeline.inference.filters import ON
from engine.pipeline.inference.infer import Filters, Inference
from engine.pipeline.inference.names import Names
from engine.pipeline.inference.types import NEVER, Kind, Shape, describe, fields_of, lacks, typed

CURSOR = "cursor_is_here"  # stands for what is being written
WORD = re.compile(r"[A-Za-z_]\w*$")
FILTER = re.compile(r"(?<!\|)\|\s*([\w.]*)$")
CLOSING = {"(": ")", "[": "]"}


class Completion(msgspec.Struct, frozen=True):
    """Something that can be written. `label` replaces the name or text in front of the cursor."""

    label: str
    kind: str  # name | field | filter | function | test | value
    detail: str = ""  # its type, or how it is used
    documentation: str = ""


class _Place(msgspec.Struct):
    """Where the cursor turned out to be. shape: of what the field, filter or index belongs to."""

    role: str = ""
    shape: Shape = None
    arguments: dict[str, Shape] = {}  # of the lambdas around it


def complete(text: str, offset: int, names: Names, *, filters: Filters | None = None) -> list[Completion]:
    """What can stand at the offset in the text of an expression, without its ``${{ }}``. filters: those of plugins.

    Nothing, if what stands before the cursor cannot be read.
    """
    base, word, quote, closing = _split(text[:offset])
    place = _find(base, quote, closing, names, filters)
    found = list(_suggest(place, names, filters or {}))
    fitting = [item for item in found if item.label.lower().startswith(word.lower())]
    return fitting or found


def describe_at(text: str, offset: int, names: Names, *, filters: Filters | None = None) -> str | None:
    """The type of the path under the cursor, up to and with the name the cursor is on; None if there is none."""
    end = offset + len(re.match(r"\w*", text[offset:])[0])  # type: ignore[index]  # it matches nothing at least
    base, word, quote, closing = _split(text[:end])
    if not word or quote:
        return None
    place = _find(base, quote, closing, names, filters)
    if place.role == "field":
        known = fields_of(place.shape)
        return describe(known[word]) if word in known else None
    if place.role == "name":
        roots = {item.label: item.detail for item in _roots(place, names)}
        return roots.get(word)
    return None


def _split(before: str) -> tuple[str, str, str, str]:
    """The text before the word that is being written, the word, the quote it stands in, the brackets to close."""
    quote, start, stack = "", 0, []
    index = 0
    while index < len(before):
        letter = before[index]
        if quote:
            index += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote, start = letter, index
        elif letter in CLOSING:
            stack.append(CLOSING[letter])
        elif letter in ")]" and stack:
            stack.pop()
        index += 1
    closing = "".join(reversed(stack))
    if quote:
        return before[:start], before[start + 1 :], quote, closing
    found = FILTER.search(before) or WORD.search(before)
    word = (found[1] if found.re is FILTER else found[0]) if found else ""
    return before[: len(before) - len(word)], word, "", closing


def _find(base: str, quote: str, closing: str, names: Names, filters: Filters | None) -> _Place:
    """Put a mark at the cursor, complete what is open, and see where the mark comes up."""
    marked = f"{base}{quote}{CURSOR}{quote}"
    for tail in (closing, f" else null{closing}", f"{closing} else null"):
        try:
            node = parse(marked + tail)
        except ExpressionError:
            continue
        return _watch(node, names, filters)
    return _Place()


def _watch(root: Node, names: Names, filters: Filters | None) -> _Place:
    place = _Place()
    shapes: dict[int, Shape] = {}

    def watch(node: Node, shape: Shape) -> None:
        shapes[id(node)] = shape
        role, found = _role(node, shape, shapes)
        if role and (not place.role or role == "word"):
            place.role, place.shape, place.arguments = role, found, dict(inference.arguments)

    inference = Inference(names, filters=filters, watch=watch)
    inference.shape(root)
    return place


def _role(node: Node, shape: Shape, shapes: dict[int, Shape]) -> tuple[str, Shape]:
    match node:
        case Field(name=name) if name == CURSOR:
            return "field", shape
        case Filter(name=name) if name == CURSOR:
            return "filter", shape
        case Name(name=name) if name == CURSOR:
            return "name", None
        case Test(test=test) if test == CURSOR:
            return "test", None
        case Index(key=Literal(value=value)) if value == CURSOR:
            return "key", shape
        case Literal(value=value) if value == CURSOR:
            return "key", shape if fields_of(shape) else None
        case Compare(left=left, right=Literal(value=value)) if value == CURSOR:
            return "word", shapes.get(id(left))
        case Compare(left=Literal(value=value), right=right) if value == CURSOR:
            return "word", shapes.get(id(right))
    return "", None


def _suggest(place: _Place, names: Names, filters: Filters) -> Iterator[Completion]:
    if place.role in ("field", "key"):
        for name, shape in fields_of(place.shape).items():
            yield _typed(name, "field", shape)
    elif place.role == "filter":
        for entry in FILTERS:
            if not lacks(place.shape, *ON.get(entry.name, tuple(Kind))):
                yield Completion(entry.name, "filter", entry.usage, entry.meaning)
        for name, function in filters.items():
            yield Completion(name, "filter", documentation=(function.__doc__ or "").strip())
    elif place.role == "test":
        for entry in TESTS:
            yield Completion(entry.name, "test", entry.usage, entry.meaning)
    elif place.role == "word":
        known = typed(place.shape)
        for word in (known.words or ()) if known is not None else ():
            yield Completion(word, "value")
    elif place.role == "name":
        yield from _roots(place, names)
        for entry in FUNCTIONS:
            yield Completion(entry.name, "function", entry.usage, entry.meaning)


def _roots(place: _Place, names: Names) -> Iterator[Completion]:
    """The names with which a path can begin."""
    for name, shape in {**place.arguments, **names.locals}.items():
        if name not in names.absent:
            yield _typed(name, "name", shape)
    hidden: Iterable[str] = {*place.arguments, *names.locals, *names.absent, *(() if names.event else ("event",))}
    for name in dict.fromkeys(names.roots):
        if name not in hidden:
            yield _typed(name, "name", names.result if name == "result" else NEVER)


def _typed(name: str, kind: str, shape: Shape) -> Completion:
    found = typed(shape)
    if found is None or found is NEVER:
        return Completion(name, kind)
    return Completion(name, kind, describe(found, 1), found.description)
