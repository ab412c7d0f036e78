"""What a wait is for: keys find the events, and never leave out one that the condition accepts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.awaited import ANY, key_for, key_of
from engine.flow.frame import Scope
from engine.flow.wanted import Wanted
from engine.pipeline.expression import ExpressionError, parse_condition
from engine.pipeline.spec import WaitEvent

PLAIN: Any = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.0, 1.0, -0.0, 0.5, 2.0**53, 2**53, 2**53 + 1, 1e300]),
    st.sampled_from(["", "0", "1", "true", "null", "a", "\u00e4", "a\u0308"]),
)
VALUE = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner))
PATH = st.sampled_from(
    ["body", "body.a", "body.b", "body.a.b", "body['a']", "body.a[0]", "body[0]", "body[1].a", "type", "body.a[-1]"]
)
EXPR = st.sampled_from(
    [
        *(
            "inputs.x",
            "inputs.y",
            "inputs.y.a",
            "inputs.x ?? 1",
            "1",
            "1.0",
            "'a'",
            "'1'",
            "true",
            "null",
            "inputs.gone",
        ),
        *("[inputs.x, 1]", "inputs.x if inputs.y == 1 else inputs.y", "incoming.body.b", "now()"),
    ]
)
TERM: Any = st.one_of(
    st.builds("incoming.{} == {}".format, PATH, EXPR),
    st.builds("{1} == incoming.{0}".format, PATH, EXPR),
    st.builds("incoming.{} != {}".format, PATH, EXPR),
    st.builds("(incoming.{} ?? 1) == {}".format, PATH, EXPR),
)
CONDITION: Any = st.recursive(
    TERM, lambda inner: st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or", "and not"]), inner)
)


def incoming(body: Any, **values: Any) -> dict[str, Any]:
    """An event as expressions see it."""
    return {"id": "1", "source": "stripe", "type": "invoice.paid", "headers": {}, **values, "body": body}


def wanted(condition: str | None = None, **inputs: Any) -> Wanted:
    """A wait with this condition."""
    parsed = parse_condition(condition) if condition is not None else None
    return Wanted(WaitEvent("stripe", "invoice.*", parsed), Scope({"inputs": inputs}, None))


@given(CONDITION, VALUE, VALUE, VALUE)
def test_a_key_leaves_out_nothing_that_the_condition_accepts(condition: str, body: Any, x: Any, y: Any) -> None:
    """Where the condition holds the event has the wait's key, and is taken."""
    event = incoming(body)
    scope = Scope({"inputs": {"x": x, "y": y}}, None)
    parsed = parse_condition(condition)
    try:
        holds = parsed.condition(scope.extended(incoming=event))
    except ExpressionError:
        return
    found = Wanted(WaitEvent(None, None, parsed), scope)
    assert found.takes(event) is holds
    if holds:
        assert key_of(event, found.awaited.kind.paths) == found.awaited.key


@given(PLAIN, PLAIN)
def test_keys_are_equal_for_equal_values_only(one: Any, other: Any) -> None:
    """Equal is what expressions call equal."""
    equal = parse_condition("inputs.one == inputs.other").condition({"inputs": {"one": one, "other": other}})
    assert (key_for([one]) == key_for([other])) is equal


@pytest.mark.parametrize(
    ("condition", "paths"),
    [
        ("incoming.body.id == inputs.x", [("body", "id")]),
        ("inputs.x == incoming.body.id", [("body", "id")]),
        ("incoming.body.action == 'closed' and incoming.body.id == inputs.x", [("body", "action"), ("body", "id")]),
        ("(incoming.body.id == 1 and incoming.type == 'x') and incoming.body.ok", [("body", "id"), ("type",)]),
        ("incoming.body['a b'][0].id == inputs.x", [("body", "a b", 0, "id")]),
        ("incoming.body.id == inputs.x or incoming.body.ok", []),
        ("incoming.body.id != inputs.x", []),
        ("(incoming.body.id ?? 1) == inputs.x", []),
        ("incoming.body.id == incoming.body.other", []),
        ("incoming.body[inputs.x] == 1", []),
        ("incoming.time == now()", []),
        ("incoming.body.id == inputs.gone", []),
        ("incoming.body.id == inputs.list", []),
        ("not (incoming.body.id == inputs.x)", []),
    ],
)
def test_terms_that_become_keys(condition: str, paths: list[Any]) -> None:
    """All of the top-level `and` whose value is known, plain, and the same whenever it is asked for."""
    found = wanted(condition, x="in_1", list=[1]).awaited
    assert list(found.kind.paths) == paths
    assert (found.key == ANY) is (paths == [])


def test_an_event_without_the_field_is_passed_over() -> None:
    """It is no error, whatever follows; another field that is missing is one."""
    found = wanted("incoming.body.id == inputs.x and incoming.body.ok", x=1)
    assert not found.takes(incoming({}))
    assert not found.takes(incoming("text"))
    with pytest.raises(ExpressionError, match=r"incoming\.body\.ok"):
        found.takes(incoming({"id": 1}))


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (None, "stripe invoice.*"),
        ("incoming.body.id == inputs.x", "stripe invoice.* where incoming.body.id == 'in_1'"),
        ("incoming.body.n == 1.5 and incoming.body.ok", "stripe invoice.* where incoming.body.n == 1.5"),
        ("incoming.body.total > 5", "stripe invoice.* where incoming.body.total > 5"),
        (f"incoming.body.x != '{'a' * 300}'", f"stripe invoice.* where incoming.body.x != '{'a' * 179}…"),
    ],
)
def test_how_a_wait_reads(condition: str | None, text: str) -> None:
    """With the values that are awaited, or with the condition as it was written."""
    assert wanted(condition, x="in_1").describe() == text


def test_how_a_wait_without_source_or_type_reads() -> None:
    """What is not said is not shown."""
    scope = Scope({}, None)
    texts = [Wanted(WaitEvent(*names), scope).describe() for names in ((None, "paid"), ("shop", None), (None, None))]
    assert texts == ["paid", "shop events", "any event"]
