"""Groups, parallel branches and switches."""

import asyncio

import pytest

from engine.flow.execution import Hold
from tests.integration.flow.conftest import Fail, Probe, Retry
from tests.unit.flow.memory import Memory, carry_out, claim, read


async def test_a_group_has_the_output_of_its_last_step() -> None:
    """Its steps are visible afterwards, and `output` may make something else of it."""
    run = await carry_out("""
        id: t
        steps:
          - id: plain
            steps:
              - {id: one, uses: test.pure, with: 1}
              - {id: two, uses: test.pure, with: "${{ steps.one.output + 1 }}"}
          - id: made
            steps: [{id: three, uses: test.pure, with: 3}]
            output: {three: "${{ result }}", two: "${{ steps.plain.output }}"}
        outputs: {made: "${{ steps.made.output }}", one: "${{ steps.one.output }}"}
    """)
    assert run.outputs == {"made": {"three": 3, "two": 2}, "one": 1}


async def test_a_group_that_is_skipped_runs_nothing() -> None:
    """Its steps say that they were skipped."""
    run = await carry_out("""
        id: t
        steps:
          - id: group
            if: 1 > 2
            steps: [{id: inner, uses: test.effect}]
        outputs: {group: "${{ steps.group.status }}", inner: "${{ steps.inner.status }}"}
    """)
    assert (run.calls, run.outputs) == ([], {"group": "skipped", "inner": "skipped"})


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("continue", ("succeeded", {"status": "failed", "output": None})),
        ("{output: '${{ error.message }}'}", ("succeeded", {"status": "recovered", "output": "broken"})),
        ("[{id: other, uses: test.effect, with: 7}]", ("succeeded", {"status": "recovered", "output": 7})),
        ("fail", ("failed", None)),
    ],
)
@pytest.mark.parametrize(
    "shape",
    [
        "steps: [{id: bad, uses: test.effect}]",
        "parallel: {a: [{id: bad, uses: test.effect}], b: [{uses: test.pure}]}",
        "switch: [{if: 1 == 1, steps: [{id: bad, uses: test.effect}]}]",
        "for_each: [1]\n            steps: [{id: bad, uses: test.effect}]",
    ],
    ids=["group", "parallel", "switch", "loop"],
)
async def test_every_shape_can_recover(shape: str, rule: str, expected: tuple[str, object]) -> None:
    """All forms of `on_error` work on all shapes."""
    text = f"""
        id: t
        steps:
          - id: shape
            {shape}
            on_error: {rule}
        outputs: {{status: "${{{{ steps.shape.status }}}}", output: "${{{{ steps.shape.output ?? null }}}}"}}
    """
    broken = [Fail("broken")]
    run = await carry_out(text, script={"bad": broken, "shape[0]/bad": broken})
    assert (run.status, run.outputs) == expected


async def test_a_group_that_takes_too_long_fails_as_a_whole() -> None:
    """`timeout` counts for all its steps together; what runs is interrupted."""
    run = await carry_out(
        """
        id: t
        steps:
          - id: group
            timeout: 30ms
            steps: [{id: gate, uses: test.hang}, {id: never, uses: test.effect}]
    """,
    )
    assert (run.status, run.error["type"], run.error["step"]) == ("failed", "timeout", "group")
    assert run.statuses == {"group": "timed_out", "gate": "interrupted"}


async def test_branches_run_side_by_side() -> None:
    """Each waits for the other; afterwards the steps of all are visible."""
    run = await carry_out("""
        id: t
        steps:
          - id: both
            parallel:
              left: [{id: a, uses: test.meet, with: 2}]
              right: [{id: b, uses: test.meet, with: 2}, {id: c, uses: test.pure, with: "${{ steps.b.output }}"}]
        outputs: {a: "${{ steps.a.output }}", c: "${{ steps.c.output }}", both: "${{ steps.both.output }}"}
    """)
    assert run.outputs == {"a": 2, "c": 2, "both": None}


