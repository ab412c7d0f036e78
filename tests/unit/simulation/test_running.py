"""The engine's interpreter in virtual time: order, failures, loops, limits, crashes, answers."""

import pytest

from tests.unit.simulation.conftest import Bench, messages

STEP = "uses: http.request, with: {url: 'https://x.example'}"


def check(bench: Bench, pipeline: str, test: str) -> list[str]:
    """What a test of a pipeline with these parts complains about."""
    bench.pipeline(f"id: it\n{pipeline}")
    return messages(bench.one(test, pipeline="it"))


def test_compensation_in_reverse_order(bench: Bench) -> None:
    """Steps are known as `undo_ID`; `compensated` names what was undone."""
    pipeline = f"""
steps:
  - {{id: one, {STEP}, compensate: [{{{STEP}}}]}}
  - {{id: two, {STEP}, compensate: [{{id: give_back, {STEP}}}]}}
  - {{id: three, {STEP}, on_error: fail}}
on_error: [{{uses: emit, with: {{type: broken, body: '${{{{ run.compensated }}}}'}}}}]
finally: [{{id: last, {STEP}}}]
"""
    test = """
mocks: {http.request: {output: {}}, three: {error: {type: http.500, message: no}}}
expect:
  outcome: failed
  compensated: [two, one]
  ran: [one, two, three, give_back, undo_one, emit, last]
  emitted: [{type: broken, body: [two, one]}]
"""
    assert check(bench, pipeline, test) == []


def test_handlers(bench: Bench) -> None:
    """A value, other steps, or just going on."""
    pipeline = f"""
steps:
  - {{id: value, {STEP}, on_error: {{output: 1}}}}
  - {{id: steps, {STEP}, on_error: [{{id: plan_b, uses: value, with: '${{{{ error.type }}}}'}}]}}
  - {{id: on, {STEP}, on_error: continue}}
outputs: {{value: '${{{{ steps.value.output }}}}', steps: '${{{{ steps.steps.output }}}}'}}
"""
    test = """
mocks: {http.request: {error: {type: x}}}
expect:
  outputs: {value: 1, steps: x}
  ran: [value, steps, plan_b, on]
  steps: {value: {status: recovered, output: 1}, steps: {status: recovered}, on: {status: failed, error: {type: x}}}
"""
    assert check(bench, pipeline, test) == []


def test_loops(bench: Bench) -> None:
    """Calls of all items in their order; a step sees mocks item by item; failed items are in `errors`."""
    pipeline = f"""
steps:
  - id: all
    for_each: {{items: '${{{{ [1, 2, 3] }}}}', as: n, on_item_error: continue, key: 'k${{{{ n }}}}'}}
    steps: [{{id: one, {STEP}, output: '${{{{ result.body }}}}'}}]
  - {{id: each, for_each: '${{{{ [1, 2] }}}}', {STEP}}}
outputs: {{all: '${{{{ steps.all.output }}}}'}}
"""
    test = """
mocks:
  one: [{output: {body: a}}, {error: {type: x, message: bad}}, {output: {body: c}}]
  each: {output: {}}
expect:
  outputs: {all: [a, null, c]}
  ran: [all, one, one, one, each]
  steps:
    one: {calls: 3}
    each: {calls: 2, output: [{}, {}]}
    all: {errors: [{index: 1, key: k2, error: {message: bad}}]}
"""
    assert check(bench, pipeline, test) == []


def test_one_item_has_its_own_mock(bench: Bench) -> None:
    """By the key of the step."""
    pipeline = (
        f"steps: [{{id: each, for_each: '${{{{ [1, 2] }}}}', {STEP}}}]\noutputs: {{o: '${{{{ steps.each.output }}}}'}}"
    )
    test = "mocks: {each: {output: a}, 'each[1]': {output: b}}\nexpect: {outputs: {o: [a, b]}}"
    assert check(bench, pipeline, test) == []


