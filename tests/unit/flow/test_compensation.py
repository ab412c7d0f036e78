"""What has succeeded is undone when the run fails or is cancelled."""

import asyncio

import msgspec
import pytest

from engine.flow.execution import Hold
from tests.integration.flow.conftest import Fail, Probe, Retry
from tests.unit.flow.memory import Ended, Memory, carry_out, claim, read

SAGA = """
    id: t
    steps:
      - id: reserve
        uses: test.effect
        with: r1
        compensate: [{uses: test.effect, with: "undo ${{ steps.reserve.output }}"}]
      - id: charge
        uses: test.effect
        with: c1
        compensate: [{id: refund, uses: test.effect, with: "${{ error.type }}"}]
      - {id: ship, uses: test.effect, compensate: [{uses: test.effect, with: never}]}
    on_error: [{id: told, uses: test.effect, with: "${{ run.compensated }}"}]
    finally: [{id: last, uses: test.effect, with: ["${{ run.outcome }}", "${{ run.compensated }}"]}]
"""


async def test_a_failed_run_is_undone_in_reverse_order() -> None:
    """Only what succeeded; before the pipeline's `on_error`, which sees what was undone."""
    run = await carry_out(SAGA, script={"ship": [Fail("no carrier", type="carrier")]})
    assert run.calls == [
        ("reserve", "r1"),
        ("charge", "c1"),
        ("ship", None),
        ("refund", "carrier"),
        ("reserve.compensate[0]", "undo r1"),
        ("told", ["charge", "reserve"]),
        ("last", ["failed", ["charge", "reserve"]]),
    ]


async def test_a_run_that_succeeds_is_not_undone() -> None:
    """`run.compensated` is an empty list in `finally`."""
    run = await carry_out(SAGA)
    assert run.calls == [("reserve", "r1"), ("charge", "c1"), ("ship", None), ("last", ["succeeded", []])]


async def test_a_compensation_that_fails_does_not_keep_the_others() -> None:
    """It is recorded, and missing in `run.compensated`."""
    run = await carry_out(SAGA, script={"ship": [Fail("no")], "refund": [Fail("bank is closed")]})
    assert ("reserve.compensate[0]", "undo r1") in run.calls
    assert ("told", ["reserve"]) in run.calls
    assert run.statuses["refund"] == "failed"
    assert run.error["message"] == "no"


async def test_a_recovered_step_is_not_undone() -> None:
    """It has not succeeded."""
    run = await carry_out(
        """
        id: t
        steps:
          - {id: a, uses: test.effect, on_error: continue, compensate: [{id: undo, uses: test.effect}]}
          - {id: b, uses: test.effect}
    """,
        script={"a": [Fail("no")], "b": [Fail("no")]},
    )
    assert [key for key, _ in run.calls] == ["a", "b"]


async def test_items_are_undone_one_by_one() -> None:
    """Each with its own item and output, also those of a loop that failed half way."""
    run = await carry_out(
        """
        id: t
        steps:
          - id: loop
            for_each: {items: [a, b, c], as: what}
            uses: test.effect
            with: "${{ what }}"
            compensate: [{uses: test.effect, with: "undo ${{ what }} ${{ steps.loop.output }}"}]
        on_error: [{id: told, uses: test.effect, with: "${{ run.compensated }}"}]
    """,
        script={"loop[2]": [Fail("no")]},
    )
    assert run.calls[3:] == [
        ("loop[1]/loop.compensate[0]", "undo b b"),
        ("loop[0]/loop.compensate[0]", "undo a a"),
        ("told", ["loop", "loop"]),
    ]


CALLEE = """
    id: callee
    steps:
      - {id: one, uses: test.effect, compensate: [{id: undo_one, uses: test.effect, with: "${{ steps.one.output }}"}]}
      - {id: two, uses: test.effect}
    on_error: [{id: told, uses: test.effect, with: "${{ run.compensated }}"}]
"""


async def test_a_callee_that_fails_undoes_its_own() -> None:
    """Before its `on_error`; the caller may recover without anything being undone twice."""
    run = await carry_out(
        """
        id: t
        steps:
          - {id: call, uses: "pipeline:callee", on_error: continue}
          - {id: bad, uses: test.effect}
        on_error: [{id: outer, uses: test.effect, with: "${{ run.compensated }}"}]
    """,
        CALLEE,
        script={"call/two": [Fail("no")], "bad": [Fail("no")], "call/one": [1]},
    )
    assert run.calls == [
        ("call/one", None), ("call/two", None), ("call/undo_one", 1), ("call/told", ["one"]), ("bad", None),
        ("outer", []),
    ]  # fmt: skip


@pytest.mark.parametrize("own", [True, False])
async def test_a_callee_that_succeeded_is_undone_with_its_caller(own: bool) -> None:
    """By the call's own compensation if it has one, else by those of the steps inside."""
    more = ", compensate: [{id: undo_call, uses: test.effect}]" if own else ""
    run = await carry_out(
        f"""
        id: t
        steps:
          - {{id: call, uses: "pipeline:callee"{more}}}
          - {{id: bad, uses: test.effect}}
    """,
        CALLEE,
        script={"bad": [Fail("no")]},
    )
    assert [key for key, _ in run.calls[3:]] == (["undo_call"] if own else ["call/undo_one"])