async def test_the_first_failure_cancels_the_other_branches() -> None:
    """The interrupted step is recorded and shows as cancelled."""
    run = await carry_out(
        """
        id: t
        steps:
          - id: both
            parallel:
              slow: [{id: slow, uses: test.hang}, {id: never, uses: test.effect}]
              bad: [{id: meet, uses: test.pure}, {id: bad, uses: test.effect}]
            on_error: continue
        outputs: {slow: "${{ steps.slow.status }}", bad: "${{ steps.bad.status }}", never: "${{ steps.never.status }}"}
    """,
        script={"bad": [Fail("no")]},
    )
    assert run.outputs == {"slow": "cancelled", "bad": "failed", "never": "pending"}
    assert run.statuses["slow"] == "interrupted"
    assert run.statuses["both"] == "failed"


async def test_stop_in_a_branch_ends_the_run() -> None:
    """The other branches are cancelled and the run has succeeded."""
    run = await carry_out("""
        id: t
        steps:
          - parallel: {slow: [{id: slow, uses: test.hang}], stop: [{uses: stop, with: {message: done, output: 1}}]}
          - {id: never, uses: test.effect}
    """)
    assert (run.status, run.message, run.outputs) == ("succeeded", "done", 1)


@pytest.mark.parametrize(("n", "branch"), [(1, "one"), (2, "two"), (3, "rest")])
async def test_a_switch_takes_the_first_branch_that_holds(n: int, branch: str) -> None:
    """Steps of other branches say that they were skipped."""
    run = await carry_out(
        """
        id: t
        inputs: {n: integer}
        steps:
          - switch:
              - if: inputs.n == 1
                steps: [{id: one, uses: test.effect}]
              - if: inputs.n <= 2
                steps: [{id: two, uses: test.effect}]
              - else: [{id: rest, uses: test.effect}]
        outputs: {one: "${{ steps.one.status }}", two: "${{ steps.two.status }}", rest: "${{ steps.rest.status }}"}
    """,
        n=n,
    )
    assert [key for key, _ in run.calls] == [branch]
    assert run.outputs == {name: "succeeded" if name == branch else "skipped" for name in ("one", "two", "rest")}


async def test_a_switch_without_a_branch_that_holds_does_nothing() -> None:
    """It succeeds without an output."""
    run = await carry_out("""
        id: t
        steps: [{id: choice, switch: [{if: 1 > 2, steps: [{id: one, uses: test.effect}]}]}]
        outputs: {status: "${{ steps.choice.status }}", output: "${{ steps.choice.output }}"}
    """)
    assert (run.calls, run.outputs) == ([], {"status": "succeeded", "output": None})


async def test_a_long_delay_in_a_branch_parks_until_the_others_are_done() -> None:
    """The run is let go, with the time of the earliest, only when no branch works any more."""
    probe = Probe()
    probe.script = {"late": [Retry("busy")], "later": [Retry("busy")]}
    pipeline = read(
        """
        id: t
        steps:
          - parallel:
              a: [{id: late, uses: test.effect, retry: {attempts: 2, delay: 1h, max_delay: 3h}}]
              b: [{id: later, uses: test.effect, retry: {attempts: 2, delay: 2h, max_delay: 3h}}]
              c: [{id: gate, uses: test.gate}, {id: done, uses: test.effect}]
    """
    )
    memory, run, probe.gate = Memory(probe), claim(pipeline), asyncio.Event()
    visit = asyncio.create_task(memory.turn(run, pipeline))
    await probe.entered.wait()
    while probe.count("later") == 0:
        await asyncio.sleep(0)
    assert str(memory.ledger.run.status) == "running"
    probe.gate.set()
    await visit
    update = memory.ledger.run
    assert (str(update.status), probe.count("done")) == ("waiting", 1)
    assert update.due_at is not None
    assert 3500 < (update.due_at - memory.now()).total_seconds() <= 3600
    assert "late" in (update.waiting_for or "")
    ended = await memory.finish(run, pipeline)
    assert ended.status == "succeeded"
    assert [probe.count(step) for step in ("late", "later", "gate", "done")] == [2, 2, 1, 1]


