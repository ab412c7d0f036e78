"""Why a run waits and an event did not fire, told from the tables that decide it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import Decision
from engine.errors import NotFound
from engine.flow.chain import SOURCE
from engine.flow.record import record_event
from engine.plugin import Retry
from engine.store import IngestRecord
from engine.web.why import Why, why_event, why_run
from tests.integration.flow.conftest import House

SIMPLE = """
    id: test
    triggers: [{uses: event, with: {type: go}, if: event.body.n > 1}]
    steps: [{id: only, uses: test.effect, with: {value: 1}}]
"""
RETRIES = """
    id: test
    steps: [{id: only, uses: test.effect, with: {value: 1}, retry: {attempts: 3, delay: 4m, jitter: false}}]
"""
SLEEPS = """
    id: test
    steps: [{id: rest, wait: 3d}]
"""
LISTENS = """
    id: test
    steps: [{id: paid, wait: {events: [{source: event, type: paid, if: incoming.body.id == 7}], timeout: 1d}}]
"""
ASKS = """
    id: test
    steps: [{id: ask, wait: {approval: {prompt: Really pay?}, timeout: 1d}}]
"""
LIMITED = """
    id: test
    concurrency: {key: shop, limit: 1}
    steps: [{id: rest, wait: 3d}]
"""


async def why(house: House, run_id: UUID) -> Why:
    """With a worker about, unless the test is about that."""
    return await why_run(house.runtime, run_id)


def kinds(found: Why) -> list[str]:
    return [reason.kind for reason in found.reasons]


async def event(house: House, body: dict[str, Any]) -> Event:
    """An internal event, recorded with its decisions."""
    made = Event(
        id=uuid7(),
        source=SOURCE,
        type="go",
        received_at=datetime.now(UTC),
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(body),
    )
    await record_event(house.runtime, made, list(house.runtime.deployments.current.events), dedup_scope="test")
    return made


async def test_queued_without_a_worker(house: House) -> None:
    """The most common reason on a new installation."""
    await house.deploy(SIMPLE)
    found = await why(house, await house.start())
    assert kinds(found) == ["no_worker"]
    assert "hookwright worker" in found.summary


async def test_queued_behind_others(house: House) -> None:
    """Those before it are counted."""
    await house.deploy(SIMPLE)
    await house.new_worker()
    runs = [await house.start() for _ in range(3)]
    found = await why(house, runs[-1])
    assert kinds(found) == ["backlog"]
    assert "2 runs" in found.summary
    assert (await why(house, runs[0])).reasons[0].kind == "late"


async def test_running(house: House) -> None:
    """Who holds it, and what it does."""
    await house.deploy(SIMPLE)
    run_id = await house.start()
    worker = await house.new_worker()
    await house.runtime.store.claim([run_id], worker, 1)
    found = await why(house, run_id)
    assert kinds(found) == ["held"]
    assert str(worker) in found.summary
    await house.runtime.store._database.fetch("delete from worker")
    assert "gone" in (await why(house, run_id)).summary


async def test_waiting_for_a_retry(house: House) -> None:
    """The error of the last attempt, and when the next one is."""
    await house.deploy(RETRIES)
    house.probe.script["only"] = [Retry("try later")]
    run = await house.finish()
    found = await why(house, run.id)
    assert kinds(found) == ["retry"]
    assert "try later" in found.summary
    assert "(in 3 min 59 s)" in found.summary or "(in 4 min 0 s)" in found.summary


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [(SLEEPS, "wait", "the end of step rest"), (LISTENS, "wait", "paid"), (ASKS, "approval", "Really pay?")],
)
async def test_waiting(house: House, text: str, kind: str, says: str) -> None:
    """For a time, an event, people."""
    await house.deploy(text)
    run = await house.finish()
    assert run.status == "waiting"
    found = await why(house, run.id)
    assert kinds(found) == [kind]
    assert says in found.summary


async def test_waiting_for_a_slot(house: House) -> None:
    """Whose key it is, and who has it."""
    await house.deploy(LIMITED)
    first = await house.finish()
    second, third = await house.start(), await house.start()
    found = await why(house, second)
    assert kinds(found) == ["slot"]
    assert "`shop`" in found.summary
    assert str(first.id) in found.summary
    assert "1 waits before it" in (await why(house, third)).summary


async def test_starts_later(house: House) -> None:
    """A run with a time."""
    from tests.integration.store.records import make_run

    await house.new_worker()
    run = make_run(due_at=datetime.now(UTC) + timedelta(hours=2))
    await house.runtime.store.ingest(IngestRecord(runs=[run]))
    assert kinds(await why(house, run.id)) == ["due_later"]


async def test_ended(house: House) -> None:
    """How, when, and by which step."""
    await house.deploy(SIMPLE)
    assert (await why(house, (await house.finish()).id)).summary.startswith("It succeeded")
    house.probe.script["only"] = [ValueError("broken pipe")]
    found = await why(house, (await house.finish()).id)
    assert "in step `only`" in found.summary
    assert "broken pipe" in found.summary


async def test_paused(house: House) -> None:
    """Who paused it, and how it goes on."""
    await house.deploy(SIMPLE)
    await house.new_worker()
    run_id = await house.start()
    await house.runtime.store._database.fetch(
        "insert into pause (kind, name, by, reason, at) values ('pipeline', 'test', 'ada', 'the shop is closed', now())"
    )
    found = await why(house, run_id)
    assert found.reasons[0].kind == "paused"
    assert "by ada" in found.summary
    assert "the shop is closed" in found.summary


async def test_an_event_that_started_a_run(house: House) -> None:
    """Which one, and how it stands."""
    await house.deploy(SIMPLE)
    made = await event(house, {"n": 2})
    found = await why_event(house.runtime, made.id)
    assert (found.status, kinds(found)) == ("started", ["started"])
    assert "No worker" in found.reasons[0].text


async def test_an_event_that_started_nothing(house: House) -> None:
    """The condition, and the value that made it false."""
    await house.deploy(SIMPLE)
    made = await event(house, {"n": 1})
    found = await why_event(house.runtime, made.id)
    assert (found.status, kinds(found)) == ("no_run", ["decision"])
    assert "`event.body.n > 1` was false; `event.body.n` = `1`" in found.reasons[0].text


async def test_an_event_that_nobody_listened_to(house: House) -> None:
    """Not an empty answer."""
    made = await event(house, {})
    found = await why_event(house.runtime, made.id)
    assert kinds(found) == ["nobody_listens"]


async def test_what_does_not_exist(house: House) -> None:
    """A clear no."""
    with pytest.raises(NotFound):
        await why_run(house.runtime, uuid7())
    with pytest.raises(NotFound):
        await why_event(house.runtime, uuid7())


async def test_a_decision_of_another_trigger_is_told_too(house: House) -> None:
    """Every trigger that was asked has its say."""
    await house.deploy(SIMPLE)
    made = Event(id=uuid7(), source=SOURCE, type="go", received_at=datetime.now(UTC))
    other = Decision("other", "hook", False, "disabled", {})
    await house.runtime.store.ingest(IngestRecord(event=made, decisions=[other]))
    found = await why_event(house.runtime, made.id)
    assert "the pipeline is disabled" in found.reasons[0].text
