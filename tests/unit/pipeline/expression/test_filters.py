"""Each filter and function by example; the examples of docs/expressions.md are checked in test_docs.py."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.pipeline.expression import ExpressionError, parse_expression
from engine.pipeline.expression.filters import FILTERS
from engine.pipeline.expression.functions import FUNCTIONS

PEOPLE = [{"n": "b", "a": 2}, {"n": "a", "a": 1}, {"n": "c", "a": 2}]


def evaluate(source: str, **scope: Any) -> Any:
    return parse_expression(source).evaluate({"p": PEOPLE, **scope})


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("'ab' | length", 2),
        ("object(a=1) | length", 1),
        ("[] | length", 0),
        ("[1, 2] | first", 1),
        ("'ab' | last", "b"),
        ("[] | last ?? 0", 0),
        ("[1, 'a', true] | join('-')", "1-a-true"),
        ("['a', 'b'] | join", "ab"),
        ("'a,b' | split(',')", ["a", "b"]),
        ("' a  b ' | split", ["a", "b"]),
        ("'Ä' | lower", "ä"),
        ("'ß' | upper", "SS"),
        ("' a ' | trim", "a"),
        ("'--a' | trim('-')", "a"),
        ("'aXa' | replace('X', '-')", "a-a"),
        ("'abcdef' | truncate(4)", "abc…"),
        ("'abcd' | truncate(4)", "abcd"),
        ("'abcdef' | truncate(4, end='')", "abcd"),
        ("'abc' | truncate(0)", ""),
        ("'abc' | startswith('ab')", True),
        ("'abc' | endswith('bc')", True),
        ("'abc' | contains('b')", True),
        ("[1] | contains(1.0)", True),
        ("object(a=1) | contains('a')", True),
        ("'v1.2' | matches('^v\\\\d')", True),
        ("'x' | matches('^y')", False),
        ("p | map('n')", ["b", "a", "c"]),
        ("p | where(x => x.a == 2) | map('n')", ["b", "c"]),
        ("p | any(x => x.a == 1)", True),
        ("p | all(x => x.a == 1)", False),
        ("[] | all", True),
        ("[true] | any", True),
        ("p | sort_by('n') | map('n')", ["a", "b", "c"]),
        ("p | sort_by(x => -x.a) | map('n')", ["b", "c", "a"]),
        ("p | group_by('a') | map(g => g.key ~ ':' ~ (g.items | length))", ["2:2", "1:1"]),
        ("[1, 1.0, true, '1'] | unique", [1, True, "1"]),
        ("p | unique('a') | map('n')", ["b", "a"]),
        ("[[1], 2, [[3]]] | flatten", [1, 2, [3]]),
        ("[1, 2] | reverse", [2, 1]),
        ("'ab' | reverse", "ba"),
        ("[1, 2, 3] | chunk(2)", [[1, 2], [3]]),
        ("[1, 2] | zip(['a', 'b'])", [[1, "a"], [2, "b"]]),
        ("[1, 2.5] | sum", 3.5),
        ("[] | sum", 0),
        ("[3, 1] | min", 1),
        ("['a', 'c'] | max", "c"),
        ("[] | min ?? 0", 0),
        ("2.5 | round", 3),
        ("-2.5 | round", -3),
        ("1.005 | round(2)", 1.01),
        ("7 | round(1)", 7),
        ("'42' | int", 42),
        ("' -7 ' | int", -7),
        ("3.9 | int", 3),
        ("'1.5' | float", 1.5),
        ("2 | float", 2.0),
        ("1.0 | string", "1.0"),
        ("true | string", "true"),
        ("object(a=1, b=2) | keys", ["a", "b"]),
        ("object(a=1) | values", [1]),
        ("object(a=1) | items", [{"key": "a", "value": 1}]),
        ("object(a=1, b=2) | pick('a', 'z')", {"a": 1}),
        ("object(a=1, b=2) | omit('a')", {"b": 2}),
        ("object(a=1, b=2) | pick(['b'])", {"b": 2}),
        ("object(a=1) | merge(object(a=2, c=3))", {"a": 2, "c": 3}),
        ("object(a=[1, null]) | to_json", '{"a":[1,null]}'),
        ("[1] | to_json(indent=2)", "[\n  1\n]"),
        ("'[1, {\"a\": null}]' | from_json", [1, {"a": None}]),
        ("'hé' | b64encode", "aMOp"),
        (
            "'what do ya want for nothing?' | hmac('Jefe')",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),  # RFC 4231, test case 2
        ("'a' | sha256", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("'a b/ü' | urlencode", "a%20b%2F%C3%BC"),
        ("object(q='a b', n=[1, 2]) | urlencode", "q=a%20b&n=1&n=2"),
        ("'Über große Höhe!' | slugify", "uber-grosse-hohe"),
        ("'<a & b>' | slack_escape", "&lt;a &amp; b&gt;"),
        ("'<a href=\"x\">' | html_escape", "&lt;a href=&quot;x&quot;&gt;"),
        ("'2026-03-01T09:00:00Z' | date('%d.%m.%Y %H:%M', 'Europe/Berlin')", "01.03.2026 10:00"),
        ("'2026-03-01T09:00:00+02:00' | date", "2026-03-01T07:00:00Z"),
        ("0 | date", "1970-01-01T00:00:00Z"),
        ("'2026-03-01' | date('%A')", "Sunday"),
        ("'2026-07-01' | date(timezone='Europe/Berlin')", "2026-07-01T02:00:00+02:00"),
        ("date('2026-03-01')", "2026-03-01T00:00:00Z"),
        ("date_add('2026-02-28T23:00:00Z', '2h')", "2026-03-01T01:00:00Z"),
        ("date_add('2026-03-01', '-1d')", "2026-02-28T00:00:00Z"),
        ("duration('1h30m')", 5400),
        ("duration('500ms')", 0.5),
        ("range(3)", [0, 1, 2]),
        ("range(1, 7, 2)", [1, 3, 5]),
        ("range(3, 0, -1)", [3, 2, 1]),
        ("min(3, 1, 2)", 1),
        ("max([1, 5])", 5),
        ("object(a=1, b=object(c=[]))", {"a": 1, "b": {"c": []}}),
    ],
)
def test_values(source: str, value: Any) -> None:
    """Each filter and its value."""
    result = evaluate(source)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("null | length", "null has no length"),
        ("'a' | replace('', 'b')", "is empty"),
        ("'a' | split('')", "is empty"),
        ("'a' | truncate('5')", "the length must be a whole number, this is text"),
        ("'a' | matches('(')", "this is not a pattern: missing ): ("),
        ("'a' | matches('(?=x)')", "invalid perl operator"),
        ("'1.5' | int", "`1.5` is not a whole number"),
        ("'x' | float", "`x` is not a number"),
        ("true | int", "`int` takes text or a number"),
        ("[1] | zip([])", "two lists of one length"),
        ("['a', 1] | sum", "`sum` adds numbers, this is text"),
        ("[1, 'a'] | max", "cannot compare"),
        ("[true] | max", "cannot compare"),
        ("[1, null] | sort_by(x => x)", "cannot compare"),
        ("'x' | from_json", "this is not JSON"),
        ("'x' | date", "`x` is not a time"),
        ("1e30 | date", "is not a time"),
        ("0 | date('%q')", "`%q` is not a part of a date format"),
        ("0 | date('%Y', 'Mars')", "there is no time zone `Mars`"),
        ("date_add('9999-12-31', '2d')", "not within the years"),
        ("duration('5 minutes')", "is not a duration"),
        ("range(0, 1, 0)", "the step of `range` is 0"),
        ("[1] | chunk(0)", "is at least 1"),
        ("[1] | map(5)", "takes the name of a field"),
        ("[1] | map('a')", "needs objects, this item is a number"),
        ("[null] | join", "null cannot be put into text"),
        ("file('x.md')", "`file` can only be used in a pipeline's file"),
    ],
)
def test_errors(source: str, message: str) -> None:
    """What does not fit is an error at the filter's name."""
    with pytest.raises(ExpressionError) as caught:
        evaluate(source)
    assert message in caught.value.message


