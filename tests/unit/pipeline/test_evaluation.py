"""Trying expressions out."""

from typing import Any

import pytest

from engine.pipeline.evaluation import LONGEST, LONGEST_VALUE, evaluate, show_shortened

SCOPE = {"event": {"type": "x", "body": {"items": [1, 2, 3], "title": "Crash", "nothing": None, "big": "y" * 10}}}


@pytest.mark.parametrize(
    ("text", "value", "type"),
    [
        ("event.body.items | length", 3, "a whole number"),
        ("1.5", 1.5, "a number"),
        ("event.body.items", [1, 2, 3], "a list, 3 items"),
        ("${{ event.body.items }}", [1, 2, 3], "a list, 3 items"),
        ("  ${{ event.body.title }}\n", "Crash", "text, 5 characters"),
        ("<${{ event.type }}>", "<x>", "text, 3 characters"),
        ("event.body | pick('title')", {"title": "Crash"}, "an object, 1 field"),
        ("event.body.nothing", None, "null"),
        ("event.type == 'x'", True, "true or false"),
        ("$${{ no }} ${{ 1 }}", "${{ no }} 1", "text, 11 characters"),
    ],
)
def test_values_come_with_their_type(text: str, value: Any, type: str) -> None:
    """Native values of bare expressions and lone `${{ }}`, text of templates."""
    found = evaluate(text, SCOPE)
    assert (found.value, found.type, found.error) == (value, type, None)


@pytest.mark.parametrize(
    ("text", "code", "message", "help", "place"),
    [
        ("event.body.titel", "E221", "`event.body.titel` is not there", "did you mean `title`?", (1, 1, 16)),
        ("a ~\nevent.b", "E203", "there is no `a`", "there is: `event`", (1, 1, 1)),
        ("evnt.body", "E203", "there is no `evnt`", "did you mean `event`?", (1, 1, 4)),
        ("'x' ~\n  event.body.b", "E221", "`event.body.b` is not there", "the object has", (2, 3, 12)),
        ("secrets.TOKEN", "E305", "secrets cannot be used here", "inside `with:`", (1, 1, 13)),
        ("x ${{ secrets.TOKEN }}", "E305", "secrets cannot be used here", "inside `with:`", (1, 7, 13)),
        ("secrets[event.type]", "E301", "a secret is named literally", "", (1, 1, 19)),
        ("steps.a.output", "E206", "`steps` is not available here: no step has run here", "`event`", (1, 1, 14)),
        ("env.PATH", "E206", "`env` is not available here", "", (1, 1, 8)),
        ("1 && 2", "E201", "`&&` is not an operator here", "use `and`", (1, 3, 2)),
        ("a ${{ event.body }}", "E224", "an object cannot be put into text", "to_json", (1, 7, 10)),
        ("file('prompts/x.md')", "E211", "`file` can only be used in a pipeline's file", "", None),
        ("range(0, 1000000000)", "E222", "", "", None),
        ("  ", "E201", "there is nothing to evaluate", "", None),
        ("x" * (LONGEST + 1), "E201", f"an expression may have {LONGEST} characters", "", None),
    ],
)
def test_mistakes_have_a_place(
    text: str, code: str, message: str, help: str, place: tuple[int, int, int] | None
) -> None:
    """Code, message, help, and where in what was typed."""
    found = evaluate(text, SCOPE)
    assert found.error is not None
    assert (found.error.code, found.value) == (code, None)
    assert message in found.error.message
    assert help in found.error.help
    if place is not None:
        assert (found.error.line, found.error.column, found.error.length) == place


def test_paths_are_explained() -> None:
    """What the paths are, whether there is a value or not; secrets never."""
    assert evaluate("event.body.title ~ event.type", SCOPE).values == {"event.body.title": "Crash", "event.type": "x"}
    assert evaluate("event.body.title + 1", SCOPE).values == {"event.body.title": "Crash"}
    assert evaluate("event.type ~ secrets.TOKEN", SCOPE).values == {"event.type": "x"}


def test_without_an_event_there_are_literals_and_functions() -> None:
    """The message says what there is."""
    assert evaluate("[1, 2] | sum", {}).value == 3
    error = evaluate("event.body", {}).error
    assert error is not None
    assert error.help == "there is: only literals and functions"


def test_a_large_value_is_cut() -> None:
    """Its beginning is handed on as text, and its type says how large it is."""
    found = evaluate("event.body.big", {"event": {"body": {"big": "y" * 300_000}}})
    assert found.cut
    assert found.value is None
    assert found.type == "text, 300000 characters"
    assert len(found.preview) == LONGEST_VALUE


def test_filters_of_plugins_are_there() -> None:
    """By their names."""
    assert evaluate("'a' | demo.twice", {}, filters={"demo.twice": lambda value: value * 2}).value == "aa"


def test_shortened_values_are_shown_as_json_or_as_they_stand() -> None:
    """A list that was cut is no text in quotes."""
    answer = evaluate("[event.a, event.b, event.c.d ?? '']", {"event": {"a": [1] * 500, "b": "mia", "c": {}}})
    shown = {name: show_shortened(value) for name, value in answer.values.items()}
    assert shown["event.a"].startswith("[1,1")
    assert shown["event.b"] == '"mia"'
    assert shown["event.c.d"] == "(not there)"