def test_parallel_branches_share_time(bench: Bench) -> None:
    """The longest branch decides; the first failure cancels the others."""
    pipeline = f"""
steps:
  - parallel:
      a: [{{id: slow, {STEP}}}]
      b: [{{id: fast, {STEP}}}, {{id: next, {STEP}}}]
"""
    mocks = "slow: {output: {}, after: 1m}, fast: {output: {}, after: 10s}"
    assert check(bench, pipeline, f"mocks: {{{mocks}, next: {{output: {{}}}}}}\nexpect: {{elapsed: 1m}}") == []
    failing = f"mocks: {{{mocks}, next: {{error: {{type: x}}}}}}\n"
    expect = "expect: {outcome: failed, elapsed: 10s, steps: {slow: {status: cancelled}}}"
    assert messages(bench.one(failing + expect, pipeline="it")) == []


def test_switch(bench: Bench) -> None:
    """One branch; the others did not run."""
    pipeline = """
inputs: {n: integer}
steps:
  - switch:
      - {if: inputs.n == 1, steps: [{id: one, uses: value, with: 1}]}
      - {if: inputs.n == 2, steps: [{id: two, uses: value, with: 2}]}
"""
    assert check(bench, pipeline, "inputs: {n: 2}\nexpect: {ran: [two], not_ran: [one]}") == []
    assert messages(bench.one("inputs: {n: 3}\nexpect: {not_ran: [one, two]}", pipeline="it")) == []


def test_repeat(bench: Bench) -> None:
    """Polling takes virtual time."""
    pipeline = f"""
steps:
  - {{id: poll, {STEP}, repeat: {{until: result.body == 'done', every: 1h, max: 3}}, output: '${{{{ result.body }}}}'}}
outputs: {{got: '${{{{ steps.poll.output }}}}'}}
"""
    test = """
mocks: {poll: [{output: {body: no}}, {output: {body: no}}, {output: {body: done}}]}
expect: {outputs: {got: done}, elapsed: 2h, steps: {poll: {calls: 3}}}
"""
    assert check(bench, pipeline, test) == []
    failing = "mocks: {poll: {output: {body: no}}}\nexpect: {outcome: failed, steps: {poll: {calls: 3}}}"
    assert messages(bench.one(failing, pipeline="it")) == []


@pytest.mark.parametrize(
    ("limit", "elapsed"),
    [
        ("rate_limit: {limit: 2, period: 1m}", "90s"),  # two at once, then one every half a minute
        ("rate_limit: {limit: 2, period: 1m, burst: 1}", "2m"),
        ("concurrency: {limit: 1}", "50s"),
        ("concurrency: {limit: 2}", "30s"),
        ("concurrency: {key: '${{ n % 2 }}', limit: 1}", "30s"),
        ("timeout: 1h", "10s"),
    ],
)
def test_limits_of_steps(bench: Bench, limit: str, elapsed: str) -> None:
    """Attempts wait for their turn in virtual time."""
    pipeline = f"""
steps:
  - for_each: {{items: '${{{{ [1, 2, 3, 4, 5] }}}}', as: n, concurrency: 5}}
    id: all
    steps: [{{id: one, {STEP}, {limit}}}]
"""
    after = "0s" if limit.startswith("rate") else "10s"
    assert (
        check(bench, pipeline, f"mocks: {{one: {{output: {{}}, after: {after}}}}}\nexpect: {{elapsed: {elapsed}}}")
        == []
    )


@pytest.mark.parametrize(
    ("limit", "results"),
    [
        ("concurrency: {limit: 1, on_limit: drop}", ["ok", "rate_limited", "rate_limited"]),
        ("concurrency: {limit: 1, max_queued: 1}", ["ok", "ok", "rate_limited"]),
        ("concurrency: {limit: 1, on_limit: keep_latest}", ["ok", "superseded", "ok"]),
        ("concurrency: {limit: 1, on_limit: cancel_running}", ["superseded", "superseded", "ok"]),
        ("rate_limit: {limit: 1, period: 1m, on_limit: drop}", ["ok", "rate_limited", "rate_limited"]),
        ("rate_limit: {limit: 1, period: 1m, max_queued: 1}", ["ok", "ok", "rate_limited"]),
        ("rate_limit: {limit: 1, period: 1m, on_limit: keep_latest}", ["ok", "superseded", "ok"]),
    ],
)
def test_attempts_beyond_a_limit(bench: Bench, limit: str, results: list[str]) -> None:
    """The words of `on_limit` mean what they mean in production."""
    pipeline = f"""
steps:
  - for_each: {{items: '${{{{ [1, 2, 3] }}}}', as: n, concurrency: 3}}
    id: all
    steps:
      - {{id: one, {STEP}, {limit}, on_error: [{{uses: value, with: '${{{{ error.type }}}}'}}], output: ok}}
outputs: {{got: '${{{{ steps.all.output }}}}'}}
"""
    test = f"mocks: {{one: {{output: {{}}, after: 10s}}}}\nexpect: {{outputs: {{got: [{', '.join(results)}]}}}}"
    assert check(bench, pipeline, test) == []


