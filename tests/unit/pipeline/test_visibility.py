"""What an expression may use in which place: steps of other branches, loops and groups, names of the place."""

import pytest

from engine.pipeline.check import check_text
from tests.language.catalog import make_catalog

HEAD = "id: a\ninputs: {n: integer, names: 'string[]'}\nsteps:\n"  # three lines
LOOP = "- {id: each, for_each: '${{ inputs.names }}', steps: [{id: in, uses: value, with: {a: 1}}]}"
PARALLEL = "- parallel: {one: [{id: left, uses: value, with: {a: 1}}], two: [{uses: value, with: '${{ %s }}'}]}"
SWITCH = "- switch: [{if: inputs.n > 1, steps: [{id: in, uses: value, with: {a: 1}}]}, {else: [%s]}]"
MAYBE = "- {id: maybe, if: inputs.n > 1, steps: [{id: in, uses: value, with: {a: 1}}]}"
INNER = "{uses: value, with: '${{ %s }}'}"
USE = "- " + INNER


def found(*lines: str, tail: str = "") -> list[str]:
    steps = "\n".join(f"  {line}" for line in lines)
    report = check_text(f"{HEAD}{steps}\n{tail}", make_catalog())
    return [f"{item.line} {item.code} {item.message}; {item.help}" for item in report.problems]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # loops
        ((LOOP, USE % "steps.in.output"), "5 E205 step `in` cannot be seen from here; it is inside of the loop `each`"),
        (
            ("- {for_each: [1], steps: [{id: in, uses: value}]}", USE % "steps.in.output"),
            "5 E205 step `in` cannot be seen from here; it is inside of a loop: give the loop an `id`",
        ),
        ((USE % "steps.in.output", LOOP), "4 E205 step `in` cannot be seen from here"),
        (("- {id: each, for_each: [1], steps: [" + INNER % "steps.each.output" + "]}",), "4 E205 step `each`"),
        (("- {for_each: [1], uses: value, if: item == 1}",), "4 E206 `item` is not available here: `if` is decided"),
        (("- {for_each: {items: [1], as: x}, uses: value, with: '${{ item }}'}",), "4 E206 `item` is not available"),
        ((USE % "item",), "4 E206 `item` is not available here; there is an `item` only inside of `for_each`"),
        ((USE % "index",), "4 E206 `index` is not available here"),
        (
            ("- {for_each: [1], uses: value, with: 1, on_error: {output: '${{ item }}'}}",),
            "4 E206 `item` is not available here",
        ),
        (("- {id: v, uses: value, with: 1}", USE % "steps.v.errors"), "5 E214 a step has no `errors`; only a"),
        # branches
        ((PARALLEL % "steps.left.output.a",), "4 E205 step `left` cannot be seen from here; it is in another branch"),
        ((SWITCH % INNER % "steps.in.output",), "4 E205 step `in` cannot be seen from here; it is in another"),
        ((SWITCH % "{uses: value}", USE % "steps.in.output"), "5 W301 step `in` may not have run: it is in a branch"),
        # groups
        ((MAYBE, USE % "steps.in.output.a"), "5 W301 step `in` may not have run: it is inside of a step with an `if`"),
        ((MAYBE, USE % "steps.maybe.output.a"), "5 W301 step `maybe` may not have run: it has an `if`"),
        (
            ("- {on_error: continue, steps: [{id: in, uses: value}]}", USE % "steps.in.output"),
            "5 W301 step `in` may not have run: it is inside of a step with an `on_error`",
        ),
        (("- {id: g, steps: [" + INNER % "steps.g.output" + "]}",), "4 E205 step `g` cannot be seen from here"),
        (("- {id: g, steps: [{uses: value, with: {a: 1}}]}", USE % "steps.g.output.b"), "5 E214 there is no field `b`"),
        # later ones
        ((USE % "steps.b.output", "- {id: b, uses: value}"), "4 E204 step `b` has not run yet at this point"),
        ((USE % "steps.in.output", MAYBE), "4 E204 step `in` has not run yet at this point"),
        (
            ("- {id: v, uses: value, with: '${{ steps.v }}'}",),
            "4 E205 step `v` cannot be seen from here; it is this step",
        ),
        # on_error and compensate
        (
            ("- {id: v, uses: value, on_error: [{id: in, uses: value}]}", USE % "steps.in.output"),
            "5 W301 step `in` may not have run: it is in an `on_error`",
        ),
        (
            ("- {id: v, uses: value, compensate: [{id: in, uses: value}]}", USE % "steps.in.output"),
            "5 E205 step `in` cannot be seen from here; it is in a `compensate`",
        ),
        (
            ("- {id: v, uses: value, compensate: [" + INNER % "steps.b.output" + "]}", "- {id: b, uses: value}"),
            "4 E204 step `b` has not run yet",
        ),
        (
            ("- {id: v, uses: value, with: 1, on_error: [" + INNER % "steps.v.output" + "]}",),
            "4 E205 step `v` cannot be seen from here; this step stands inside of it",
        ),
        # names of a place
        (("- {uses: value, with: 1, cache: {ttl: 1d, key: '${{ result }}'}}",), "4 E206 `result` is not available"),
        (("- {uses: value, with: '${{ error.message }}'}",), "4 E206 `error` is not available here"),
        (("- {uses: value, with: '${{ incoming.body }}'}",), "4 E206 `incoming` is not available here"),
        (("- {uses: value, with: '${{ approval.url }}'}",), "4 E206 `approval` is not available here"),
        (("- {uses: value, with: '${{ events }}'}",), "4 E206 `events` is not available here"),
        (("- {uses: value, with: '${{ outputs }}'}",), "4 E206 `outputs` is not available here"),
        (("- {for_each: '${{ [secrets.A] }}', uses: value}",), "4 E305 secrets can only be used inside `with:`"),
        (("- {uses: value, output: '${{ secrets.A }}'}",), "4 E305"),
        (("- {uses: value, queue: '${{ secrets.A }}'}",), "4 E305"),
        (("- {wait: '${{ secrets.A }}'}",), "4 E305"),
        (("- {uses: value, repeat: {until: secrets.A == 1}}",), "4 E305"),
        (("- {uses: value, with: '${{ run.outcome }}'}",), "4 E206 `run.outcome` is only known in `finally`"),
    ],
)
def test_what_cannot_be_used(lines: tuple[str, ...], expected: str) -> None:
    """And why."""
    problems = found(*lines)
    assert any(item.startswith(expected) for item in problems), "\n".join(problems) or "nothing found"


