"""What a run does, step by step, seen in the tables."""

from tests.integration.flow.conftest import Fail, House, Retry, decode


async def test_a_run_keeps_outputs_of_steps_and_of_itself(house: House) -> None:
    """Outputs flow from step to step and into the run's outputs, with their types."""
    await house.deploy("""
        id: test
        inputs: {n: integer}
        vars: {double: "${{ inputs.n * 2 }}"}
        steps:
          - id: first
            uses: test.effect
            with: {n: "${{ vars.double }}", text: "n is ${{ inputs.n }}"}
          - id: second
            uses: test.pure
            with: ["${{ steps.first.output.n }}", "${{ env.GREETING }}"]
            output: ${{ result | length }}
        outputs: {n: "${{ steps.first.output.n }}", count: "${{ steps.second.output }}"}
    """)
    run = await house.finish(n=21)
    assert (run.status, decode(run.outputs)) == ("succeeded", {"n": 42, "count": 2})
    assert [call[1] for call in house.probe.calls] == [{"n": 42, "text": "n is 21"}, [42, "hello"]]
    assert await house.statuses(run.id) == [("first", 1, "succeeded"), ("second", 1, "succeeded")]


async def test_a_false_condition_skips_the_step_and_the_run_goes_on(house: House) -> None:
    """A skipped step has a row, no call, and a status others can ask for."""
    await house.deploy("""
        id: test
        steps:
          - id: maybe
            if: 1 > 2
            uses: test.effect
          - uses: test.effect
            with: ${{ steps.maybe.status }}
    """)
    run = await house.finish()
    assert run.status == "succeeded"
    assert [call[:2] for call in house.probe.calls] == [("steps[1]", "skipped")]
    assert ("maybe", 1, "skipped") in await house.statuses(run.id)


async def test_a_retryable_error_is_tried_again_with_the_same_inputs_and_key(house: House) -> None:
    """Attempts are numbered, each is recorded, and inputs are rendered once."""
    await house.deploy("""
        id: test
        steps:
          - id: flaky
            uses: test.effect
            with: {when: "${{ now() }}", id: "${{ uuid() }}"}
            retry: {attempts: 3, delay: 1ms}
    """)
    house.probe.script["flaky"] = [Retry("busy"), Retry("busy", type="rate_limited")]
    run = await house.finish()
    assert run.status == "succeeded"
    assert await house.statuses(run.id) == [("flaky", 1, "failed"), ("flaky", 2, "failed"), ("flaky", 3, "succeeded")]
    calls = house.probe.calls
    assert [call[3] for call in calls] == [1, 2, 3]
    assert calls[0][1] == calls[1][1] == calls[2][1]
    assert len({call[2] for call in calls}) == 1


async def test_an_effect_is_not_repeated_unless_asked_for(house: House) -> None:
    """A step type with effects gets one attempt; an idempotent one gets three."""
    await house.deploy("""
        id: test
        steps:
          - {id: once, uses: test.effect, on_error: continue}
          - {id: thrice, uses: test.idempotent, retry: {attempts: 3, delay: 1ms}, on_error: continue}
    """)
    house.probe.script = {"once": [Retry("no")], "thrice": [Retry("a"), Retry("b"), Retry("c")]}
    run = await house.finish()
    assert run.status == "succeeded"
    assert (house.probe.count("once"), house.probe.count("thrice")) == (1, 3)


async def test_a_failed_step_fails_the_run_and_runs_the_handlers(house: House) -> None:
    """`on_error` sees the error, `finally` sees the outcome, later steps do not run."""
    await house.deploy("""
        id: test
        steps:
          - {id: bad, uses: test.effect}
          - {id: never, uses: test.effect}
        on_error:
          - {id: told, uses: test.effect, with: "${{ error.step }} ${{ error.type }} ${{ error.message }}"}
        finally:
          - {id: last, uses: test.effect, with: "${{ run.outcome }} ${{ steps.never.status }}"}
    """)
    house.probe.script["bad"] = [Fail("no such thing", type="http.404", data={"status": 404})]
    run = await house.finish()
    assert run.status == "failed"
    assert decode(run.error) == {
        "type": "http.404", "message": "no such thing", "step": "bad", "attempt": 1, "data": {"status": 404},
    }  # fmt: skip
    assert [call[:2] for call in house.probe.calls] == [
        ("bad", None), ("told", "bad http.404 no such thing"), ("last", "failed pending"),
    ]  # fmt: skip


async def test_a_fallback_value_or_fallback_steps_recover_a_step(house: House) -> None:
    """The recovered step has the fallback's output and the run succeeds."""
    await house.deploy("""
        id: test
        steps:
          - id: value
            uses: test.effect
            on_error: {output: {why: "${{ error.message }}"}}
          - id: steps
            uses: test.effect
            on_error:
              - {id: other, uses: test.effect, with: 7}
        outputs:
          value: ${{ steps.value.output.why }}
          steps: ${{ steps.steps.output }}
          status: ${{ steps.value.status }}
    """)
    house.probe.script = {"value": [Fail("broken")], "steps": [Fail("broken")]}
    run = await house.finish()
    assert decode(run.outputs) == {"value": "broken", "steps": 7, "status": "recovered"}


