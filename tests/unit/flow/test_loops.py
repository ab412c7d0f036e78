"""`for_each` and `repeat`."""

import asyncio
from typing import Any

import pytest

from engine.flow import loops
from engine.flow.execution import Hold
from engine.flow.loops import key_text
from tests.integration.flow.conftest import Fail, Probe, Retry
from tests.unit.flow.memory import Ended, Memory, carry_out, claim, read


async def test_a_loop_has_the_outputs_of_its_items_in_their_order() -> None:
    """Iterations that end in another order change nothing about it."""
    run = await carry_out("""
        id: t
        steps:
          - id: loop
            for_each: {items: [1, 2, 3], as: n, concurrency: 3}
            steps:
              - {id: meet, uses: test.meet, with: 3}
              - {id: twice, uses: test.pure, with: "${{ n * 2 + index }}"}
          - id: action
            for_each: "${{ steps.loop.output }}"
            uses: test.effect
            with: "${{ item }}"
            output: {value: "${{ result }}", at: "${{ index }}"}
        outputs:
          loop: "${{ steps.loop.output }}"
          action: "${{ steps.action.output }}"
          errors: "${{ steps.loop.errors }}"
    """)
    assert run.outputs == {
        "loop": [2, 5, 8],
        "action": [{"value": 2, "at": 0}, {"value": 5, "at": 1}, {"value": 8, "at": 2}],
        "errors": [],
    }
    assert {"loop[0]/twice", "loop[2]", "action[1]"} <= set(run.statuses)


async def test_an_iteration_sees_its_own_steps_only() -> None:
    """`output` is per item and sees its steps and the last one's result."""
    run = await carry_out("""
        id: t
        steps:
          - id: loop
            for_each: {items: [{id: a}, {id: b}], as: thing, key: "${{ thing.id }}"}
            steps:
              - {id: name, uses: test.pure, with: "${{ thing.id }}"}
              - {if: thing.id == 'b', id: maybe, uses: test.pure, with: seen}
            output: {name: "${{ steps.name.output }}", maybe: "${{ steps.maybe.output ?? null }}"}
        outputs: {loop: "${{ steps.loop.output }}"}
    """)
    assert run.outputs == {"loop": [{"name": "a", "maybe": None}, {"name": "b", "maybe": "seen"}]}
    assert {"loop[a]/name", "loop[b]/maybe"} <= set(run.statuses)


async def test_an_empty_list_is_no_error() -> None:
    """The output is an empty list."""
    run = await carry_out("""
        id: t
        steps: [{id: loop, for_each: [], uses: test.effect}]
        outputs: {loop: "${{ steps.loop.output }}"}
    """)
    assert run.outputs == {"loop": []}


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_a_failed_item_fails_the_loop(concurrency: int) -> None:
    """Nothing new is begun, what runs is interrupted, the error is the item's."""
    run = await carry_out(
        f"""
        id: t
        steps:
          - id: loop
            for_each: {{items: [0, 1, 2, 3, 4, 5], concurrency: {concurrency}}}
            steps: [{{id: act, uses: test.effect, with: "${{{{ item }}}}"}}]
    """,
        script={"loop[2]/act": [Fail("bad row", type="row")]},
    )
    assert (run.status, run.error["type"], run.error["step"]) == ("failed", "row", "act")
    assert ("loop[5]/act", 5) not in run.calls
    assert run.statuses["loop"] == "failed"


async def test_poison_items_leave_a_hole_and_a_note() -> None:
    """`on_item_error: continue`: null at their place, and `errors` says which and why."""
    run = await carry_out(
        """
        id: t
        inputs: {rows: any}
        steps:
          - id: loop
            for_each:
              {items: "${{ inputs.rows }}", as: row, key: "${{ row.id }}", on_item_error: continue, concurrency: 2}
            steps: [{id: act, uses: test.strict, with: {value: "${{ row.n }}"}}]
        outputs:
          loop: "${{ steps.loop.output }}"
          errors: "${{ steps.loop.errors }}"
          status: "${{ steps.loop.status }}"
    """,
        rows=[{"id": 7, "n": 1}, {"id": 8, "n": "x"}, {"id": 9}, {"id": 10, "n": 4}],
    )
    assert run.outputs["loop"] == [1, None, None, 4]
    assert run.outputs["status"] == "succeeded"
    errors = [(error["index"], error["key"], error["error"]["type"]) for error in run.outputs["errors"]]
    assert errors == [(1, 8, "invalid_input"), (2, 9, "expression")]