async def test_a_failure_frees_the_branches_that_are_parked() -> None:
    """The fallback runs at once, in the same visit, although another branch waits for an hour."""
    probe = Probe()
    probe.script = {"late": [Retry("busy")], "bad": [Fail("no")]}
    pipeline = read(
        """
        id: t
        steps:
          - parallel:
              a: [{id: late, uses: test.effect, retry: {attempts: 2, delay: 1h, max_delay: 3h}}]
              b: [{id: gate, uses: test.gate}, {id: bad, uses: test.effect}]
            on_error: [{id: other, uses: test.effect, retry: {attempts: 2, delay: 1h, max_delay: 3h}}]
    """
    )
    memory, run, probe.gate = Memory(probe), claim(pipeline), asyncio.Event()
    visit = asyncio.create_task(memory.turn(run, pipeline))
    await probe.entered.wait()
    probe.gate.set()
    await visit
    assert (str(memory.ledger.run.status), probe.count("other")) == ("succeeded", 1)


async def test_a_draining_worker_lets_all_branches_finish_their_step() -> None:
    """The run is handed back as queued once every branch stands between two steps."""
    probe = Probe()
    pipeline = read(
        """
        id: t
        steps:
          - parallel:
              a: [{id: gate, uses: test.gate}, {id: a2, uses: test.effect}]
              b: [{id: b1, uses: test.gate}, {id: b2, uses: test.effect}]
    """
    )
    memory, run, hold, probe.gate = Memory(probe), claim(pipeline), Hold(), asyncio.Event()
    visit = asyncio.create_task(memory.turn(run, pipeline, hold))
    while len(probe.calls) < 2:
        await asyncio.sleep(0)
    hold.draining = True
    probe.gate.set()
    await visit
    assert str(memory.ledger.run.status) == "queued"
    assert (await memory.finish(run, pipeline)).status == "succeeded"
    assert [probe.count(step) for step in ("gate", "a2", "b1", "b2")] == [1, 1, 1, 1]


@pytest.mark.parametrize(("reason", "status"), [("stop", "queued"), ("cancel", "cancelled")])
async def test_branches_are_interrupted_together(reason: str, status: str) -> None:
    """Every attempt under way is given back."""
    probe = Probe()
    pipeline = read(
        """
        id: t
        steps:
          - parallel: {a: [{id: gate, uses: test.gate}], b: [{id: other, uses: test.gate}]}
        finally: [{id: last, uses: test.effect}]
    """
    )
    memory, run, hold, probe.gate = Memory(probe), claim(pipeline), Hold(), asyncio.Event()
    visit = asyncio.create_task(memory.turn(run, pipeline, hold))
    while len(probe.calls) < 2:
        await asyncio.sleep(0)
    hold.reason = reason
    visit.cancel()
    await visit
    rows = {row.step: str(row.status) for row in memory.ledger.attempts()}
    assert (str(memory.ledger.run.status), rows["gate"], rows["other"]) == (status, "interrupted", "interrupted")
    assert probe.count("last") == (reason == "cancel")


async def test_nested_shapes() -> None:
    """Shapes hold shapes, at any depth."""
    run = await carry_out("""
        id: t
        steps:
          - id: outer
            steps:
              - parallel:
                  a:
                    - switch: [{if: 1 == 1, steps: [{id: deep, uses: test.pure, with: 5}]}]
                  b:
                    - id: loop
                      for_each: {items: [1, 2], as: n}
                      steps: [{steps: [{id: inner, uses: test.pure, with: "${{ n * 2 }}"}]}]
              - {id: last, uses: test.pure, with: ["${{ steps.deep.output }}", "${{ steps.loop.output }}"]}
        outputs: {outer: "${{ steps.outer.output }}"}
    """)
    assert run.outputs == {"outer": [5, [2, 4]]}
