"""`debounce` and `batch`: events wait for others, and exactly one run comes of them."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.core.run import Decision
from engine.flow import gather
from engine.flow.gather import Gatherer, fire_due, fire_outdated
from engine.flow.record import record_event
from engine.flow.replay import replay_event
from engine.runtime import Runtime
from engine.store import Ingested, RunFilter, RunSummary, connect
from tests.integration.flow.conftest import House, decode

NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
QUIET = """
    id: test
    labels: {document: "${{ event.body.id }}"}
    inputs: {text: string}
    triggers:
      - uses: event
        with: {type: order.*}
        inputs: {text: "${{ event.body.text }}"}
        debounce: {key: "${{ event.body.id }}", period: 20s, max_wait: 1m}
    steps: [{id: act, uses: test.effect, with: "${{ [inputs.text, event.body.text] }}"}]
"""
BATCH = """
    id: test
    inputs: {count: integer}
    triggers:
      - uses: event
        with: {type: order.*}
        inputs: {count: "${{ events | length }}"}
        batch: {key: "${{ event.body.site }}", max_size: 3, max_wait: 30s}
    steps: [{id: act, uses: test.effect, with: "${{ events | map(e => e.body.n) }}"}]
"""


def make_event(body: Any, *, seconds: float = 0, delivery_id: str | None = None) -> Event:
    at = NOON + timedelta(seconds=seconds)
    headers = {"content-type": "application/json"}
    encoded = msgspec.json.encode(body)
    return Event(uuid7(), "internal", "order.new", at, headers=headers, body=encoded, delivery_id=delivery_id)


async def send(house: House, body: Any, **values: Any) -> Ingested:
    return await send_by(house.runtime, make_event(body, **values))


async def send_by(runtime: Runtime, event: Event) -> Ingested:
    return await record_event(runtime, event, runtime.deployments.current.events, dedup_scope="test")


async def decide(house: House, event_id: UUID | None) -> list[Decision]:
    assert event_id is not None
    return await house.runtime.store.list_decisions(event_id)


async def fire(house: House, seconds: float) -> datetime | None:
    return await fire_due(house.runtime, NOON + timedelta(seconds=seconds))


async def runs(house: House) -> list[RunSummary]:
    """Oldest first."""
    return (await house.runtime.store.list_runs(RunFilter(limit=500)))[0][::-1]


async def outputs(house: House) -> list[Any]:
    """What the step of every run was given; the runs are carried out."""
    found = []
    for run in await runs(house):
        await house.turn(run.id)
        found.append(decode((await house.attempts(run.id))[0].output))  # also of runs that have ended before
    return found


def another_process(house: House, store: Any) -> Runtime:
    return dataclasses.replace(house.runtime, store=store)


async def test_a_burst_becomes_one_run_with_its_last_event(house: House) -> None:
    """Nothing starts while events come; the run gets the inputs and labels of the last one."""
    assert await house.deploy(QUIET) == []
    sent = [await send(house, {"id": "a", "text": text}, seconds=at) for at, text in ((0, "x"), (15, "y"), (30, "z"))]
    assert [found.runs for found in sent] == [[], [], []]
    await fire(house, 49.9)
    assert await runs(house) == []
    await fire(house, 50)
    [run] = await runs(house)
    assert (run.event_id, run.labels) == (sent[2].event_id, {"document": "a"})
    assert await outputs(house) == [["z", "z"]]
    await fire(house, 1000)
    assert len(await runs(house)) == 1


async def test_a_decision_says_when_a_run_comes_of_it(house: House) -> None:
    """With the key and the time as it was at that moment, and what it belongs to; that is the run's key later."""
    await house.deploy(QUIET)
    first, second = await send(house, {"id": "a", "text": ""}), await send(house, {"id": "a", "text": ""}, seconds=10)
    [one], [two] = await decide(house, first.event_id), await decide(house, second.event_id)
    assert (one.matched, one.reason, one.detail["key"]) == (True, "debounced", "a")
    assert one.detail["due_at"] == "2030-01-01T12:00:20.000000Z"
    assert two.detail == one.detail | {"due_at": "2030-01-01T12:00:30.000000Z"}
    await fire(house, 30)
    [run] = await runs(house)
    assert (await house.run(run.id)).idempotency_key == f"gather:{one.detail['gather']}"


async def test_a_burst_without_end_is_cut_by_max_wait(house: House) -> None:
    """What comes afterwards is the next burst."""
    await house.deploy(QUIET)
    for at in range(0, 120, 10):
        await send(house, {"id": "a", "text": str(at)}, seconds=at)
    await fire(house, 1000)
    assert await outputs(house) == [["60", "60"], ["110", "110"]]


async def test_an_event_after_the_quiet_begins_a_new_burst(house: House) -> None:
    """Also if nobody has made a run of the first one yet, as after an outage."""
    await house.deploy(QUIET)
    for at in (0, 21, 60):
        await send(house, {"id": "a", "text": str(at)}, seconds=at)
    await fire(house, 1000)
    assert await outputs(house) == [["0", "0"], ["21", "21"], ["60", "60"]]