@pytest.mark.parametrize(
    ("limit", "bad", "count", "status"),
    [
        ("1", 1, 10, "succeeded"),
        ("1", 2, 10, "failed"),
        ("20%", 2, 10, "succeeded"),
        ("20%", 3, 10, "failed"),
        ("20%", 1, 3, "succeeded"),  # rounded up
        ("20%", 2, 3, "failed"),
        ("0%", 1, 3, "failed"),
    ],
)
async def test_a_loop_gives_up_when_too_many_items_fail(limit: str, bad: int, count: int, status: str) -> None:
    """So many items, or this share of them, may fail."""
    run = await carry_out(
        f"""
        id: t
        inputs: {{rows: any}}
        steps:
          - id: loop
            for_each: {{items: "${{{{ inputs.rows }}}}", on_item_error: continue, max_errors: {limit}}}
            uses: test.effect
            with: "${{{{ item }}}}"
        finally: [{{id: last, uses: test.effect, with: "${{{{ steps.loop.errors | length }}}}"}}]
    """,
        script={f"loop[{index}]": [Fail("no")] for index in range(bad)},
        rows=list(range(count)),
    )
    assert run.status == status
    assert ("last", bad) in run.calls
    if status == "failed":
        assert (run.error["type"], run.error["step"]) == ("max_errors", "loop")


@pytest.mark.parametrize(
    ("items", "message"),
    [("${{ inputs.rows }}", "needs a list"), ("${{ inputs.nothing }}", "is not there")],
)
async def test_what_is_not_a_list_fails_the_loop(items: str, message: str) -> None:
    """The step fails with an expression error before anything is done."""
    run = await carry_out(
        f"""
        id: t
        inputs: {{rows: any}}
        steps: [{{id: loop, for_each: "{items.replace("inputs.nothing", "inputs.rows.nothing")}", uses: test.effect}}]
    """,
        rows={"a": 1},
    )
    assert (run.status, run.error["type"], run.calls) == ("failed", "expression", [])
    assert message in run.error["message"]


async def test_two_items_with_one_key_fail_the_loop() -> None:
    """Their records could not be told apart."""
    run = await carry_out("""
        id: t
        steps: [{id: loop, for_each: {items: [1, 2, 1], key: "${{ item }}"}, uses: test.effect}]
    """)
    assert run.status == "failed"
    assert "items 0 and 2 have the same key: 1" in run.error["message"]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("plain-1", "plain-1"),
        (7, "7"),
        ("a/b[c]", "a%2Fb%5Bc%5D"),
        ("zero\0", "zero%00"),
        (None, "null"),
        ({"a": 1}, "%7B%22a%22:1%7D"),
    ],
)
def test_keys_are_made_harmless(key: Any, text: str) -> None:
    """What would be mistaken for the structure of a step key is escaped."""
    assert key_text(key) == text


def test_long_keys_are_cut_and_stay_apart() -> None:
    """A hash tells them apart."""
    one, two = key_text("x" * 500 + "1"), key_text("x" * 500 + "2")
    assert one != two
    assert len(one) == len(two) == 100


async def test_ten_thousand_items() -> None:
    """The rows are written in shares, and no frame outlives its item."""
    probe = Probe()
    pipeline = read(
        """
        id: t
        inputs: {rows: any}
        steps:
          - id: loop
            for_each: {items: "${{ inputs.rows }}", concurrency: 10}
            steps: [{id: act, uses: test.pure, with: "${{ item }}"}]
        outputs: {n: "${{ steps.loop.output | length }}"}
    """
    )
    memory = Memory(probe)
    ended = await memory.finish(claim(pipeline, rows=list(range(10_000))), pipeline)
    assert ended.outputs == {"n": 10_000}
    assert max(len(record.attempts) for record in memory.records) < 250


async def test_a_loop_whose_items_wait_goes_on_with_them() -> None:
    """Items that have to wait for an hour let the run go; the others are not repeated."""
    run = await carry_out(
        """
        id: t
        steps:
          - id: loop
            for_each: {items: [0, 1, 2, 3], concurrency: 4}
            steps:
              - {id: act, uses: test.effect, with: "${{ item }}", retry: {attempts: 3, delay: 1h, max_delay: 2h}}
              - {id: then, uses: test.effect, with: "${{ steps.act.output }}"}
        outputs: {loop: "${{ steps.loop.output }}"}
    """,
        script={"loop[1]/act": [Retry("busy"), Retry("busy")], "loop[2]/act": [Retry("busy")]},
    )
    assert run.outputs == {"loop": [0, 1, 2, 3]}
    assert sorted(run.calls) == sorted(
        [(f"loop[{n}]/then", n) for n in range(4)]
        + [(f"loop[{n}]/act", n) for n, count in enumerate((1, 3, 2, 1)) for _ in range(count)]
    )


async def repeated(repeat: str, *results: Any, **more: Any) -> Ended:
    return await carry_out(
        f"""
        id: t
        steps:
          - id: poll
            uses: test.effect
            with: {{n: 1}}
            repeat: {repeat}
            {more.pop("also", "")}
        outputs: {{output: "${{{{ steps.poll.output }}}}", attempts: "${{{{ steps.poll.attempts }}}}"}}
    """,
        script={"poll": list(results)},
        **more,
    )


