"""Waits in virtual time."""

import pytest

from tests.unit.simulation.conftest import Bench, messages

WAITING = """
id: waiting
inputs: {{n: {{type: integer, default: 1}}}}
steps:
  - id: ask
    uses: value
    with: {{n: '${{{{ inputs.n }}}}'}}
  - id: hold
    wait: {wait}
outputs: {{got: '${{{{ steps.hold.output }}}}'}}
"""


def check(bench: Bench, wait: str, test: str) -> list[str]:
    """What a test of a pipeline that waits like this complains about."""
    bench.pipeline(WAITING.format(wait=wait))
    return messages(bench.one(test, pipeline="waiting"))


@pytest.mark.parametrize(
    ("wait", "test"),
    [
        ("2h", "expect: {elapsed: 2h, outputs: {got: {timed_out: false, event: null}}}"),
        (
            "{for: '${{ inputs.n }}d'}",
            "inputs: {n: 3}\nexpect: {elapsed: 3d, assert: [elapsed | startswith('3 days')]}",
        ),
        ("{until: '2026-03-02T09:00:00Z'}", "expect: {elapsed: 1d}"),
        ("{until: '2026-02-01T00:00:00Z'}", "expect: {elapsed: 0s}"),
        ("{for: '${{ inputs.n }}'}", "expect: {outcome: failed, error: {type: expression, step: hold}}"),
        ("{events: [{type: paid}], timeout: 1h}", "expect: {outcome: failed, error: {type: timeout}, elapsed: 1h}"),
        (
            "{events: [{type: paid}], timeout: 1h, on_timeout: continue}",
            "expect: {elapsed: 1h, outputs: {got: {timed_out: true, event: null}}}",
        ),
        (
            "{events: [{source: shop, type: 'pa*', if: incoming.body.n == inputs.n}], timeout: 1h}",
            """
            timeline:
              - {after: 1m, source: shop, type: sent, body: {n: 1}}
              - {after: 2m, source: bank, type: paid, body: {n: 1}}
              - {after: 3m, source: shop, type: paid, body: {n: 2}}
              - {after: 4m, source: shop, type: paid, body: {n: 1}}
              - {after: 5m, source: shop, type: paid, body: {n: 1, late: true}}
            expect:
              elapsed: 4m
              outputs: {got: {timed_out: false, event: {source: shop, type: paid, body: {n: 1}}}}
              assert: [outputs.got.event.time == '2026-03-01T09:04:00Z', outputs.got.event.body.late is not defined]
            """,
        ),
        (
            "{events: [{if: incoming.body.x > 1}], timeout: 1h}",
            "timeline: [{after: 1s, body: {}}]\nexpect: {error: {type: expression}}",
        ),
    ],
)
def test_waits(bench: Bench, wait: str, test: str) -> None:
    """Durations, times, events, time-outs."""
    assert check(bench, wait, test) == []


def test_a_run_that_waits_for_ever_ends_with_its_own_timeout(bench: Bench) -> None:
    """A wait without a limit ends with the run's 30 days."""
    found = check(bench, "{events: [{type: never}]}", "expect: {outcome: failed, error: {type: timeout}, elapsed: 30d}")
    assert found == []


def test_events_look_back_and_count_once(bench: Bench) -> None:
    """An event that came before the wait counts, unless it says `since: now`; each ends one wait only."""
    bench.pipeline(
        """
        id: two
        steps:
          - wait: 1h
          - {id: first, wait: {events: [{type: ping}], timeout: 1h, on_timeout: continue}}
          - {id: second, wait: {events: [{type: ping}], timeout: 1h, on_timeout: continue}}
          - {id: third, wait: {events: [{type: pong}], timeout: 1h, on_timeout: continue, since: now}}
        outputs:
          times: '${{ [steps.first.output.timed_out, steps.second.output.timed_out, steps.third.output.timed_out] }}'
        """
    )
    report = bench.one(
        """
        timeline: [{after: 1m, type: ping}, {after: 2m, type: pong}]
        expect: {outputs: {times: [false, true, true]}, elapsed: 3h}
        """,
        pipeline="two",
    )
    assert messages(report) == []


