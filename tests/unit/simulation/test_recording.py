"""Tests written from real runs."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from engine.core.event import Event
from engine.core.run import RunStatus
from engine.pipeline.loader import load_yaml
from engine.simulation import running
from engine.simulation.environment import SimulatedEnvironment
from engine.simulation.masking import Masks
from engine.simulation.recording import record_run
from engine.simulation.starting import Start
from engine.simulation.suite import Suite
from engine.simulation.world import RUN_ID
from engine.store import RunRow
from engine.web.api.models import event_detail, run_detail
from tests.unit.simulation.conftest import Bench, messages

EVENT = UUID(int=7)
SHOP = """
id: shop
triggers: [{uses: webhook, with: {path: shop, auth: none}, inputs: {customer: '${{ event.body.customer }}'}}]
inputs: {customer: string}
steps:
  - {id: fetch, uses: http.request, with: {url: 'https://x.example/${{ inputs.customer | urlencode }}'},
     retry: {attempts: 3, delay: 1s}, output: {sum: '${{ result.body.sum }}'}}
  - {id: risky, uses: http.request, with: {url: https://x.example}, on_error: continue}
  - id: all
    for_each: ${{ [1, 2] }}
    steps: [{id: each, uses: http.request, with: {url: 'https://x.example/${{ item }}'}}]
  - {id: sure, wait: {approval: {prompt: Sure?, form: {note: {type: string, default: ''}}}, timeout: 1h}}
  - {id: paid, wait: {events: [{type: paid, if: incoming.body.customer == inputs.customer}], timeout: 1d}}
  - {uses: notify.slack, with: {channel: '#a', text: 'Sum ${{ steps.fetch.output.sum }}', token: '${{ secrets.T }}'}}
outputs: {customer: '${{ inputs.customer }}', paid: '${{ steps.paid.output.event.body.sum }}'}
"""
TEST = """
event: {body: {customer: mia@shop.example, apiKey: k1, note: "ghp_abcdefghijklmnopqrstuvwxyz0123"}}
mocks:
  fetch: [{error: {type: network, message: reset}}, {output: {body: {sum: 5, more: [1]}}}]
  risky: {error: {type: http.404, message: gone}}
  each: [{output: {body: a}}, {output: {body: b}}]
  notify.slack: {output: {ts: '1'}}
approvals: {sure: {approved: true, by: bo@x.example, after: 10m}}
timeline: [{after: 2h, source: bank, type: paid, body: {customer: mia@shop.example, sum: 9}}]
"""


class Api:
    """The API of a Hookwright that has carried out one run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, Any] = {}
        original = running._result

        def keep(environment: SimulatedEnvironment, start: Start, setting: Any) -> Any:
            self._keep(environment, start)
            return original(environment, start, setting)

        monkeypatch.setattr(running, "_result", keep)

    def _keep(self, environment: SimulatedEnvironment, start: Start) -> None:
        final, began = environment.ledger.run, environment.clock.start
        body = msgspec.json.encode(start.event["body"]) if start.event else b""
        headers = {"content-type": "application/json", "authorization": "Bearer x", "host": "h"}
        event = Event(id=EVENT, source="webhook", type="webhook", received_at=began, body=body, headers=headers)
        row = RunRow(
            id=RUN_ID, pipeline="shop", version="v", status=RunStatus(final.status),
            trigger=start.trigger.id if start.trigger else "manual", labels={}, event_id=EVENT if start.event else None,
            replay_of=None, turn=1, created_at=began, scheduled_at=None, due_at=None, started_at=began,
            finished_at=began + timedelta(hours=2), waiting_for=None, message=final.message, error=final.error,
            cancel_requested=False, inputs=msgspec.json.encode(start.inputs), vars=None, outputs=final.outputs,
            idempotency_key=None, worker=None,
        )  # fmt: skip
        self.answers[f"/runs/{row.id}"] = run_detail(row, environment.ledger.attempts(), began)
        self.answers[f"/events/{EVENT}"] = event_detail(event, [], [], began)
        self.answers[f"/events/{EVENT}/body"] = body

    def get(self, path: str) -> Any:
        return msgspec.json.decode(msgspec.json.encode(self.answers[path]))

    def body(self, path: str) -> bytes:
        found = self.answers[path]
        assert isinstance(found, bytes)
        return found


def record(bench: Bench, monkeypatch: pytest.MonkeyPatch, test: str = TEST) -> tuple[Suite, str]:
    """A test recorded from a run, with the suite it belongs to."""
    bench.pipeline(SHOP)
    api = Api(monkeypatch)
    assert messages(bench.one(test, pipeline="shop")) == []
    suite = bench.load("pipeline: shop\ntests: []")
    return suite, record_run(api.get, api.body, str(RUN_ID), suite.pipelines, bench.catalog)


def test_a_recorded_test_passes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded from a run is a test that the same pipeline passes."""
    _, text = record(bench, monkeypatch)
    assert [messages(report) for report in bench.run(text)] == [[]]


def test_what_is_recorded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Event, answers call by call, decisions, events that came, and what came of it; addresses and tokens masked."""
    _, text = record(bench, monkeypatch)
    (case,) = load_yaml(text)[0]["tests"]
    assert case["event"]["body"] == {"customer": "person1@example.com", "apiKey": "masked-1", "note": "masked-2"}
    assert case["event"]["headers"] == {"content-type": "application/json"}
    assert case["mocks"] == {
        "fetch": [{"error": {"type": "network", "message": "reset", "retryable": True}}, {"kept": {"sum": 5}}],
        "risky": {"error": {"type": "http.404", "message": "gone", "retryable": False}},
        "each": [{"output": {"body": "a"}}, {"output": {"body": "b"}}],
        "notify.slack": {"output": {"ts": "1"}},
    }
    decided = {"approved": True, "by": "person2@example.com", "form": {"note": ""}, "after": "600s"}
    assert case["approvals"] == {"sure": decided}
    body = {"customer": "person1@example.com", "sum": 9}
    assert case["timeline"] == [{"after": "7200s", "source": "bank", "type": "paid", "body": body}]
    assert case["expect"] == {
        "outcome": "succeeded",
        "ran": ["fetch", "risky", "each", "sure", "paid", "notify.slack"],
        "outputs": {"customer": "person1@example.com", "paid": 9},
    }
    assert "mia" not in text
    assert "ghp_" not in text


def test_a_changed_pipeline_fails_the_recorded_test(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a test: another answer is noticed."""
    _, text = record(bench, monkeypatch)
    bench.pipelines[-1].write_text(bench.pipelines[-1].read_text().replace("event.body.sum }}'}", "event.type }}'}"))
    (report,) = bench.run(text)
    assert messages(report) == ['expect.outputs.paid: expected 9, got "paid" (a number was expected, this is a text)']


def test_a_run_by_hand_that_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs in place of an event; the error is expected."""
    test = """
inputs: {customer: mia}
mocks: {fetch: {error: {type: http.500, message: no, retryable: false}}}
expect: {outcome: failed}
"""
    _, text = record(bench, monkeypatch, test)
    (case,) = load_yaml(text)[0]["tests"]
    assert case["inputs"] == {"customer": "mia"}
    assert "event" not in case
    assert case["expect"] == {"outcome": "failed", "error": {"type": "http.500", "step": "fetch"}, "ran": ["fetch"]}
    assert [messages(report) for report in bench.run(text)] == [[]]


def test_without_the_pipeline_steps_keep_what_they_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pipeline is not at hand, mocks go by the keys of the attempts."""
    bench.pipeline(SHOP)
    api = Api(monkeypatch)
    bench.one(TEST, pipeline="shop")
    text = record_run(api.get, api.body, str(RUN_ID), {}, bench.catalog)
    (case,) = load_yaml(text)[0]["tests"]
    assert case["mocks"]["fetch"][1] == {"kept": {"sum": 5}}


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("write to Ann.Lee+x@mail.example.org now", "write to person1@example.com now"),
        ({"token": "abc", "max_tokens": "5"}, {"token": "masked-1", "max_tokens": "5"}),
        ({"clientSecret": "abc", "x": "abc"}, {"clientSecret": "masked-1", "x": "abc"}),
        (["a@b.de", "A@B.de", "c@d.de"], ["person1@example.com", "person1@example.com", "person2@example.com"]),
        ("xoxb-1234567890-abcdef", "masked-1"),
        ("key sk-abcdefghijklmnop1234.", "key masked-1."),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM", "masked-1"),
        ("sha 0123456789abcdef0123456789abcdef01234567", "sha 0123456789abcdef0123456789abcdef01234567"),
        ({"password": ""}, {"password": ""}),
        ({"password": None, "n": 1}, {"password": None, "n": 1}),
        ({"secret": {"a": "x"}}, {"secret": {"a": "x"}}),
        ("***", "***"),
    ],
)  # fmt: skip
def test_masks(value: Any, masked: Any) -> None:
    """Addresses, tokens by their look, secrets by their name; the same value gets the same word."""
    assert Masks().mask(value) == masked
