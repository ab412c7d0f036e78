"""Test files: what is wrong is told with its place; defaults lie under each test."""

from collections.abc import Callable

import pytest

from engine.pipeline.grammar.tests import TEST_SECTIONS
from engine.simulation.testfiles import merge_case
from tests.unit.simulation.conftest import Bench

Look = Callable[[str], list[str]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "E103 1:1 a test file must be a map"),
        ("pipeline: order", "E104 1:1 a test file needs `tests`"),
        ("tests: []", "E104 1:1 a test file needs `pipeline`"),
        ("pipeline: ordre\ntests: []", "E501 1:11 there is no pipeline `ordre`, or it has errors"),
        ("pipeline: order\ncases: []\ntests: []", "E101 2:1 a test file has no key `cases`"),
        ("pipeline: order\ntests: [{mock: {}}]", "E101 2:10 a test has no key `mock`"),
        ("pipeline: order\ntests: [1]", "E103 2:9 a test must be a map, this is a number"),
        ("pipeline: order\ntests: [{name: 1}]", "E103 2:16 `name` must be a text"),
        ("pipeline: order\ntests: [{name: a}, {name: a}]", "E110 2:27 there is a test `a` already, on line 2"),
        ("pipeline: order\ntests: [{inputs: {shap: 1}}]", "E501 2:19 the pipeline has no input `shap`"),
        ("pipeline: order\ntests: [{vars: {foe: 1}}]", "E501 2:17 the pipeline has no var `foe`"),
        ("pipeline: order\ntests: [{env: {SHOP: 1}}]", "E501 2:16 project.yaml does not allow the variable `SHOP`"),
        ("pipeline: order\ntests: [{trigger: x}]", "E501 2:19 the pipeline has no trigger `x`"),
        ("pipeline: order\ntests: [{mocks: {fecth: {output: 1}}}]", "E501 2:18 the pipeline has no step `fecth`"),
        ("pipeline: order\ntests: [{mocks: {sql.*: {output: 1}}}]", "E501 2:18 the pipeline has no step `sql.*`"),
        ("pipeline: order\ntests: [{mocks: {fetch: {}}}]", "E502 2:25 a mock has either `output` or `error`"),
        ("pipeline: order\ntests: [{mocks: {fetch: []}}]", "E103 2:25 a list of mocks needs at least one"),
        ("pipeline: order\ntests: [{mocks: {fetch: {result: 1}}}]", "E101 2:26 a mock has no key `result`"),
        ("pipeline: order\ntests: [{mocks: {fetch: 1}}]", "E103 2:25 a mock must be a map"),
        ("pipeline: order\ntests: [{mocks: {fetch: {output: '${{ x }}'}}}]", "E206 2:34 a mock's output knows"),
        ("pipeline: order\ntests: [{mocks: {fetch: {output: '${{ 1 + }}'}}}]", "E201 2:43 "),
        ("pipeline: order\ntests: [{mocks: {fetch: {error: {typ: x}}}}]", "E101 2:34 a mock's `error` has no key"),
        ("pipeline: order\ntests: [{timeline: [{type: x}]}]", "E104 2:21 an event of `timeline` needs `after`"),
        ("pipeline: order\ntests: [{timeline: [{after: 5}]}]", "E108 2:29 `after` needs a unit"),
        ("pipeline: order\ntests: [{approvals: {keep: {approved: true}}}]", "E501 2:22 no step `keep` waits for"),
        ("pipeline: order\ntests: [{crash_after: kepe}]", "E501 2:23 the pipeline has no step `kepe`"),
        ("pipeline: order\ntests: [{now: tomorrow}]", "E103 2:15 `tomorrow` is not a time"),
        ("pipeline: order\ntests: [{event: {bdy: 1}}]", "E101 2:18 an event has no key `bdy`"),
        ("pipeline: order\ntests: [{event: events/none.json}]", "E211 2:17 `events/none.json` cannot be read"),
        ("pipeline: order\ntests: [{event: {}, raw: {}}]", "E502 2:9 a test has one of `event`, `events` and `raw`"),
        ("pipeline: order\ntests: [{expect: {outcom: failed}}]", "E101 2:19 `expect` has no key `outcom`"),
        ("pipeline: order\ntests: [{expect: {outcome: fialed}}]", "E111 2:28 `fialed` is not possible for `outcome`"),
        ("pipeline: order\ntests: [{expect: {ran: [fetsh]}}]", "E501 2:25 the pipeline has no step `fetsh`"),
        ("pipeline: order\ntests: [{expect: {steps: {fetsh: {}}}}]", "E501 2:27 the pipeline has no step `fetsh`"),
        ("pipeline: order\ntests: [{expect: {steps: {fetch: {wiht: 1}}}}]", "E101 2:35 a step of `expect` has no"),
        ("pipeline: order\ntests: [{expect: {outputs: {som: 1}}}]", "E501 2:29 the pipeline has no output `som`"),
        ("pipeline: order\ntests: [{expect: {assert: [steps.fetsh.calls]}}]", "E501 2:34 the pipeline has no step"),
        ("pipeline: order\ntests: [{expect: {assert: [stepps.x]}}]", "E203 2:28 there is no `stepps`"),
        ("pipeline: order\ntests: [{expect: {assert: [steps.fetch.cals]}}]", "E214 2:40 a step has no `cals`"),
        ("pipeline: order\ntests: [{expect: {assert: ['1 +']}}]", "E201 2:31 "),
        ("pipeline: order\ntests: [{a: 1, a: 2}]", "E002 2:16 the key `a` stands here twice"),
    ],
)
def test_problems(problems: Look, text: str, message: str) -> None:
    """One mistake, one problem, at its place."""
    found = problems(text)
    assert [item for item in found if item.startswith(message)], found
    assert len(found) == 1


