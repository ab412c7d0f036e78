"""What stands in for steps with side effects."""

import pytest

from tests.unit.simulation.conftest import Bench, messages

KEEP = "keep: {output: {key: s1}}"


@pytest.mark.parametrize(
    ("mocks", "sum_"),
    [
        ("{fetch: {output: {status: 200, body: {sum: 1}}}, http.request: {output: 0}, http.*: {output: 0}}", 6),
        ("{http.request: {output: {status: 200, body: {sum: 2}}}, http.*: {output: 0}, '*': {output: {}}}", 7),
        ("{'*': {output: {}}, http.*: {output: {status: 200, body: {sum: 3}}}}", 8),  # a longer glob
    ],
)
def test_which_mock_answers(bench: Bench, mocks: str, sum_: int) -> None:
    """An id beats a type, a type beats a glob, a longer glob beats a shorter one."""
    text = f"mocks: {mocks[:-1]}, {KEEP}}}\nexpect: {{outputs: {{sum: {sum_}}}}}"
    assert messages(bench.one(text)) == []


def test_the_mock_of_a_test_replaces_that_of_the_file(bench: Bench) -> None:
    """By its name; others of the file stay."""
    reports = bench.run(
        f"""
        pipeline: order
        defaults:
          mocks: {{fetch: {{output: {{status: 200, body: {{sum: 1}}}}}}, {KEEP}}}
        tests:
          - name: of the file
            expect: {{outputs: {{sum: 6}}}}
          - name: of the test
            mocks: {{fetch: {{output: {{status: 200, body: {{sum: 2}}}}}}}}
            expect: {{outputs: {{sum: 7}}}}
        """
    )
    assert [messages(report) for report in reports] == [[], []]


def test_successive_calls(bench: Bench) -> None:
    """A list answers call by call; network errors are worth another attempt."""
    report = bench.one(
        f"""
        mocks:
          {KEEP}
          fetch:
            - error: {{type: network}}
            - error: {{type: rate_limited, after: 1m}}
            - output: {{status: 200, body: {{sum: 1}}}}
        expect:
          elapsed: 1m10s
          steps: {{fetch: {{calls: 3}}}}
          assert:
            - steps.fetch.calls | map('attempt') == [1, 2, 3]
            - steps.fetch.calls | map('at') | last == '2026-03-01T09:01:10Z'
            - steps.fetch.calls[0].error.type == 'network'
        """
    )
    assert messages(report) == []


def test_a_list_that_is_used_up_is_an_error(bench: Bench) -> None:
    """Another call than expected is a mistake of the test, or of the pipeline: it is told, not answered."""
    report = bench.one(f"mocks: {{fetch: [{{error: {{type: network}}}}], {KEEP}}}\nexpect: {{outcome: failed}}")
    assert messages(report) == ["the mock `fetch` has 1 answers; this is call 2 (`fetch`, attempt 2)"]


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        ("{type: network}", 3),
        ("{type: timeout}", 3),
        ("{type: server_error}", 3),
        ("{type: rate_limited}", 3),
        ("{type: http.404}", 1),
        ("{type: network, retryable: false}", 1),
        ("{type: http.404, retryable: true}", 3),
        ("{}", 1),
    ],
)
def test_which_errors_are_tried_again(bench: Bench, error: str, calls: int) -> None:
    """Those that pass by themselves, unless the mock says otherwise."""
    text = f"mocks: {{fetch: {{error: {error}}}}}\nexpect: {{outcome: failed, steps: {{fetch: {{calls: {calls}}}}}}}"
    assert messages(bench.one(text)) == []


def test_a_mock_sees_what_the_step_was_given(bench: Bench) -> None:
    """`with` is what the step type would have got, `attempt` its number."""
    report = bench.one(
        f"""
        mocks:
          {KEEP}
          fetch: {{output: {{status: 200, body: {{sum: '${{{{ attempt }}}}', url: '${{{{ with.url }}}}'}}}}}}
        expect:
          steps: {{fetch: {{output: {{sum: 1, url: 'https://api.example/s1'}}}}}}
        """
    )
    assert messages(report) == []


