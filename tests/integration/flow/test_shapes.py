"""Shapes over the real store: what workers that die, stop or are told to cancel leave behind."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.flow.cancel import cancel_run
from engine.flow.execution import Hold
from tests.integration.flow.conftest import Fail, House, Retry, decode
from tests.integration.flow.test_resume import die

LOOP = """
    id: test
    steps:
      - id: loop
        for_each: {items: [0, 1, 2, 3, 4, 5], concurrency: 2}
        steps:
          - id: take
            uses: test.effect
            with: "${{ item }}"
            compensate: [{id: undo, uses: test.effect, with: "${{ item }}"}]
          - {if: item == 3, id: gate, uses: test.gate}
          - {id: put, uses: test.effect, with: "${{ steps.take.output }}"}
      - id: both
        parallel:
          a: [{id: a, uses: test.effect, with: 1}]
          b: [{id: b, uses: test.effect, with: 2}]
    finally: [{id: last, uses: test.effect, with: "${{ run.compensated | length }}"}]
    outputs: {loop: "${{ steps.loop.output }}", sum: "${{ steps.a.output + steps.b.output }}"}
"""


BEGUN = ("running", "succeeded")


async def until_stuck(house: House, run_id: Any, hold: Hold) -> asyncio.Task[bool]:
    """Advance until only the item at the gate is left, and every `take` is in the table.

    The row of the last `put` may say `running`: that it has succeeded goes with the next commit.
    """
    others = [f"loop[{item}]/put" for item in (0, 1, 2, 4, 5)]
    house.probe.gate = asyncio.Event()
    task = asyncio.create_task(house.turn(run_id, hold))
    async with asyncio.timeout(10):
        while True:
            rows = {row.step: str(row.status) for row in await house.attempts(run_id)}
            if rows.get("loop[3]/gate") == "running" and all(rows.get(put) in BEGUN for put in others):
                return task
            await asyncio.sleep(0.002)  # the rows are written by a commit that nobody awaits


async def test_a_loop_goes_on_after_a_crash_with_the_items_that_are_left(house: House) -> None:
    """Finished items and steps are not repeated, whatever the store has made of their rows."""
    await house.deploy(LOOP)
    run_id, hold = await house.start(), Hold()
    task = await until_stuck(house, run_id, hold)
    finished = {row.step for row in await house.attempts(run_id) if row.status == "succeeded"}
    await die(house, task, hold)
    assert ("loop", 1, "interrupted") in await house.statuses(run_id)
    house.probe.gate = None
    before = len(house.probe.calls)
    assert await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.status, decode(run.outputs)) == ("succeeded", {"loop": [0, 1, 2, 3, 4, 5], "sum": 3})
    again = {call[0] for call in house.probe.calls[before:]}
    assert not again & finished
    assert {"loop[3]/gate", "loop[3]/put", "a", "b", "last"} <= again
    assert ("loop", 1, "succeeded") in await house.statuses(run_id)


@pytest.mark.parametrize("how", ["told", "died", "waiting"])
async def test_a_cancelled_run_is_undone_whoever_hears_of_it(house: House, how: str) -> None:
    """The holder, the worker that takes over from a dead one, or the one that claims a run that was waiting."""
    text = LOOP.replace("{if: item == 3, id: gate, uses: test.gate}", "{if: item == 3, id: gate, GATE}")
    long = "uses: test.effect, retry: {attempts: 2, delay: 1h, max_delay: 1h, jitter: false}"
    await house.deploy(text.replace("GATE", long if how == "waiting" else "uses: test.gate"))
    house.probe.script["loop[3]/gate"] = [Retry("busy")]
    run_id, hold = await house.start(), Hold()
    if how == "waiting":
        assert await house.turn(run_id)
        assert (await house.run(run_id)).status == "waiting"
        assert await cancel_run(house.runtime, run_id) == "running"
        assert await house.turn(run_id), "it is due at once"
    else:
        task = await until_stuck(house, run_id, hold)
        await cancel_run(house.runtime, run_id)
        if how == "told":
            hold.reason = "cancel"
            task.cancel()
            await task
        else:
            await die(house, task, hold)
            assert await house.turn(run_id)
    run = await house.run(run_id)
    assert run.status == "cancelled"
    undone = [call[1] for call in house.probe.calls if call[0].endswith("/undo")]
    taken = [call[1] for call in house.probe.calls if call[0].endswith("/take")]
    assert sorted(undone) == sorted(taken) == [0, 1, 2, 3, 4, 5]
    assert house.probe.calls[-1][:2] == ("last", 6)


async def test_a_branch_that_waits_for_long_lets_the_run_go(house: House) -> None:
    """Once the others are done; the run is due when the branch is, and says for what it waits."""
    await house.deploy("""
        id: test
        steps:
          - parallel:
              a: [{id: flaky, uses: test.effect, retry: {attempts: 2, delay: 1h, max_delay: 2h, jitter: false}}]
              b: [{id: b, uses: test.effect, with: 2}]
    """)
    house.probe.script["flaky"] = [Retry("busy")]
    run_id = await house.start()
    await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.status, run.worker, house.probe.count("b")) == ("waiting", None, 1)
    assert "flaky" in run.waiting_for
    assert 3500 < (run.due_at - datetime.now(UTC)).total_seconds() <= 3600
    later = datetime.now(UTC) + timedelta(hours=2)
    assert run_id in await house.runtime.store.due_unrung(2.0, 100, now=later)


async def test_a_group_with_a_limit_is_due_when_its_time_is_over(house: House) -> None:
    """A retry in an hour does not keep a group of ten minutes for an hour."""
    await house.deploy("""
        id: test
        steps:
          - timeout: 10m
            steps: [{id: flaky, uses: test.effect, retry: {attempts: 2, delay: 1h, max_delay: 2h, jitter: false}}]
    """)
    house.probe.script["flaky"] = [Retry("busy")]
    run_id = await house.start()
    await house.turn(run_id)
    run = await house.run(run_id)
    assert 550 < (run.due_at - datetime.now(UTC)).total_seconds() <= 600


async def test_a_failing_branch_leaves_no_attempt_that_seems_to_run(house: House) -> None:
    """What it cancels is recorded as interrupted, and its steps are undone."""
    await house.deploy("""
        id: test
        steps:
          - id: both
            parallel:
              a: [{id: slow, uses: test.hang}]
              b: [{id: b, uses: test.effect, compensate: [{id: undo, uses: test.effect}]}, {id: bad, uses: test.effect}]
    """)
    house.probe.script["bad"] = [Fail("no")]
    run = await house.finish()
    assert run.status == "failed"
    rows = await house.statuses(run.id)
    assert [row for row in rows if row[2] == "running"] == []
    assert ("slow", 1, "interrupted") in rows
    assert house.probe.count("undo") == 1


async def test_keys_of_items_may_be_anything(house: House) -> None:
    """Also what PostgreSQL cannot hold in a text."""
    await house.deploy("""
        id: test
        inputs: {rows: any}
        steps: [{id: loop, for_each: {items: "${{ inputs.rows }}", key: "${{ item }}"}, uses: test.pure, with: 1}]
    """)
    run = await house.finish(rows=["a/b", "[x]", "ü", "x" * 5000, 7, None, True, {"a": 1}, ""])
    assert run.status == "succeeded"
    assert len(await house.attempts(run.id)) == 10
