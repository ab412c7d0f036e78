"""What expressions yield."""

from typing import Any

import pytest

from engine.pipeline.expression import ExpressionError, parse_expression

SCOPE = {
    "event": {
        "body": {
            "title": "Crash on start",
            "count": 3,
            "price": 2.5,
            "nothing": None,
            "yes": True,
            "list": [1, 2, 3],
            "items": "a field, not a method",
            "keys": {"x": 1},
            "people": [
                {"id": 1, "name": "Mia", "team": "core"},
                {"id": 2, "name": "Bo", "team": "docs"},
                {"id": 3, "name": "Al", "team": "core"},
            ],
        },
        "headers": {"x-github-event": "issues"},
    },
    "vars": {"key": "title", "channels": {"bug": "#core"}},
}


def evaluate(source: str, scope: dict[str, Any] | None = None) -> Any:
    return parse_expression(source).evaluate(SCOPE if scope is None else scope)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        # literals
        ("1", 1),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-2", -2),
        ("true", True),
        ("null", None),
        ("'it\\'s'", "it's"),
        ('"a\\n\\u0041"', "a\nA"),
        ("[1, 'a', [null],]", [1, "a", [None]]),
        # paths
        ("event.body.title", "Crash on start"),
        ("event['body']['count']", 3),
        ("event.body[vars.key]", "Crash on start"),
        ("event.headers['x-github-event']", "issues"),
        ("event.body.items", "a field, not a method"),
        ("event.body.keys.x", 1),
        ("event.body.list[0]", 1),
        ("event.body.list[-1]", 3),
        ("event.body.list[1:]", [2, 3]),
        ("event.body.title[:5]", "Crash"),
        ("event.body.list[:-1]", [1, 2]),
        # arithmetic, in the order of schools
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 // 2", 3),
        ("7 % 2", 1),
        ("7 / 2", 3.5),
        ("500 / 100", 5),
        ("10 - 2 - 3", 5),
        ("-event.body.count", -3),
        ("[1] + [2]", [1, 2]),
        ("2 - -2", 4),
        # text
        ("'a' ~ 1 ~ true ~ 1.5", "a1true1.5"),
        ("'n' ~ 1 + 2", "n3"),
        # comparisons: kinds are kept apart
        ("1 == 1.0", True),
        ("true == 1", False),
        ("'1' == 1", False),
        ("[1, true] == [1, 1]", False),
        ("object(a=1) == object(a=1.0)", True),
        ("null == false", False),
        ("1 < 2", True),
        ("'a' < 'b'", True),
        ("2 in [1, 2]", True),
        ("true in [1]", False),
        ("'a' not in 'bcd'", True),
        ("'x' in event.body.keys", True),
        # logic
        ("not false and true or false", True),
        ("not (true and false)", True),
        ("1 if true else 2", 1),
        ("1 if false else 2 if false else 3", 3),
        # missing data
        ("event.body.gone ?? 'x'", "x"),
        ("event.body.nothing ?? 'x'", "x"),
        ("event.body.nothing.deep.er ?? 1", 1),
        ("event.body.gone ?? event.body.nothing ?? 2", 2),
        ("event.body.gone | default(0)", 0),
        ("event.body.a.b ?? 0 > 5", False),
        ("event.body.gone ?? 'long text' | truncate(4, '')", "long"),
        ("event.body.gone ?? -1", -1),
        ("event.body.gone ?? null", None),
        ("false ?? true", False),
        ("0 ?? 1", 0),
        ("event.body.list[9] ?? 'none'", "none"),
        ("gone ?? 1", 1),
        ("event.body.nothing[0:2] ?? 1", 1),
        # tests
        ("event.body.gone is defined", False),
        ("event.body.nothing is defined", True),
        ("event.body.gone is null", True),
        ("event.body.nothing is null", True),
        ("event.body.count is not null", True),
        ("'a' is string", True),
        ("1 is number", True),
        ("true is number", False),
        ("1.5 is integer", False),
        ("[] is list", True),
        ("event is object", True),
        ("true is boolean", True),
        ("'' is empty", True),
        ("[1] is not empty", True),
        # lambdas
        ("event.body.people | map(p => p.name ~ '!')", ["Mia!", "Bo!", "Al!"]),
        ("event.body.people | where(p => p.id > vars.gone ?? 1) | map('id')", [2, 3]),
        ("[[1, 2], [3]] | map(a => a | map(b => b + (a | length)))", [[3, 4], [4]]),
        ("'a' ~ 'b' | upper", "aB"),
        ("('a' ~ 'b') | upper", "AB"),
        ("event.body.title | lower | split(' ') | first", "crash"),
        # white space is free
        ("\n  1\n + 2 ", 3),
    ],
)
def test_values(source: str, value: Any) -> None:
    """Each expression and its value."""
    result = evaluate(source)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("event.body.titel", "`event.body.titel` is not there"),
        ("event.bdy.title", "`event.bdy` is not there"),
        ("event.body.nothing.x", "`event.body.nothing.x` is not there"),
        ("event.body.list[3]", "`event.body.list[3]` is not there"),
        ("gone", "`gone` is not there"),
        ("[] | first", "`[] | first` is not there"),
        ("event.body.gone is string", "`event.body.gone` is not there"),
        ("event.body.title.x", "`event.body.title` is text and has no field `x`"),
        ("event.body.list.x", "`event.body.list` is a list and has no field `x`"),
        ("event.body.list['a']", "its index must be a whole number"),
        ("event.body.list[true]", "its index must be a whole number"),
        ("event.body[0]", "its index must be text"),
        ("event.body.count[0]", "is a number and has no items"),
        ("event.body.count[0:1]", "only lists and texts can be cut"),
        ("'a' + 'b'", "`+` cannot add text and text"),
        ("'a' + 1", "`+` cannot add text and a number"),
        ("'a' * 3", "`*` needs numbers, this is text"),
        ("true + 1", "`+` needs numbers, this is true or false"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("9999999999999999999 * 9999999999999999999", "too large"),
        ("1e308 * 10", "too large"),
        ("1 < '2'", "`<` cannot compare a number with text"),
        ("[1] < [2]", "`<` cannot compare a list with a list"),
        ("null ~ 'a'", "null cannot be put into text"),
        ("[1] ~ 'a'", "a list cannot be put into text"),
        ("1 and true", "each side of `and` must be true or false, this is a number"),
        ("not 'a'", "what `not` turns round must be true or false, this is text"),
        ("1 if 'a' else 2", "what follows `if` must be true or false, this is text"),
        ("1 in 5", "cannot look into a number"),
        ("1 in 'a'", "cannot look for a number in text"),
        ("5 | upper", "what `upper` is used on must be text, this is a number"),
        ("'x' | map(o => o)", "what `map` is used on must be a list, this is text"),
        ("event.body.people | map('nme')", "an item has no `nme`"),
        ("[1] | where(x => x)", "what `where` asks must be true or false, this is a number"),
    ],
)
def test_errors(source: str, message: str) -> None:
    """What does not fit is an error that says why."""
    with pytest.raises(ExpressionError) as caught:
        evaluate(source)
    assert message in caught.value.message


