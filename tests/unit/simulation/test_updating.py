"""--update: what came is written in place of what was expected, and nothing else changes."""

import textwrap

import pytest

from engine.pipeline.loader import load_yaml
from engine.simulation.suite import run_suite
from engine.simulation.updating import update
from engine.simulation.writing import flow, write
from tests.unit.simulation.conftest import Bench

BEFORE = """\
# The order, as it should be.
pipeline: order
defaults:
  mocks: {http.request: {output: {status: 200, body: {sum: 10}}}, keep: {output: {key: s1}}} # never sold out
tests:
  - name: it   # the only one
    expect:
      outcome: succeeded
      outputs: {sum: 99} # with the fee
      labels:
        shop: 'another one'

      # what was emitted
      emitted:
        - type: order.lost
          body:
            sum: 1
      steps:
        fetch:
          with: {method: POST, url: "https://old.example"}
          output:
            - 1
            - 2
        # after the list
      elapsed: 5s
"""
AFTER = """\
# The order, as it should be.
pipeline: order
defaults:
  mocks: {http.request: {output: {status: 200, body: {sum: 10}}}, keep: {output: {key: s1}}} # never sold out
tests:
  - name: it   # the only one
    expect:
      outcome: succeeded
      outputs: {sum: 15} # with the fee
      labels:
        shop: s1

      # what was emitted
      emitted:
        - type: order.kept
          body:
            sum: 15
      steps:
        fetch:
          with: {method: GET, url: 'https://api.example/s1'}
          output:
            {sum: 10}
        # after the list
      elapsed: '0:00:00'
"""


def test_values_are_replaced_where_they_stand(bench: Bench) -> None:
    """Comments, order and spelling of everything else stay; the file passes afterwards."""
    suite = bench.load(BEFORE)
    failures = [(report.case, failure) for report in run_suite(suite) for failure in report.failures]
    text, count, left = update(BEFORE, failures)
    assert text == AFTER
    assert (count, left) == (8, [])
    assert [report.failures for report in bench.run(text)] == [[]]


def test_a_value_that_several_tests_share_is_left_alone_if_they_differ(bench: Bench) -> None:
    """An expectation in `defaults` is one text; two tests cannot both have it their way."""
    text = textwrap.dedent(
        """\
        pipeline: order
        defaults:
          mocks: {http.request: {output: {status: 200, body: {sum: 10}}}, keep: {output: {key: s1}}}
          expect: {outputs: {sum: 1}}
        tests:
          - name: one
          - name: two
            vars: {fee: 6}
        """
    )
    failures = [(report.case, failure) for report in run_suite(bench.load(text)) for failure in report.failures]
    changed, count, left = update(text, failures)
    assert (count, len(left)) == (1, 1)
    assert "sum: 15" in changed


@pytest.mark.parametrize("expect", ["{outputs: {total: 1}}", "{ran: [rush]}", "{assert: [outputs.sum == 1]}"])
def test_what_cannot_be_written_is_left(bench: Bench, expect: str) -> None:
    """Keys that are not there, orders and assertions are for people to mend."""
    bench.pipelines[0].write_text(bench.pipelines[0].read_text().replace("outputs:\n", "outputs:\n  total: null\n"))
    if "total" in expect:
        expect = "{steps: {fetch: {output: {nothing: 1}}}}"
    mocks = "{http.request: {output: {body: {sum: 1}}}, keep: {output: 1}}"
    text = f"pipeline: order\ntests:\n  - mocks: {mocks}\n    expect: {expect}\n"
    failures = [(report.case, failure) for report in run_suite(bench.load(text)) for failure in report.failures]
    assert failures
    assert update(text, failures) == (text, 0, failures)


@pytest.mark.parametrize(
    "value",
    [
        "plain", "two words", "", " x", "x ", "yes: no", "# no", "a #b", "- a", "-", "null", "true", "1", "1.5", "0x1F",
        "2026-01-01", "it's", 'say "hi"', "a\nb", "tab\t", "{a}", "[b]", "a, b", "&x", "*x", "!x", "%x", "@x", "`x`",
        "${{ x }}", "~", "é", "\u2028", "🙂", "?", "a: b", "a:", ":a", "|", ">", "\x7f", "\x00", "a/b.c@d",
        1, 1.5, True, None, [], {}, [1, "a", [None]], {"a b": {"c": [1]}, "1": 2, "": 3, "x: y": "z"},
    ],
)  # fmt: skip
def test_everything_reads_back(value: object) -> None:
    """Whatever is written as YAML is the same when it is read."""
    assert load_yaml(f"[{flow(value)}]")[0] == [value]
    assert load_yaml(write({"a": value, "b": [value, {"c": value}]}))[0] == {"a": value, "b": [value, {"c": value}]}