@pytest.mark.parametrize("every", ["1ms", "1h"])
async def test_a_step_is_repeated_until_its_result_satisfies(every: str) -> None:
    """Each run is an attempt with an idempotency key of its own; only the last one's output counts."""
    run = await repeated(f"{{until: result.done, every: {every}}}", {"done": False}, {"done": False}, {"done": True})
    assert run.outputs == {"output": {"done": True}, "attempts": 3}
    keys = [call[2].partition("/")[2] for call in run.memory.probe.calls]
    assert keys == ["poll", "poll#2", "poll#3"]


@pytest.mark.parametrize("limit", ["max: 2", "max_elapsed: 90m"])
async def test_a_repeat_has_an_end(limit: str) -> None:
    """The step fails as timed out."""
    run = await repeated(f"{{until: result.done, every: 1h, {limit}}}", *[{"done": False}] * 5)
    assert (run.status, run.error["type"], len(run.calls)) == ("failed", "timeout", 2)
    assert "`until` was still false" in run.error["message"]


async def test_retries_count_within_one_run_of_a_repeat() -> None:
    """A second run has all its attempts again."""
    results = [Retry("a"), {"done": False}, Retry("b"), {"done": True}]
    run = await repeated(
        "{until: result.done, every: 1h}", *results, also="retry: {attempts: 2, delay: 1h, max_delay: 1h}"
    )
    assert run.outputs == {"output": {"done": True}, "attempts": 4}
    assert [call[3] for call in run.memory.probe.calls] == [1, 2, 1, 2]


async def test_a_condition_of_a_repeat_that_cannot_be_evaluated_fails_the_step() -> None:
    """It names the path."""
    run = await repeated("{until: result.nope}", {"done": False})
    assert (run.status, run.error["type"]) == ("failed", "expression")
    assert "result.nope" in run.error["message"]


async def test_a_loop_lets_others_have_their_turn() -> None:
    """Items without I/O do not keep the event loop from a heartbeat."""
    probe = Probe()
    pipeline = read(
        """
        id: t
        inputs: {rows: any}
        steps: [{id: loop, for_each: "${{ inputs.rows }}", uses: test.pure}]
    """
    )
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    heart = asyncio.create_task(beat())
    await Memory(probe).finish(claim(pipeline, rows=list(range(500))), pipeline)
    heart.cancel()
    assert beats >= 500


@pytest.mark.parametrize(
    ("items", "kind"),
    [("text", "a text"), ({"a": 1}, "an object"), (None, "null"), (7, "a number"), (True, "a boolean")],
)
async def test_what_is_no_list_fails_the_step(items: Any, kind: str) -> None:
    """The message says what it is."""
    text = "id: a\ninputs: {x: any}\nsteps: [{id: loop, for_each: '${{ inputs.x }}', uses: value, with: 1}]"
    run = await carry_out(text, x=items)
    assert (run.status, run.error["type"]) == ("failed", "expression")
    assert run.error["message"] == f"`for_each` needs a list, this is {kind}"


async def test_too_many_items_fail_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is begun."""
    monkeypatch.setattr(loops, "MAX_ITEMS", 3)
    run = await carry_out("id: a\nsteps: [{id: loop, for_each: '${{ range(4) }}', uses: test.effect, with: 1}]")
    assert (run.status, run.calls) == ("failed", [])
    assert run.error["message"] == "`for_each` has 4 items, 3 are allowed: split the list"


LONG = """
    id: a
    inputs: {names: 'string[]'}
    steps:
      - {id: loop, for_each: {items: "${{ inputs.names }}", concurrency: 20}, uses: test.effect, with: "${{ item }}"}
    outputs: {count: "${{ steps.loop.output | length }}", last: "${{ steps.loop.output | last }}"}
"""


async def test_a_long_list_does_not_stand_in_a_row() -> None:
    """It is evaluated again by whoever goes on after a crash; finished items are not repeated."""
    names = [f"{number:0100d}" for number in range(10_000)]
    pipeline = read(LONG)
    run = claim(pipeline, names=names)
    first = Memory(Probe())
    hold = Hold()
    task = asyncio.create_task(first.turn(run, pipeline, hold))
    while len(first.probe.calls) < 3000:
        await asyncio.sleep(0)
    hold.reason = "lost"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    row = next(row for row in first.ledger.attempts() if row.step == "loop")
    assert row.input == b'{"count":10000}'
    done = sum(row.status == "succeeded" for row in first.ledger.attempts())
    second = Memory(Probe(), first.records)
    ended = await second.finish(run, pipeline)
    assert ended.outputs == {"count": 10_000, "last": names[-1]}
    assert len(second.probe.calls) == 10_000 - done
    assert max(len(row.input or b"") for row in second.ledger.attempts()) < 1000
