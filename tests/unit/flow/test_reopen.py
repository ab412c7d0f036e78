"""A run that ended badly goes on where it failed: what runs again, and what does not."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from engine.core.run import AttemptStatus, ErrorInfo, RunStatus
from engine.flow.reopen import Given, Plan, plan_retry
from engine.pipeline.spec import Pipeline
from engine.store import RunUpdate, StoredAttempt
from tests.integration.flow.conftest import Fail, Probe, Retry
from tests.unit.flow.memory import Ended, Memory, claim, read


class Story:
    """A run that is carried out, reopened and carried out again."""

    def __init__(self, text: str, *callees: str, script: dict[str, list[Any]] | None = None, **inputs: Any) -> None:
        self.probe = Probe()
        self.probe.script = script or {}
        self.pipeline = read(text, *callees)
        self.run = claim(self.pipeline, **inputs)
        self.memory = Memory(self.probe)
        self.rounds = 0

    async def end(self) -> Ended:
        """Carry it out to its end; only the calls since then are shown."""
        before = len(self.probe.calls)
        ended = await self.memory.finish(self.run, self.pipeline)
        ended.calls = ended.calls[before:]
        self.full = self.probe.calls[before:]
        return ended

    def plan(self, decided: dict[str, Given] | None = None, pipeline: Pipeline | None = None) -> Plan:
        error = self.memory.ledger.run.error
        return plan_retry(
            pipeline or self.pipeline,
            self.memory.ledger.attempts(),
            error=msgspec.json.decode(error, type=ErrorInfo) if error else None,
            now=self.memory.now(),
            note="retried",
            decided=decided,
        )

    def reopen(self, decided: dict[str, Given] | None = None) -> Plan:
        """What the store does."""
        plan, ledger = self.plan(decided), self.memory.ledger
        self.rounds += 1
        for step, number in plan.superseded:
            row = ledger.rows.pop((step, number))
            key = f"~{self.rounds}/{step}"
            ledger.rows[key, number] = msgspec.structs.replace(row, step=key)
        for written in plan.written:
            assert (written.step, written.number) not in ledger.rows
            values = {name: getattr(written, name) for name in written.__struct_fields__}
            ledger.rows[written.step, written.number] = StoredAttempt(**values)
        ledger.run = RunUpdate(status=RunStatus.QUEUED, vars=ledger.run.vars)
        return plan

    async def again(self, decided: dict[str, Given] | None = None) -> Ended:
        self.reopen(decided)
        return await self.end()


def keys(ended: Ended) -> list[str]:
    return [key for key, _ in ended.calls]


async def test_it_goes_on_at_the_failed_step() -> None:
    """Finished steps keep their outputs; the failed one gets the same call with the same key, and all its attempts."""
    story = Story(
        """
        id: t
        steps:
          - {id: one, uses: test.effect, with: "${{ uuid() }}"}
          - {id: two, uses: test.effect, with: {at: "${{ uuid() }}", one: "${{ steps.one.output }}"}, retry: 2}
          - {id: three, uses: test.effect, with: "${{ steps.two.output.one }}"}
        on_error: [{id: told, uses: test.effect}]
        finally: [{id: last, uses: test.effect, with: "${{ run.outcome }}"}]
        outputs: {same: "${{ steps.three.output == steps.one.output }}"}
        """,
        script={"two": [Retry("busy"), Retry("busy")]},
    )
    assert (await story.end()).status == "failed"
    first = [call for call in story.full if call[0] == "two"]
    ended = await story.again()
    assert (ended.status, ended.outputs) == ("succeeded", {"same": True})
    assert keys(ended) == ["two", "three", "last"]
    assert ended.calls[-1] == ("last", "succeeded")
    assert story.full[0][1:3] == first[0][1:3], "same inputs, same idempotency key"
    assert [call[3] for call in first] == [1, 2]
    assert story.full[0][3] == 1, "its attempts are counted anew"


async def test_it_may_fail_again_and_be_retried_again() -> None:
    """Each round keeps its own history."""
    story = Story(
        "id: t\nsteps: [{id: one, uses: test.effect}, {id: two, uses: test.effect}]",
        script={"two": [Fail("a"), Fail("b")]},
    )
    await story.end()
    assert (await story.again()).status == "failed"
    ended = await story.again()
    assert (ended.status, keys(ended)) == ("succeeded", ["two"])
    earlier = {key: str(row.status) for (key, number), row in story.memory.ledger.rows.items() if key[0] == "~"}
    assert earlier == {"~1/two": "failed", "~2/two": "failed"}


async def test_history_is_kept_row_by_row() -> None:
    """Nothing is deleted, and the note in the place of the attempts says why."""
    story = Story("id: t\nsteps: [{id: one, uses: test.effect, with: 1, retry: 3}]", script={"one": [Retry("x")] * 3})
    await story.end()
    before = story.memory.ledger.attempts()
    plan = story.reopen()
    after = {(row.step, row.number): row for row in story.memory.ledger.attempts()}
    assert [(row.error, row.status) for row in before] == [
        (after[f"~1/{row.step}", row.number].error, after[f"~1/{row.step}", row.number].status) for row in before
    ]
    [note] = plan.written
    assert (note.step, note.number, note.status, note.input) == ("one", 1, AttemptStatus.INTERRUPTED, b"1")
    assert msgspec.json.decode(note.error or b"") == {"type": "reopened", "message": "retried"}


async def test_inputs_that_could_not_be_rendered_are_rendered_again() -> None:
    """There is nothing to hand on, so the step begins from its condition."""
    story = Story(
        """
        id: t
        inputs: {n: any}
        steps: [{id: one, if: inputs.n != 3, uses: test.effect, with: "${{ inputs.n.a }}"}]
        """,
        n=5,
    )
    await story.end()
    plan = story.reopen()
    assert (plan.written, plan.goes_on) == ([], ["one"])
    assert (await story.end()).status == "failed"


async def test_what_the_pipeline_tolerates_is_not_repeated() -> None:
    """`continue`, a value, and a fallback that worked."""
    story = Story(
        """
        id: t
        steps:
          - {id: a, uses: test.effect, on_error: continue}
          - {id: b, uses: test.effect, on_error: {output: 7}}
          - {id: c, uses: test.effect, on_error: [{id: plan_b, uses: test.effect, with: 8}]}
          - {id: d, uses: test.effect, with: ["${{ steps.b.output }}", "${{ steps.c.output }}"]}
        """,
        script={name: [Fail("no")] for name in "abcd"},
    )
    await story.end()
    ended = await story.again()
    assert ended.calls == [("d", [7, 8])]
    assert ended.status == "succeeded"


async def test_a_fallback_that_failed_is_what_runs_again() -> None:
    """The step in whose place it stands has failed for good."""
    story = Story(
        """
        id: t
        steps: [{id: a, uses: test.effect, on_error: [{id: b, uses: test.effect}, {id: c, uses: test.effect}]}]
        """,
        script={"a": [Fail("no")], "c": [Fail("no")]},
    )
    await story.end()
    ended = await story.again()
    assert (ended.status, keys(ended)) == ("succeeded", ["c"])


async def test_a_value_in_place_of_an_output_that_could_not_be_had() -> None:
    """Then the step itself runs again."""
    story = Story(
        """
        id: t
        inputs: {n: any}
        steps: [{id: a, uses: test.effect, on_error: {output: "${{ inputs.n.a }}"}}]
        """,
        script={"a": [Fail("no")]},
        n=1,
    )
    assert (await story.end()).error["type"] == "expression"
    ended = await story.again()
    assert (ended.status, keys(ended)) == ("succeeded", ["a"])


SHAPES = """
    id: t
    steps:
      - {id: first, uses: test.effect, with: 1}
      - id: pick
        switch:
          - if: "uuid() == ''"
            steps: [{id: never, uses: test.effect}]
          - else:
              - {id: inner, uses: test.effect, with: 2}
              - id: both
                parallel:
                  a: [{id: left, uses: test.effect, with: 3}, {id: bad, uses: test.effect, with: 4}]
                  b: [{id: right, uses: test.effect, with: 5}]
      - id: box
        steps: [{id: after, uses: test.effect, with: 6}]
        output: "${{ result }}"
    outputs: {sum: "${{ steps.left.output + steps.right.output + steps.bad.output + steps.box.output }}"}
