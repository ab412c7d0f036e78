"""The parts of a parsed expression. Operator chains are flat, so only brackets make a tree deep."""

from collections.abc import Iterator
from typing import Any

import msgspec


class Node(msgspec.Struct, frozen=True):
    """Any part; start and end are offsets in the source."""

    start: int
    end: int


class Literal(Node, frozen=True):
    """A number, text, true, false or null."""

    value: Any


class Items(Node, frozen=True):
    """``[a, b]``"""

    items: tuple[Node, ...]


class Name(Node, frozen=True):
    """A root such as `event`, or the name of a lambda's argument."""

    name: str


class Field(Node, frozen=True):
    """``.name``"""

    name: str


class Index(Node, frozen=True):
    """``[expression]``"""

    key: Node


class Slice(Node, frozen=True):
    """``[from:to]``"""

    low: Node | None
    high: Node | None


class Access(Node, frozen=True):
    """A value followed by fields, indexes and slices."""

    base: Node
    parts: tuple[Field | Index | Slice, ...]


class Lambda(Node, frozen=True):
    """``name => expression``"""

    name: str
    body: Node


class Arguments(msgspec.Struct, frozen=True):
    """What stands between the round brackets."""

    positional: tuple[Node, ...] = ()
    named: tuple[tuple[str, Node], ...] = ()


class Call(Node, frozen=True):
    """``function(arguments)``"""

    name: str
    arguments: Arguments


class Filter(Node, frozen=True):
    """``| name(arguments)``; start and end are those of the name."""

    name: str
    arguments: Arguments


class Fallback(Node, frozen=True):
    """``?? value``"""

    value: Node


class Pipe(Node, frozen=True):
    """A value and what is done to it, from left to right."""

    base: Node
    stages: tuple[Filter | Fallback, ...]


class Negative(Node, frozen=True):
    """``-value``"""

    value: Node


class Operation(msgspec.Struct, frozen=True):
    """An operator and its right side."""

    operator: str
    value: Node
    start: int
    end: int


class Arithmetic(Node, frozen=True):
    """``a + b - c`` or ``a * b / c``, from left to right."""

    first: Node
    rest: tuple[Operation, ...]


class Concat(Node, frozen=True):
    """``a ~ b ~ c``"""

    items: tuple[Node, ...]


class Compare(Node, frozen=True):
    """One of == != < <= > >= in, not in."""

    operator: str
    left: Node
    right: Node


class Test(Node, frozen=True):
    """``value is defined``"""

    value: Node
    test: str
    negated: bool


class Not(Node, frozen=True):
    """``not value``"""

    value: Node


class And(Node, frozen=True):
    """``a and b and c``"""

    items: tuple[Node, ...]


class Or(Node, frozen=True):
    """``a or b or c``"""

    items: tuple[Node, ...]


class Choice(Node, frozen=True):
    """``a if condition else b``"""

    condition: Node
    then: Node
    otherwise: Node


def children(node: Node) -> Iterator[Node]:
    """The parts directly below, in the order of the source (but a choice's condition comes first)."""
    match node:
        case Items(items=items) | Concat(items=items) | And(items=items) | Or(items=items):
            yield from items
        case Index(key=child) | Lambda(body=child):
            yield child
        case Slice(low=low, high=high):
            yield from (child for child in (low, high) if child is not None)
        case Access(base=base, parts=parts):
            yield base
            yield from parts
        case Call(arguments=arguments) | Filter(arguments=arguments):
            yield from arguments.positional
            yield from (child for _, child in arguments.named)
        case Fallback(value=child) | Negative(value=child) | Test(value=child) | Not(value=child):
            yield child
        case Pipe(base=base, stages=stages):
            yield base
            yield from stages
        case Arithmetic(first=first, rest=rest):
            yield first
            yield from (operation.value for operation in rest)
        case Compare(left=left, right=right):
            yield left
            yield right
        case Choice(condition=condition, then=then, otherwise=otherwise):
            yield condition
            yield then
            yield otherwise
        case _:
            return


def count(node: Node) -> int:
    """How many parts there are."""
    return 1 + sum(count(child) for child in children(node))
