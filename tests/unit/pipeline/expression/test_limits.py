"""Heavy expressions are stopped early."""

import time
from typing import Any

import pytest

from engine.pipeline.expression import ExpressionError, compile_template, parse_expression


@pytest.mark.parametrize(
    "source",
    [
        "range(100000) | map(a => range(100000) | sum)",
        "range(1000) | map(a => range(1000) | map(b => range(1000) | length))",
        "range(100000) | map(i => big ~ big)",
        "range(100000) | map(i => big | upper) | length",
        "range(100000) | where(i => big == other)",
        "range(100000) | where(i => big | contains('y'))",
        "range(100000) | where(i => big | matches('a*b*c*y$'))",
        "range(100000) | map(i => tree == tree)",
        "range(100000) | map(i => [tree] | unique)",
        "range(100000) | map(i => tree | to_json)",
        "range(100000) | map(i => tree + tree)",
        "range(100000) | map(i => big[1:])",
        "big | replace('x', big)",
        "big | split('x') | join(big)",
        "range(100000000)",
    ],
)
def test_work_is_bounded(source: str) -> None:
    """Whatever is multiplied, it ends within a moment and without much memory."""
    scope: dict[str, Any] = {"big": "x" * 100_000, "other": "x" * 99_999 + "z", "tree": list(range(5000))}
    begun = time.perf_counter()
    with pytest.raises(ExpressionError) as caught:
        parse_expression(source).evaluate(scope)
    assert caught.value.code == "E222"
    assert time.perf_counter() - begun < 5


def test_patterns_are_linear() -> None:
    """The classic bomb of backtracking engines."""
    begun = time.perf_counter()
    assert parse_expression("t | matches('^(a+)+$')").evaluate({"t": "a" * 100_000 + "b"}) is False
    assert time.perf_counter() - begun < 2
    with pytest.raises(ExpressionError):
        parse_expression("t | matches('((a{100}){100}){100}')").evaluate({"t": "a"})
    with pytest.raises(ExpressionError, match="may have 1000 characters"):
        parse_expression("t | matches(p)").evaluate({"t": "a", "p": "a" * 1001})


def test_the_budget_is_shared_within_one_value() -> None:
    """Many texts in one `with` do not multiply it."""
    template = compile_template({str(index): "${{ range(90000) | map(i => i) | length }}" for index in range(20)})
    with pytest.raises(ExpressionError, match="too much work"):
        template.render({})


def test_deep_values_are_passed_on_and_refused_politely_elsewhere() -> None:
    """JSON may be nested deeper than Python's stack."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert parse_expression("event").evaluate({"event": deep}) is deep
    with pytest.raises(ExpressionError, match="nested too deeply"):
        parse_expression("event == other").evaluate({"event": deep, "other": [deep]})
    while deep:  # take it apart: freeing it at once would recurse
        deep = deep.pop()
