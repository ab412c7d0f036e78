"""What starts a run: triggers, requests, batches, bursts."""

import pytest

from engine.simulation.setting import Setting
from engine.simulation.starting import NOW
from tests.unit.simulation.conftest import Bench, messages

SHOP = """
id: shop
triggers:
  - id: orders
    uses: webhook
    with: {path: 'shop/{name}', auth: {hmac: {secret: '${{ secrets.SHOP }}', header: X-Signature}}}
    if: event.body.total > 0
    inputs: {total: '${{ event.body.total }}'}
  - id: issues
    uses: github.webhook
    with: {path: github, secret: '${{ secrets.HUB }}', events: [issues.opened]}
    inputs: {total: 0}
  - id: nightly
    uses: schedule
    with: {cron: '0 3 * * *'}
    inputs: {total: -1}
labels: {total: '${{ inputs.total }}', never: '${{ event.body.nothing }}'}
inputs: {total: number}
steps:
  - {id: it, uses: value, with: '${{ inputs.total }}'}
outputs: {total: '${{ steps.it.output }}', trigger: '${{ run.trigger }}', at: '${{ run.scheduled_at }}'}
"""


@pytest.mark.parametrize(
    "test",
    [
        "event: {body: {total: 5}}\nexpect: {outputs: {total: 5, trigger: orders, at: null}, labels: {total: '5'}}",
        "event: {source: shop/acme, body: {total: 5}}\nexpect: {outputs: {trigger: orders}}",  # a path is a source
        "event: {source: github, type: issues.opened}\nexpect: {outputs: {trigger: issues}}",
        "event: {source: github, headers: {X-GitHub-Event: issues}, body: {action: opened}}\n"
        "expect: {outputs: {trigger: issues}}",  # the type is read off the headers
        "event: {source: github, type: issues.closed}\nexpect: {outcome: not_triggered}",
        "event: {source: stripe, type: issues.opened}\nexpect: {outcome: not_triggered}",
        "event: {source: shop/acme, body: {total: 0}}\nexpect: {outcome: not_triggered}",
        "event: {source: shop/acme/more, body: {total: 5}}\nexpect: {outcome: not_triggered}",
        "trigger: issues\nexpect: {outputs: {total: 0, trigger: issues}}",
        "trigger: orders\nevent: {source: github, type: issues.opened}\nexpect: {outcome: not_triggered}",
        "trigger: nightly\nexpect: {outputs: {total: -1, trigger: nightly, at: 2026-03-01T09:00:00Z}}",
        "trigger: nightly\nscheduled_at: 2026-02-28T03:00:00Z\nexpect: {outputs: {at: 2026-02-28T03:00:00Z}}",
        "trigger: nightly\nnow: 2027-01-01T00:00:00Z\nexpect: {outputs: {at: 2027-01-01T00:00:00Z}}",
        "inputs: {total: 3}\nexpect: {outputs: {total: 3, trigger: manual}}",
        "event: {body: {total: 5}}\ninputs: {total: 6}\nexpect: {outputs: {total: 6}}",
        "inputs: {total: x}\nexpect: {outcome: refused, error: {type: invalid_input}, response: {status: 400}}",
        "inputs: {}\nexpect: {outcome: refused, error: {message: 'total: is required'}}",
        "event: {source: shop/acme, body: {total: '5'}}\n"
        "expect: {outcome: not_triggered, error: {type: condition_error}}",
        "event: {body: {total: 5}}\nexpect: {response: {status: 202, body: {}}}",
    ],
)
def test_who_takes_it(bench: Bench, test: str) -> None:
    """By source, type, condition, or by name; inputs checked as in production."""
    bench.pipeline(SHOP)
    assert messages(bench.one(test, pipeline="shop")) == []


def test_a_label_that_cannot_be_rendered_is_noted(bench: Bench) -> None:
    """Production leaves it out, and so does the simulation; a failure says so."""
    bench.pipeline(SHOP)
    report = bench.one("inputs: {total: 3}\nexpect: {labels: {never: x}}", pipeline="shop")
    assert len(report.failures) == 1
    assert report.result.notes[0].startswith("the label `never` is left out: ")


@pytest.mark.parametrize(
    ("raw", "expect"),
    [
        ("{path: shop/acme, body: {total: 5}, sign: true}", "{outputs: {total: 5}}"),
        (
            "{path: shop/acme, body: '{\"total\": 5}', headers: {X-Signature: "
            "24d9de5d54d4f1b3bbd5a2bc5f2cfb2e3b8f2a6e}}",
            "{outcome: refused, error: {type: auth}, response: {status: 401}}",
        ),
        ("{path: shop/acme, body: {total: 5}}", "{outcome: refused, response: {status: 401}}"),
        ("{path: shop/acme, method: GET, sign: true}", "{outcome: refused, response: {status: 405}}"),
        ("{path: shop/acme, body: {total: 0}, sign: true}", "{outcome: not_triggered}"),
        (
            "{path: github, headers: {X-GitHub-Event: issues}, body: {action: opened}, sign: true}",
            "{outputs: {trigger: issues}}",
        ),
    ],
)
def test_requests_are_verified(bench: Bench, raw: str, expect: str) -> None:
    """`raw` is a request as it comes in; its signature counts."""
    bench.pipeline(SHOP)
    assert messages(bench.one(f"raw: {raw}\nexpect: {expect}", pipeline="shop")) == []