async def test_stop_ends_the_run_as_succeeded(house: House) -> None:
    """`stop` keeps its message and output, and `finally` still runs."""
    await house.deploy("""
        id: test
        steps:
          - {uses: stop, with: {message: enough, output: {n: 1}}}
          - {id: never, uses: test.effect}
        finally:
          - {id: last, uses: test.effect, with: "${{ run.outcome }}"}
    """)
    run = await house.finish()
    assert (run.status, run.message, decode(run.outputs)) == ("succeeded", "enough", {"n": 1})
    assert [call[:2] for call in house.probe.calls] == [("last", "succeeded")]


async def test_a_step_that_takes_too_long_times_out(house: House) -> None:
    """The attempt is recorded as timed out and the run fails with type timeout."""
    await house.deploy("""
        id: test
        steps: [{id: slow, uses: test.gate, timeout: 30ms}]
    """)
    import asyncio

    house.probe.gate = asyncio.Event()
    run = await house.finish()
    assert (run.status, decode(run.error)["type"]) == ("failed", "timeout")
    assert await house.statuses(run.id) == [("slow", 1, "timed_out")]


async def test_a_run_that_takes_too_long_fails(house: House) -> None:
    """The pipeline's timeout counts over all steps."""
    await house.deploy("""
        id: test
        timeout: 50ms
        steps: [{id: slow, uses: test.gate}]
    """)
    import asyncio

    house.probe.gate = asyncio.Event()
    run = await house.finish()
    assert (run.status, decode(run.error)["type"]) == ("failed", "timeout")


async def test_wrong_inputs_of_a_step_are_an_error_that_names_the_field(house: House) -> None:
    """A value that only shows its type at run time is refused before the plugin is called."""
    await house.deploy("""
        id: test
        inputs: {n: any}
        steps: [{id: strict, uses: test.strict, with: {value: "${{ inputs.n }}"}}]
    """)
    run = await house.finish(n="five")
    error = decode(run.error)
    assert error["type"] == "invalid_input"
    assert "value" in error["message"]
    assert house.probe.calls == []


async def test_missing_data_fails_the_step_with_its_path(house: House) -> None:
    """The message names what is not there."""
    await house.deploy("""
        id: test
        inputs: {o: object}
        steps: [{id: reads, uses: test.effect, with: "${{ inputs.o.name }}"}]
    """)
    run = await house.finish(o={"nmae": 1})
    error = decode(run.error)
    assert error["type"] == "expression"
    assert "inputs.o.name" in error["message"]


async def test_a_secret_reaches_the_step_and_no_table(house: House) -> None:
    """The plugin sees the value; rows hold the reference, or a mask where the step echoes it."""
    await house.deploy("""
        id: test
        steps:
          - id: uses
            uses: test.effect
            with: {header: "Bearer ${{ secrets.TOKEN }}"}
        outputs: {echo: "${{ steps.uses.output.header }}"}
    """)
    run = await house.finish()
    assert house.probe.calls[0][1] == {"header": "Bearer s3cret-token"}
    attempts = await house.attempts(run.id)
    kept = b"".join(part for row in attempts for part in (row.input, row.output) if part) + run.outputs
    assert b"s3cret-token" not in kept
    assert decode(attempts[0].output) == {"header": "Bearer ***"}


async def test_a_missing_secret_fails_the_step_and_names_it(house: House) -> None:
    """The error says which secret is not set."""
    await house.deploy("""
        id: test
        steps: [{id: uses, uses: test.effect, with: "${{ secrets.NOPE }}"}]
    """)
    error = decode((await house.finish()).error)
    assert error["type"] == "secret"
    assert "NOPE" in error["message"]


async def test_a_cached_output_is_reused_by_the_next_run(house: House) -> None:
    """The second run has the output without a call, and its attempt says so."""
    await house.deploy("""
        id: test
        steps: [{id: dear, uses: test.effect, with: {a: 1}, cache: 1h}]
        outputs: {a: "${{ steps.dear.output.a }}", cached: "${{ steps.dear.cached }}"}
    """)
    first, second = await house.finish(), await house.finish()
    assert house.probe.count("dear") == 1
    assert decode(first.outputs) == {"a": 1, "cached": False}
    assert decode(second.outputs) == {"a": 1, "cached": True}


async def test_a_defect_of_a_plugin_fails_only_its_run(house: House) -> None:
    """Any exception becomes an error of type plugin, with its text."""
    await house.deploy("""
        id: test
        steps: [{id: broken, uses: test.effect}]
    """)
    house.probe.script["broken"] = [ZeroDivisionError("oops")]
    error = decode((await house.finish()).error)
    assert (error["type"], error["message"]) == ("plugin", "test.effect failed: ZeroDivisionError: oops")
