"""What a trigger may say besides its type: dedup, debounce, batch, respond, and which names are known where."""

from typing import Any

import pytest

from engine.core.catalog import Catalog, TriggerKind, TriggerType
from engine.pipeline.check import Report, check_text
from engine.pipeline.spec import Batch, Debounce, Dedup, Pipeline
from tests.unit.pipeline.conftest import RULES, AnyConfig, ClockConfig, EventConfig, HookConfig, step


class OpenConfig(HookConfig, frozen=True):
    """A receiver with a schema."""

    body_schema: dict[str, Any] | None = None


CATALOG = Catalog(
    steps={"value": step("value", AnyConfig)},
    triggers={
        "webhook": TriggerType("webhook", TriggerKind.WEBHOOK, OpenConfig, webhook=RULES),
        "schedule": TriggerType("schedule", TriggerKind.SCHEDULE, ClockConfig),
        "event": TriggerType("event", TriggerKind.EVENT, EventConfig),
    },
)
TEXT = """id: a
inputs: {n: {type: integer, default: 1}}
triggers:
  - uses: webhook
    with: {path: x}
    %s
steps:
  - id: one
    uses: value
    with: %s
  - id: two
    uses: value
outputs: {sum: '${{ steps.one.output }}'}
"""


def run(more: str, with_: str = "1") -> Report:
    return check_text(TEXT % (more, with_), CATALOG)


def problems(report: Report) -> list[str]:
    return [f"{item.line}:{item.column} {item.code} {item.message}" for item in report.problems]


def only(report: Report) -> Pipeline:
    assert problems(report) == []
    (pipeline,) = report.pipelines
    assert isinstance(pipeline, Pipeline)
    return pipeline


def test_dedup_has_two_forms() -> None:
    """A key, or key and window; without a key the delivery's id counts."""
    scope = {"event": {"body": {"id": "x"}}}
    short = only(run("dedup: '${{ event.body.id }}'")).triggers[0].dedup
    assert isinstance(short, Dedup)
    assert short.key is not None
    assert (short.key.render(scope), short.window) == ("x", 86400)
    long = only(run("dedup: {key: 'k-${{ event.body.id }}', window: 3d}")).triggers[0].dedup
    assert isinstance(long, Dedup)
    assert long.key is not None
    assert (long.key.render(scope), long.window) == ("k-x", 259200)
    assert only(run("dedup: {window: 1h}")).triggers[0].dedup == Dedup(window=3600)


def test_debounce_and_batch() -> None:
    """As the engine will read them."""
    assert only(run("debounce: {period: 20s, max_wait: 5m}")).triggers[0].debounce == Debounce(20, max_wait=300)
    assert only(run("batch: {max_size: 5}", "'${{ events | length }}'")).triggers[0].batch == Batch(max_size=5)
    assert only(run("batch: {max_wait: 30s}")).triggers[0].batch == Batch(max_wait=30)


