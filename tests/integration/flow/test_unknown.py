"""`on_unknown`: what follows when a worker dies while a step with an effect is at work."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from msgspec.json import decode

from engine.core.run import AttemptStatus, RunStatus
from engine.flow.execution import Hold
from engine.flow.resume_run import resume_run
from engine.flow.unknown import may_repeat
from engine.store import AttemptRow, CheckpointRecord, RunUpdate
from tests.integration.flow.conftest import House, Retry

CHARGE = """
    id: test
    steps:
      - {{id: charge, uses: test.gate, with: paid, on_unknown: {word}{more}}}
      - {{id: after, uses: test.effect, with: "${{{{ steps.charge.output ?? 'nothing' }}}}"}}
    outputs: {{charge: "${{{{ steps.charge }}}}"}}
"""


async def die_in_charge(house: House, run_id: UUID) -> None:
    """A kill -9 while the step is at work."""
    house.probe.gate, hold = asyncio.Event(), Hold()
    house.probe.entered.clear()
    task = asyncio.create_task(house.turn(run_id, hold))
    async with asyncio.timeout(10):
        await house.probe.entered.wait()
        while not any(row.status == "running" for row in await house.attempts(run_id)):
            await asyncio.sleep(0.002)
    hold.reason = "lost"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    house.worker = None
    await house.runtime.store.rescue(6.0, now=datetime.now(UTC) + timedelta(seconds=60))
    house.probe.gate = None


async def started(house: House, word: str, more: str = "") -> UUID:
    await house.deploy(CHARGE.format(word=word, more=more))
    return await house.start()


async def say(house: House, run_id: UUID, row: AttemptRow) -> None:
    """What a person decided, as the commands write it: one row, then the run is woken."""
    worker = await house.new_worker()
    store = house.runtime.store
    await store.wake([run_id])
    (claimed,) = await store.claim([run_id], worker, 1)
    update = RunUpdate(status=RunStatus.QUEUED)
    assert await store.checkpoint(CheckpointRecord(run_id=run_id, turn=claimed.turn, attempts=[row], run=update))


async def test_retry_runs_the_step_again(house: House) -> None:
    """As without the key."""
    run_id = await started(house, "retry")
    await die_in_charge(house, run_id)
    assert await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"
    assert house.probe.count("charge") == 2


async def test_fail_fails_the_step_without_another_call(house: House) -> None:
    """The error has a type of its own and says what happened; the run fails."""
    run_id = await started(house, "fail")
    await die_in_charge(house, run_id)
    assert await house.turn(run_id)
    run = await house.run(run_id)
    error = decode(run.error)
    assert (run.status, error["type"], error["step"]) == ("failed", "unknown_outcome", "charge")
    assert error["message"].startswith("step `charge`: its outcome is unknown (its worker stopped at ")
    assert (house.probe.count("charge"), house.probe.count("after")) == (1, 0)


async def test_fail_can_be_handled(house: House) -> None:
    """`on_error` sees it as any other error."""
    run_id = await started(house, "fail", ", on_error: {output: checked by hand}")
    await die_in_charge(house, run_id)
    assert await house.turn(run_id)
    assert [call[1] for call in house.probe.calls] == ["paid", "checked by hand"]


async def test_ask_waits_for_a_person(house: House) -> None:
    """Nobody holds the run, it says what it waits for, and nothing but its own timeout makes it due."""
    run_id = await started(house, "ask")
    await die_in_charge(house, run_id)
    assert await house.turn(run_id)
    run = await house.run(run_id)
    assert (run.status, run.worker) == ("waiting", None)
    assert run.due_at - run.started_at == timedelta(days=30)  # the end of its own time
    assert run.waiting_for.startswith("a decision about step `charge`: its outcome is unknown (its worker stopped at ")
    assert house.probe.count("charge") == 1


@pytest.mark.parametrize(
    ("row", "calls"),
    [
        (
            AttemptRow(step="charge", number=2, status=AttemptStatus.SUCCEEDED, output=b'"given"'),
            [("charge", "paid"), ("after", "given")],
        ),
        (
            AttemptRow(step="charge", number=2, status=AttemptStatus.SKIPPED),
            [("charge", "paid"), ("after", "nothing")],
        ),
        (
            AttemptRow(step="charge", number=1, status=AttemptStatus.INTERRUPTED, error=may_repeat("mia: try again")),
            [("charge", "paid"), ("charge", "paid"), ("after", "paid")],
        ),
    ],
    ids=["its output", "skip", "retry"],
)
async def test_a_person_says_what_happened(house: House, row: AttemptRow, calls: list[tuple[str, str]]) -> None:
    """The run goes on from there."""
    run_id = await started(house, "ask")
    await die_in_charge(house, run_id)
    assert await house.turn(run_id)
    moment = datetime.now(UTC)
    await say(house, run_id, msgspec.structs.replace(row, finished_at=moment))
    assert await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"
    assert [call[:2] for call in house.probe.calls] == calls


async def test_a_clean_stop_is_not_unknown(house: House) -> None:
    """The attempt was given back: it is repeated, whatever the author said."""
    run_id = await started(house, "ask")
    house.probe.gate, hold = asyncio.Event(), Hold()
    task = asyncio.create_task(house.turn(run_id, hold))
    async with asyncio.timeout(10):
        await house.probe.entered.wait()
    hold.reason = "stop"
    task.cancel()
    await task
    house.probe.gate = None
    assert await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"


async def test_a_cancelled_run_does_not_ask(house: House) -> None:
    """It ends; nothing is begun."""
    run_id = await started(house, "ask")
    await die_in_charge(house, run_id)
    assert await house.turn(run_id)
    await house.runtime.store.request_cancel(run_id)
    assert await house.turn(run_id)
    assert (await house.run(run_id)).status == "cancelled"
    assert house.probe.count("charge") == 1


@pytest.mark.parametrize(
    ("kind", "value", "calls"),
    [
        ("output", "given", [("charge", "paid"), ("after", "given")]),
        ("skip", None, [("charge", "paid"), ("after", "nothing")]),
        ("retry", None, [("charge", "paid"), ("charge", "paid"), ("after", "paid")]),
    ],
)
async def test_a_person_decides_by_resuming(
    house: House, kind: str, value: str | None, calls: list[tuple[str, str]]
) -> None:
    """`hookwright run resume` and its siblings."""
    run_id = await started(house, "ask")
    await die_in_charge(house, run_id)
    assert await house.turn(run_id)
    await resume_run(house.runtime, run_id, by="mia", kind=kind, step="charge", value=value)
    assert await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"
    assert [call[:2] for call in house.probe.calls] == calls


LOST = """
    id: test
    steps:
      - {{id: charge, uses: test.effect, with: paid, retry: {{attempts: 3, delay: 1ms}}, on_unknown: {word}}}
