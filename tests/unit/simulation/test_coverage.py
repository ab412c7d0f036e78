"""Which ways tests have taken, and which they have not."""

import pytest

from engine.simulation.coverage import measure, total_percent, ways
from engine.simulation.suite import run_suite
from tests.unit.simulation.conftest import Bench

BRANCHED = """
id: branched
inputs: {n: integer}
triggers:
  - {id: hook, uses: webhook, with: {path: in, auth: none}, if: event.body.n > 0, inputs: {n: '${{ event.body.n }}'}}
steps:
  - {id: maybe, if: inputs.n > 1, uses: value, with: 1}
  - id: risky
    uses: http.request
    with: {url: https://x.example}
    on_error: {output: 1}
    compensate: [{uses: http.request, with: {url: https://x.example/undo}}]
  - id: choice
    switch:
      - {if: inputs.n == 2, steps: [{id: two, uses: value, with: 2}]}
      - {if: inputs.n == 3, steps: [{id: three, uses: value, with: 3}]}
  - id: loop
    for_each: ${{ range(inputs.n - 1) }}
    steps: [{id: inner, uses: value, with: '${{ item }}'}]
  - id: hold
    wait: {events: [{type: go}, {type: halt}], timeout: 1h, on_timeout: continue}
  - id: sure
    wait: {approval: {prompt: Sure?}, timeout: 1h, on_timeout: continue, on_reject: continue}
"""
TESTS = """
pipeline: branched
defaults:
  mocks: {http.request: {output: {}}}
tests:
"""
CASES = {
    "two": "{inputs: {n: 2}, timeline: [{after: 1m, type: go}], approvals: {sure: {approved: true}}}",
    "three": "{inputs: {n: 3}, timeline: [{after: 1m, type: halt}], approvals: {sure: {approved: false}}}",
    "one": "{inputs: {n: 1}, mocks: {risky: {error: {type: x}}}}",
    "hook": "{event: {body: {n: 1}}}",
    "off": "{event: {body: {n: 0}}, expect: {outcome: not_triggered}}",
}
MISSED = {
    ("two", "three", "one", "hook", "off"): ["`undo_risky` runs"],
    ("three", "one", "hook", "off"): ["`undo_risky` runs", "`two` runs", "`hold` gets go", "`sure` is approved"],
    ("two", "one", "hook", "off"): ["`undo_risky` runs", "`three` runs", "`hold` gets halt", "`sure` is rejected"],
    ("two", "three", "hook", "off"): ["`on_error` of `risky`", "`undo_risky` runs"],
    ("two", "three", "one", "off"): ["trigger `hook` starts a run", "`undo_risky` runs"],
    ("two", "three", "one", "hook"): ["`if` of trigger `hook` is false", "`undo_risky` runs"],
    ("one",): [
        "trigger `hook` starts a run",
        "`if` of trigger `hook` is false",
        "`maybe` runs",
        "`undo_risky` runs",
        "`two` runs",
        "`three` runs",
        "`inner` runs",
        "`hold` gets go",
        "`hold` gets halt",
        "`sure` is approved",
        "`sure` is rejected",
    ],
    ("two", "three"): [
        "trigger `hook` starts a run",
        "`if` of trigger `hook` is false",
        "`if` of `maybe` is false",
        "`on_error` of `risky`",
        "`undo_risky` runs",
        "no branch of `choice` is taken",
        "the list of `loop` is empty",
        "`hold` times out",
        "`sure` times out",
    ],
}


@pytest.mark.parametrize("names", MISSED, ids=lambda names: "-".join(names))
def test_what_is_missed(bench: Bench, names: tuple[str, ...]) -> None:
    """Exactly the ways that none of these tests takes."""
    bench.pipeline(BRANCHED)
    suite = bench.load(TESTS + "".join(f"  - {CASES[name]}\n" for name in names))
    assert [failure.message for report in run_suite(suite) for failure in report.failures] == []
    (found,) = (item for item in measure(suite.pipelines.values(), suite.taken) if item.pipeline == "branched")
    assert [point.what for point in found.missed] == MISSED[names]
    assert found.taken + len(found.missed) == found.total


def test_a_point_has_its_place(bench: Bench) -> None:
    """File and line of the step."""
    bench.pipeline(BRANCHED)
    suite = bench.load(TESTS + "  - {}\n")
    points = {point.what: (point.file, point.line) for point in ways(suite.pipelines["branched"])}
    assert points["`risky` runs"] == ("pipelines/1.yaml", 7)
    assert points["`three` runs"] == ("pipelines/1.yaml", 15)


def test_percentages(bench: Bench) -> None:
    """Of one pipeline, and of all together; a pipeline without tests counts."""
    suite = bench.load("pipeline: order\ntests: []")
    (nothing,) = measure(suite.pipelines.values(), set())
    assert nothing.percent == 0
    assert total_percent([nothing]) == 0
    assert total_percent([]) == 100
    everything = {point.way for point in ways(suite.pipelines["order"])}
    assert [item.percent for item in measure(suite.pipelines.values(), everything)] == [100]
