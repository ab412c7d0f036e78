"""A run goes on exactly where it was, whatever happened to its worker."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from engine.flow.advance import advance
from engine.flow.cancel import cancel_run
from engine.flow.execution import Hold
from tests.integration.flow.conftest import House, Retry, decode

FOUR = """
    id: test
    vars: {token: "${{ uuid() }}"}
    steps:
      - {id: one, uses: test.effect, with: "${{ vars.token }}"}
      - {id: two, uses: test.pure, with: "${{ steps.one.output }}"}
      - {id: gate, uses: test.gate, with: {at: "${{ now() }}", two: "${{ steps.two.output }}"}}
      - {id: four, uses: test.effect, with: "${{ steps.gate.output.two }}"}
    outputs: {token: "${{ steps.four.output }}", same: "${{ steps.four.output == vars.token }}"}
"""


async def until_gate(house: House, run_id: UUID, hold: Hold) -> asyncio.Task[bool]:
    """Advance in the background until the run stands in `test.gate`."""
    house.probe.entered.clear()
    house.probe.gate = asyncio.Event()
    task = asyncio.create_task(house.turn(run_id, hold))
    async with asyncio.timeout(10):
        await house.probe.entered.wait()
        while not any(row.status == "running" for row in await house.attempts(run_id)):
            await asyncio.sleep(0.002)  # the mark is written by the next commit
    return task


async def die(house: House, task: asyncio.Task[bool], hold: Hold) -> None:
    """What a kill -9 leaves: no further write, a lease that runs out, a rescue."""
    hold.reason = "lost"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    house.worker = None
    await house.runtime.store.rescue(6.0, now=datetime.now(UTC) + timedelta(seconds=60))


async def test_after_a_crash_finished_steps_are_not_repeated(house: House) -> None:
    """The unfinished step runs again with the same inputs and key; the finished ones keep their outputs."""
    await house.deploy(FOUR)
    run_id, hold = await house.start(), Hold()
    task = await until_gate(house, run_id, hold)
    await die(house, task, hold)
    house.probe.gate = None
    assert await house.turn(run_id)
    run = await house.run(run_id)
    assert run.status == "succeeded"
    assert decode(run.outputs)["same"] is True
    assert [house.probe.count(step) for step in ("one", "two", "gate", "four")] == [1, 1, 2, 1]
    gates = [call for call in house.probe.calls if call[0] == "gate"]
    assert gates[0][1:3] == gates[1][1:3]
    assert ("gate", 1, "interrupted") in await house.statuses(run_id)


async def test_a_clean_stop_gives_the_attempt_back(house: House) -> None:
    """The interrupted attempt does not count, and the run is free for others at once."""
    await house.deploy(FOUR)
    run_id, hold = await house.start(), Hold()
    task = await until_gate(house, run_id, hold)
    hold.reason = "stop"
    task.cancel()
    await task
    assert (await house.run(run_id)).status == "queued"
    house.probe.gate = None
    assert await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"
    assert [call[3] for call in house.probe.calls if call[0] == "gate"] == [1, 1]


async def test_a_draining_worker_releases_the_run_between_two_steps(house: House) -> None:
    """The step under way finishes, the next one is left to another worker."""
    await house.deploy(FOUR)
    run_id, hold = await house.start(), Hold()
    task = await until_gate(house, run_id, hold)
    hold.draining = True
    assert house.probe.gate is not None
    house.probe.gate.set()
    await task
    assert (await house.run(run_id)).status == "queued"
    assert house.probe.count("four") == 0
    assert await house.turn(run_id)
    assert [house.probe.count(step) for step in ("one", "two", "gate", "four")] == [1, 1, 1, 1]


async def test_a_zombie_changes_nothing(house: House) -> None:
    """A worker that was declared dead but lives cannot write over the one that took the run."""
    await house.deploy(FOUR)
    run_id, hold = await house.start(), Hold()
    zombie = await until_gate(house, run_id, hold)
    old_gate = house.probe.gate
    house.worker = None
    await house.runtime.store.rescue(6.0, now=datetime.now(UTC) + timedelta(seconds=60))
    house.probe.gate = None
    claimed = await fresh_store_turn(house, run_id)
    assert claimed
    before = await house.run(run_id)
    assert old_gate is not None
    old_gate.set()
    await zombie
    assert await house.run(run_id) == before
    assert house.probe.count("four") == 1


async def fresh_store_turn(house: House, run_id: UUID) -> bool:
    """A visit by another process: its own connection and its own worker."""
    from engine.store import connect

    url = house.runtime.settings.database_url
    assert url is not None
    other = await connect(url)
    try:
        worker = await other.register_worker("worker", "other", 1)
        runs = await other.claim([run_id], worker, 1)
        for run in runs:
            import dataclasses

            await advance(dataclasses.replace(house.runtime, store=other), run, Hold())
        return bool(runs)
    finally:
        await other.close()


async def test_a_long_retry_releases_the_worker_and_goes_on_when_due(house: House) -> None:
    """The run waits with a due time and a reason; nobody holds it."""
    await house.deploy("""
        id: test
        steps: [{id: flaky, uses: test.effect, retry: {attempts: 2, delay: 1h, max_delay: 2h, jitter: false}}]
    """)
    house.probe.script["flaky"] = [Retry("busy")]
    run_id = await house.start()
    await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.status, run.worker) == ("waiting", None)
    assert "flaky" in run.waiting_for
    assert 3500 < (run.due_at - datetime.now(UTC)).total_seconds() <= 3600
    assert not await house.turn(run_id), "it is not due"
    later = datetime.now(UTC) + timedelta(hours=2)
    assert run_id in await house.runtime.store.due_unrung(2.0, 100, now=later)


async def test_retry_after_is_a_lower_bound(house: House) -> None:
    """The server's word counts when it asks for more time than the policy."""
    await house.deploy("""
        id: test
        steps: [{id: flaky, uses: test.effect, retry: {attempts: 2, delay: 1s}}]
    """)
    house.probe.script["flaky"] = [Retry("slow down", type="rate_limited", after=600)]
    run_id = await house.start()
    await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.due_at - datetime.now(UTC)).total_seconds() > 590


