"""Expectations: right ones pass, wrong ones fail with what was expected, what came, and where."""

import pytest

from tests.unit.simulation.conftest import Bench, messages

RIGHT = """{
  outcome: succeeded, ran: [fetch, total, keep, emit], not_ran: [rush], skipped: [rush], outputs: {sum: 15},
  labels: {shop: s1}, key: order-s1, emitted: [{type: order.kept, body: {sum: 15}}], compensated: [], elapsed: 0s,
  steps: {
    fetch: {with: {method: GET, url: 'https://api.example/s1'}, output: {sum: 10}, calls: 1, status: succeeded},
    rush: {status: skipped, calls: 0}, keep: {with: {value: {sum: 15}}}
  },
  assert: [
    "steps.fetch.calls[0].output.status == 200", "elapsed == '0:00:00'", emitted | length == 1,
    outputs.sum == 15, error is null, run.outcome == 'succeeded', labels.shop == 's1', inputs.shop == 's1',
    vars.fee == 5, "steps.keep.calls | map('attempt') == [1]", "key == 'order-s1'", outcome == 'succeeded'
  ]
}"""


def test_all_right(bench: Bench) -> None:
    """Every kind of expectation, met."""
    assert messages(bench.order(" ".join(RIGHT.split()))) == []


def test_nothing_is_expected(bench: Bench) -> None:
    """A test that expects nothing expects the run to succeed."""
    assert messages(bench.order("{}")) == []
    report = bench.one("mocks: {http.request: {error: {type: http.404, message: gone}}}")
    assert messages(report) == ["expect.outcome: expected succeeded, got failed: http.404 in step `fetch`: gone"]


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("{outcome: failed}", "expect.outcome: expected failed, got succeeded"),
        ("{outcome: not_triggered}", "expect.outcome: expected not_triggered, got succeeded"),
        ("{error: {type: timeout}}", 'expect.error: expected {"type":"timeout"}, got nothing'),
        ("{message: done}", 'expect.message: expected "done", got nothing'),
        ("{ran: [rush]}", "expect.ran: `rush` was skipped; these ran: fetch, total, keep, emit"),
        ("{ran: [keep, fetch]}", "expect.ran: `fetch` did not run after `keep`; these ran: fetch, total, keep, emit"),
        ("{not_ran: [fetch]}", "expect.not_ran: `fetch` ran"),
        ("{skipped: [fetch]}", "expect.skipped: `fetch` was not skipped: it succeeded"),
        ("{outputs: {sum: 16}}", "expect.outputs.sum: expected 16, got 15"),
        ("{outputs: {sum: '15'}}", 'expect.outputs.sum: expected "15", got 15 (a text was expected, this is a number)'),
        ("{labels: {shop: s2}}", 'expect.labels.shop: expected "s2", got "s1"'),
        ("{key: order-s2}", 'expect.key: expected "order-s2", got "order-s1"'),
        ("{emitted: []}", 'expect.emitted: expected [], got [{"type":"order.kept","body":{"sum":15},"at":'),
        ("{emitted: [{type: x}]}", 'expect.emitted[0].type: expected "x", got "order.kept"'),
        ("{compensated: [rush]}", 'expect.compensated: expected ["rush"], got []'),
        ("{elapsed: 1s}", "expect.elapsed: expected 1s, got 0:00:00"),
        ("{response: {status: 200}}", 'expect.response: expected {"status":200}, got nothing (nobody is answered)'),
        ("{steps: {fetch: {calls: 2}}}", "expect.steps.fetch.calls: expected 2 calls, there were 1"),
        ("{steps: {fetch: {with: {method: POST}}}}", 'expect.steps.fetch.with.method: expected "POST", got "GET"'),
        ("{steps: {fetch: {output: {sum: 1}}}}", "expect.steps.fetch.output.sum: expected 1, got 10"),
        ("{steps: {fetch: {output: {som: 1}}}}", "expect.steps.fetch.output.som: expected 1, got nothing (did you"),
        ("{steps: {fetch: {status: failed}}}", 'expect.steps.fetch.status: expected "failed", got "succeeded"'),
        ("{steps: {fetch: {error: {type: x}}}}", 'expect.steps.fetch.error: expected {"type":"x"}, got nothing'),
        ("{steps: {rush: {with: {method: POST}}}}", 'expect.steps.rush.with: expected {"method":"POST"}, got nothing'),
        ("{assert: [outputs.sum > 15]}", "expect.assert: `outputs.sum > 15` is false\n  outputs.sum is 15"),
        ("{assert: [outputs.sum]}", "expect.assert: `outputs.sum` cannot be evaluated: "),
        ("{assert: [false]}", "expect.assert: `false` is false"),
        ("{assert: [outputs.som == 1]}", "expect.assert: `outputs.som == 1` cannot be evaluated: "),
    ],
)
def test_what_is_wrong_fails(bench: Bench, expect: str, message: str) -> None:
    """Each kind of expectation, not met, and nothing else."""
    found = messages(bench.order(expect))
    assert len(found) == 1
    assert found[0].startswith(message)


def test_a_failure_names_its_line(bench: Bench) -> None:
    """Line and column are those of the expectation, in the test or in `defaults`."""
    (report,) = bench.run(
        """
        pipeline: order
        defaults:
          mocks: {http.request: {output: {status: 200, body: {sum: 10}}}, keep: {output: {}}}
          expect:
            outputs: {sum: 1}
        tests:
          - name: it
            expect:
              labels:
                shop: s9
        """
    )
    assert [(failure.what, failure.line, failure.column) for failure in report.failures] == [
        ("expect.outputs.sum", 5, 20),
        ("expect.labels.shop", 10, 15),
    ]


def test_a_wrong_assertion_about_starting_tells_why(bench: Bench) -> None:
    """An event that starts nothing: the failure shows the condition and the values it saw."""
    bench.pipeline(
        """
        id: picky
        triggers:
          - {uses: webhook, with: {path: in, auth: none}, if: "event.body.kind == 'a'"}
        steps: [{id: one, uses: value, with: 1}]
        """
    )
    report = bench.one("event: {body: {kind: b}}", pipeline="picky")
    text = "trigger `webhook`: `event.body.kind == 'a'` is false; `event.body.kind` is \"b\""
    assert messages(report) == [f"expect.outcome: expected succeeded, got not_triggered: {text}"]


def test_not_triggered_by_mistake_is_no_success(bench: Bench) -> None:
    """A trigger's `if` that cannot be evaluated does not count as `not_triggered`, unless the error is expected."""
    bench.pipeline(
        """
        id: picky
        triggers:
          - {uses: webhook, with: {path: in, auth: none}, if: "event.body.kind == 'a'"}
        steps: [{id: one, uses: value, with: 1}]
        """
    )
    report = bench.one("event: {body: {}}\nexpect: {outcome: not_triggered}", pipeline="picky")
    assert messages(report)[0].startswith("expect.outcome: no run was started, by mistake: trigger `webhook`")
    expect = "expect: {outcome: not_triggered, error: {type: condition_error}}"
    assert messages(bench.one(f"event: {{body: {{}}}}\n{expect}", pipeline="picky")) == []
