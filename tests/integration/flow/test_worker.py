"""A worker's grip on its runs."""

import asyncio
from datetime import UTC, datetime, timedelta

from engine.worker import Holder
from tests.integration.flow.conftest import House

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
