"""Whatever an expression yields, inference has said that it can; and what it calls an error is one."""

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.pipeline.expression import ExpressionError, parse_expression
from engine.pipeline.inference.infer import Inference
from engine.pipeline.inference.names import Names
from engine.pipeline.inference.shapes import of_value, of_values
from engine.pipeline.inference.types import Shape, admits, describe, either, fields_of, list_of, map_of, nullable

NAMES = ("a", "b", "items", "kind")
WORDS = ("x", "y", "bug", "a", "2026-03-01T09:00:00Z", "")
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from((0.5, 2.0, -1.25)), st.sampled_from(WORDS)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)),
    max_leaves=8,
)
KEYS = st.sampled_from(("0", "-1", "'a'", "'kind'"))
LITERALS = st.sampled_from(("0", "1", "2", "-1", "0.5", "'x'", "'a'", "''", "true", "false", "null", "[]", "'items'"))
PLAIN = (
    *("length", "first", "last", "any", "all", "unique", "flatten", "reverse", "sum", "min", "max", "keys", "values"),
    *("items", "to_json", "from_json", "string", "int", "float", "round", "lower", "upper", "trim", "split", "date"),
    *("slugify", "urlencode", "b64encode", "sha256", "html_escape", "join"),
)
ASK_ITEMS = ("any", "all", "sum")  # what nothing is wrong with if the list happens to be empty
BY = ("map", "where", "any", "all", "sort_by", "group_by", "unique")
WITH = ("zip", "merge", "chunk", "round", "contains", "truncate", "split", "join", "startswith", "default", "hmac")
OPERATORS = ("+", "-", "*", "/", "//", "%", "==", "!=", "<", ">=", "in", "not in", "~", "and", "or", "??")
CERTAIN = ("+", "-", "*", "/", "//", "%", "==", "!=", "<", ">=", "in", "not in", "~")  # both sides are evaluated
TESTS = ("defined", "null", "string", "number", "list", "object", "empty", "not defined")


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3, certain: bool = False, arguments: tuple[str, ...] = ()) -> str:
    """The source of an expression over the input `a` and `b`, or a lambda's argument."""

    def inner(*more: str) -> str:
        return draw(expressions(depth - 1, certain, (*arguments, *more)))

    if not depth or draw(st.integers(0, 4)) == 0:
        roots = ("inputs.a", "inputs.b", *arguments, *arguments)
        return draw(st.sampled_from(roots)) if draw(st.booleans()) else draw(LITERALS)
    shapes = ["field", "index", "slice", "filter", "with", "operator", "not", "list", "object", "minus"]
    shapes += [] if certain else ["lambda", "choice", "test", "key", "by", "names"]
    match draw(st.sampled_from(shapes)):
        case "field":
            return f"({inner()}).{draw(st.sampled_from(NAMES))}"
        case "index":
            return f"({inner()})[{draw(KEYS)}]"
        case "key":
            return f"({inner()})[{inner()}]"
        case "slice":
            return f"({inner()})[{draw(st.sampled_from(('', '0', '1')))}:{draw(st.sampled_from(('', '1', '-1')))}]"
        case "filter":
            plain = [name for name in PLAIN if not (certain and name in ASK_ITEMS)]
            return f"({inner()}) | {draw(st.sampled_from(plain))}"
        case "with":
            name = draw(st.sampled_from([name for name in WITH if not (certain and name == "default")]))
            return f"({inner()}) | {name}({inner()})"
        case "by":
            return f"({inner()}) | {draw(st.sampled_from(BY))}('{draw(st.sampled_from(NAMES))}')"
        case "lambda":
            name = f"x{len(arguments)}"
            return f"({inner()}) | {draw(st.sampled_from(BY))}({name} => {inner(name)})"
        case "names":
            names = ", ".join(f"'{name}'" for name in draw(st.lists(st.sampled_from(NAMES), max_size=2)))
            return f"({inner()}) | {draw(st.sampled_from(('pick', 'omit')))}({names})"
        case "operator":
            return f"({inner()}) {draw(st.sampled_from(CERTAIN if certain else OPERATORS))} ({inner()})"
        case "not":
            return f"not ({inner()})"
        case "minus":
            return f"-({inner()})"
        case "list":
            return f"[{inner()}, {inner()}]"
        case "object":
            return f"object(a={inner()}, kind={inner()})"
        case "choice":
            return f"({inner()}) if ({inner()}) else ({inner()})"
        case "test":
            return f"({inner()}) is {draw(st.sampled_from(TESTS))}"
    return draw(LITERALS)


def weakened(shape: Shape, how: int) -> Shape:
    """The shape, or one that knows less."""
    if how == 1:
        return nullable(shape)
    if how == 2:
        return either(shape, of_value({"a": 1, "other": ["x"]}))
    if how == 3:
        return either(shape, map_of(None))
    if how == 4:
        return either(shape, list_of(of_value("bug")))
    return shape


def look(source: str, a: Shape, b: Shape) -> tuple[Shape, list[Any]]:
    names = Names(roots=("inputs",), inputs={"a": a, "b": b})
    expression = parse_expression(source)
    inference = Inference(names, source=source)
    shape = inference.shape(expression.node)
    return shape, [found for found in inference.findings if found.code.startswith("E")]


def compiles(source: str) -> bool:
    try:
        parse_expression(source)
    except ExpressionError:
        return False
    return True


@given(expressions(), VALUES, VALUES, st.integers(0, 4), st.booleans())
@settings(max_examples=400, deadline=None)
def test_the_type_admits_the_value(source: str, a: Any, b: Any, how: int, sampled: bool) -> None:
    """Any expression over any JSON, with types that are exact, wider or taken from samples."""
    assume(compiles(source))
    try:
        value = parse_expression(source).evaluate({"inputs": {"a": a, "b": b}})
    except ExpressionError:
        return
    one, other = (of_values([a]), of_values([b])) if sampled else (weakened(of_value(a), how), of_value(b))
    shape, _ = look(source, one, other)
    assert admits(shape, value), f"{source} is {value!r}, not {describe(shape, 4)}"


@given(expressions(certain=True), VALUES, VALUES)
@settings(max_examples=400, deadline=None)
def test_an_error_that_is_found_is_one(source: str, a: Any, b: Any) -> None:
    """Where every part is evaluated and nothing is caught, a finding means that the evaluation fails."""
    assume(compiles(source))
    _, errors = look(source, of_value(a), of_value(b))
    if not errors:
        return
    try:
        value = parse_expression(source).evaluate({"inputs": {"a": a, "b": b}})
    except ExpressionError:
        return
    raise AssertionError(f"{source} is {value!r}, but: {errors}")


@given(VALUES, VALUES)
@settings(deadline=None)
def test_either_admits_both(one: Any, other: Any) -> None:
    """Of values, and of samples."""
    shape = either(of_value(one), of_value(other))
    assert admits(shape, one)
    assert admits(shape, other)
    assert admits(of_values([one, other]), other)
    assert set(fields_of(shape)) >= (set(one) if isinstance(one, dict) else set())
