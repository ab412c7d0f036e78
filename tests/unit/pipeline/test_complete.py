"""What is offered at a cursor within an expression."""

import pytest

from engine.pipeline.complete import complete, describe_at
from engine.pipeline.inference.names import Names, StepView
from engine.pipeline.inference.shapes import of_value
from engine.pipeline.inference.types import INTEGER, STRING, list_of, object_of, word_of

ORDER = object_of({"id": INTEGER, "kind": word_of("new", "old")})
NAMES = Names(
    roots=("event", "inputs", "steps", "run", "env"),
    event=False,
    env=frozenset({"CRM_URL"}),
    inputs={"orders": list_of(ORDER)},
    steps={"get": StepView(of_value({"rows": [{"x": 1}], "total": 2}))},
    locals={"contact": object_of({"mail": STRING})},
)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("inp", ["inputs"]),
        ("inputs.", ["orders"]),
        ("inputs.orders[0].", ["id", "kind"]),
        ("inputs.orders[0].k", ["kind"]),
        ("inputs.orders | where(o => o.", ["id", "kind"]),
        ("inputs.orders | where(o => o.id > 1 and o.", ["id", "kind"]),
        ("(inputs.orders | first).", ["id", "kind"]),
        ("inputs.orders | map('", ["id", "kind"]),
        ("inputs.orders | where(cont", ["contact"]),
        ("inputs.orders[0]['", ["id", "kind"]),
        ("inputs.orders[0].kind == '", ["new", "old"]),
        ("'n' == inputs.orders[0].", ["id", "kind"]),
        ("steps.", ["get"]),
        ("steps['", ["get"]),
        ("steps.get.out", ["output"]),
        ("steps.get.output.", ["rows", "total"]),
        ("steps.get.output.rows | map(r => object(y=r.", ["x"]),
        ("contact.mail ~ contact.", ["mail"]),
        ("env.", ["CRM_URL"]),
        ("1 if contact.", ["mail"]),
        ("(1 if contact.", ["mail"]),
        ("inputs.orders | wh", ["where"]),
        ("inputs.orders | my.", ["my.filter"]),
        ("contact.mail is str", ["string"]),
        ("1 if true else ran", ["range"]),
        ("'inputs.", []),
        ("a b c.", []),
    ],
)
def test_complete(text: str, labels: list[str]) -> None:
    """The labels that fit what has been written so far."""
    found = complete(text, len(text), NAMES, filters={"my.filter": str})
    assert [item.label for item in found][: len(labels) or 1] == labels


def test_names_that_are_not_there_are_not_offered() -> None:
    """`event` is only offered if a trigger delivers one; items of the place come first."""
    labels = [item.label for item in complete("", 0, NAMES)]
    assert labels[:5] == ["contact", "inputs", "steps", "run", "env"]
    assert "object" in labels
    assert "outcome" not in [item.label for item in complete("run.", 4, NAMES)]


def test_filters_fit_what_they_are_used_on() -> None:
    """A list is not offered `upper`, and a text not `map`."""
    of_list = {item.label for item in complete("inputs.orders | ", 16, NAMES)}
    of_text = {item.label for item in complete("contact.mail | ", 15, NAMES)}
    assert {"map", "length", "default"} <= of_list
    assert {"upper", "length", "default"} <= of_text
    assert "upper" not in of_list
    assert "map" not in of_text


def test_details_are_types() -> None:
    """A field is offered with its type; what stands behind the cursor does not matter."""
    (first, second) = complete("inputs.orders[0]. | upper", 17, NAMES)
    assert (first.label, first.kind, first.detail) == ("id", "field", "integer")
    assert second.detail == "'new' | 'old'"


def test_describe() -> None:
    """The type of what the cursor is on."""
    assert describe_at("inputs.orders | map('id')", 9, NAMES) == "{id: integer, kind: 'new' | 'old'}[]"
    assert describe_at("inputs.orders[0].kind ~ 'x'", 19, NAMES) == "'new' | 'old'"
    assert describe_at("contact.mail", 2, NAMES) == "{mail: string}"
    assert describe_at("1 + 2", 2, NAMES) is None
    assert describe_at("inputs.nothing", 9, NAMES) is None
