"""On the subset that both understand, an expression yields what minijinja yields (minijinja.dev, the Jinja of Rust)."""

import minijinja
import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.pipeline.expression import ExpressionError, parse_expression

SCOPE = {
    "n": 7,
    "m": -3,
    "f": 2.5,
    "s": "Crash on <start>",
    "t": "a,b,,c",
    "empty": "",
    "yes": True,
    "no": False,
    "nothing": None,
    "numbers": [3, 1, 2],
    "words": ["bug", "Docs", "urgent"],
    "people": [{"name": "Mia", "age": 41}, {"name": "Bo", "age": 30}],
    "deep": {"a": {"b": [10, {"c": "x"}]}},
}
ENVIRONMENT = minijinja.Environment(undefined_behavior="strict")
ENVIRONMENT.auto_escape_callback = lambda name: False

NUMBERS = st.sampled_from(["n", "m", "f", "1", "0", "2.5", "10", "numbers[0]", "deep.a.b[0]", "people[1].age"])
TEXTS = st.sampled_from(["s", "t", "empty", "'x'", '"two words"', "words[0]", "people[0].name", "deep['a'].b[1].c"])
BOOLEANS = st.sampled_from(["yes", "no", "true", "false", "n is defined", "s is string", "n is integer"])
LISTS = st.sampled_from(["numbers", "words", "[1, 2, 3]", "numbers[1:]", "words[:2]", "[]", "numbers + [9]"])


def numeric(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*"]), inner),
        st.builds("{} {} {}".format, NUMBERS, st.sampled_from(["+", "-", "*", "/", "//", "%"]), NUMBERS),
        st.builds("-{}".format, NUMBERS),
        st.builds("({} | length)".format, st.one_of(LISTS, TEXTS)),
        st.builds("({} if {} else {})".format, inner, BOOLEANS, inner),
    )


def textual(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} ~ {})".format, inner, inner),
        st.builds(
            "({} | {})".format, inner, st.sampled_from(["upper", "lower", "trim", "replace('a', 'o')", "reverse"])
        ),
        st.builds("({} | join('-'))".format, st.just("words")),
        st.builds("({} if {} else {})".format, inner, BOOLEANS, inner),
    )


EXPRESSION_OF_NUMBERS = st.recursive(NUMBERS, numeric, max_leaves=8)
EXPRESSION_OF_TEXT = st.recursive(TEXTS, textual, max_leaves=8)
CONDITIONS = st.recursive(
    st.one_of(
        BOOLEANS,
        st.builds(
            "{} {} {}".format, NUMBERS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), EXPRESSION_OF_NUMBERS
        ),
        st.builds("{} {} {}".format, TEXTS, st.sampled_from(["==", "!=", "<", "in", "not in"]), TEXTS),
        st.builds("{} {} words".format, TEXTS, st.sampled_from(["in", "not in"])),
    ),
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("(not {})".format, inner),
    ),
    max_leaves=6,
)
SEQUENCES = st.one_of(
    LISTS,
    st.builds("({} | {})".format, LISTS, st.sampled_from(["reverse", "unique"])),
    st.just("people | map(attribute='name') | list"),
    st.just("deep.a | items | list"),
)
SAME_MEANING = {  # spelled differently in the two
    "people | map(attribute='name') | list": "people | map('name')",
    "deep.a | items | list": "deep.a | items | map(p => [p.key, p.value])",
}


@given(st.one_of(EXPRESSION_OF_NUMBERS, EXPRESSION_OF_TEXT, CONDITIONS, SEQUENCES))
@settings(max_examples=600)
def test_common_expressions_have_one_value(source: str) -> None:
    """Where both yield a value, it is the same; where we yield one, minijinja does."""
    try:
        ours = parse_expression(SAME_MEANING.get(source, source)).evaluate(SCOPE)
    except ExpressionError as error:  # we are the stricter one: division by zero, kinds
        assume(error.code not in ("E201", "E202"))
        return
    theirs = ENVIRONMENT.eval_expr(source, **SCOPE)
    if isinstance(ours, float):
        assert theirs == pytest.approx(ours, rel=1e-12, abs=1e-12), source
    else:
        assert msgspec.json.encode(theirs) == msgspec.json.encode(ours), source


@pytest.mark.parametrize(
    ("source", "ours", "theirs"),
    [
        ("nothing ?? 'x'", "x", None),  # we have `??`, Jinja has not
        ("yes ~ ''", "true", "True"),  # JSON's spelling
        ("1 == true", False, True),  # true is not a number here
        ("deep.a.gone ?? 1", 1, None),
    ],
)
def test_where_the_two_differ(source: str, ours: object, theirs: object) -> None:
    """The differences we want."""
    assert parse_expression(source).evaluate(SCOPE) == ours
    try:
        assert ENVIRONMENT.eval_expr(source, **SCOPE) == theirs
    except minijinja.TemplateError:
        assert theirs is None
