"""Steps run where their `queue:` says; two pools of workers in this process, real PostgreSQL and Valkey."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from engine.core.ids import uuid7
from engine.flow import pool, routing
from engine.flow.cancel import cancel_run
from engine.flow.upkeep import Upkeep
from engine.runtime import Runtime, open_runtime
from engine.store import IngestRecord, NewRun
from engine.worker import Holder, Takers, register
from tests.integration.flow.conftest import House, Probe, decode

PATIENCE = 30.0
PROJECT = "language: 1\nenv: [GREETING]\nqueues: [default, ai, gpu]\n"
HOP = """
    id: test
    inputs: {queue: {type: string, default: ai}}
    steps:
      - {id: first, uses: test.effect, with: 1}
      - {id: think, uses: test.effect, queue: "${{ inputs.queue }}", with: 2}
      - {id: last, uses: test.effect, with: 3}
"""


class Pools:
    """Workers with queues of their own; every call of a step notes which of them made it."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        self._folder = folder
        self.calls: list[tuple[str, str]] = []  # (worker, step)
        self._stack = contextlib.AsyncExitStack()

    async def start(self, name: str, *queues: str, concurrency: int = 100) -> Runtime:
        """A worker that serves these queues, or all."""
        pools = self

        class Noting(Probe):
            async def act(self, config: Any, context: Any) -> Any:
                pools.calls.append((name, context.step))
                return await pools.house.probe.act(config, context)

        settings = msgspec.structs.replace(self.house.runtime.settings, queues=queues, concurrency=concurrency)
        runtime = await self._stack.enter_async_context(open_runtime(settings, {}, extra_plugins=[Noting()]))
        holder, upkeep = Holder(runtime, await register(runtime)), Upkeep(runtime)
        await upkeep.follow()
        takers = Takers(runtime, holder)
        takers.follow()
        task = asyncio.create_task(self._work(upkeep, holder, takers))

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await takers.stop()
            await holder.drain(asyncio.Event())
            await runtime.store.unregister_worker(holder.worker_id)

        self._stack.push_async_callback(stop)
        return runtime

    async def _work(self, upkeep: Upkeep, holder: Holder, takers: Takers) -> None:
        loop = asyncio.get_running_loop()
        next_round = 0.0
        while True:
            if loop.time() >= next_round:
                await holder.beat()
                await upkeep.follow()
                await upkeep.lead()
                takers.follow()
                next_round = loop.time() + 0.5
            await asyncio.sleep(await upkeep.tick())

    async def ended(self, run_id: UUID) -> Any:
        """The run's row once it is over."""
        async with asyncio.timeout(PATIENCE):
            while (run := await self.house.run(run_id)).finished_at is None:
                await asyncio.sleep(0.02)
        return run

    async def waits(self, run_id: UUID, reason: str) -> None:
        """Return once the run waits for this."""
        async with asyncio.timeout(PATIENCE):
            while (await self.house.run(run_id)).waiting_for != reason:
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def pools(house: House, tmp_path: Path) -> AsyncIterator[Pools]:
    (tmp_path / "project.yaml").write_text(PROJECT)
    made = Pools(house, tmp_path)
    yield made
    await made.close()


async def test_a_run_goes_to_the_workers_of_a_queue_and_back(pools: Pools) -> None:
    """Each step on a worker that serves its queue, none twice."""
    await pools.house.deploy(HOP)
    await pools.start("plain", "default")
    await pools.start("thinker", "ai")
    run = await pools.ended(await pools.house.start())
    assert run.status == "succeeded"
    assert pools.calls == [("plain", "first"), ("thinker", "think"), ("plain", "last")]


async def test_a_worker_of_all_queues_needs_no_hop(pools: Pools) -> None:
    """One turn does it."""
    await pools.house.deploy(HOP)
    await pools.start("all")
    run = await pools.ended(await pools.house.start())
    assert (run.status, run.turn) == ("succeeded", 1)


async def test_a_queue_that_no_project_has_fails_the_step(pools: Pools) -> None:
    """An expression may come to anything; the error names the queues that there are."""
    await pools.house.deploy(HOP)
    await pools.start("all")
    run = await pools.ended(await pools.house.start(queue="aj"))
    assert run.status == "failed"
    error = decode(run.error)
    assert (error["type"], error["step"]) == ("unknown_queue", "think")
    assert error["message"] == "there is no queue `aj`; project.yaml has: ai, default, gpu"