def test_what_the_run_emits_can_end_its_waits(bench: Bench) -> None:
    """Events of `emit` steps are events like others."""
    bench.pipeline(
        """
        id: selfish
        steps:
          - {uses: emit, with: {type: own.thing, body: {n: 1}}}
          - {id: hold, wait: {events: [{type: own.*}], timeout: 1h}}
        outputs: {n: '${{ steps.hold.output.event.body.n }}'}
        """
    )
    assert messages(bench.one("expect: {outputs: {n: 1}, elapsed: 0s}", pipeline="selfish")) == []


APPROVAL = """
{approval: {prompt: 'Pay ${{ inputs.n }}?', approvers: [ann, bob], exclude: [bob], form: {note: string},
  notify: [{id: tell, uses: http.request, with: {url: '${{ approval.approve_url }}'}}]},
  timeout: 2d, on_reject: continue}
"""


@pytest.mark.parametrize(
    ("approvals", "expect"),
    [
        (
            "{hold: {approved: true, by: ann, form: {note: fine}, after: 3h}}",
            "{elapsed: 3h, outputs: {got: {approved: true, by: ann, form: {note: fine}, at: 2026-03-01T12:00:00Z}}, "
            "ran: [hold, tell], steps: {hold: {with: {prompt: Pay 1?}}}}",
        ),
        ("{hold: {approved: false, by: ann}}", "{outputs: {got: {approved: false, by: ann}}, elapsed: 0s}"),
        ("{}", "{outcome: failed, error: {type: timeout}, elapsed: 2d}"),
        ("{hold: {approved: true, by: bob, form: {note: x}}}", "{outcome: failed, error: {type: timeout}}"),  # excluded
        (
            "{hold: {approved: true, by: eve, form: {note: x}}}",
            "{outcome: failed, error: {type: timeout}}",
        ),  # no approver
        ("{hold: {approved: true, by: ann, form: {note: x}, after: 3d}}", "{outcome: failed, error: {type: timeout}}"),
    ],
)
def test_approvals(bench: Bench, approvals: str, expect: str) -> None:
    """Decisions, silence, and who may not decide."""
    mocks = "mocks: {tell: {output: {}}}"
    assert check(bench, " ".join(APPROVAL.split()), f"approvals: {approvals}\n{mocks}\nexpect: {expect}") == []


def test_a_form_is_checked(bench: Bench) -> None:
    """What the test fills in must fit the form."""
    wait = "{approval: {prompt: Sure?, form: {note: string}}}"
    text = "approvals: {hold: {approved: true, form: {note: 1, more: 2}}}"
    assert check(bench, wait, text) == [
        "approvals.hold.form: there is no field `more`",
        "approvals.hold.form.note: must be a text",
    ]


def test_a_rejection_fails_by_default(bench: Bench) -> None:
    """`on_reject: fail`."""
    text = "approvals: {hold: {approved: false, by: ann}}\nexpect: {error: {type: rejected, step: hold}}"
    assert check(bench, "{approval: {prompt: Sure?}}", text) == []


def test_approvals_in_a_loop_are_a_list(bench: Bench) -> None:
    """One decision after the other."""
    bench.pipeline(
        """
        id: many
        steps:
          - id: each
            for_each: '${{ [1, 2] }}'
            steps:
              - {id: sure, wait: {approval: {prompt: 'Sure about ${{ item }}?'}, timeout: 1h, on_reject: continue}}
            output: ${{ steps.sure.output.approved }}
        outputs: {all: '${{ steps.each.output }}'}
        """
    )
    text = "approvals: {sure: [{approved: true}, {approved: false}]}\nexpect: {outputs: {all: [true, false]}}"
    assert messages(bench.one(text, pipeline="many")) == []