PARALLEL = """
    id: t
    steps:
      - {id: first, uses: test.effect, compensate: [{id: undo_first, uses: test.effect}]}
      - parallel:
          a:
            - {id: second, uses: test.effect, compensate: [{id: undo_second, uses: test.effect}]}
            - {id: gate, uses: test.gate, compensate: [{id: never, uses: test.effect}]}
          b:
            - id: loop
              for_each: {items: [1, 2], as: n}
              steps:
                - id: act
                  uses: test.effect
                  with: "${{ n }}"
                  compensate: [{id: undo_act, uses: test.effect, with: "${{ n }}"}]
            - {id: call, uses: "pipeline:callee"}
            - {id: other, uses: test.gate}
    finally: [{id: last, uses: test.effect, with: "${{ run.compensated }}"}]
"""
UNDONE = [
    ("call/undo_one", None), ("loop[1]/undo_act", 2), ("loop[0]/undo_act", 1), ("undo_second", None),
    ("undo_first", None), ("last", ["one", "act", "act", "second", "first"]),
]  # fmt: skip


async def until_gates(probe: Probe) -> None:
    async with asyncio.timeout(10):
        while probe.count("gate") + probe.count("other") < 2:
            await asyncio.sleep(0)


@pytest.mark.parametrize("died", [True, False])
async def test_a_cancelled_run_is_undone(died: bool) -> None:
    """In the visit that is told, or in the next one if the worker dies: in the order in which things were done."""
    probe = Probe()
    probe.gate = asyncio.Event()
    pipeline = read(PARALLEL, CALLEE)
    memory, run, hold = Memory(probe), claim(pipeline), Hold()
    visit = asyncio.create_task(memory.turn(run, pipeline, hold))
    await until_gates(probe)
    done = len(probe.calls)
    hold.reason = "lost" if died else "cancel"
    visit.cancel()
    await asyncio.gather(visit, return_exceptions=True)
    if died:
        probe.calls.clear()
        memory = Memory(probe, memory.records)
        await memory.turn(msgspec.structs.replace(run, cancel_requested=True), pipeline)
        done = 0
    ended = Ended(memory)
    assert ended.status == "cancelled"
    assert sorted(ended.calls[done:]) == sorted(UNDONE)
    assert ended.calls[-1] == UNDONE[-1] or sorted(ended.calls[-1][1]) == sorted(UNDONE[-1][1])
    assert ended.calls[done:].index(("loop[1]/undo_act", 2)) < ended.calls[done:].index(("loop[0]/undo_act", 1))


async def test_a_cancellation_runs_finally_of_the_callees_it_went_through() -> None:
    """Inner ones first."""
    probe = Probe()
    probe.gate = asyncio.Event()
    pipeline = read(
        'id: t\nsteps: [{id: call, uses: "pipeline:callee"}]\nfinally: [{id: outer, uses: test.effect}]',
        """
        id: callee
        steps: [{id: gate, uses: test.gate}]
        finally: [{id: inner, uses: test.effect, with: "${{ run.outcome }}"}]
    """,
    )
    memory, run, hold = Memory(probe), claim(pipeline), Hold()
    visit = asyncio.create_task(memory.turn(run, pipeline, hold))
    await probe.entered.wait()
    hold.reason = "cancel"
    visit.cancel()
    await visit
    ended = Ended(memory)
    assert (ended.status, ended.calls[1:]) == ("cancelled", [("call/inner", "cancelled"), ("outer", None)])


async def test_a_second_word_in_the_aftermath_repeats_nothing() -> None:
    """A run that is cancelled while its `finally` runs goes on in it."""
    probe = Probe()
    probe.gate = asyncio.Event()
    pipeline = read(
        """
        id: t
        steps:
          - {id: one, uses: test.effect, compensate: [{id: undo, uses: test.effect}]}
          - {id: bad, uses: test.effect}
        on_error: [{id: told, uses: test.effect}]
        finally: [{id: before, uses: test.effect}, {id: gate, uses: test.gate}]
    """
    )
    probe.script["bad"] = [Fail("no")]
    memory, run, hold = Memory(probe), claim(pipeline), Hold()
    visit = asyncio.create_task(memory.turn(run, pipeline, hold))
    await probe.entered.wait()
    hold.reason = "cancel"
    probe.gate.set()
    visit.cancel()
    await visit
    assert str(memory.ledger.run.status) == "cancelled"
    assert [probe.count(step) for step in ("one", "undo", "told", "before", "gate")] == [1, 1, 1, 1, 2]


async def test_a_compensation_that_waits_lets_the_run_go() -> None:
    """And goes on when it is due; nothing is undone twice."""
    run = await carry_out(
        SAGA.replace("{id: refund,", "{id: refund, retry: {attempts: 2, delay: 1h, max_delay: 1h},"),
        script={"ship": [Fail("no")], "refund": [Retry("closed")]},
    )
    assert [key for key, _ in run.calls] == [
        "reserve", "charge", "ship", "refund", "refund", "reserve.compensate[0]", "told", "last"
    ]  # fmt: skip
