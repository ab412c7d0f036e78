"""Waits for a time: nobody holds the run meanwhile, and it ends when it was going to, whatever happened."""

from datetime import timedelta

import pytest

from engine.core.run import RunStatus
from tests.integration.flow.conftest import Probe
from tests.unit.flow.memory import Memory, carry_out, claim, read


async def test_the_run_waits_for_its_time_and_goes_on() -> None:
    """Its output says that it did not time out."""
    run = await carry_out("""
        id: t
        steps:
          - {id: pause, wait: 1h}
          - {id: after, uses: test.effect, with: 1}
        outputs: {pause: "${{ steps.pause.output }}"}
    """)
    assert run.outputs == {"pause": {"timed_out": False, "event": None}}
    assert run.calls == [("after", 1)]
    assert timedelta(minutes=59) < run.memory.ahead <= timedelta(hours=1)


async def test_the_end_of_a_wait_does_not_move() -> None:
    """A time computed from `now()` stays what it was, however often the run is visited meanwhile."""
    pipeline = read("""
        id: t
        steps:
          - {id: pause, wait: {until: "${{ date_add(now(), '1h') }}"}}
          - {id: after, uses: test.effect}
    """)
    memory, run = Memory(Probe()), claim(pipeline)
    await memory.turn(run, pipeline)
    first = memory.ledger.run.due_at
    assert memory.ledger.run.status == RunStatus.WAITING
    memory.ahead += timedelta(minutes=30)
    await memory.turn(run, pipeline)
    assert (memory.ledger.run.status, memory.ledger.run.due_at) == (RunStatus.WAITING, first)
    assert memory.probe.calls == []


@pytest.mark.parametrize("wait", ["{until: '2020-01-01T00:00:00Z'}", '{for: "${{ inputs.pause }}"}'])
async def test_a_time_that_is_over_is_not_waited_for(wait: str) -> None:
    """The run goes on at once."""
    run = await carry_out(
        f"""
        id: t
        inputs: {{pause: string}}
        steps: [{{wait: {wait}}}, {{id: after, uses: test.effect, with: 2}}]
    """,
        pause="0s",
    )
    assert run.calls == [("after", 2)]
    assert run.memory.ahead == timedelta()


@pytest.mark.parametrize(
    ("wait", "message"),
    [
        ('{for: "${{ inputs.pause }}"}', "wait: for: 'soon' is not a duration"),
        ('{until: "${{ inputs.pause }}"}', "wait: until: `soon` is not a time"),
    ],
)
async def test_what_is_no_time_fails_the_step(wait: str, message: str) -> None:
    """As an error of the expression, which `on_error` can handle."""
    text = f"id: t\ninputs: {{pause: string}}\nsteps: [{{id: pause, wait: {wait}}}, {{uses: test.effect}}]\n"
    run = await carry_out(text, pause="soon")
    assert (run.status, run.error["type"], run.error["step"], run.calls) == ("failed", "expression", "pause", [])
    assert message in run.error["message"]


async def test_branches_wait_side_by_side() -> None:
    """The run is due when the first of them is, and takes as long as the longest."""
    pipeline = read("""
        id: t
        steps:
          - parallel:
              a: [{wait: 2h}, {id: a, uses: test.effect}]
              b: [{wait: 1h}, {id: b, uses: test.effect}]
    """)
    memory, run = Memory(Probe()), claim(pipeline)
    ended = await memory.finish(run, pipeline)
    assert [call[0] for call in ended.calls] == ["b", "a"]
    assert timedelta(minutes=119) < memory.ahead <= timedelta(hours=2)