"""


async def test_what_it_stands_in_is_entered_again() -> None:
    """A group, the same branch of a switch, and a parallel whose other branch is done."""
    story = Story(SHAPES, script={"bad": [Fail("no")]})
    await story.end()
    ended = await story.again()
    assert (ended.status, ended.outputs) == ("succeeded", {"sum": 18})
    assert [key for key in keys(ended) if key != "right"] == ["bad", "after"]
    assert ended.statuses["pick"] == ended.statuses["both"] == "succeeded"


LOOP = """
    id: t
    steps:
      - id: loop
        for_each: {items: ["${{ uuid() }}", b, c, d], key: "${{ index }}", concurrency: 1, MORE}
        steps:
          - {id: take, uses: test.effect, with: "${{ item }}"}
          - {id: put, uses: test.effect, with: "${{ steps.take.output }}"}
      - {id: after, uses: test.effect}
    outputs: {all: "${{ steps.loop.output }}", errors: "${{ steps.loop.errors }}"}
"""


async def test_of_a_loop_only_what_failed_runs_again() -> None:
    """And what was not reached; the items are those of before."""
    story = Story(LOOP.replace(", MORE", ""), script={"loop[2]/put": [Fail("no")]})
    await story.end()
    taken = [call[1] for call in story.full if call[0].endswith("/take")]
    ended = await story.again()
    assert keys(ended) == ["loop[2]/put", "loop[3]/take", "loop[3]/put", "after"]
    assert ended.outputs == {"all": [*taken[:2], "c", "d"], "errors": []}


async def test_all_failed_items_of_a_loop_that_had_too_many() -> None:
    """Those that it tolerated too: it is the loop that failed."""
    story = Story(
        LOOP.replace("MORE", "on_item_error: continue, max_errors: 1"),
        script={f"loop[{index}]/take": [Fail("no")] for index in (0, 2)},
    )
    await story.end()
    ended = await story.again()
    assert ended.status == "succeeded"
    assert keys(ended) == ["loop[0]/take", "loop[0]/put", "loop[2]/take", "loop[2]/put", "loop[3]/take", "loop[3]/put",
                           "after"]  # fmt: skip


async def test_tolerated_items_of_a_finished_loop_stay_failed() -> None:
    """The run failed later."""
    story = Story(
        LOOP.replace("MORE", "on_item_error: continue"), script={"loop[1]/put": [Fail("no")], "after": [Fail("no")]}
    )
    await story.end()
    ended = await story.again()
    assert keys(ended) == ["after"]
    assert ended.outputs["all"][1] is None
    assert ended.outputs["errors"][0]["index"] == 1


async def test_items_that_are_actions() -> None:
    """Their attempts are their own."""
    story = Story(
        'id: t\nsteps: [{id: l, for_each: {items: [1, 2, 3]}, uses: test.effect, with: "${{ item }}", retry: 2}]\n'
        'outputs: {all: "${{ steps.l.output }}"}',
        script={"l[1]": [Retry("a"), Retry("b")]},
    )
    await story.end()
    ended = await story.again()
    assert (ended.calls, ended.outputs) == ([("l[1]", 2), ("l[2]", 3)], {"all": [1, 2, 3]})


CALLEE = """
    id: callee
    inputs: {n: any}
    vars: {v: "${{ uuid() }}"}
    steps:
      - {id: one, uses: test.effect, with: ["${{ inputs.n }}", "${{ vars.v }}"]}
      - {id: two, uses: test.effect, with: ["${{ inputs.n }}", "${{ vars.v }}"]}
    on_error: [{id: sorry, uses: test.effect}]
    finally: [{id: bye, uses: test.effect, with: "${{ run.outcome }}"}]
    outputs: {same: "${{ steps.one.output == steps.two.output }}"}
