"""Comparing what is expected with what came."""

from typing import Any

import pytest

from engine.simulation.matching import compare, in_order, show_path


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),  # what is not listed does not matter
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}),
        ([{"a": 1}, {"b": 2}], [{"a": 1, "x": 0}, {"b": 2}]),  # lists by element, maps in them partially
        (1, 1.0),
        (None, None),
        ({}, {"a": 1}),
        ([], []),
    ],
)
def test_what_matches(expected: Any, got: Any) -> None:
    """These are as expected."""
    assert compare(expected, got) == []


@pytest.mark.parametrize(
    ("expected", "got", "path"),
    [
        ({"a": 1}, {"a": 2}, "a"),
        ({"a": 1}, {}, "a"),
        ({"a": None}, {}, "a"),  # null is not the same as missing
        ({"a": {"b": 1}}, {"a": None}, "a"),
        ([1, 2], [1], ""),
        ([1], [1, 2], ""),  # a list is compared as a whole
        ([1, 2], [2, 1], "[0]"),
        ([], [1], ""),
        (1, True, ""),
        (True, 1, ""),
        (0, False, ""),
        ("1", 1, ""),
        (1, "1", ""),
        ({"a": [{"b": "x"}]}, {"a": [{"b": "y"}]}, "a[0].b"),
        ({}, [], ""),
        ([], {}, ""),
        (None, 0, ""),
        ("", None, ""),
        ({"a-b": 1, "c d": {"e": 1}}, {"a-b": 1, "c d": {"e": 2}}, "['c d'].e"),
    ],
)
def test_what_does_not_match(expected: Any, got: Any, path: str) -> None:
    """These are not, and the first difference is named by its path."""
    found = compare(expected, got)
    assert found
    assert show_path(found[0].path).lstrip(".") == path or path in show_path(("x", *found[0].path))


def test_a_missing_key_has_a_suggestion() -> None:
    """A key that was probably misspelt is told with the one that is there."""
    (found,) = compare({"lable": 1}, {"label": 1})
    assert found.note == "did you mean `label`?"


@pytest.mark.parametrize(
    ("expected", "got", "missing"),
    [
        (["a", "c"], ["a", "b", "c"], None),  # others may be between
        (["c", "a"], ["a", "b", "c"], "a"),
        (["a", "a"], ["a", "b"], "a"),
        (["a", "a"], ["a", "b", "a"], None),
        ([], ["a"], None),
        (["a"], [], "a"),
    ],
)
def test_order(expected: list[str], got: list[str], missing: str | None) -> None:
    """The first name that does not come after the one before it."""
    assert in_order(expected, got) == missing
