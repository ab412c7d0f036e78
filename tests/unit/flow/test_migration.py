"""Whether a run can go on in another version: what is compared, and what is told."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from engine.core.run import AttemptStatus
from engine.flow.migration import Difference, compare, inputs_for
from engine.store import StoredAttempt
from tests.unit.flow.memory import read

OLD = """
    id: t
    inputs: {n: {type: integer, default: 1}}
    vars: {at: "${{ now() }}"}
    steps:
      - {id: one, uses: test.effect, with: {a: 1}}
      - id: pick
        switch:
          - if: inputs.n > 5
            steps: [{id: many, uses: test.effect}]
          - else: [{id: few, uses: test.effect}]
      - id: each
        for_each: {items: [1, 2]}
        steps: [{id: act, uses: test.effect, with: "${{ item }}"}]
      - {id: pause, wait: 3d}
      - {id: last, uses: test.effect, with: "${{ steps.one.output.a }}"}
"""


def row(step: str, status: str = "succeeded", output: Any = None, given: Any = None) -> StoredAttempt:
    moment = datetime.now(UTC)
    return StoredAttempt(
        step=step,
        number=1,
        status=AttemptStatus(status),
        output=msgspec.json.encode(output),
        input=None if given is None else msgspec.json.encode(given),
        started_at=moment,
        finished_at=moment,
    )


DONE = [
    row("one", output={"a": 1}),
    row("pick", given={"case": 1}),
    row("few"),
    row("each", given={"items": [1, 2]}),
    row("each[0]/act"),
    row("each[0]"),
    row("each[1]/act"),
    row("each[1]"),
    row("pause", "interrupted", given={"until": "2030-01-01T00:00:00Z"}),
]


def differ(new: str, *callees: str, old: str = OLD, rows: list[StoredAttempt] | None = None) -> list[Difference]:
    return compare(
        read(old, *callees), read(new, *callees), DONE if rows is None else rows,
        inputs=b'{"n": 1}', variables=b'{"at": "x"}',
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("with: {a: 1}", "with: {a: 2}"),  # it has run, with what it had
        ("- {id: last,", "- {id: more, uses: test.pure}\n      - {id: last,"),  # something new, still to come
        ('      - {id: last, uses: test.effect, with: "${{ steps.one.output.a }}"}\n', ""),  # not begun, gone
        ("{id: last, uses: test.effect", "{id: last, uses: test.pure"),  # not begun
        ("steps: [{id: many, uses: test.effect}]", "steps: [{id: much, uses: test.effect}]"),  # another branch
        ("inputs: {n:", "inputs: {m: {type: string, default: x}, n:"),
        ("{id: few, uses: test.effect}", "{id: few, uses: test.effect, retry: 3, on_error: continue}"),
        ("wait: 3d", "wait: 5d"),
    ],
)
def test_what_may_change(before: str, after: str) -> None:
    """Everything that has not begun, and how a step does what it does."""
    assert before in OLD
    assert differ(OLD.replace(before, after)) == []


@pytest.mark.parametrize(
    ("before", "after", "step", "message"),
    [
        ("id: one,", "id: uno,", "one", "step `one` has begun in this run; the other version has no such step"),
        ("{id: one, uses: test.effect", "{id: one, uses: test.pure", "one",
         "step `one` has begun as `test.effect`; it is `test.pure` there"),
        ("{id: pause, wait: 3d}", "{id: pause, uses: test.pure}", "pause",
         "step `pause` has begun as `wait`; it is `test.pure` there"),
        ("for_each: {items: [1, 2]}\n", "name: x\n", "each", "step `each` has begun; it is no loop any more"),
        ("steps: [{id: act, uses: test.effect, with: \"${{ item }}\"}]", "steps: [{id: other, uses: test.effect}]",
         "act", "step `act` has begun in this run; the other version has no such step"),
    ],
)  # fmt: skip
def test_what_must_not_change(before: str, after: str, step: str, message: str) -> None:
    """A step that has begun; what is in it is not listed as well."""
    changed = OLD.replace(before, after)
    if step == "one":
        changed = changed.replace("steps.one.output.a", "inputs.n")
    if step == "each":
        changed = changed.replace("${{ item }}", "x")
    [difference] = differ(changed)
    assert (difference.step, difference.message) == (step, message)
    assert difference.line > 0


def test_a_step_that_stands_elsewhere() -> None:
    """In another branch of a switch, or in a group of another kind."""
    swapped = OLD.replace("{id: many,", "{id: x,").replace("{id: few,", "{id: many,").replace("{id: x,", "{id: few,")
    [difference] = differ(swapped)
    assert difference.step == "few"
    assert "stands elsewhere" in difference.message
    assert "`case:0` in `switch:pick`" in difference.message


def test_an_input_that_is_new_and_required() -> None:
    """The run has none; one that is gone is left out, one with a default is filled in."""
    [difference] = differ(OLD.replace("inputs: {n:", "inputs: {m: string, n:"))
    assert (difference.step, difference.message) == ("inputs.m", "input `m` of this run: is required")
    new = read("id: t\ninputs: {m: {type: string, default: x}}\nsteps: [{uses: test.pure}]")
    assert msgspec.json.decode(inputs_for(new, b'{"n": 1}')) == {"m": "x"}


def test_variables_are_evaluated_once() -> None:
    """A new one among those that are stored could not be had."""
    new = OLD.replace('vars: {at: "${{ now() }}"}', 'vars: {at: "${{ now() }}", other: 1}')
    [difference] = differ(new)
    assert difference.step == "vars.other"
    assert compare(read(OLD), read(new), DONE, inputs=b'{"n": 1}', variables=None) == []


def test_a_new_step_in_a_place_that_is_over_is_not_to_be_used() -> None:
    """It never runs; unless somebody uses it that is no obstacle."""
    new = OLD.replace(
        'with: "${{ item }}"}]', 'with: "${{ item }}"}]\n      - {id: box, steps: [{id: in, uses: test.pure}]}'
    )
    old = new.replace("{id: in, uses: test.pure}", "{id: was, uses: test.pure}")
    rows = [*DONE, row("box"), row("was")]
    more = new.replace("[{id: in, uses: test.pure}]", "[{id: was, uses: test.pure}, {id: in, uses: test.pure}]")
    assert differ(more, old=old, rows=rows) == []
    [difference] = differ(more.replace("steps.one.output.a", "steps.in.output"), old=old, rows=rows)
    assert difference.step == "last"
    assert "uses `steps.in`, which is new in a place that this run is past already" in difference.message


def test_an_output_without_what_is_asked_for_now() -> None:
    """What the stored output has counts; a reference that the old version had is not judged, nor is one with `??`."""
    [difference] = differ(OLD.replace("steps.one.output.a", "steps.one.output.b"))
    assert "uses `steps.one.output.b`, which the output of this run does not have" in difference.message
    assert differ(OLD.replace("steps.one.output.a", "steps.one.output.b ?? 1")) == []
    assert differ(OLD, rows=[row("one", output={"z": 1}), *DONE[1:]]) == []


CALLEE = "id: callee\nsteps: [{id: a, uses: test.effect}, {id: w, wait: 1h}]"


def test_called_pipelines_are_compared_too() -> None:
    """Their steps belong to the version."""
    caller = 'id: t\nsteps: [{id: call, uses: "pipeline:callee"}]'
    rows = [row("call", "running", given={}), row("call/a"), row("call/w", "running")]
    old, new = read(caller, CALLEE), read(caller, CALLEE.replace("id: a,", "id: b,"))
    [difference] = compare(old, new, rows, inputs=b"{}", variables=None)
    assert difference.message == "step `a` has begun in this run; the other version has no such step"
    assert compare(old, read(caller, CALLEE.replace("1h", "2h")), rows, inputs=b"{}", variables=None) == []


def test_what_was_superseded_does_not_count() -> None:
    """Earlier rounds are history."""
    rows = [row("~1/gone"), *DONE]
    assert differ(OLD, rows=rows) == []


def test_items_that_would_be_evaluated_again() -> None:
    """A long list does not stand in the row of its loop: it must come out the same until the loop is over."""
    rows = [DONE[0], DONE[1], DONE[2], row("each", "interrupted", given={"count": 2}), row("each[0]/act")]
    new = OLD.replace("items: [1, 2]", "items: [1, 3]")
    [difference] = differ(new, rows=rows)
    assert "its items would be evaluated anew" in difference.message
    assert differ(new) == []
