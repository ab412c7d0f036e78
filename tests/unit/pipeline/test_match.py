"""Events against triggers: the decision and its reason."""

from typing import Any

import pytest

from engine.core.catalog import Catalog
from engine.core.run import Decision
from engine.pipeline.check import check_text
from engine.pipeline.deployment import Binding, deploy
from engine.pipeline.match import InvalidInputs, match, validate_inputs
from engine.pipeline.spec import Pipeline
from engine.plugin.host import load_catalog

TEXT = """
id: p
enabled: %s
inputs: {n: integer, mode: {enum: [a, b], default: a}}
triggers:
  - id: hook
    uses: webhook
    with: {path: x, events: [opened]}
    if: event.body.sender.type != 'Bot'
    inputs: {n: '${{ event.body.n }}'}
steps: [{uses: value}]
"""


def bound(catalog: Catalog, text: str) -> Binding:
    report = check_text(text, catalog)
    assert report.pipelines, report.problems
    found = deploy(report.pipelines, catalog, secrets=lambda name: None, env={})
    assert not found.problems
    return (*(binding for endpoint in found.endpoints for binding in endpoint.bindings), *found.events)[0]


def decide(catalog: Catalog, body: Any, *, type: str = "opened", enabled: str = "true") -> tuple[Decision, Any]:
    scope = {"event": {"type": type, "body": body}, "env": {}}
    return match(bound(catalog, TEXT % enabled), type, scope)


def test_an_event_that_fits_gives_the_inputs(catalog: Catalog) -> None:
    """With the defaults filled in."""
    decision, inputs = decide(catalog, {"sender": {"type": "User"}, "n": 5})
    assert decision == Decision("p", "hook", matched=True, reason="matched")
    assert inputs == {"n": 5, "mode": "a"}


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"enabled": "false"}, "disabled", {}),
        ({"type": "closed"}, "event_type", {"type": "closed", "wanted": ["opened"]}),
        (
            {"body": {"sender": {"type": "Bot"}}},
            "condition_false",
            {"condition": "event.body.sender.type != 'Bot'", "values": {"event.body.sender.type": "Bot"}},
        ),
        (
            {"body": {"sender": {}}},
            "condition_error",
            {
                "condition": "event.body.sender.type != 'Bot'",
                "values": {"event.body.sender.type": "(not there)"},
                "error": "`event.body.sender.type` is not there "
                "(the object is empty; add `?? <fallback>` if it may be missing)",
            },
        ),
        (
            {"body": {"sender": {"type": "User"}}},
            "invalid_inputs",
            {"error": "`event.body.n` is not there (the object has: sender; add `?? <fallback>` if it may be missing)"},
        ),
        (
            {"body": {"sender": {"type": "User"}, "n": "5"}},
            "invalid_inputs",
            {"error": "n: must be a whole number", "problems": [{"name": "n", "message": "must be a whole number"}]},
        ),
    ],
)
def test_every_no_has_a_reason(catalog: Catalog, change: dict[str, Any], reason: str, detail: dict[str, Any]) -> None:
    """With the values that led to it."""
    decision, inputs = decide(catalog, **({"body": {"sender": {"type": "User"}, "n": 1}} | change))
    assert (decision.matched, decision.reason, inputs) == (False, reason, None)
    assert decision.detail == detail


@pytest.mark.parametrize(("type", "matched"), [("order.paid", True), ("order.", True), ("orders.paid", False)])
def test_internal_events_are_matched_by_glob(catalog: Catalog, type: str, matched: bool) -> None:
    """As `emit` names them."""
    text = "id: p\ntriggers: [{uses: event, with: {type: order.*}}]\nsteps: [{uses: value}]"
    assert match(bound(catalog, text), type, {"event": {}})[0].matched is matched