def test_dropped_attempts(bench: Bench) -> None:
    """`on_limit: drop` fails with `rate_limited`."""
    pipeline = f"""
steps:
  - {{id: one, for_each: '${{{{ [1, 2] }}}}', {STEP}, retry: 1, rate_limit: {{limit: 1, period: 1m, on_limit: drop}}}}
"""
    test = "mocks: {one: {output: {}}}\nexpect: {error: {type: rate_limited}}"
    assert check(bench, pipeline, test) == []


def test_the_cache_begins_empty(bench: Bench) -> None:
    """A second call with the same inputs within a run is not made."""
    pipeline = f"""
steps:
  - {{id: one, {STEP}, cache: 1h}}
  - {{id: two, {STEP}, cache: 1h}}
  - wait: 2h
  - {{id: three, {STEP}, cache: 1h}}
"""
    test = """
mocks: {http.request: {output: {}}}
expect:
  steps: {one: {calls: 1}, two: {calls: 0, status: succeeded}, three: {calls: 1}}
  assert: [steps.two.cached, not steps.three.cached]
"""
    assert check(bench, pipeline, test) == []
    assert check(bench, pipeline.replace("id: it", ""), test)[:0] == []


def test_stop(bench: Bench) -> None:
    """`message` is what it said, its output becomes the outputs."""
    pipeline = """
steps:
  - {id: halt, uses: stop, with: {message: enough, output: {a: 1}}}
  - {id: never, uses: value, with: 1}
outputs: {a: 2}
"""
    test = "expect: {outcome: succeeded, message: enough, outputs: {a: 1}, not_ran: [never], ran: [halt]}"
    assert check(bench, pipeline, test) == []


def test_timeout_of_the_run(bench: Bench) -> None:
    """The run's own `timeout`, waits included."""
    pipeline = "timeout: 1d\nsteps: [{id: hold, wait: 2d}]"
    assert check(bench, pipeline, "expect: {outcome: failed, error: {type: timeout}, elapsed: 1d}") == []


CRASHING = f"""
steps:
  - {{id: one, {STEP}}}
  - id: all
    for_each: {{items: '${{{{ [1, 2, 3] }}}}', concurrency: 2}}
    steps: [{{id: two, {STEP}}}]
  - {{id: hold, wait: {{events: [{{type: go}}], timeout: 1d}}}}
  - parallel:
      a: [{{id: three, {STEP}}}]
      b: [{{id: four, {STEP}}}]
  - {{id: five, {STEP}}}
outputs: {{go: '${{{{ steps.hold.output.event.body }}}}'}}
"""


@pytest.mark.parametrize("step", ["one", "two", "all", "hold", "three", "four", "five"])
def test_a_crash_anywhere(bench: Bench, step: str) -> None:
    """After a crash the run goes on with what it knew; nothing that had finished runs again."""
    test = f"""
crash_after: {step}
mocks: {{http.request: {{output: {{}}}}}}
timeline: [{{after: 1h, type: go, body: 7}}]
expect:
  outputs: {{go: 7}}
  elapsed: 1h
  ran: [one, all, two, two, two, hold, five]
  steps: {{one: {{calls: 1}}, five: {{calls: 1}}}}
"""
    assert check(bench, CRASHING, test) == []


def test_a_crash_that_never_comes(bench: Bench) -> None:
    """A step that does not finish cannot be followed by a crash."""
    pipeline = f"steps: [{{id: one, if: 1 > 2, {STEP}}}]"
    assert check(bench, pipeline, "crash_after: one") == ["crash_after: `one` did not finish in this run"]