def test_arguments_are_checked_before_the_mock_answers(bench: Bench) -> None:
    """A mock does not hide what the step type would refuse."""
    bench.pipeline(
        """
        id: wrong
        inputs: {method: string}
        steps:
          - {id: call, uses: http.request, with: {method: '${{ inputs.method }}', url: https://x.example}}
        """
    )
    report = bench.one("inputs: {method: FETCH}\nmocks: {call: {output: {}}}", pipeline="wrong")
    assert messages(report)[0].startswith(
        "expect.outcome: expected succeeded, got failed: invalid_input in step `call`"
    )


def test_a_step_without_a_mock_fails_the_test(bench: Bench) -> None:
    """Whatever the pipeline does about the failure, and whatever the test expects."""
    bench.pipeline(
        """
        id: careless
        steps:
          - {id: one, uses: http.request, with: {url: https://x.example}, on_error: continue}
          - {uses: notify.slack, with: {channel: '#a', text: b, token: '${{ secrets.T }}'}, on_error: continue}
        """
    )
    report = bench.one("expect: {outcome: succeeded}", pipeline="careless")
    assert messages(report) == [
        "`one` (http.request) has side effects and no mock",
        "`notify.slack` (notify.slack) has side effects and no mock",
    ]


def test_a_slow_answer_takes_virtual_time_and_times_out(bench: Bench) -> None:
    """`after` is how long the answer takes."""
    bench.pipeline(
        """
        id: slow
        steps:
          - {id: one, uses: http.request, with: {url: https://x.example}, timeout: 30s, retry: 1}
        """
    )
    assert messages(bench.one("mocks: {one: {output: {}, after: 20s}}\nexpect: {elapsed: 20s}", pipeline="slow")) == []
    report = bench.one("mocks: {one: {output: {}, after: 40s}}\nexpect: {error: {type: timeout}, elapsed: 30s}", "slow")
    assert messages(report) == []


def test_secrets_are_references(bench: Bench) -> None:
    """A test sees where a secret went, never a value."""
    bench.pipeline(
        """
        id: secretive
        steps:
          - {id: one, uses: notify.slack, with: {channel: '#a', text: b, token: '${{ secrets.T }}'}}
        """
    )
    report = bench.one(
        "mocks: {one: {output: {}}}\nexpect: {steps: {one: {with: {token: {$secret: T}}}}}", pipeline="secretive"
    )
    assert messages(report) == []


def test_kept_replaces_the_output_of_the_step(bench: Bench) -> None:
    """A recorded run knows only what a step kept: its `output:` is not evaluated."""
    report = bench.one(f"mocks: {{fetch: {{kept: {{sum: 4}}}}, {KEEP}}}\nexpect: {{outputs: {{sum: 9}}}}")
    assert messages(report) == []


def test_a_called_pipeline(bench: Bench) -> None:
    """It runs, with mocks for its steps; or one mock stands for all of it, after its inputs were checked."""
    bench.pipeline(
        """
        id: callee
        inputs: {n: integer}
        steps:
          - {id: ask, uses: http.request, with: {url: 'https://x.example/${{ inputs.n }}'}}
        outputs: {got: '${{ steps.ask.output.body }}'}
        """
    )
    bench.pipeline(
        """
        id: caller
        inputs: {n: any}
        steps:
          - {id: sub, uses: 'pipeline:callee', with: {n: '${{ inputs.n }}'}}
        outputs: {got: '${{ steps.sub.output.got }}'}
        """
    )
    reports = bench.run(
        """
        pipeline: caller
        defaults: {inputs: {n: 1}}
        tests:
          - name: it runs
            mocks: {ask: {output: {status: 200, body: 7}}}
            expect:
              outputs: {got: 7}
              ran: [sub, ask]
              steps: {ask: {with: {url: 'https://x.example/1'}}, sub: {with: {n: 1}, output: {got: 7}, calls: 1}}
          - name: by its path
            mocks: {sub/ask: {output: {status: 200, body: 8}}}
            expect: {outputs: {got: 8}, steps: {sub/ask: {calls: 1}}}
          - name: as a whole
            mocks: {sub: {output: {got: 9}}}
            expect: {outputs: {got: 9}, ran: [sub], not_ran: [ask], steps: {sub: {with: {n: 1}, calls: 1}}}
          - name: by its type
            mocks: {'pipeline:callee': {error: {type: broken, message: no}}}
            expect: {error: {type: broken, step: sub}}
          - name: with wrong inputs
            inputs: {n: x}
            mocks: {sub: {output: {got: 9}}}
            expect: {error: {type: invalid_input}}
        """
    )
    assert [(report.case.name, messages(report)) for report in reports if not report.passed] == []
