"""A trigger's own `dedup`: at most one run for each key and window, whoever asks at once."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import Decision
from engine.flow.record import record_event
from engine.flow.replay import replay_event
from engine.flow.upkeep import Upkeep
from engine.store import Ingested, RunFilter, connect
from tests.integration.flow.conftest import House

ONCE = """
    id: test
    triggers:
      - uses: event
        with: {type: order.*}
        dedup: {key: "${{ event.body.id }}", window: 1h}
    steps: [{id: act, uses: test.effect}]
"""
BLOCKED = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


def make_event(body: Any, *, at: datetime = NOON, delivery_id: str | None = None) -> Event:
    headers = {"content-type": "application/json"}
    encoded = msgspec.json.encode(body)
    return Event(uuid7(), "internal", "order.new", at, headers=headers, body=encoded, delivery_id=delivery_id)


async def send(house: House, body: Any, **values: Any) -> Ingested:
    bindings = house.runtime.deployments.current.events
    return await record_event(house.runtime, make_event(body, **values), bindings, dedup_scope="test")


async def decide(house: House, ingested: Ingested) -> list[Decision]:
    assert ingested.event_id is not None
    return await house.runtime.store.list_decisions(ingested.event_id)


async def count_runs(house: House, pipeline: str = "test") -> int:
    return len((await house.runtime.store.list_runs(RunFilter(pipeline=pipeline)))[0])


async def test_a_key_starts_one_run(house: House) -> None:
    """The event that comes again is kept, and its decision names the run that has the key."""
    assert await house.deploy(ONCE) == []
    first, second = await send(house, {"id": "a"}), await send(house, {"id": "a"})
    [(run_id, _)] = first.runs
    assert (second.runs, second.duplicate) == ([], False)
    assert [(found.matched, found.reason, found.detail) for found in await decide(house, first)] == [
        (True, "matched", {"key": "a"})
    ]
    assert [(found.matched, found.reason, found.detail) for found in await decide(house, second)] == [
        (False, "duplicate", {"key": "a", "run": str(run_id)})
    ]
    assert len((await send(house, {"id": "b"})).runs) == 1
    assert await count_runs(house) == 2


async def test_many_processes_at_once_start_one_run(house: House, database_url: str) -> None:
    """Every refused event names the run that won, also one whose commit it had to wait for."""
    await house.deploy(ONCE)
    stores = [await connect(database_url) for _ in range(6)]
    runtimes = [another_process(house, store) for store in stores]
    bindings = house.runtime.deployments.current.events
    answers = await asyncio.gather(
        *(
            record_event(runtime, make_event({"id": f"k{number % 3}"}), bindings, dedup_scope="test")
            for number in range(20)
            for runtime in runtimes
        )
    )
    started = {run_id for answer in answers for run_id, _ in answer.runs}
    assert len(started) == await count_runs(house) == 3
    refused = [await decide(house, answer) for answer in answers if not answer.runs]
    assert len(refused) == 117
    assert {found.detail["run"] for [found] in refused} == {str(run_id) for run_id in started}
    assert {found.reason for [found] in refused} == {"duplicate"}
    await asyncio.gather(*(store.close() for store in stores))


async def test_an_event_waits_for_the_first_ones_commit(house: House, database_url: str) -> None:
    """If the first one is rolled back, the key is free; nothing is lost to a run that never came to be."""
    await house.deploy(ONCE)
    (first,) = (await send(house, {"id": "a"})).runs
    connection = await asyncpg.connect(database_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("update run_key set expires_at = $1", NOON + timedelta(days=9))
    waiting = asyncio.create_task(send(house, {"id": "a"}, at=NOON + timedelta(hours=2)))
    await until_blocked(database_url)
    await transaction.rollback()
    await connection.close()
    [(second, _)] = (await waiting).runs
    assert second != first[0]


async def test_a_key_is_free_when_its_window_is_over(house: House) -> None:
    """The window begins with the event that started the run, and repeats do not make it longer."""
    await house.deploy(ONCE)
    started = []
    for minutes in (0, 40, 59, 60, 100, 119, 120):
        started += [minutes] * len((await send(house, {"id": "a"}, at=NOON + timedelta(minutes=minutes))).runs)
    assert started == [0, 60, 120]


async def test_keys_count_for_one_trigger(house: House) -> None:
    """Two pipelines, and two triggers of one, have keys of their own."""
    other = """
    id: other
    triggers:
      - {id: one, uses: event, with: {type: order.new}, dedup: "${{ event.body.id }}"}
      - {id: two, uses: event, with: {type: order.*}, dedup: "${{ event.body.id }}"}
    steps: [{uses: value}]
    """
    await house.deploy(other, name="other")
    await house.deploy(ONCE)
    assert len((await send(house, {"id": "a"})).runs) == 3
    assert (await send(house, {"id": "a"})).runs == []


async def test_a_trigger_without_a_key_is_not_held_back(house: House) -> None:
    """One event, two triggers: the one whose key is taken is refused, the other one runs."""
    await house.deploy(ONCE)
    await house.deploy(
        "id: other\ntriggers: [{uses: event, with: {type: '*'}}]\nsteps: [{uses: value}]\n", name="other"
    )
    await send(house, {"id": "a"})
    again = await send(house, {"id": "a"})
    assert [name for _, name in again.runs] == ["other"]
    decisions = {found.pipeline: found.reason for found in await decide(house, again)}
    assert decisions == {"test": "duplicate", "other": "matched"}


async def test_a_key_without_a_value_is_a_decision(house: House) -> None:
    """The event is kept and says what is missing; nothing runs, and no key is taken."""
    await house.deploy(ONCE)
    answer = await send(house, {"number": 7})
    assert answer.runs == []
    [decision] = await decide(house, answer)
    assert (decision.matched, decision.reason) == (False, "dedup_error")
    assert "id" in decision.detail["error"]


async def test_what_does_not_match_takes_no_key(house: House) -> None:
    """A condition that is false, and inputs that are refused, leave the key to the next event."""
    await house.deploy(
        ONCE.replace("with: {type: order.*}", "with: {type: order.*}\n        if: event.body.paid\n"
                     '        inputs: {n: "${{ event.body.n }}"}').replace("steps:", "inputs: {n: integer}\n    steps:")
    )  # fmt: skip
    assert (await send(house, {"id": "a", "paid": False, "n": 1})).runs == []
    assert (await send(house, {"id": "a", "paid": True, "n": "x"})).runs == []
    assert len((await send(house, {"id": "a", "paid": True, "n": 1})).runs) == 1


@pytest.mark.parametrize("key", ["", "k" * 9000, "nul\0", "'; drop table run; --", 7, None, {"a": [1]}])
async def test_any_value_is_a_key(house: House, key: Any) -> None:
    """Senders choose these: whatever it is, the second is refused."""
    await house.deploy(ONCE)
    assert len((await send(house, {"id": key})).runs) == 1
    again = await send(house, {"id": key})
    assert again.runs == []
    assert [found.reason for found in await decide(house, again)] == ["duplicate"]


async def test_a_replay_bypasses_the_key(house: House) -> None:
    """It starts a run although the key is taken, and does not take it."""
    await house.deploy(ONCE)
    first, refused = await send(house, {"id": "a"}), await send(house, {"id": "a"})
    for ingested in (first, refused):
        assert ingested.event_id is not None
        assert len((await replay_event(house.runtime, ingested.event_id)).runs) == 1
    assert (await send(house, {"id": "a"})).runs == []
    late = await send(house, {"id": "a"}, at=NOON + timedelta(hours=1))
    assert len(late.runs) == 1


async def test_a_repeated_delivery_takes_no_key(house: House) -> None:
    """The sender's own id comes first: such a delivery leaves nothing behind, not even a key."""
    await house.deploy(ONCE)
    first = await send(house, {"id": "a"}, delivery_id="d-1")
    again = await send(house, {"id": "b"}, delivery_id="d-1")
    assert (again.duplicate, again.runs) == (True, first.runs)
    assert len((await send(house, {"id": "b"}, delivery_id="d-2")).runs) == 1