def test_a_step_that_runs_twice_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that forgot what it had done would fail every test with `crash_after`."""
    from engine.flow.ledger import Ledger

    attempts = Ledger.attempts
    monkeypatch.setattr(Ledger, "attempts", lambda ledger: [row for row in attempts(ledger) if row.step != "one"])
    pipeline = f"steps: [{{id: one, {STEP}}}, {{id: two, {STEP}}}]"
    found = check(bench, pipeline, "crash_after: one\nmocks: {http.request: {output: {}}}")
    assert found == ["`one` ran twice: it had finished before the crash"]


def test_the_story(bench: Bench) -> None:
    """A failure shows what happened, in virtual time."""
    pipeline = f"""
steps:
  - {{id: skipped_one, if: 1 > 2, {STEP}}}
  - {{id: one, {STEP}, retry: {{attempts: 2, delay: 1m}}}}
  - {{id: hold, wait: {{events: [{{type: go}}], timeout: 1h, on_timeout: continue}}}}
"""
    bench.pipeline(f"id: it\n{pipeline}")
    report = bench.one(
        """
        mocks: {one: [{error: {type: network, message: reset}}, {output: {}}]}
        timeline: [{after: 5m, source: shop, type: go}]
        """,
        pipeline="it",
    )
    assert [(line.at, line.what, line.status, line.detail) for line in report.result.story] == [
        (0, "skipped_one", "skipped", ""),
        (0, "one", "failed", "network: reset"),
        (60, "one", "succeeded", "attempt 2"),
        (60, "hold", "waits", "for an event, at most 1 h 0 min"),
        (300, "shop go", "arrives", "null"),
        (300, "hold", "got", "shop go"),
    ]


RESPONDING = """
triggers:
  - uses: webhook
    with: {{path: in, auth: none}}
    respond: {respond}
steps:
  - {{id: one, {step}, output: '${{{{ result.body }}}}'}}
  - {{id: two, {step}}}
outputs: {{n: '${{{{ steps.one.output }}}}'}}
"""


@pytest.mark.parametrize(
    ("respond", "mocks", "response"),
    [
        ("{mode: async}", "", "{status: 202}"),
        ("{mode: async, status: 200, body: 'hello ${{ event.body.who }}'}", "", "{status: 200, body: hello you}"),
        ("{mode: sync}", "", "{status: 200, body: {n: 1}}"),
        ("{mode: sync}", "one: {error: {type: x, message: bad}}", "{status: 500, body: {type: x, detail: bad}}"),
        ("{mode: sync, timeout: 5s}", "one: {output: {body: 1}, after: 6s}", "{status: 202, headers: {Location: "
         "'https://hookwright.test/api/v1/runs/00000000-0000-7000-8000-000000000001'}}"),
        ("{mode: sync, timeout: 5s, after: one, body: '${{ steps.one.output }}'}", "two: {output: {}, after: 1h}",
         "{status: 200, body: 1}"),
        ("{mode: sync, status: '${{ 201 if outputs.n == 1 else 200 }}', headers: {X-N: '${{ outputs.n }}'}}", "",
         "{status: 201, headers: {x-n: 1}, body: {n: 1}}"),
    ],
)  # fmt: skip
def test_answers(bench: Bench, respond: str, mocks: str, response: str) -> None:
    """What the sender gets, at once, at the end, or after a step."""
    test = f"""
event: {{body: {{who: you}}}}
mocks: {{http.request: {{output: {{body: 1}}}}{", " if mocks else ""}{mocks}}}
expect: {{response: {response}}}
"""
    assert check(bench, RESPONDING.format(respond=respond, step=STEP), test) == []


def test_what_would_be_started(bench: Bench) -> None:
    """Nothing is started; the test sees pipeline, inputs and labels, once even after a crash."""
    pipeline = f"""
inputs: {{n: {{type: integer, default: 1}}}}
steps:
  - {{id: go, uses: pipeline.start, with: {{pipeline: it, inputs: {{n: '${{{{ 1 + 1 }}}}'}}, labels: {{a: b}}}}}}
  - {{id: after, {STEP}}}
outputs: {{same: '${{{{ steps.go.output.url | endswith(steps.go.output.run_id) }}}}'}}
"""
    test = """
mocks: {http.request: {output: {}}}
crash_after: go
expect:
  outputs: {same: true}
  started: [{pipeline: it, inputs: {n: 2}, labels: {a: b}, step: go}]
  assert: ["started | length == 1"]
"""
    assert check(bench, pipeline, test) == []
