"""Syntax errors: the place and the right spelling."""

import pytest

from engine.pipeline.expression import ExpressionError, parse_condition, parse_expression


@pytest.mark.parametrize(
    ("source", "message", "offset", "help"),
    [
        ("a && b", "`&&` is not an operator here", (2, 4), "use `and`"),
        ("a || b", "`||` is not an operator here", (2, 4), "use `or`; for a fallback use `??`"),
        ("!a", "`!` is not an operator here", (0, 1), "use `not`"),
        ("a === b", "`===` is not an operator here", (2, 5), "use `==`"),
        ("a = b", "`=` is not an operator here", (2, 3), "use `==`"),
        (
            "a ? b : c",
            "`?` is not an operator here",
            (2, 3),
            "write `a if condition else b`, or `a ?? b` for a fallback",
        ),
        ("a ** 2", "`**` is not an operator here", (2, 4), "there is no power operator"),
        (
            "a?.b",
            "`?.` is not an operator here",
            (1, 3),
            "use `.`: a field of null is not there, and `??` catches that",
        ),
        ("{a: 1}", "`{` is not an operator here", (0, 1), "build an object with `object(name=value)`"),
        ("a == None", "`None` is not a name here", (5, 9), "use `null`"),
        ("True", "`True` is not a name here", (0, 4), "use `true`"),
        ("a.b.upper()", "values have no methods", (3, 10), "use a filter: `a.b | upper`"),
        ("a.0", "`.0` is not a field", (2, 3), "write `[0]` for an item of a list"),
        ("a | lenght", "there is no filter `lenght`", (4, 10), "did you mean `length`?"),
        ("length(a)", "there is no function `length`", (0, 6), "`length` is a filter: write `value | length`"),
        ("a | now", "there is no filter `now`", (4, 7), "`now` is a function: write `now(...)`"),
        ("nwo()", "there is no function `nwo`", (0, 3), "did you mean `now`?"),
        ("a is sting", "there is no test `is sting`", (5, 10), "did you mean `string`?"),
        ("a | truncate", "`truncate` needs one argument: length", (4, 12), ""),
        ("a | upper(1)", "`upper` takes no arguments", (4, 9), ""),
        ("a | truncate(5, edn='')", "`truncate` has no argument `edn`", (4, 12), "did you mean `end`?"),
        ("a | default", "`default` takes one argument", (4, 11), "as in `default('')`"),
        ("object(a=1, a=2)", "`a` is given twice", (12, 13), ""),
        ("f(a=1, 2)", "`2` is not expected here", (7, 8), "arguments with a name come last"),
        ("1 < 2 < 3", "`<`: comparisons cannot be chained", (6, 7), "join two comparisons with `and`"),
        (
            "5m",
            "`m` may not follow a number directly",
            (1, 2),
            "a duration is a text here: '5m', or `duration('5m')` for seconds",
        ),
        ("'abc", "this text is not closed", (0, 1), "add ' at its end"),
        ("'a\\q'", "`\\q` is not an escape", (2, 4), r"write `\\` for a backslash; there are \n \t \r \' \" \uXXXX"),
        ("a b", "`b` is not expected here", (2, 3), ""),
        ("(a", "`)` is missing to close the bracket", (1, 2), ""),
        ("[1, 2", "`]` is missing to close the list", (4, 5), ""),
        ("a +", "a value is missing here", (2, 3), ""),
        ("a if b", "`else` is missing: write `a if condition else b`", (5, 6), ""),
        ("", "the expression is empty", (0, 0), ""),
        ("x => x", "a lambda can only be an argument of a filter", (2, 4), "as in `map(o => o.id)`"),
        ("a.b.", "the name of a field is missing after `.`", (3, 4), ""),
        ("é", "`é` cannot stand in an expression", (0, 1), ""),
        ("secrets[a]", "a secret is named literally", (0, 10), None),
        ("secrets", "a secret is named literally", (0, 7), None),
        ("secrets.A.b", "a secret is named literally", (0, 11), None),
    ],
)
def test_errors(source: str, message: str, offset: tuple[int, int], help: str | None) -> None:
    """Message, range and advice."""
    with pytest.raises(ExpressionError) as caught:
        parse_expression(source)
    error = caught.value
    assert (error.message, error.offset) == (message, offset)
    if help is not None:
        assert error.help == help


def test_nesting_is_limited() -> None:
    """So that no expression exhausts the stack; flat ones may be long."""
    with pytest.raises(ExpressionError, match="nested deeper than 32 levels"):
        parse_expression("(" * 33 + "1" + ")" * 33)
    assert parse_expression("(" * 30 + "1" + ")" * 30).evaluate({}) == 1
    assert parse_expression(" + ".join(["1"] * 2000)).evaluate({}) == 2000
    assert parse_expression(" ~ ".join(["'a'"] * 1000)).evaluate({}) == "a" * 1000
    assert parse_expression(" and ".join(["true"] * 1000)).evaluate({}) is True


def test_the_length_is_limited() -> None:
    """Long text belongs into a file."""
    with pytest.raises(ExpressionError, match="may have 10000 characters"):
        parse_expression("'" + "a" * 10_000 + "'")


def test_a_condition_may_be_wrapped_as_a_whole() -> None:
    """It is a habit from GitHub Actions."""
    assert parse_condition(" ${{ a == 1 }} ").evaluate({"a": 1}) is True
    assert parse_condition("a == 1").evaluate({"a": 1}) is True


@pytest.mark.parametrize("text", ["${{ a }} == 1", "x ${{ a }}", "${{ a }}${{ b }}", "${{ a"])
def test_a_condition_may_not_be_mixed(text: str) -> None:
    """It would be a text, and always true elsewhere."""
    with pytest.raises(ExpressionError) as caught:
        parse_condition(text)
    assert caught.value.code == "E212"
    assert text[slice(*caught.value.offset)] == "${{"


def test_places_in_a_wrapped_condition_count_from_the_start_of_the_text() -> None:
    """The file has the wrapper, too."""
    with pytest.raises(ExpressionError) as caught:
        parse_condition("${{ a && b }}")
    assert caught.value.offset == (6, 8)