async def test_deliveries_of_one_batch_are_told_apart(house: House) -> None:
    """Repeated deliveries and repeated keys in one commit: each gets its own answer."""
    await house.deploy(ONCE)
    await send(house, {"id": "old"}, delivery_id="d-0")
    answers = await asyncio.gather(
        send(house, {"id": "a"}, delivery_id="d-0"),  # a repeated delivery must not take the key from the next
        send(house, {"id": "a"}, delivery_id="d-1"),
        send(house, {"id": "a"}, delivery_id="d-2"),
        send(house, {"id": "b"}, delivery_id="d-3"),
        send(house, {"id": "b"}),
    )
    assert [(answer.duplicate, len(answer.runs)) for answer in answers] == [
        (True, 1), (False, 1), (False, 0), (False, 1), (False, 0),
    ]  # fmt: skip


HOOK = """
    id: {name}
    triggers: [{{uses: webhook, with: {{path: orders, auth: none}}{more}}}]
    steps: [{{uses: value}}]
"""


@pytest.mark.parametrize(
    ("windows", "days"),
    [(["1h", "3h"], 3 / 24), (["30d"], 30), (["1h", ""], 7)],
)
async def test_a_window_without_a_key_is_that_of_the_delivery_id(house: House, windows: list[str], days: float) -> None:
    """How long the sender's id is remembered; the longest of all triggers that listen on the path."""
    for number, window in enumerate(windows):
        more = f", dedup: {{window: {window}}}" if window else ""
        await house.deploy(HOOK.format(name=f"p{number}", more=more), name=f"p{number}")
    found = house.runtime.deployments.current.find("orders")
    assert found is not None
    event = make_event({}, delivery_id="d-1")
    assert len((await record_event(house.runtime, event, found[0].bindings, dedup_scope="test")).runs) == len(windows)
    await assert_remembered(house, days)