"""


async def test_a_lost_answer_is_unknown_as_well(house: House) -> None:
    """The policy would try again; the author said not to."""
    await house.deploy(LOST.format(word="fail"))
    house.probe.script["charge"] = [Retry("connection lost", type="network")]
    run = await house.finish()
    error = decode(run.error)
    assert (run.status, error["type"], house.probe.count("charge")) == ("failed", "unknown_outcome", 1)
    assert error["message"] == "step `charge`: its outcome is unknown (connection lost)"


async def test_a_lost_answer_asks(house: House) -> None:
    """And is tried again when a person says so."""
    await house.deploy(LOST.format(word="ask"))
    house.probe.script["charge"] = [Retry("connection lost", type="network")]
    run = await house.finish()
    assert (run.status, run.waiting_for) == (
        "waiting",
        "a decision about step `charge`: its outcome is unknown (connection lost)",
    )
    await resume_run(house.runtime, run.id, by="mia", kind="retry")
    assert await house.turn(run.id)
    assert ((await house.run(run.id)).status, house.probe.count("charge")) == ("succeeded", 2)


@pytest.mark.parametrize("word", ["fail", "ask"])
async def test_an_answer_that_says_no_is_known(house: House, word: str) -> None:
    """The other side has refused: another attempt does no harm."""
    await house.deploy(LOST.format(word=word))
    house.probe.script["charge"] = [Retry("busy", type="rate_limited")]
    assert (await house.finish()).status == "succeeded"
    assert house.probe.count("charge") == 2


async def test_a_step_that_is_only_said_to_be_idempotent_may_ask_too(house: House) -> None:
    """A POST of `http.request` carries a key, and whether its receiver looks at it only the author knows."""
    await house.deploy("""
        id: test
        steps: [{id: charge, uses: test.idempotent, with: paid, on_unknown: fail}]
    """)
    run_id = await house.start()
    worker = await house.new_worker()
    [run] = await house.runtime.store.claim([run_id], worker, 1)
    mark = AttemptRow(step="charge", number=1, status=AttemptStatus.RUNNING, input=b'"paid"')
    await house.runtime.store.checkpoint(CheckpointRecord(run_id=run_id, turn=run.turn, attempts=[mark]))
    await house.runtime.store._database.fetch("update worker set seen_at = 'epoch'")
    await house.runtime.store.rescue()
    await house.new_worker()
    assert await house.turn(run_id)
    assert decode((await house.run(run_id)).error)["type"] == "unknown_outcome"
    assert house.probe.calls == []