"""


async def test_it_descends_into_a_call() -> None:
    """Inputs and variables of the called pipeline stay; its `finally` comes again, at its new end."""
    story = Story(
        'id: t\nsteps: [{id: call, uses: "pipeline:callee", with: {n: "${{ uuid() }}"}}]\n'
        'outputs: {same: "${{ steps.call.output.same }}"}',
        CALLEE,
        script={"call/two": [Fail("no")]},
    )
    await story.end()
    ended = await story.again()
    assert keys(ended) == ["call/two", "call/bye"]
    assert (ended.outputs, ended.calls[-1]) == ({"same": True}, ("call/bye", "succeeded"))


async def test_a_call_goes_on_within_the_attempt_that_failed() -> None:
    """Under the keys of that attempt."""
    story = Story(
        'id: t\nsteps: [{id: call, uses: "pipeline:callee", with: {n: 1}, retry: {attempts: 2, delay: 1s}}]',
        CALLEE,
        script={"call/one": [Fail("no")], "call#2/two": [Fail("no")]},
    )
    # a failed call is retried whatever failed in it
    await story.end()
    ended = await story.again()
    assert (ended.status, keys(ended)) == ("succeeded", ["call#2/two", "call#2/bye"])


async def test_calls_in_loops_in_calls() -> None:
    """As deep as it goes."""
    middle = """
        id: middle
        steps:
          - {id: each, for_each: {items: [1, 2]}, uses: "pipeline:callee", with: {n: "${{ item }}"}}
        outputs: {all: "${{ steps.each.output }}"}
    """
    story = Story(
        """
        id: t
        steps: [{steps: [{id: call, uses: "pipeline:middle"}]}]
        outputs: {all: "${{ steps.call.output.all }}"}
        """,
        CALLEE,
        middle,
        script={"call/each[1]/two": [Fail("no")]},
    )
    await story.end()
    ended = await story.again()
    assert keys(ended) == ["call/each[1]/two", "call/each[1]/bye"]
    assert ended.outputs == {"all": [{"same": True}, {"same": True}]}


SAGA = """
    id: t
    steps:
      - {id: a, uses: test.effect, with: 1, compensate: [{id: undo_a, uses: test.effect}]}
      - {id: b, uses: test.effect, with: 2}
      - {id: c, uses: test.effect, with: 3, compensate: [{id: undo_c, uses: test.effect}]}
      - {id: d, uses: test.effect, with: 4}