@pytest.mark.parametrize(
    "lines",
    [
        (LOOP, USE % "steps.each.output | map(o => o.a) | first", USE % "steps.each.errors | length"),
        (PARALLEL % "inputs.n", USE % "steps.left.output.a"),
        (SWITCH % "{uses: value, with: 1}", USE % "steps.in.output.a ?? 1"),
        (MAYBE, "- {if: steps.in.status == 'succeeded', steps: [" + INNER % "steps.in.output.a" + "]}"),
        (MAYBE, "- {switch: [{if: steps.in.status == 'succeeded', steps: [" + INNER % "steps.in.output.a" + "]}]}"),
        ("- {if: inputs.n > 1, steps: [{id: x, uses: value, with: {a: 1}}, " + INNER % "steps.x.output.a" + "]}",),
        ("- {id: g, steps: [{id: x, uses: value, with: {a: 1}}], output: '${{ steps.x.output.a ~ result.a }}'}",),
        ("- {id: e, for_each: [1], steps: [{id: x, uses: value, with: {a: 1}}], output: '${{ steps.x.output.a }}'}",),
        ("- {for_each: [[1]], steps: [{for_each: {items: '${{ item }}', as: x}, uses: value, with: '${{ x }}'}]}",),
        ("- {for_each: [1], uses: value, with: '${{ item + index }}', idempotency_key: 'k-${{ item }}'}",),
        ("- {id: v, uses: value, with: {a: 1}, compensate: [" + INNER % "steps.v.output.a" + "]}",),
        ("- {id: v, for_each: [1], uses: value, with: 2, compensate: [" + INNER % "steps.v.output + item" + "]}",),
        ("- {uses: value, with: 1, compensate: [" + INNER % "error.message" + "]}",),
        ("- {uses: value, with: 1, retry: {when: error.attempt < 3}, on_error: {output: '${{ error.type }}'}}",),
        ("- {uses: value, with: {a: 1}, repeat: {until: result.a == 1}}",),
        (
            "- {id: w, wait: {approval: {prompt: a, notify: [{id: sent, uses: value, with: 1}]}, timeout: 1d}}",
            USE % "steps.sent.output",
        ),
    ],
)
def test_what_can_be_used(lines: tuple[str, ...]) -> None:
    """Without a word."""
    assert found(*lines) == []


def test_after_the_steps() -> None:
    """`on_error` and `finally` see every step that may have run, and not those inside of loops."""
    tail = (
        "on_error: [{uses: value, with: '${{ steps.each.output }}'}]\n"
        "finally: [{uses: value, with: '${{ [steps.in.output, run.outcome, run.compensated] }}'}]\n"
        "outputs: {x: '${{ steps.each.output }}', y: '${{ steps.in.output }}'}"
    )
    assert [item.split(";")[0] for item in found(LOOP, tail=tail)] == [
        "5 W301 step `each` may not have run when this runs",
        "6 E205 step `in` cannot be seen from here",
        "7 E205 step `in` cannot be seen from here",
    ]