def test_every_filter_and_function_has_an_example_here() -> None:
    """A new one comes with a test."""
    text = Path(__file__).read_text()
    for name in FILTERS:
        assert re.search(rf"\| {name}\b", text), name
    for name in FUNCTIONS:
        assert name == "template" or re.search(rf"\b{name}\(", text), name


def test_now_is_the_time_and_uuid_is_new_each_time() -> None:
    """Both make the expression volatile."""
    moment = datetime.fromisoformat(evaluate("now()"))
    assert abs(datetime.now(UTC) - moment) < timedelta(seconds=10)
    assert evaluate("uuid()") != evaluate("uuid()")
    assert parse_expression("uuid()").volatile


def test_filters_of_plugins_are_called_with_plain_values() -> None:
    """What they raise is an error of the expression."""
    filters = {"demo.twice": lambda value, times=2: value * times, "demo.bad": lambda value: 1 // 0}
    assert parse_expression("'ab' | demo.twice", filters=filters).evaluate({}) == "abab"
    assert parse_expression("2 | demo.twice(times=5)", filters=filters).evaluate({}) == 10
    with pytest.raises(ExpressionError, match=r"the filter `demo\.bad` failed"):
        parse_expression("1 | demo.bad", filters=filters).evaluate({})
    with pytest.raises(ExpressionError) as caught:
        parse_expression("1 | demo.twcie", filters=filters)
    assert caught.value.help == "did you mean `demo.twice`?"


def test_values_are_never_changed() -> None:
    """Filters copy; the scope is what it was."""
    scope = {"a": [3, 1, 2], "o": {"x": {"y": 1}}}
    for source in ("a | sort_by(i => i)", "a | reverse", "o | merge(object(z=1))", "a + [4]", "a | chunk(2)"):
        parse_expression(source).evaluate(scope)
    assert scope == {"a": [3, 1, 2], "o": {"x": {"y": 1}}}