"""


async def test_what_was_undone_is_done_again() -> None:
    """And undone again if it comes to that; what was not undone is not repeated."""
    story = Story(SAGA, script={"d": [Fail("no"), Fail("no")]})
    await story.end()
    assert keys(await story.again()) == ["a", "c", "d", "undo_c", "undo_a"]
    assert keys(await story.again()) == ["a", "c", "d"]


async def test_what_could_not_be_undone_is_not_done_again() -> None:
    """It is still done; its compensation gets another chance."""
    story = Story(SAGA, script={"d": [Fail("no"), Fail("no")], "undo_a": [Fail("bank is closed")]})
    await story.end()
    assert keys(await story.again()) == ["c", "d", "undo_c", "undo_a"]


async def test_what_was_undone_within_finished_shapes() -> None:
    """The shapes are entered again for it, and come to the same."""
    story = Story(
        """
        id: t
        steps:
          - id: box
            steps:
              - id: each
                for_each: {items: [1, 2]}
                steps:
                  - {id: act, uses: test.effect, with: "${{ item }}", compensate: [{id: undo, uses: test.effect}]}
                  - {id: note, uses: test.effect, with: "${{ steps.act.output }}"}
          - {id: call, uses: "pipeline:saga"}
          - {id: bad, uses: test.effect}
        outputs: {all: "${{ steps.each.output }}", box: "${{ steps.box.output }}"}
        """,
        """
        id: saga
        steps: [{id: in, uses: test.effect, compensate: [{id: out, uses: test.effect}]}, {id: more, uses: test.effect}]
        finally: [{id: bye, uses: test.effect}]
        """,
        script={"bad": [Fail("no")]},
    )
    await story.end()
    ended = await story.again()
    assert keys(ended) == ["each[0]/act", "each[1]/act", "call/in", "call/bye", "bad"]
    assert ended.outputs == {"all": [1, 2], "box": [1, 2]}


async def test_a_call_that_was_undone_by_its_own_compensation_runs_again_from_its_beginning() -> None:
    """Also what is in it."""
    story = Story(
        """
        id: t
        steps:
          - {id: call, uses: "pipeline:callee", with: {n: 1}, compensate: [{id: undo, uses: test.effect}]}
          - {id: bad, uses: test.effect}
        """,
        CALLEE,
        script={"bad": [Fail("no")]},
    )
    await story.end()
    assert keys(await story.again()) == ["call/one", "call/two", "call/bye", "bad"]


async def test_what_was_undone_in_a_group_whose_failure_is_tolerated() -> None:
    """The group runs again, with what failed in it."""
    story = Story(
        """
        id: t
        steps:
          - id: box
            on_error: continue
            steps:
              - {id: a, uses: test.effect, compensate: [{id: undo, uses: test.effect}]}
              - {id: b, uses: test.effect}
          - {id: bad, uses: test.effect}
        """,
        script={"b": [Fail("no")], "bad": [Fail("no")]},
    )
    await story.end()
    assert keys(await story.again()) == ["a", "b", "bad"]


async def test_a_run_whose_outputs_could_not_be_had() -> None:
    """No step failed: none is repeated, only its end."""
    story = Story(
        """
        id: t
        inputs: {n: any}
        steps: [{id: one, uses: test.effect}]
        finally: [{id: bye, uses: test.effect}]
        outputs: {x: "${{ inputs.n.a }}"}
        """,
        n=1,
    )
    assert (await story.end()).status == "failed"
    plan = story.reopen()
    assert plan.goes_on == []
    assert keys(await story.end()) == ["bye"]


async def test_a_group_that_ran_out_of_time_gets_its_time_again() -> None:
    """It begins anew, what was finished in it is not repeated."""
    story = Story(
        """
        id: t
        steps:
          - id: box
            timeout: 1h
            steps:
              - {id: a, uses: test.effect}
              - {wait: 40m}
              - {id: b, uses: test.effect, retry: {attempts: 2, delay: 30m, max_delay: 1h, jitter: false}}
        """,
        script={"b": [Retry("busy")]},
    )
    assert (await story.end()).error["type"] == "timeout"
    ended = await story.again()
    assert (ended.status, keys(ended)) == ("succeeded", ["b"])


@pytest.mark.parametrize(
    ("given", "calls", "output"),
    [
        (Given("output", b'{"x": 5}'), ["after"], {"x": 5}),
        (Given("skip"), ["after"], None),
        (Given("input", b'"other"'), ["bad", "after"], "other"),
    ],
)
async def test_a_person_decides_about_the_failed_step(given: Given, calls: list[str], output: Any) -> None:
    """Its output is given, it is skipped, or it runs with other inputs."""
    story = Story(
        """
        id: t
        steps:
          - {id: bad, uses: test.effect, with: 1}
          - {id: after, uses: test.effect, with: "${{ steps.bad.output ?? null }}"}
        outputs: {seen: "${{ steps.after.output }}", status: "${{ steps.bad.status }}"}
        """,
        script={"bad": [Fail("no")]},
    )
    await story.end()
    assert list(story.plan().places) == ["bad"]
    ended = await story.again({"bad": given})
    assert (ended.status, keys(ended)) == ("succeeded", calls)
    assert ended.outputs == {"seen": output, "status": "skipped" if given.kind == "skip" else "succeeded"}


@pytest.mark.parametrize("given", [Given("output", b"9"), Given("skip")])
async def test_a_person_decides_about_an_item(given: Given) -> None:
    """A skipped item leaves its place empty."""
    story = Story(
        'id: t\nsteps: [{id: l, for_each: {items: [1, 2, 3]}, uses: test.effect, with: "${{ item }}"}]\n'
        'outputs: {all: "${{ steps.l.output }}"}',
        script={"l[1]": [Fail("a")]},
    )
    await story.end()
    assert set(story.plan().places) == {"l", "l[1]"}
    ended = await story.again({"l[1]": given})
    assert keys(ended) == ["l[2]"]
    assert ended.outputs == {"all": [1, None if given.kind == "skip" else 9, 3]}


async def test_a_person_decides_about_what_the_failed_step_stands_in() -> None:
    """The whole call gets an output; a step is decided about although its fallback failed."""
    story = Story(
        'id: t\nsteps: [{id: call, uses: "pipeline:callee", with: {n: 1}, on_error: [{id: b, uses: test.effect}]}]\n'
        'outputs: {x: "${{ steps.call.output }}"}',
        CALLEE,
        script={"call/two": [Fail("no")], "b": [Fail("no")]},
    )
    await story.end()
    assert set(story.plan().places) == {"b", "call"}
    ended = await story.again({"call": Given("output", b'{"same": false}')})
    assert (ended.outputs, ended.calls) == ({"x": {"same": False}}, [])


async def test_a_call_with_other_inputs_begins_anew() -> None:
    """What was done with the old ones counts no more."""
    story = Story(
        'id: t\nsteps: [{id: call, uses: "pipeline:callee", with: {n: 1}}]', CALLEE, script={"call/two": [Fail("no")]}
    )
    await story.end()
    ended = await story.again({"call": Given("input", b'{"n": 2}')})
    assert keys(ended) == ["call/one", "call/two", "call/bye"]
    assert ended.calls[0][1][0] == 2


async def test_a_loop_of_ten_thousand_is_planned_quickly() -> None:
    """The keys are looked up, not searched through."""
    pipeline = read(
        'id: t\ninputs: {n: integer}\nsteps: [{id: l, for_each: {items: "${{ [inputs.n] }}"}, steps: [{id: a, '
        "uses: test.effect}, {id: b, uses: test.effect}]}]"
    )
    rows = [
        StoredAttempt(step=f"l[{index}]{more}", number=1, status=AttemptStatus.SUCCEEDED, output=b"1")
        for index in range(10_000)
        for more in ("", "/a", "/b")
    ]
    rows += [
        StoredAttempt(step="l", number=1, status=AttemptStatus.FAILED, input=b'{"items": []}'),
        StoredAttempt(step="l[7]x", number=1, status=AttemptStatus.FAILED),
    ]
    began = datetime.now(UTC)
    plan = plan_retry(pipeline, rows, error=None, now=began, note="")
    assert plan.superseded == [("l", 1)]
    assert (datetime.now(UTC) - began).total_seconds() < 2


async def test_a_wait_that_failed_begins_anew() -> None:
    """Its time too; one that was interrupted ends when it was to end."""
    story = Story(
        """
        id: t
        steps:
          - parallel:
              a: [{id: long, wait: 2h}]
              b: [{wait: 1h}, {id: bad, uses: test.effect}]
        """,
        script={"bad": [Fail("no")]},
    )
    await story.end()
    [before] = [row for row in story.memory.ledger.attempts() if row.step == "long"]
    assert before.status == AttemptStatus.INTERRUPTED
    ended = await story.again()
    assert ended.status == "succeeded"
    [after] = [row for row in story.memory.ledger.attempts() if row.step == "long"]
    assert (after.input, after.started_at) == (before.input, before.started_at)