def test_an_answer_may_use_what_the_run_has_done() -> None:
    """`outputs` and the outcome at its end; the steps up to the one that it waits for."""
    respond = (
        only(
            run(
                "respond: {mode: sync, timeout: 25s, status: \"${{ 200 if run.outcome == 'succeeded' else 502 }}\", "
                "headers: {X-One: '${{ steps.one.output ?? 0 }}'}, body: '${{ outputs.sum }}'}"
            )
        )
        .triggers[0]
        .respond
    )
    assert respond is not None
    assert (respond.mode, respond.timeout, respond.after) == ("sync", 25, None)
    assert respond.body is not None
    assert respond.body.render({"outputs": {"sum": 5}}) == 5
    after = only(run("respond: {mode: sync, after: one, body: '${{ steps.one.output }}'}")).triggers[0].respond
    assert after is not None
    assert after.after == "one"
    plain = only(run("respond: {status: 200, body: {id: '${{ event.id }}'}}")).triggers[0].respond
    assert plain is not None
    assert (plain.mode, plain.status) == ("async", 200)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("dedup: 5", "6:12 E103 `dedup` must be a map, this is a number"),
        ("dedup: {key: [a]}", "6:18 E103 `key` must be a text, this is a list"),
        ("dedup: {ttl: 1d}", "6:13 E101 `dedup` has no key `ttl`"),
        ("dedup: '${{ inputs.n }}'", "6:17 E206 `inputs` is not available here"),
        ("dedup: '${{ secrets.A }}'", "6:17 E305 secrets can only be used inside"),
        ("if: event.body.x == secrets.A", "6:25 E305 secrets can only be used inside"),
        ("if: steps.one.output", "6:9 E206 `steps` is not available here"),
        ("debounce: {key: a}", "6:5 E104 `debounce` needs `period`"),
        ("debounce: {period: 20}", "6:24 E108 `period` needs a unit"),
        ("debounce: {period: 20s, max_wait: 5s}", "6:39 E103 `max_wait` must not be shorter than `period`"),
        ("debounce: 20s", "6:15 E103 `debounce` must be a map, this is a text"),
        ("batch: {key: a}", "6:5 E104 `batch` needs `max_size`, `max_wait` or both"),
        ("batch: {max_size: 0}", "6:23 E103 `max_size` must be 1 to 10000"),
        ("batch: {max_size: 2}\n    debounce: {period: 1s}", "6:5 E131 `batch` and `debounce` exclude each other"),
        ("batch: {max_size: 2, key: '${{ events }}'}", "6:36 E206 `events` is not available here"),
        ("batch: {max_size: 2}\n    inputs: {n: '${{ event.body.n }}'}", "7:22 E206 `event` is not available here"),
        ("respond: sync", "6:14 E103 `respond` must be a map, this is a text"),
        ("respond: {mode: snyc}", "6:21 E111 `snyc` is not possible for `mode`"),
        ("respond: {after: one}", "6:15 E133 `after` belongs to `mode: sync`"),
        ("respond: {timeout: 5s}", "6:15 E133 `timeout` belongs to `mode: sync`"),
        ("respond: {body: '${{ outputs }}'}", "6:26 E206 `outputs` is not available here"),
        ("respond: {body: '${{ steps.one.output }}'}", "6:26 E206 `steps` is not available here"),
        ("respond: {mode: sync, after: noe}", "6:34 E205 there is no step `noe`"),
        ("respond: {mode: sync, after: [one]}", "6:34 E103 `after` must be the id of a step, this is a list"),
        (
            "respond: {mode: sync, after: one, body: '${{ steps.two.output }}'}",
            "6:50 E204 step `two` has not run yet at this point",
        ),
        ("respond: {mode: sync, after: one, body: '${{ outputs }}'}", "6:50 E206 `outputs` is not available here"),
        ("respond: {mode: sync, body: '${{ outputs.smu }}'}", "6:46 E214 there is no field `smu`"),
        ("respond: {mode: sync, body: '${{ steps.one.output }}'}", "6:38 W301 step `one` may not have run"),
        ("respond: {mode: sync, body: '${{ secrets.A }}'}", "6:38 E305 secrets can only be used inside"),
        ("respond: {status: 99}", "6:23 E103 `status` must be 200 to 599"),
        ("respond: {status: 'x${{ event.id }}'}", "6:23 E103 `status` must be a number, this is a mix"),
        ("respond: {headers: {'a b': x}}", "6:25 E109 `a b` is not the name of a header"),
        ("respond: {headers: {a: [x]}}", "6:28 E103 a header must be a text, this is a list"),
        ("respond: {mode: sync}\n    debounce: {period: 1s}", "6:21 E133 `mode: sync` cannot answer senders"),
    ],
)
def test_one_thing_is_wrong(more: str, problem: str) -> None:
    """It is found, at its place, and nothing else is."""
    report = run(more)
    assert len(report.problems) == 1, problems(report)
    assert problems(report)[0].startswith(problem)


def test_only_deliveries_are_answered() -> None:
    """The clock waits for nothing."""
    trigger = "  - uses: schedule\n    with: {cron: '0 5 * * *'}\n    respond: {status: 200}"
    text = f"id: a\ntriggers:\n{trigger}\nsteps: [{{uses: value}}]"
    assert problems(check_text(text, CATALOG)) == ["5:5 E133 `schedule` has nobody to answer"]


def test_a_batched_run_has_events_and_no_event() -> None:
    """And the other way round."""
    batch = "batch: {max_size: 2}"
    assert problems(run(batch, "'${{ events[0].body.x }}'")) == []
    found = problems(run(batch, "'${{ event.body.x }}'"))
    assert found[0].startswith("10:16 E206 `event` is not available here: a run of this pipeline has `events`, a list")
    assert problems(run("", "'${{ events }}'"))[0].startswith("10:16 E206 `events` is not available here: no trigger")


def test_runs_of_mixed_triggers_have_neither_for_certain() -> None:
    """What the triggers hand over as inputs is there in any case."""
    text = """id: a
inputs: {n: integer}
triggers:
  - uses: webhook
    with: {path: x}
    inputs: {n: '${{ events | length }}'}
    batch: {max_size: 5}
  - uses: event
    with: {type: x}
    inputs: {n: '${{ event.body.n }}'}
  - uses: schedule
    with: {cron: '0 5 * * *'}
    inputs: {n: 1}
labels: {n: '${{ inputs.n }}'}
steps:
  - uses: value
    with: %s
"""
    assert problems(check_text(text % "'${{ inputs.n }}'", CATALOG)) == []
    for name in ("event", "events"):
        (found,) = problems(check_text(text % f"'${{{{ {name} }}}}'", CATALOG))
        assert found.startswith(f"17:16 E206 `{name}` is not available here: only some triggers of this pipeline have")


