"""A worker's grip on its runs."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from engine import worker
from engine.core import clock
from engine.core.clock import Clock
from engine.flow import environment, execution
from engine.memory import used_memory
from engine.worker import Holder
from tests.integration.flow.conftest import House, Retry

GATED = """
    id: test
    steps: [{id: gate, uses: test.gate}]
"""


async def test_a_worker_that_was_declared_dead_works_again(house: House) -> None:
    """After a stall it lets go of what others have taken over, registers anew and claims runs as before."""
    await house.deploy(GATED)
    store = house.runtime.store
    holder = Holder(house.runtime, await store.register_worker("worker", "test", 1))
    dead = holder.worker_id
    house.probe.gate = asyncio.Event()
    run_id = await house.start()
    await holder.take(None, run_ids=[str(run_id)])
    async with asyncio.timeout(10):
        await house.probe.entered.wait()
    assert await store.rescue(6.0, now=datetime.now(UTC) + timedelta(seconds=60)) == [run_id]
    await holder.beat()
    assert holder.worker_id != dead
    assert (await store.heartbeat(holder.worker_id)).known
    await holder.idle(10)
    assert (await house.run(run_id)).status == "queued", "what was lost is left to whoever claims it"
    house.probe.gate = None
    await holder.take(None, run_ids=[str(run_id)])
    await holder.idle(10)
    assert (await house.run(run_id)).status == "succeeded"


@pytest.mark.parametrize("wrong", [-86400.0, 86400.0])
async def test_a_worker_whose_clock_is_a_day_wrong(house: House, monkeypatch: pytest.MonkeyPatch, wrong: float) -> None:
    """It goes by PostgreSQL's: what it puts off is due when it should be, and not a day later, or over and over."""
    monkeypatch.setattr(clock, "CLOCK", Clock(wall=lambda: time.time() + wrong))
    for module in (worker, execution, environment):
        monkeypatch.setattr(module, "CLOCK", clock.CLOCK)
    await house.deploy("""
        id: test
        steps: [{id: late, uses: test.effect, retry: {attempts: 2, delay: 8s, jitter: false, errors: [late]}}]
    """)
    house.probe.script["late"] = [Retry("not now", type="late")]
    store = house.runtime.store
    holder = Holder(house.runtime, await store.register_worker("worker", "test", 1))
    await holder.beat()
    run_id = await house.start()
    before = datetime.now(UTC)
    await holder.take(None, run_ids=[str(run_id)])
    await holder.idle(10)
    run = await house.run(run_id)
    assert run.status == "waiting"
    assert timedelta(seconds=7) < run.due_at - before < timedelta(seconds=10)
    assert house.probe.count("late") == 1
    await store.wake([run_id])
    await holder.take(None, run_ids=[str(run_id)])
    await holder.idle(10)
    run = await house.run(run_id)
    assert (run.status, house.probe.count("late")) == ("waiting", 1), "woken too early, it waits for its time"


async def test_a_worker_that_stays_full_is_noticed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What returns ends the worker, after a drain; one with room is left alone."""
    monkeypatch.setattr(worker, "HEARTBEAT", 0.01)
    roomy = asyncio.create_task(worker._watch_memory(house.runtime, used_memory() * 10))
    async with asyncio.timeout(10):
        await worker._watch_memory(house.runtime, used_memory() // 2)
    assert not roomy.done()
    roomy.cancel()