def inputs_of(catalog: Catalog, declared: str) -> Pipeline:
    report = check_text(f"id: p\ninputs: {declared}\nsteps: [{{uses: value}}]", catalog)
    assert report.pipelines, report.problems
    found = report.pipelines[0]
    assert isinstance(found, Pipeline)
    return found


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        ("string", "x", None),
        ("string", 5, "must be a text"),
        ("string", None, "must be a text"),
        ("integer", 5, None),
        ("integer", 5.0, None),
        ("integer", "5", "must be a whole number"),
        ("integer", True, "must be a whole"),
        ("number", 1.5, None),
        ("number", True, "must be a number"),
        ("boolean", False, None),
        ("boolean", 0, "must be true or false"),
        ("object", {}, None),
        ("object", [], "must be an object"),
        ("any", None, None),
        ("'string[]'", ["a"], None),
        ("'string[]'", ["a", 1], "[1]: 1 is not of type 'string'"),
        ("'any[]'", "x", "is not of type 'array'"),
        ("{type: string, pattern: '^[A-Z]+$'}", "AB", None),
        ("{type: string, pattern: '^[A-Z]+$'}", "ab", "does not match"),
        ("{type: string, format: date}", "2026-03-01", None),
        ("{type: string, format: date}", "yesterday", "is not a 'date'"),
        ("{enum: [a, b]}", "c", "is not one of"),
        ("{type: integer, minimum: 1}", 0, "less than the minimum"),
        ("{type: object, required: [a], properties: {a: {type: integer}}}", {}, "'a' is a required property"),
        ("{type: object, properties: {a: {type: integer}}}", {"a": "x"}, "a: 'x' is not of type 'integer'"),
        ("{type: object, patternProperties: {'^x': {type: integer}}}", {"xa": "y"}, "xa: 'y' is not of type"),
        ("{$ref: 'https://example.invalid/schema'}", 1, "the schema refers to something unknown"),
        ("{type: string, default: null}", None, None),
    ],
)
def test_inputs_are_checked_and_not_coerced(catalog: Catalog, declared: str, value: Any, message: str | None) -> None:
    """Against a type or a JSON Schema; references are never fetched."""
    pipeline = inputs_of(catalog, f"{{x: {declared}}}")
    if message is None:
        assert validate_inputs(pipeline, {"x": value}) == {"x": value}
        return
    with pytest.raises(InvalidInputs) as caught:
        validate_inputs(pipeline, {"x": value})
    assert caught.value.problems[0]["name"] == "x"
    assert message in caught.value.problems[0]["message"]


def test_all_that_is_wrong_with_inputs_is_told_at_once(catalog: Catalog) -> None:
    """Unknown, missing and mistyped ones."""
    pipeline = inputs_of(catalog, "{a: string, b: integer, c: {type: string, default: x}}")
    with pytest.raises(InvalidInputs) as caught:
        validate_inputs(pipeline, {"b": "1", "d": 1})
    assert [problem["name"] for problem in caught.value.problems] == ["d", "a", "b"]
    assert str(caught.value).startswith("d: there is no such input")


def test_a_pattern_of_an_author_is_linear_for_every_sender(catalog: Catalog) -> None:
    """RE2 and not Python's engine; an endless schema ends."""
    pipeline = inputs_of(catalog, "{x: {type: string, pattern: '^(a+)+$'}, y: {$ref: '#'}}")
    with pytest.raises(InvalidInputs, match="x: "):
        validate_inputs(pipeline, {"x": "a" * 50_000 + "!", "y": 1})
    with pytest.raises(InvalidInputs, match="nested too deeply"):
        validate_inputs(pipeline, {"x": "a", "y": 5})


@pytest.mark.parametrize(
    ("settings", "run", "matched"),
    [
        ("{}", {"pipeline": "a", "outcome": "succeeded"}, True),
        ("{outcomes: [failed]}", {"pipeline": "a", "outcome": "succeeded"}, False),
        ("{pipelines: ['*', '!on-*'], outcomes: [failed]}", {"pipeline": "orders", "outcome": "failed"}, True),
        ("{pipelines: ['*', '!on-*'], outcomes: [failed]}", {"pipeline": "on-failure", "outcome": "failed"}, False),
        ("{pipelines: ['!on-*']}", {"pipeline": "orders", "outcome": "failed"}, True),
        ("{pipelines: [billing]}", {"pipeline": "orders", "outcome": "failed"}, False),
        ("{}", None, False),
    ],
)
def test_runs_that_have_ended(settings: str, run: dict[str, str] | None, matched: bool) -> None:
    """By their pipeline and how they ended; `!` excludes."""
    catalog = load_catalog().catalog
    report = check_text(
        f"id: p\ntriggers: [{{uses: run.finished, with: {settings}}}]\nsteps: [{{uses: value}}]", catalog
    )
    (binding,) = deploy(report.pipelines, catalog, secrets={}.get, env={}).finished
    decision, _ = match(binding, "run.finished", {"event": {"body": {"run": run}}, "env": {}})
    assert decision.matched is matched
    assert not match(binding, "order.paid", {"event": {"body": {"run": run}}, "env": {}})[0].matched
