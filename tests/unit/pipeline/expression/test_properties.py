"""What holds for every input."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipeline.expression import ExpressionError, compile_template, from_stored, parse_expression, to_stored
from engine.pipeline.expression.filters import FILTERS
from engine.pipeline.expression.functions import FUNCTIONS

TEXTS = st.text(max_size=40) | st.sampled_from(
    ["${{ secrets.TOKEN }}", "$${{ x }}", "}}", "{{ x }}", "[1,2]", "null", "5", "{% raw %}", "$secret", "__class__"]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXTS, children, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_any_value_is_rendered_as_itself(body: object) -> None:
    """Whole expressions hand over the very value; nothing is parsed a second time."""
    rendered = compile_template({"a": "${{ event.body }}"}).render({"event": {"body": body}})
    assert rendered["a"] is body


@given(TEXTS)
def test_any_text_is_joined_as_itself(text: str) -> None:
    """Expressions in a payload stay text."""
    assert compile_template("<${{ event.body }}>").render({"event": {"body": text}}) == f"<{text}>"
    assert compile_template("<${{ event.body ~ '!' }}>").render({"event": {"body": text}}) == f"<{text}!>"


@given(JSON)
def test_any_value_survives_being_stored(body: object) -> None:
    """Also one that spells our references."""
    assert from_stored(msgspec.json.decode(msgspec.json.encode(to_stored({"b": body})))) == msgspec.json.decode(
        msgspec.json.encode({"b": body})
    )


PIECES = st.sampled_from(
    [
        *(
            "event",
            "event.body",
            "x",
            "1",
            "2.5",
            "'a'",
            '"b"',
            "null",
            "true",
            "[",
            "]",
            "(",
            ")",
            ",",
            ".",
            "|",
            "??",
        ),
        *(
            "+",
            "-",
            "*",
            "/",
            "//",
            "%",
            "~",
            "==",
            "!=",
            "<",
            ">=",
            "in",
            "not",
            "is",
            "and",
            "or",
            "if",
            "else",
            "=>",
        ),
        *(
            "=",
            ":",
            "defined",
            "string",
            "secrets",
            "secrets.A",
            "&&",
            "!",
            "{",
            "}",
            "'",
            "\\",
            "#",
            "$",
            "é",
            "\0",
            "\n",
        ),
        *FILTERS,
        *FUNCTIONS,
    ]
)


@given(st.text(max_size=60))
@settings(max_examples=150)
def test_random_text_is_an_expression_or_an_expression_error(text: str) -> None:
    """Nothing else ever comes out."""
    _try(text)


@given(st.lists(PIECES, max_size=14).map(" ".join))
@settings(max_examples=300)
def test_random_tokens_are_an_expression_or_an_expression_error(text: str) -> None:
    """Also when they are evaluated: with a body of every kind."""
    _try(text)


@given(st.sampled_from(sorted(FILTERS)), st.lists(JSON, max_size=3), JSON)
@settings(max_examples=300)
def test_filters_take_anything_and_raise_nothing_but_expression_errors(
    name: str, given: list[object], body: object
) -> None:
    """Values of every kind as the value and as the arguments."""
    arguments = ", ".join(f"a[{index}]" for index in range(len(given)))
    try:
        result = parse_expression(f"body | {name}({arguments})").evaluate({"body": body, "a": given})
    except ExpressionError:
        return
    msgspec.json.encode(result)


@given(st.sampled_from(sorted(set(FUNCTIONS) - {"file", "template"})), st.lists(JSON, max_size=3))
@settings(max_examples=150)
def test_functions_take_anything_and_raise_nothing_but_expression_errors(name: str, given: list[object]) -> None:
    """Values of every kind as arguments."""
    arguments = ", ".join(f"a[{index}]" for index in range(len(given)))
    try:
        result = parse_expression(f"{name}({arguments})").evaluate({"a": given})
    except ExpressionError:
        return
    msgspec.json.encode(result)


def _try(text: str) -> None:
    try:
        expression = parse_expression(text)
    except ExpressionError as error:
        start, end = error.offset
        assert 0 <= start <= end
        assert start <= len(text)
        return
    for body in (None, True, 5, "text", [1, {"a": 1}], {"body": [1]}):
        scope = {"event": {"body": body}, "x": body}
        end = 0
        try:
            expression.evaluate(scope)
        except ExpressionError as error:
            end = error.offset[1]
        assert end <= len(text)
        expression.explain(scope)
