"""Pipelines that call pipelines."""

import pytest

from tests.integration.flow.conftest import Fail, Probe
from tests.unit.flow.memory import Memory, carry_out, claim, read

CALLEE = """
    id: callee
    inputs: {n: integer, more: {type: integer, default: 10}}
    vars: {sum: "${{ inputs.n + inputs.more }}"}
    steps:
      - {id: act, uses: test.effect, with: "${{ vars.sum }}"}
    outputs: {sum: "${{ steps.act.output }}", pipeline: "${{ run.pipeline }}"}
"""
CALLER = """
    id: t
    steps:
      - {id: page, uses: "pipeline:callee", with: {n: 1}}
    outputs: {page: "${{ steps.page.output }}"}
"""


async def test_a_call_has_the_outputs_of_the_callee() -> None:
    """Inputs get their defaults; the attempts of its steps are stored under the call."""
    run = await carry_out(CALLER, CALLEE)
    assert run.outputs == {"page": {"sum": 11, "pipeline": "callee"}}
    assert run.calls == [("page/act", 11)]
    assert run.statuses == {"page": "succeeded", "page/act": "succeeded"}


async def test_inputs_are_checked_when_they_are_known() -> None:
    """A value that only shows its type at run time is refused; nothing of the callee runs."""
    run = await carry_out(
        CALLER.replace("{n: 1}", '{n: "${{ inputs.x }}"}').replace("id: t\n", "id: t\n    inputs: {x: any}\n"),
        CALLEE,
        x="one",
    )
    assert (run.status, run.error["type"], run.calls) == ("failed", "invalid_input", [])
    assert "n" in run.error["message"]


async def test_stop_in_a_callee_ends_the_callee_only() -> None:
    """The caller goes on with what it stopped with."""
    run = await carry_out(
        CALLER.replace(
            "outputs:", '  - {id: after, uses: test.effect, with: "${{ steps.page.output }}"}\n    outputs:'
        ),
        """
        id: callee
        inputs: {n: integer}
        steps: [{uses: stop, with: {output: {early: true}}}, {id: never, uses: test.effect}]
        finally: [{id: last, uses: test.effect, with: "${{ run.outcome }}"}]
    """,
    )
    assert run.outputs == {"page": {"early": True}}
    assert run.calls == [("page/last", "succeeded"), ("after", {"early": True})]


async def test_a_failure_in_a_callee_fails_the_call() -> None:
    """Its handlers run before the caller's, and the error says where."""
    run = await carry_out(
        """
        id: t
        steps: [{id: page, uses: "pipeline:callee"}]
        on_error: [{id: outer, uses: test.effect, with: "${{ error.step }} ${{ error.message }}"}]
    """,
        """
        id: callee
        steps: [{id: bad, uses: test.effect}]
        on_error: [{id: told, uses: test.effect, with: "${{ error.step }}"}]
        finally: [{id: last, uses: test.effect, with: "${{ run.outcome }}"}]
    """,
        script={"page/bad": [Fail("broken", type="b")]},
    )
    assert (run.status, run.error["type"], run.error["step"]) == ("failed", "b", "page/bad")
    assert run.calls == [
        ("page/bad", None),
        ("page/told", "bad"),
        ("page/last", "failed"),
        ("outer", "page/bad broken"),
    ]


@pytest.mark.parametrize(
    ("rule", "output"),
    [("continue", None), ("{output: 1}", 1), ("[{uses: test.pure, with: 2}]", 2)],
)
async def test_a_call_can_recover(rule: str, output: object) -> None:
    """All forms of `on_error`."""
    run = await carry_out(
        f"""
        id: t
        steps: [{{id: page, uses: "pipeline:callee", with: {{n: 1}}, on_error: {rule}}}]
        outputs: {{output: "${{{{ steps.page.output ?? null }}}}"}}
    """,
        CALLEE,
        script={"page/act": [Fail("no")]},
    )
    assert run.outputs == {"output": output}


async def test_a_call_that_is_tried_again_begins_anew() -> None:
    """The steps of each attempt have keys of their own."""
    run = await carry_out(
        CALLER.replace("with: {n: 1}", "with: {n: 1}, retry: {attempts: 3, delay: 1h, max_delay: 2h}"),
        CALLEE,
        script={"page/act": [Fail("no")], "page#2/act": [Fail("no")]},
    )
    assert run.status == "succeeded"
    assert [key for key, _ in run.calls] == ["page/act", "page#2/act", "page#3/act"]


