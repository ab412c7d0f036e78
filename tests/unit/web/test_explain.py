"""Decisions as sentences."""

from typing import Any

import pytest

from engine.web.explain import LONGEST, explain_decision, show


@pytest.mark.parametrize(
    ("reason", "detail", "expected"),
    [
        ("event_type", {"wanted": ["p", "q"], "type": "x"}, "did not match: it wants `p` or `q`, and this is `x`."),
        ("event_type", {"wanted": "order.*", "type": "star"}, "did not match: it wants `order.*`, and this is `star`."),
        ("event_type", {"wanted": None, "type": "star"}, "did not match: it does not want `star`."),
        ("event_type", {}, "did not match: it wants other types of event."),
        ("condition_false", {"condition": "a > 1", "values": {"a": 1}}, "did not match: `a > 1` was false; `a` = `1`."),
        ("condition_false", {}, "did not match: `its condition` was false."),
        ("condition_error", {"condition": "a.b", "error": "no b."}, "could not be decided: `a.b` failed: no b."),
        (
            "invalid_inputs",
            {"problems": [{"name": "n", "message": "must be an integer"}]},
            "matched, but its inputs were refused: `n` must be an integer.",
        ),
        ("disabled", {}, "was not tried: the pipeline is disabled (`enabled: false`)."),
        ("duplicate", {"key": "a", "run": "r1"}, 'matched, but run `r1` has the same `dedup` key: `"a"`.'),
        ("duplicate", {"key": "a", "event": "e1"}, 'matched, but event `e1` has the same `dedup` key: `"a"`.'),
        ("batch_error", {"error": "no id."}, "could not be decided: its `batch` failed: no id."),
        ("dedup_error", {"error": "no id."}, "could not be decided: its `dedup` failed: no id."),
        (
            "chain_too_long",
            {"depth": 6, "limit": 5},
            "was not tried: a chain of pipelines that wake each other is cut after 5 events.",
        ),
        ("limit_error", {"error": "concurrency: no id."}, "matched, but its limit has no value: concurrency: no id."),
        (
            "dropped",
            {"run": "r1", "why": "dropped: 1 at a time"},
            "matched, but its run `r1` was dropped: 1 at a time.",
        ),
        ("something_new", {"values": "odd"}, "did not match: something new."),
    ],
)  # fmt: skip
def test_every_reason_has_a_sentence(reason: str, detail: dict[str, Any], expected: str) -> None:
    """With the condition and the values, whatever is missing in the record."""
    assert explain_decision("p", "t", False, reason, detail) == f"p/t {expected}"


def test_a_match_is_short() -> None:
    """There is nothing to explain."""
    assert explain_decision("p", "t", True, "matched", {}) == "p/t matched."


@pytest.mark.parametrize(
    ("reason", "detail", "expected"),
    [
        ("batched", {"due_at": None}, "a run with its batch starts when it is full."),
        (
            "debounced",
            {"key": "a", "due_at": "12"},
            'a run with the last event of its burst for the key `"a"` starts at 12, unless other events change that.',
        ),
    ],
)
def test_an_event_that_waits_for_others(reason: str, detail: dict[str, Any], expected: str) -> None:
    """When a run comes of it."""
    assert explain_decision("p", "t", True, reason, detail) == f"p/t matched: {expected}"


def test_events_of_which_no_run_came() -> None:
    """How many there are, and what to do."""
    sentence = explain_decision("p", "t", False, "trigger_removed", {"size": 3})
    assert sentence == (
        "no run came of 3 events that waited for p/t: the pipeline has no such trigger any more. "
        "Replay what should run all the same."
    )


def test_long_values_are_cut() -> None:
    """A sentence stays one."""
    assert len(show("x" * 1000)) == LONGEST