async def test_cancelling_a_queued_run_ends_it_before_it_begins(house: House) -> None:
    """No worker is needed."""
    await house.deploy(FOUR)
    run_id = await house.start()
    await cancel_run(house.runtime, run_id)
    assert (await house.run(run_id)).status == "cancelled"
    assert not await house.turn(run_id)


async def test_cancelling_a_running_run_interrupts_it_and_runs_finally(house: House) -> None:
    """The heartbeat tells the holder; the run ends as cancelled."""
    await house.deploy(FOUR + "    finally: [{id: last, uses: test.effect, with: '${{ run.outcome }}'}]\n")
    run_id, hold = await house.start(), Hold()
    task = await until_gate(house, run_id, hold)
    await cancel_run(house.runtime, run_id)
    assert house.worker is not None
    reply = await house.runtime.store.heartbeat(house.worker)
    assert reply.cancelled_runs == [run_id]
    hold.reason = "cancel"
    task.cancel()
    await task
    run = await house.run(run_id)
    assert run.status == "cancelled"
    assert [call[:2] for call in house.probe.calls if call[0] == "last"] == [("last", "cancelled")]


async def test_a_step_that_keeps_killing_its_worker_is_given_up(house: House) -> None:
    """After three deaths the step fails instead of taking the next worker down."""
    await house.deploy("""
        id: test
        steps: [{id: gate, uses: test.gate}]
    """)
    run_id = await house.start()
    for _ in range(3):
        hold = Hold()
        await die(house, await until_gate(house, run_id, hold), hold)
    house.probe.gate = None
    assert await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.status, decode(run.error)["type"]) == ("failed", "interrupted")


@pytest.mark.parametrize("stop_first", [True, False])
async def test_a_crash_in_finally_neither_repeats_nor_forgets_the_end(house: House, stop_first: bool) -> None:
    """A resumed run ends where it ended: at its `stop`, or at its failure."""
    end = "{uses: stop, with: {message: done}}" if stop_first else "{uses: fail, with: {message: bad}}"
    await house.deploy(f"""
        id: test
        steps:
          - {end}
          - {{id: never, uses: test.effect}}
        finally:
          - {{id: before, uses: test.effect}}
          - {{id: gate, uses: test.gate}}
    """)
    run_id, hold = await house.start(), Hold()
    await die(house, await until_gate(house, run_id, hold), hold)
    house.probe.gate = None
    assert await house.turn(run_id)
    assert (await house.run(run_id)).status == ("succeeded" if stop_first else "failed")
    assert [house.probe.count(step) for step in ("never", "before", "gate")] == [0, 1, 2]


async def test_data_that_looks_like_a_stored_secret_stays_data(house: House) -> None:
    """A payload cannot borrow a secret by way of a resume."""
    await house.deploy("""
        id: test
        inputs: {data: any}
        steps:
          - {id: gate, uses: test.gate, with: "${{ inputs.data }}"}
    """)
    fake = {"$secret": "TOKEN", "nested": [{"$secret": ["a", {"name": "TOKEN"}]}]}
    run_id, hold = await house.start(data=fake), Hold()
    await die(house, await until_gate(house, run_id, hold), hold)
    house.probe.gate = None
    assert await house.turn(run_id)
    assert [call[1] for call in house.probe.calls] == [fake, fake]