def test_a_recorded_signature_needs_its_secret(bench: Bench) -> None:
    """GitHub's own example: secret, body and signature as its documentation gives them."""
    bench.pipeline(
        """
        id: hub
        triggers: [{uses: github.webhook, with: {path: github, secret: '${{ secrets.HUB }}', events: ['*']}}]
        steps: [{id: it, uses: value, with: '${{ event.body }}'}]
        outputs: {body: '${{ steps.it.output }}'}
        """
    )
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    raw = f"raw: {{headers: {{X-Hub-Signature-256: '{signature}', X-GitHub-Event: push}}, body: 'Hello, World!'}}"
    secret = 'secrets: {HUB: "It\'s a Secret to Everybody"}'
    assert messages(bench.one(f"{raw}\n{secret}\nexpect: {{outputs: {{body: 'Hello, World!'}}}}", "hub")) == []
    assert messages(bench.one(f"{raw}\nexpect: {{outcome: refused}}", "hub")) == []


def test_a_body_is_checked(bench: Bench) -> None:
    """`body_schema` refuses with 400 before there is a run."""
    bench.pipeline(
        """
        id: strict
        triggers:
          - uses: webhook
            with: {path: in, auth: none, body_schema: {type: object, required: [a]}}
        steps: [{id: it, uses: value, with: 1}]
        """
    )
    assert (
        messages(bench.one("raw: {body: {b: 1}}\nexpect: {outcome: refused, response: {status: 400}}", "strict")) == []
    )
    assert messages(bench.one("raw: {body: {a: 1}}", "strict")) == []


BURST = """
id: burst
triggers:
  - uses: webhook
    with: {{path: in, auth: none}}
    if: event.body.kind ?? '' != 'noise'
    {rule}
steps:
  - {{id: it, uses: value, with: '${{{{ {what} }}}}'}}
outputs: {{got: '${{{{ steps.it.output }}}}', at: '${{{{ run.started_at }}}}'}}
"""
DEBOUNCE = "debounce: {key: '${{ event.body.doc }}', period: 20s, max_wait: 1m}"


@pytest.mark.parametrize(
    ("events", "expect"),
    [
        ("[{body: {doc: d, n: 1}}]", "{outputs: {got: 1, at: 2026-03-01T09:00:20Z}, elapsed: 0s}"),
        (
            "[{body: {doc: d, n: 1}}, {after: 15s, body: {doc: d, n: 2}}, {after: 30s, body: {doc: d, n: 3}}]",
            "{outputs: {got: 3, at: 2026-03-01T09:00:50Z}}",
        ),
        (
            "[{body: {doc: d, n: 1}}, {after: 19s, body: {doc: d, n: 2}}, {after: 38s, body: {doc: d, n: 3}}, "
            "{after: 57s, body: {doc: d, n: 4}}]",
            "{outputs: {got: 4, at: 2026-03-01T09:01:00Z}}",  # max_wait
        ),
        (
            "[{body: {doc: d, n: 1}}, {after: 15s, body: {doc: d, n: 2, kind: noise}}]",
            "{outputs: {got: 1, at: 2026-03-01T09:00:20Z}}",
        ),
        ("[{body: {doc: d, kind: noise}}]", "{outcome: not_triggered}"),
    ],
)
def test_a_burst_is_one_run(bench: Bench, events: str, expect: str) -> None:
    """The last event of a burst, once it has been quiet."""
    bench.pipeline(BURST.format(rule=DEBOUNCE, what="event.body.n"))
    assert messages(bench.one(f"events: {events}\nexpect: {expect}", pipeline="burst")) == []


@pytest.mark.parametrize(
    ("rule", "events", "message"),
    [
        (DEBOUNCE, "[{body: {doc: d}}, {after: 21s, body: {doc: d}}]", "these events start 2 runs: the first after 20"),
        (
            DEBOUNCE,
            "[{body: {doc: d}}, {body: {doc: e}}]",
            "these events start 2 runs: the keys of `debounce` are d, e",
        ),
        (DEBOUNCE, "[{body: {}}]", "`debounce.key` cannot be evaluated: "),
        ("dedup: '${{ event.id }}'", "[{}, {}]", "`events` start 2 runs: trigger `webhook` has neither"),
        ("batch: {max_size: 2, max_wait: 1m}", "[{}, {}, {}]", "these events start 2 runs: the first batch"),
        ("batch: {max_size: 5, max_wait: 1m}", "[{}, {after: 61s}]", "these events start 2 runs: the first batch"),
        ("batch: {max_size: 2}", "[{}]", "the batch is never complete"),
    ],
)
def test_a_test_is_about_one_run(bench: Bench, rule: str, events: str, message: str) -> None:
    """Events that start several runs, or none ever, are a mistake of the test."""
    bench.pipeline(BURST.format(rule=rule, what="1").replace("event.body.kind ?? '' != 'noise'", "event.id != ''"))
    found = messages(bench.one(f"events: {events}", pipeline="burst"))
    assert len(found) == 1
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    ("events", "expect"),
    [
        ("[{body: {n: 1}}, {after: 10s, body: {n: 2}}]", "{outputs: {got: [1, 2], at: 2026-03-01T09:00:30Z}}"),
        (
            "[{body: {n: 1}}, {after: 1s, body: {n: 2}}, {after: 2s, body: {n: 3}}]",
            "{outputs: {got: [1, 2, 3], at: 2026-03-01T09:00:02Z}}",  # it is full
        ),
        ("[{body: {n: 1}}, {body: {n: 9, kind: noise}}]", "{outputs: {got: [1]}}"),
    ],
)
def test_a_batch_is_one_run(bench: Bench, events: str, expect: str) -> None:
    """With `events`, when it is full or old enough."""
    rule = "batch: {max_size: 3, max_wait: 30s}"
    bench.pipeline(BURST.format(rule=rule, what="events | map(e => e.body.n)"))
    assert messages(bench.one(f"events: {events}\nexpect: {expect}", pipeline="burst")) == []