def test_a_missing_field_names_what_is_there() -> None:
    """With the range of characters, the close name and the way out."""
    with pytest.raises(ExpressionError) as caught:
        evaluate("1 + event.body.issue.title", {"event": {"body": {"issue": {"titel": "x"}}}})
    error = caught.value
    assert error.message == "`event.body.issue.title` is not there"
    assert error.offset == (4, 26)
    assert error.help == "did you mean `titel`? the object has: titel; add `?? <fallback>` if it may be missing"


def test_the_operands_of_and_and_or_stop_early() -> None:
    """A guard on the left protects the right."""
    assert evaluate("event.body.gone is defined and event.body.gone > 1") is False
    assert evaluate("event.body.gone is null or event.body.gone > 1") is True


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("[1]", "did you mean `| length > 0`?"),
        ("'a'", "did you mean `| length > 0`?"),
        ("1", "did you mean `!= 0`?"),
        ("null", "did you mean `is not null`, or `?? false`?"),
    ],
)
def test_a_condition_must_be_a_boolean(source: str, hint: str) -> None:
    """Truthiness does not exist; the error says what was probably meant."""
    with pytest.raises(ExpressionError) as caught:
        parse_expression(source).condition({})
    assert caught.value.help == hint


def test_a_lambda_cannot_hide_a_name() -> None:
    """Neither a root nor another lambda's argument."""
    for source in ("[1] | map(event => 1)", "[[1]] | map(a => a | map(a => a))"):
        with pytest.raises(ExpressionError, match="would hide another name"):
            parse_expression(source)


def test_roots_secrets_and_volatility_are_known_before_evaluation() -> None:
    """The checker and the checkpoint writer rely on them."""
    expression = parse_expression("[event.a] | map(e => e ~ vars.b ~ secrets.T ~ now())")
    assert expression.roots == {"event", "vars"}
    assert expression.secrets == {"T"}
    assert expression.volatile
    assert not parse_expression("event.now").volatile


def test_the_scope_is_only_asked_for_what_is_needed() -> None:
    """Roots may be computed when they are read."""

    class Lazy(dict[str, Any]):
        def __missing__(self, key: str) -> Any:
            raise AssertionError(f"{key} was not needed")

    assert parse_expression("a if true else b").evaluate(Lazy(a=1)) == 1


def test_explain_shows_the_values_of_the_paths() -> None:
    """For decision records: shortened, with a word for what is missing, secrets never."""
    source = (
        "event.body.sender.type != 'Bot' and event.body.labels | any(l => l.id == vars.id) and event.x[vars.id] == 1"
    )
    scope = {"event": {"body": {"sender": {"type": "Bot"}, "labels": ["x" * 300]}}, "vars": {}}
    values = parse_expression(source).explain(scope)
    assert list(values) == ["event.body.sender.type", "event.body.labels", "vars.id", "event.x[vars.id]"]
    assert values["event.body.sender.type"] == "Bot"
    assert values["vars.id"] == "(not there)"
    assert len(values["event.body.labels"]) == 200
    assert values["event.x[vars.id]"] == "(not there)"


def test_explain_leaves_out_what_depends_on_a_lambda() -> None:
    """An item has no single value."""
    assert parse_expression("[1] | any(i => event.a[i] == 1)").explain({"event": {"a": {}}}) == {}