async def test_keys_wait_by_themselves(house: House) -> None:
    """Each document has its own burst, and the others do not prolong it."""
    await house.deploy(QUIET)
    await send(house, {"id": "a", "text": "a"})
    await send(house, {"id": "b", "text": "b"}, seconds=15)
    await fire(house, 20)
    assert await outputs(house) == [["a", "a"]]
    await fire(house, 35)
    assert [run.labels for run in await runs(house)] == [{"document": "a"}, {"document": "b"}]


async def test_a_full_batch_starts_at_once(house: House) -> None:
    """In the order of the events; what comes after begins the next batch."""
    await house.deploy(BATCH)
    for number in range(7):
        await send(house, {"site": "s", "n": number}, seconds=number)
    assert await outputs(house) == [[0, 1, 2], [3, 4, 5]]
    await fire(house, 35.9)
    assert len(await runs(house)) == 2
    await fire(house, 36)
    assert (await outputs(house))[2:] == [[6]]


async def test_a_batched_run_has_events_and_no_event(house: House) -> None:
    """They are found from both sides, in the order in which they came."""
    await house.deploy(BATCH)
    sent = [await send(house, {"site": "s", "n": number}) for number in range(3)]
    [run] = await runs(house)
    row = await house.run(run.id)
    assert (row.event_id, decode(row.inputs)) == (None, {"count": 3})
    assert await house.runtime.store.events_of_run(run.id) == [found.event_id for found in sent]
    for found in sent:
        assert found.event_id is not None
        assert [one.id for one in await house.runtime.store.runs_of_event(found.event_id)] == [run.id]
        wanted = RunFilter(event_id=found.event_id)
        assert [one.id for one in (await house.runtime.store.list_runs(wanted))[0]] == [run.id]
    [claimed] = await house.runtime.store.claim([run.id], await house.new_worker(), 1)
    assert claimed.event is None
    assert claimed.events is not None
    assert [event.id for event in claimed.events] == [found.event_id for found in sent]


async def test_a_repeated_delivery_changes_nothing(house: House) -> None:
    """Neither the time of a burst nor the size of a batch."""
    await house.deploy(BATCH)
    for _ in range(5):
        await send(house, {"site": "s", "n": 1}, delivery_id="one")
    await send(house, {"site": "s", "n": 2}, delivery_id="two")
    assert await runs(house) == []
    await house.deploy(QUIET)
    for at in (0, 15):
        await send(house, {"id": "a", "text": ""}, seconds=at, delivery_id="three")
    await fire(house, 20)
    assert len(await runs(house)) == 1


async def test_dedup_comes_first(house: House) -> None:
    """An event whose key came before does not join; its decision names the event that has the key."""
    await house.deploy(BATCH.replace("batch:", 'dedup: {key: "${{ event.body.n }}", window: 1h}\n        batch:'))
    sent = [await send(house, {"site": "s", "n": number}) for number in (1, 1, 2, 1, 3)]
    assert await outputs(house) == [[1, 2, 3]]
    [refused] = await decide(house, sent[1].event_id)
    assert (refused.matched, refused.reason) == (False, "duplicate")
    assert refused.detail["event"] == str(sent[0].event_id)


async def test_a_key_without_a_value_is_a_decision(house: House) -> None:
    """The event is kept and joins nothing."""
    await house.deploy(BATCH)
    sent = await send(house, {"n": 1})
    [decision] = await decide(house, sent.event_id)
    assert (decision.matched, decision.reason) == (False, "batch_error")
    assert "site" in decision.detail["error"]


async def test_inputs_are_evaluated_with_the_newest_version(house: House) -> None:
    """A deployment between the event and the run counts."""
    await house.deploy(QUIET)
    await send(house, {"id": "a", "text": "x"})
    await house.deploy(QUIET.replace("${{ event.body.text }}", "new ${{ event.body.text }}", 1))
    await fire(house, 20)
    assert await outputs(house) == [["new x", "x"]]


async def test_what_became_of_events_whose_pipeline_changed(house: House) -> None:
    """Nothing is lost silently: the last event says why there is no run, and the others where they waited."""
    for text, reason in (
        ("", "pipeline_removed"),
        (QUIET.replace("id: test\n", "id: test\n    enabled: false\n", 1), "disabled"),
        (QUIET.replace("- uses: event", "- id: other\n        uses: event"), "trigger_removed"),
        (QUIET.replace('event.body.text }}"}\n        deb', 'event.body.gone }}"}\n        deb'), "invalid_inputs"),
    ):
        await house.deploy(QUIET)
        sent = await send(house, {"id": "a", "text": "x"})
        if text:
            await house.deploy(text)
        else:
            (house.folder / "test.yaml").unlink()
            await house.deploy("id: another\nsteps: [{id: act, uses: test.effect}]", "another")
        await fire(house, 20)
        [first, last] = await decide(house, sent.event_id)
        assert (first.reason, last.matched, last.reason) == ("debounced", False, reason)
        assert (last.detail["gather"], last.detail["size"]) == (first.detail["gather"], 1)
    assert await runs(house) == []