def test_inputs_of_a_batch(bench: Bench) -> None:
    """The trigger's `inputs` see all `events`; those that do not fit start nothing."""
    pipeline = """
        id: %s
        inputs: {count: integer}
        triggers:
          - uses: webhook
            with: {path: clicks, auth: none}
            inputs: {count: "%s"}
            batch: {max_size: 2}
        steps: [{id: it, uses: value, with: "${{ inputs.count }}"}]
        outputs: {got: "${{ steps.it.output }}"}
    """
    bench.pipeline(pipeline % ("counted", "${{ events | length }}"))
    assert messages(bench.one("events: [{}, {}]\nexpect: {outputs: {got: 2}}", pipeline="counted")) == []
    bench.pipeline(pipeline % ("named", "${{ events[0].body.count }}"))
    [message] = messages(bench.one("events: [{}, {}]\nexpect: {outcome: not_triggered}", pipeline="named"))
    assert "its inputs were refused: `events[0].body.count` is not there" in message


def test_repeats_are_dropped(bench: Bench) -> None:
    """`dedup` counts a key once within its window."""
    rule = "dedup: {key: '${{ event.headers.id }}', window: 1h}\n    batch: {max_wait: 3h}"
    bench.pipeline(BURST.format(rule=rule, what="events | map(e => e.id)").replace("event.body.kind ?? ''", "event.id"))
    events = "[{id: a, headers: {ID: x}}, {id: b, headers: {ID: x}}, {id: c, headers: {ID: x}, after: 2h}]"
    assert messages(bench.one(f"events: {events}\nexpect: {{outputs: {{got: [a, c]}}}}", pipeline="burst")) == []


def test_environment(bench: Bench) -> None:
    """Allowed variables have dummy addresses; a test sets its own, and null unsets one."""
    bench.pipeline(
        """
        id: env
        steps:
          - {id: it, uses: value, with: ['${{ env.SHOP_URL }}', "${{ env.PAY_URL ?? 'none' }}"]}
        outputs: {got: '${{ steps.it.output }}'}
        """
    )
    dummies = ["https://shop_url.test", "https://pay_url.test"]
    assert messages(bench.one(f"expect: {{outputs: {{got: {dummies}}}}}", pipeline="env")) == []
    own = "env: {SHOP_URL: http://a, PAY_URL: null}\nexpect: {outputs: {got: [http://a, none]}}"
    assert messages(bench.one(own, pipeline="env")) == []


def test_variables_and_the_clock(bench: Bench) -> None:
    """`vars` takes the place of a variable's value; now() is the virtual time."""
    bench.pipeline(
        """
        id: clock
        vars: {fee: 5, text: x, twice: '${{ vars.fee * 2 }}'}
        steps:
          - wait: 1h
          - {id: it, uses: value, with: {now: '${{ now() }}', fee: '${{ vars.fee }}', text: '${{ vars.text }}'}}
        outputs: '${{ steps.it.output }}'
        """.replace(
            "outputs: '${{ steps.it.output }}'", "outputs: {got: '${{ steps.it.output }}', twice: '${{ vars.twice }}'}"
        )
    )
    text = "vars: {fee: 7, text: '${{ nothing }}'}\nnow: 2026-01-01T00:00:00Z\n"
    expect = "expect: {outputs: {got: {now: 2026-01-01T01:00:00Z, fee: 7, text: '${{ nothing }}'}, twice: 14}}"
    assert messages(bench.one(text + expect, pipeline="clock")) == []


def test_dummies_are_stable(bench: Bench) -> None:
    """The same secret has the same dummy in every test, another name another one."""
    suite = bench.load("pipeline: order\ntests: []")
    setting = Setting(suite.pipelines["order"], bench.catalog, {"secrets": {"OWN": "mine"}}, {}, NOW)  # type: ignore[arg-type]
    assert setting.secret("A") == setting.secret("A") != setting.secret("B")
    assert setting.secret("OWN") == "mine"