async def test_a_call_in_a_loop() -> None:
    """Every item's steps are stored under the item."""
    run = await carry_out(
        """
        id: t
        steps:
          - id: page
            for_each: {items: [1, 2], concurrency: 2}
            uses: pipeline:callee
            with: {n: "${{ item }}"}
            output: ${{ result.sum }}
        outputs: {page: "${{ steps.page.output }}"}
    """,
        CALLEE,
    )
    assert run.outputs == {"page": [11, 12]}
    assert {"page[0]/act", "page[1]/act"} <= set(run.statuses)


async def test_a_call_has_a_time() -> None:
    """`timeout` of the call counts for the callee, whose handlers still run."""
    run = await carry_out(
        'id: t\nsteps: [{id: page, uses: "pipeline:callee", timeout: 30ms}]',
        """
        id: callee
        steps: [{id: slow, uses: test.hang}]
        on_error: [{id: told, uses: test.effect, with: "${{ error.type }}"}]
    """,
    )
    assert (run.status, run.error["type"]) == ("failed", "timeout")
    assert run.calls == [("page/slow", None), ("page/told", "timeout")]


async def test_a_callee_sees_nothing_of_its_caller() -> None:
    """Same ids, other steps."""
    run = await carry_out(
        """
        id: t
        vars: {x: outer}
        steps:
          - {id: act, uses: test.effect, with: outer}
          - {id: page, uses: "pipeline:callee"}
          - {id: after, uses: test.effect, with: "${{ steps.act.output }} ${{ vars.x }}"}
    """,
        """
        id: callee
        vars: {x: inner}
        steps: [{id: act, uses: test.effect, with: "${{ vars.x }}"}]
    """,
    )
    assert run.calls == [("act", "outer"), ("page/act", "inner"), ("after", "outer outer")]


async def test_calls_within_calls() -> None:
    """Prefixes add up."""
    middle = 'id: middle\nsteps: [{id: inner, uses: "pipeline:callee", with: {n: 5}}]'
    text = 'id: t\nsteps: [{id: outer, uses: "pipeline:middle"}]'
    run = await carry_out(text, CALLEE, middle)
    assert run.calls == [("outer/inner/act", 15)]


async def test_calls_that_are_nested_too_deeply_are_refused() -> None:
    """The run fails; it does not exhaust the stack."""
    callees = ["id: p0\nsteps: [{id: end, uses: test.effect}]"]
    callees += [f'id: p{n}\nsteps: [{{id: call, uses: "pipeline:p{n - 1}"}}]' for n in range(1, 20)]
    run = await carry_out('id: t\nsteps: [{id: call, uses: "pipeline:p19"}]', *callees)
    assert (run.status, run.error["type"], run.calls) == ("failed", "too_deep", [])


async def test_variables_of_a_callee_are_evaluated_once() -> None:
    """A resumed run sees the same ones."""
    probe = Probe()
    pipeline = read(
        CALLER.replace("{n: 1}", "{}"),
        """
        id: callee
        vars: {token: "${{ uuid() }}"}
        steps:
          - {id: one, uses: test.effect, with: "${{ vars.token }}"}
          - {id: two, uses: test.effect, with: "${{ vars.token }}"}
        outputs: {token: "${{ vars.token }}"}
    """,
    )
    memory, run = Memory(probe), claim(pipeline)
    ended = await memory.finish(run, pipeline)
    until_one = [index for index, record in enumerate(memory.records) if "page/one" in str(record.attempts)][-1]
    again = Memory(Probe(), memory.records[: until_one + 1])
    resumed = await again.finish(run, pipeline)
    assert resumed.outputs == ended.outputs
    assert resumed.calls[-1] == ("page/two", ended.outputs["page"]["token"])


async def test_a_secret_cannot_be_an_input() -> None:
    """It would be stored and shown like any other input."""
    probe = Probe()
    caller = CALLER.replace("{n: 1}", '{n: "${{ secrets.TOKEN }}"}')
    pipeline = read(caller, CALLEE.replace("n: integer", "n: any"))
    run = await Memory(probe).finish(claim(pipeline), pipeline)
    assert (run.error["type"], run.calls) == ("invalid_input", [])