EMPTY = ["pipeline: order\ntests:", "pipeline: order\ntests: [{mocks: null, expect: null, event: null}]"]


@pytest.mark.parametrize("text", EMPTY)
def test_empty_values(problems: Look, text: str) -> None:
    """A key without a value is as good as none, except an event, which is a map."""
    assert [item for item in problems(text) if "`event`" not in item and "an event" not in item] == []


def test_a_misspelt_step_has_a_suggestion(bench: Bench) -> None:
    """The nearest step or type is proposed."""
    suite = bench.load("pipeline: order\ntests: [{mocks: {http.requst: {output: 1}}}]")
    assert [problem.help for problem in suite.problems] == ["did you mean `http.request`?"]


def test_defaults_are_merged_deeply() -> None:
    """Maps key by key; lists and plain values as a whole; a mock as a whole."""
    shared = {
        "event": {"type": "a", "body": {"sender": {"type": "User", "login": "mia"}, "list": [1, 2]}},
        "mocks": {"one": {"output": {"a": 1}}, "two": {"output": 1}},
        "expect": {"outcome": "succeeded"},
    }
    own = {
        "event": {"body": {"sender": {"type": "Bot"}, "list": [3]}},
        "mocks": {"one": {"error": {"type": "x"}}},
        "expect": {"labels": {}},
    }
    assert merge_case(shared, own) == {
        "event": {"type": "a", "body": {"sender": {"type": "Bot", "login": "mia"}, "list": [3]}},
        "mocks": {"one": {"error": {"type": "x"}}, "two": {"output": 1}},
        "expect": {"outcome": "succeeded", "labels": {}},
    }


@pytest.mark.parametrize("own", [{"events": [{}]}, {"raw": {}}])
def test_a_test_with_another_start_does_not_get_the_event_of_the_defaults(own: dict[str, object]) -> None:
    """`event`, `events` and `raw` exclude each other."""
    assert merge_case({"event": {"type": "a"}, "now": "x"}, own) == {"now": "x", **own}


def test_events_from_files(bench: Bench) -> None:
    """A recorded event, or just its body; what the test says lies over it."""
    bench.pipeline(
        """
        id: echo
        triggers: [{uses: webhook, with: {path: echo, auth: none}}]
        steps: [{id: it, uses: value, with: '${{ event.body }}'}]
        outputs: {got: '${{ steps.it.output }}', type: '${{ event.type }}'}
        """
    )
    (bench.root / "events").mkdir()
    (bench.root / "events" / "whole.json").write_text('{"type": "x", "body": {"a": 1, "b": 2}}')
    (bench.root / "events" / "body.yaml").write_text("a: 1\n")
    reports = bench.run(
        """
        pipeline: echo
        defaults: {event: events/whole.json}
        tests:
          - name: a recorded event
            expect: {outputs: {got: {a: 1, b: 2}, type: x}}
          - name: some of it is changed
            event: {body: {b: 3}}
            expect: {outputs: {got: {a: 1, b: 3}}}
          - name: only a body
            event: events/body.yaml
            expect: {outputs: {got: {a: 1}, type: webhook}}
        """
    )
    assert [failure.message for report in reports for failure in report.failures] == []


def test_every_section_is_reachable() -> None:
    """Each section of the grammar is named by a key, so that the schema has all of them."""
    named = {key.section for item in TEST_SECTIONS.values() for key in item.keys.values() if key.section}
    assert named == set(TEST_SECTIONS) - {"test_file"}
