"""The terms of a condition that say which value a field of `incoming` must have, known before an event comes."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from engine.pipeline.expression.errors import ExpressionError
from engine.pipeline.expression.expression import Expression, make_compiler
from engine.pipeline.expression.nodes import Access, And, Compare, Field, Index, Literal, Name, Node

ROOT = "incoming"


class Term(NamedTuple):
    """``PATH == value``, or the other way round."""

    text: str  # of the path, `incoming.body.id`
    path: tuple[str | int, ...]
    value: Expression  # does not mention `incoming`, and is the same whenever it is evaluated


@lru_cache(maxsize=1000)
def correlation(condition: Expression) -> tuple[Term, ...]:
    """The terms that must all hold for the condition to hold."""
    return tuple(term for node in _terms(condition.node) if (term := _term(condition.source, node)))


def _terms(node: Node) -> Iterator[Node]:
    if isinstance(node, And):
        for item in node.items:
            yield from _terms(item)
    else:
        yield node


def _term(source: str, node: Node) -> Term | None:
    if not isinstance(node, Compare) or node.operator != "==":
        return None
    for one, other in ((node.left, node.right), (node.right, node.left)):
        path = _path(one)
        value = _value(source, other) if path else None
        if path and value is not None:
            return Term(source[one.start : one.end], path, value)
    return None


def _path(node: Node) -> tuple[str | int, ...] | None:
    if not isinstance(node, Access) or not isinstance(node.base, Name) or node.base.name != ROOT:
        return None
    path: list[str | int] = []
    for part in node.parts:
        if isinstance(part, Field):
            path.append(part.name)
        elif isinstance(part, Index) and isinstance(part.key, Literal) and type(part.key.value) in (str, int):
            path.append(part.key.value)
        else:
            return None
    return tuple(path)


def _value(source: str, node: Node) -> Expression | None:
    try:
        value = Expression(source, node, make_compiler(source))
    except ExpressionError:  # a filter of a plugin: nobody promises that it always says the same
        return None
    return None if value.volatile or ROOT in value.roots else value