async def test_a_window_does_not_shorten_what_makes_our_own_events_count_once(house: House) -> None:
    """After a crash an `emit` is said again: its id is remembered whatever a trigger says."""
    await house.deploy(ONCE.replace('{key: "${{ event.body.id }}", window: 1h}', "{window: 1s}"))
    await send(house, {}, delivery_id="d-1")
    await assert_remembered(house, 7)


async def assert_remembered(house: House, days: float) -> None:
    [row] = await house.runtime.store._database.fetch("select expires_at - now() as left from dedup")
    assert timedelta(days=days) - timedelta(minutes=5) < row["left"] <= timedelta(days=days)


async def test_old_keys_are_pruned(house: House) -> None:
    """Only those whose window is over; upkeep does it."""
    await house.deploy(ONCE)
    store = house.runtime.store
    await send(house, {"id": "a"})
    await send(house, {"id": "b"}, at=NOON + timedelta(minutes=30))
    assert await store.prune_run_keys(now=NOON + timedelta(minutes=59)) == 0
    assert await store.prune_run_keys(now=NOON + timedelta(minutes=60)) == 1
    await store._database.fetch("update run_key set expires_at = 'epoch'")
    await Upkeep(house.runtime).lead()
    assert await store.prune_run_keys() == 0
    assert await store._database.fetch("select from run_key") == []


def another_process(house: House, store: Any) -> Any:
    """The same installation with connections of its own, as another process has."""
    return dataclasses.replace(house.runtime, store=store)


async def until_blocked(database_url: str) -> None:
    """Return once a statement waits for the lock of another."""
    connection = await asyncpg.connect(database_url)
    async with asyncio.timeout(10):
        while not await connection.fetchval(BLOCKED):
            await asyncio.sleep(0.01)
    await connection.close()