def test_a_body_schema_types_the_event() -> None:
    """In the trigger and in the steps, where every trigger has one."""
    schema = "{type: object, additionalProperties: false, properties: {text: {type: string}}}"
    one = f"- {{uses: webhook, if: event.body.%s != '', with: {{path: x, body_schema: {schema}}}}}"
    two = "- {uses: webhook, with: {path: y}}"
    steps = "steps: [{uses: value, with: '${{ event.body.%s }}'}]"
    good = f"id: a\ntriggers:\n  {one}\n{steps}"
    assert problems(check_text(good % ("text", "text"), CATALOG)) == []
    assert problems(check_text(good % ("txt", "text"), CATALOG)) == ["3:36 E214 there is no field `txt`"]
    assert problems(check_text(good % ("text", "txt"), CATALOG)) == ["4:45 E214 there is no field `txt`"]
    both = f"id: a\ntriggers:\n  {one}\n  {two}\n{steps}"
    assert problems(check_text(both % ("text", "anything"), CATALOG)) == []


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ("{type: objekt}", "5:34 E116 there is no type `objekt`"),
        ("{type: '${{ env.X }}'}", "5:34 E119 `body_schema` cannot contain an expression"),
    ],
)
def test_a_body_schema_is_a_schema(schema: str, problem: str) -> None:
    """Otherwise nothing would ever fit, or anything."""
    text = (
        f"id: a\n\ntriggers:\n  - uses: webhook\n    with: {{path: x, body_schema: {schema}}}\nsteps: [{{uses: value}}]"
    )
    assert problems(check_text(text, CATALOG))[0].startswith(problem)


PLACES = """id: a
inputs: {list: string}
triggers: [{uses: webhook, inputs: {list: a}, with: {path: x}}]
labels: {a: '%(labels)s'}
vars: {v: 1}
concurrency: {key: '%(concurrency)s', limit: 5, on_limit: drop}
rate_limit: {key: '%(rate_limit)s', limit: '${{ 5 }}', period: 1m, burst: 3}
steps: [{id: one, uses: value}]
on_error: [{uses: value, with: '%(on_error)s'}]
finally: [{uses: value, with: '%(finally)s'}]
outputs: {o: '%(outputs)s'}
"""
NOWHERE = dict.fromkeys(("labels", "concurrency", "rate_limit", "on_error", "finally", "outputs"), "-")


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("event.id", {"labels", "concurrency", "rate_limit", "on_error", "finally", "outputs"}),
        ("inputs.list", {"labels", "concurrency", "rate_limit", "on_error", "finally", "outputs"}),
        ("run.id", {"labels", "concurrency", "rate_limit", "on_error", "finally", "outputs"}),
        ("vars.v", {"on_error", "finally", "outputs"}),
        ("steps.one.status", {"on_error", "finally", "outputs"}),
        ("error.type", {"on_error"}),
        ("run.outcome", {"finally"}),
        ("run.compensated", {"on_error", "finally", "outputs"}),
        ("secrets.A", {"on_error", "finally"}),
        ("result", set()),
        ("outputs.o", set()),
    ],
)
def test_the_table_of_names(expression: str, allowed: set[str]) -> None:
    """Which names are known where."""
    for place in NOWHERE:
        report = check_text(PLACES % (NOWHERE | {place: f"${{{{ {expression} }}}}"}), CATALOG)
        found = [item for item in report.problems if item.severity == "error"]
        assert (not found) is (place in allowed), (place, problems(report))


def test_the_limits_of_a_pipeline() -> None:
    """As the engine will read them."""
    found = only(check_text(PLACES % NOWHERE, CATALOG))
    assert found.concurrency is not None
    assert (found.concurrency.limit, found.concurrency.on_limit) == (5, "drop")
    assert found.rate_limit is not None
    assert (found.rate_limit.period, found.rate_limit.burst) == (60, 3)


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ("concurrency: 3", "2:14 E103 `concurrency` must be a map, this is a number"),
        ("concurrency: {group: x}", "2:15 E101 `concurrency` has no key `group`"),
        ("concurrency: {on_limit: cancel}", "2:25 E111 `cancel` is not possible for `on_limit`"),
        ("concurrency: {scope: all}", "2:22 E111 `all` is not possible for `scope`"),
        ("concurrency: {limit: '5'}", "2:22 E103 `limit` must be a number, this is a text"),
        ("concurrency: {limit: '5${{ 1 }}'}", "2:22 E103 `limit` must be a number, this is a mix"),
        ("concurrency: {max_queued: -1}", "2:27 E103 `max_queued` must be 0 to"),
        ("concurrency: {key: '${{ steps.one.output }}'}", "2:25 E206 `steps` is not available here"),
        ("concurrency: {key: '${{ secrets.A }}'}", "2:25 E305 secrets can only be used"),
        ("rate_limit: {limit: 5}", "2:1 E104 `rate_limit` needs `period`"),
        ("rate_limit: {}", "2:1 E104 `rate_limit` needs `limit` and `period`"),
        ("rate_limit: {limit: 5, period: 60}", "2:32 E108 `period` needs a unit"),
        ("rate_limit: {limit: 5, period: 1m, burst: 0}", "2:43 E103 `burst` must be 1 to"),
    ],
)
def test_one_thing_is_wrong_with_a_limit(limits: str, problem: str) -> None:
    """It is found, at its place, and nothing else is."""
    report = check_text(f"id: a\n{limits}\nsteps: [{{id: one, uses: value}}]", CATALOG)
    assert len(report.problems) == 1, problems(report)
    assert problems(report)[0].startswith(problem)