async def test_a_batch_whose_trigger_has_none_any_more(house: House) -> None:
    """Its events start runs as such events do now."""
    await house.deploy(BATCH.replace("max_size: 3, ", ""))
    for number in range(4):
        await send(house, {"site": "s", "n": number})
    plain = """
        id: test
        triggers: [{uses: event, with: {type: order.*}}]
        steps: [{id: act, uses: test.effect, with: "${{ event.body.n }}"}]
    """
    await house.deploy(plain)
    await fire(house, 30)
    assert sorted(await outputs(house)) == [0, 1, 2, 3]


async def test_a_batch_without_a_time_ends_with_its_trigger(house: House) -> None:
    """Or when a new size says that it is full."""
    endless = BATCH.replace("max_size: 3, max_wait: 30s", "max_size: 9")
    await house.deploy(endless)
    for number in range(4):
        await send(house, {"site": "s", "n": number})
    await fire(house, 1e6)
    await fire_outdated(house.runtime)
    assert await runs(house) == []
    await house.deploy(endless.replace("max_size: 9", "max_size: 4"))
    await fire_outdated(house.runtime)
    assert await outputs(house) == [[0, 1, 2, 3]]


async def test_a_batch_ends_before_its_bodies_are_too_large(house: House) -> None:
    """A worker can hold every batch; the event that would be too much begins the next one."""
    await house.deploy(BATCH.replace("max_size: 3", "max_size: 100"))
    for number in range(5):
        await send(house, {"site": "s", "n": number, "text": "x" * 4_000_000})
    assert await outputs(house) == [[0, 1], [2, 3]]


async def test_replay_of_an_event_of_a_batch(house: House) -> None:
    """It is a batch of its own, at once."""
    await house.deploy(BATCH)
    sent = await send(house, {"site": "s", "n": 7})
    assert sent.event_id is not None
    replayed = await replay_event(house.runtime, sent.event_id)
    assert [decision.reason for decision in replayed.decisions] == ["matched"]
    [(run_id, _)] = replayed.runs
    assert await outputs(house) == [[7]]
    row = await house.run(run_id)
    assert (row.replay_of, decode(row.inputs)) == (None, {"count": 1})  # the batch it waits in has no run yet


async def test_two_leaders_make_one_run_of_each(house: House, database_url: str) -> None:
    """However many look at the same time: the row is taken away once."""
    await house.deploy(QUIET)
    for number in range(30):
        await send(house, {"id": f"k{number}", "text": ""})
    stores = [await connect(database_url) for _ in range(4)]
    moment = NOON + timedelta(seconds=20)
    await asyncio.gather(*(fire_due(another_process(house, store), moment) for store in stores))
    found = await runs(house)
    assert len({run.labels["document"] for run in found}) == len(found) == 30
    await asyncio.gather(*(store.close() for store in stores))


async def test_an_event_that_comes_while_a_run_is_made(house: House) -> None:
    """Who has seen an older state of the burst makes no run of it."""
    await house.deploy(QUIET)
    await send(house, {"id": "a", "text": "x"})
    seen = await house.runtime.store.due_gathers(NOON + timedelta(seconds=20), 10)
    await send(house, {"id": "a", "text": "y"}, seconds=19.9)
    await gather.fire(house.runtime, seen, NOON + timedelta(seconds=20))
    assert await runs(house) == []
    await fire(house, 39.9)
    assert await outputs(house) == [["y", "y"]]


async def test_a_full_batch_that_its_process_did_not_start(house: House, database_url: str) -> None:
    """A process that dies between its commit and the run leaves it to the leader, due at once."""
    await house.deploy(BATCH)
    store = await connect(database_url)
    gone = dataclasses.replace(another_process(house, store), deployments=dataclasses.replace(
        house.runtime.deployments, loaded=False
    ))  # fmt: skip
    for number in range(3):
        await send_by(gone, make_event({"site": "s", "n": number}))
    assert await runs(house) == []
    await fire(house, 0)
    assert await outputs(house) == [[0, 1, 2]]
    await store.close()


async def test_the_leader_is_on_time(house: House) -> None:
    """A round sets a timer for what becomes due before the next one."""
    await house.deploy(QUIET.replace("period: 20s", "period: 300ms"))
    event = msgspec.structs.replace(make_event({"id": "a", "text": "x"}), received_at=datetime.now(UTC))
    await send_by(house.runtime, event)
    await Gatherer(house.runtime).round()
    async with asyncio.timeout(10):
        while not (found := await runs(house)):
            await asyncio.sleep(0.01)
    late = (found[0].created_at - event.received_at).total_seconds() - 0.3
    assert 0 <= late < 0.5
