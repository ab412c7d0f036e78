"""`concurrency` and `rate_limit` of steps: attempts take turns, whatever becomes of their runs and workers."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from engine.flow.advance import advance
from engine.flow.execution import Hold
from tests.integration.flow.conftest import House, Retry, decode

ONE = """
    id: test
    steps:
      - {id: gate, uses: test.gate, concurrency: {limit: 1%s}%s}
"""
PACED = """
    id: test
    steps:
      - {id: act, uses: test.effect, rate_limit: {limit: 1, period: %s}}
"""
LONG = 30.0


async def begin(house: House, run_id: UUID) -> asyncio.Task[bool]:
    """Advance the run until its step is in `test.gate`."""
    house.probe.entered.clear()
    task = asyncio.create_task(house.turn(run_id))
    async with asyncio.timeout(LONG):
        await house.probe.entered.wait()
    return task


async def error_of(house: House, run_id: UUID) -> Any:
    return decode((await house.run(run_id)).error)


async def test_an_attempt_waits_for_its_turn_without_a_worker(house: House) -> None:
    """It is let go with a reason, and rung when the other one has ended; nothing counts as tried meanwhile."""
    await house.deploy(ONE % ("", ""))
    first, second = await house.start(), await house.start()
    house.probe.gate = asyncio.Event()
    task = await begin(house, first)
    assert await house.turn(second)
    row = await house.run(second)
    assert str(row.status) == "waiting"
    why = f"a slot of concurrency of test/gate (1 at a time) for step gate, held by run {first}"
    assert row.waiting_for == why
    assert not await house.turn(second)
    house.probe.gate.set()
    await task
    assert await house.turn(second)
    assert await house.statuses(second) == [("gate", 1, "succeeded")]


async def test_items_of_a_loop_take_turns(house: House) -> None:
    """In one visit: nobody lets go of a run whose other items work."""
    await house.deploy("""
        id: test
        steps:
          - id: each
            for_each: {items: "${{ range(40) }}", concurrency: 10}
            uses: test.count
            concurrency: {limit: 3}
    """)
    run_id = await house.start()
    began = asyncio.get_running_loop().time()
    await house.turn(run_id)
    assert str((await house.run(run_id)).status) == "succeeded"
    assert house.probe.most == 3
    assert asyncio.get_running_loop().time() - began < LONG


async def test_a_dropped_attempt_fails(house: House) -> None:
    """With `rate_limited`, as in the simulation; that is its outcome, and its `on_error` takes over."""
    await house.deploy(ONE % (", on_limit: drop", ", on_error: continue"))
    first, second = await house.start(), await house.start()
    house.probe.gate = asyncio.Event()
    task = await begin(house, first)
    assert await house.turn(second)
    assert str((await house.run(second)).status) == "succeeded"
    [row] = await house.attempts(second)
    error = decode(row.error)
    assert (str(row.status), error["type"]) == ("failed", "rate_limited")
    assert error["message"] == "dropped: 1 at a time, and `on_limit` is `drop`"
    house.probe.gate.set()
    await task


async def test_more_attempts_than_may_wait_are_dropped(house: House) -> None:
    """The others stay in the queue."""
    await house.deploy(ONE % (", max_queued: 1", ""))
    runs = [await house.start() for _ in range(3)]
    house.probe.gate = asyncio.Event()
    task = await begin(house, runs[0])
    for run_id in runs[1:]:
        await house.turn(run_id)
    assert [str((await house.run(run_id)).status) for run_id in runs[1:]] == ["waiting", "failed"]
    assert (await error_of(house, runs[2]))["type"] == "rate_limited"
    house.probe.gate.set()
    await task


async def test_the_latest_attempt_takes_the_place_of_the_one_that_waits(house: House) -> None:
    """The older one fails with `superseded` as soon as its run looks."""
    await house.deploy(ONE % (", on_limit: keep_latest", ""))
    runs = [await house.start() for _ in range(3)]
    house.probe.gate = asyncio.Event()
    task = await begin(house, runs[0])
    for run_id in runs[1:]:
        await house.turn(run_id)
    assert await house.turn(runs[1])
    assert (await error_of(house, runs[1]))["message"] == f"superseded: run {runs[2]} took its place"
    house.probe.gate.set()
    await task
    assert await house.turn(runs[2])
    assert str((await house.run(runs[2])).status) == "succeeded"


async def test_a_newer_attempt_interrupts_the_one_that_runs(house: House) -> None:
    """`cancel_running`: the older one fails with `superseded`, and the newer one begins then."""
    await house.deploy(ONE % (", on_limit: cancel_running", ""))
    first, second = await house.start(), await house.start()
    house.probe.gate = asyncio.Event()
    task = await begin(house, first)
    assert await house.turn(second)
    async with asyncio.timeout(LONG):
        await task
    assert (await error_of(house, first))["type"] == "superseded"
    assert await house.statuses(first) == [("gate", 1, "failed")]
    house.probe.gate.set()
    assert await house.turn(second)
    assert str((await house.run(second)).status) == "succeeded"


async def test_a_step_that_waits_for_a_retry_holds_nothing(house: House) -> None:
    """Others have their turn meanwhile."""
    await house.deploy("""
        id: test
        steps:
          - {id: act, uses: test.effect, retry: {attempts: 2, delay: 1h, jitter: false}, concurrency: {limit: 1}}
    """)
    first, second = await house.start(), await house.start()
    house.probe.script["act"] = [Retry("busy")]
    await house.turn(first)
    assert str((await house.run(first)).status) == "waiting"
    await house.turn(second)
    assert str((await house.run(second)).status) == "succeeded"


async def test_a_rate_limit_puts_off_the_attempt(house: House) -> None:
    """The run is due at its time; coming back earlier changes nothing."""
    await house.deploy(PACED % "1h")
    first, second = await house.start(), await house.start()
    await house.turn(first)
    await house.turn(second)
    row = await house.run(second)
    assert row.due_at is not None
    assert timedelta(minutes=59) < row.due_at - datetime.now(UTC) < timedelta(minutes=61)
    assert row.waiting_for == "its turn in rate limit of test/act (1 in 3600 s) for step act"
    await house.runtime.store.wake([second])
    await house.turn(second)
    assert (await house.run(second)).due_at == row.due_at
    assert house.probe.count("act") == 1


async def test_short_waits_for_a_rate_limit_stay_in_the_process(house: House) -> None:
    """As those between attempts do."""
    await house.deploy(PACED % "200ms")
    for _ in range(3):
        assert str((await house.finish()).status) == "succeeded"


async def test_a_key_without_a_value_fails_the_step(house: House) -> None:
    """With the error `expression`, which names the limit."""
    await house.deploy("""
        id: test
        inputs: {data: {type: object, default: {}}}
        steps:
          - {id: act, uses: test.effect, concurrency: {key: "${{ inputs.data.shop }}"}}
    """)
    error = decode((await house.finish()).error)
    assert error["type"] == "expression"
    assert error["message"].startswith("concurrency: ")


async def test_the_slot_of_a_dead_worker_stays_with_its_run(house: House) -> None:
    """Whoever takes the run over has it already; nobody else gets in between."""
    await house.deploy(ONE % ("", ""))
    first, second = await house.start(), await house.start()
    house.probe.gate = asyncio.Event()
    store = house.runtime.store
    worker = await house.new_worker()
    [run] = await store.claim([first], worker, 1)
    hold = Hold()
    task = asyncio.create_task(advance(house.runtime, run, hold))
    async with asyncio.timeout(LONG):
        await house.probe.entered.wait()
    await house.new_worker()
    await house.turn(second)
    hold.reason = "lost"
    task.cancel()
    await asyncio.wait([task])
    await store.unregister_worker(worker)
    assert str((await house.run(second)).status) == "waiting"
    house.probe.gate.set()
    assert await house.turn(first)
    assert str((await house.run(first)).status) == "succeeded"
    assert await house.turn(second)


async def test_a_cancelled_run_leaves_the_queue_of_its_step(house: House) -> None:
    """The next one is let in when the slot is free."""
    await house.deploy(ONE % ("", ""))
    runs = [await house.start() for _ in range(3)]
    house.probe.gate = asyncio.Event()
    task = await begin(house, runs[0])
    for run_id in runs[1:]:
        await house.turn(run_id)
    await house.runtime.store.request_cancel(runs[1])
    assert await house.turn(runs[1])
    assert str((await house.run(runs[1])).status) == "cancelled"
    house.probe.gate.set()
    await task
    assert await house.turn(runs[2])


async def test_a_call_holds_its_slot_through_the_waits_inside(house: House) -> None:
    """An attempt of a call is all of the called pipeline."""
    await house.deploy("id: callee\nsteps: [{wait: 1h}]\n", name="callee")
    await house.deploy("""
        id: test
        steps: [{id: call, uses: "pipeline:callee", concurrency: {limit: 1}}]
    """)
    first, second = await house.start(), await house.start()
    await house.turn(first)
    await house.turn(second)
    assert "a slot of" in ((await house.run(second)).waiting_for or "")
    await house.runtime.store.request_cancel(first)
    await house.turn(first)
    assert await house.turn(second)
    assert "a slot of" not in ((await house.run(second)).waiting_for or "")


async def test_steps_that_share_a_key(house: House) -> None:
    """With `scope: global`, also those of other pipelines."""
    shared = ONE % (", key: api, scope: global", "")
    await house.deploy(shared)
    await house.deploy(shared.replace("id: test", "id: other").replace("id: gate", "id: door"), name="other")
    first, second = await house.start(), await house.start("other")
    house.probe.gate = asyncio.Event()
    task = await begin(house, first)
    await house.turn(second)
    assert str((await house.run(second)).status) == "waiting"
    house.probe.gate.set()
    await task
    assert await house.turn(second)