async def test_a_queue_that_nobody_serves_is_named(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run says what it waits for, and goes on once a worker comes."""
    await pools.house.deploy(HOP)
    await pools.start("plain", "default")
    run_id = await pools.house.start()
    await pools.waits(run_id, pool.unserved("ai"))
    await pools.start("thinker", "ai")
    run = await pools.ended(run_id)
    assert run.status == "succeeded"
    assert pools.calls == [("plain", "first"), ("thinker", "think"), ("plain", "last")]


async def test_workers_of_a_queue_that_go_away_leave_nothing_unexplained(pools: Pools) -> None:
    """A run that was handed to them comes back and says what it waits for."""
    await pools.house.deploy(HOP)
    store = pools.house.runtime.store
    gone = await store.register_worker("worker", "gone", 1, ["ai"])
    await pools.start("plain", "default")
    run_id = await pools.house.start()
    async with asyncio.timeout(PATIENCE):
        while (await pools.house.run(run_id)).queue != "ai":
            await asyncio.sleep(0.02)
    await store.unregister_worker(gone)
    await pools.waits(run_id, pool.unserved("ai"))
    assert await cancel_run(pools.house.runtime, run_id)
    assert (await pools.ended(run_id)).status == "cancelled"


async def test_branches_in_different_queues_all_get_on(pools: Pools) -> None:
    """Three pools, branches that cross: each step once, in its pool."""
    await pools.house.deploy("""
        id: test
        steps:
          - parallel:
              a: [{id: a1, uses: test.effect, queue: ai}, {id: a2, uses: test.effect}]
              b: [{id: b1, uses: test.effect, queue: gpu}, {id: b2, uses: test.effect, queue: ai}]
              c: [{id: c1, uses: test.effect}, {id: c2, uses: test.effect, queue: gpu}]
    """)
    for name, queue in (("plain", "default"), ("thinker", "ai"), ("painter", "gpu")):
        await pools.start(name, queue)
    run = await pools.ended(await pools.house.start())
    assert run.status == "succeeded"
    assert sorted(pools.calls) == sorted(
        [("thinker", "a1"), ("plain", "a2"), ("painter", "b1"), ("thinker", "b2"), ("plain", "c1"), ("painter", "c2")]
    )
    assert run.turn <= 7


async def test_a_branch_that_works_long_makes_room_for_one_that_goes_elsewhere(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have to wait for the end of the other branch otherwise."""
    monkeypatch.setattr(routing, "YIELD", 0.0)
    steps = ", ".join(f"{{id: p{number}, uses: test.effect}}" for number in range(6))
    await pools.house.deploy(f"""
        id: test
        steps: [{{parallel: {{a: [{steps}], b: [{{id: far, uses: test.effect, queue: ai}}]}}}}]
    """)
    await pools.start("plain", "default")
    await pools.start("thinker", "ai")
    run = await pools.ended(await pools.house.start())
    assert run.status == "succeeded"
    order = [step for _, step in pools.calls]
    assert order.index("far") < order.index("p5")
    assert len(order) == 7


async def test_items_of_a_loop_in_two_queues(pools: Pools) -> None:
    """Items hop in groups of what the loop runs at once; all results in their places."""
    await pools.house.deploy("""
        id: test
        steps:
          - id: each
            for_each: {items: "${{ range(12) }}", concurrency: 4}
            steps:
              - {uses: test.effect, with: "${{ item }}"}
              - {uses: test.effect, queue: ai, with: "${{ item * 2 }}"}
        outputs: {all: "${{ steps.each.output }}"}
    """)
    await pools.start("plain", "default")
    await pools.start("thinker", "ai")
    run = await pools.ended(await pools.house.start())
    assert run.status == "succeeded", run.error
    assert decode(run.outputs)["all"] == [number * 2 for number in range(12)]
    assert len(pools.calls) == 24
    assert run.turn <= 7


async def test_steps_of_a_called_pipeline_run_where_the_call_says(pools: Pools) -> None:
    """Unless they name a queue of their own; `defaults` of the project count as their own."""
    (pools.house.folder.parent / "project.yaml").write_text(PROJECT + "defaults:\n  test.idempotent: {queue: gpu}\n")
    await pools.house.deploy(
        "id: inner\nsteps: [{id: plain, uses: test.effect}, {id: own, uses: test.idempotent}]\n", "inner"
    )
    await pools.house.deploy("""
        id: test
        steps: [{id: call, uses: "pipeline:inner", queue: ai}, {id: after, uses: test.effect}]
    """)
    await pools.start("plain", "default")
    await pools.start("thinker", "ai")
    await pools.start("painter", "gpu")
    assert (await pools.ended(await pools.house.start())).status == "succeeded"
    assert pools.calls == [("thinker", "call/plain"), ("painter", "call/own"), ("plain", "after")]


async def test_a_ring_in_the_wrong_queue_is_passed_on(house: House) -> None:
    """Whoever hears it cannot take the run, but knows where it belongs."""
    await house.deploy(HOP)
    run = NewRun(id=uuid7(), pipeline="test", version="v")
    await house.runtime.store.ingest(IngestRecord(runs=[run]))
    settings = msgspec.structs.replace(house.runtime.settings, queues=("ai",))
    holder = Holder(replace(house.runtime, settings=settings), await house.new_worker())
    await holder.take(None, run_ids=[str(run.id)])
    async with asyncio.timeout(PATIENCE):
        while await house.runtime.queue.depth() != 1:
            await asyncio.sleep(0.01)
    assert (await house.run(run.id)).status == "queued"


async def test_waiting_for_a_worker_does_not_outlast_the_timeout(pools: Pools) -> None:
    """The end of the run's time is minded, though nobody serves its queue."""
    await pools.house.deploy("""
        id: test
        timeout: 1s
        steps: [{id: far, uses: test.effect, queue: ai}]
    """)
    await pools.start("plain", "default")
    began = datetime.now(UTC)
    run = await pools.ended(await pools.house.start())
    assert (run.status, decode(run.error)["type"]) == ("failed", "timeout")
    assert datetime.now(UTC) - began < timedelta(seconds=20)
