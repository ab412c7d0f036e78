"""Emit and replay: runs that no delivery starts."""

from datetime import UTC, datetime

import msgspec
import pytest

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.errors import NotFound
from engine.flow.chain import MAX_DEPTH
from engine.flow.record import record_event
from engine.flow.replay import Wanted, replay_event
from engine.store import EventFilter, RunFilter
from tests.integration.flow.conftest import House

LISTENER = """
    id: listener
    triggers: [{uses: event, with: {type: order.*}, inputs: {n: "${{ event.body.n }}"}, if: event.body.n > 0}]
    inputs: {n: integer}
    steps: [{id: heard, uses: test.effect, with: "${{ inputs.n }}"}]
"""
EMITTER = """
    id: test
    inputs: {n: integer}
    steps: [{uses: emit, with: {type: order.paid, body: {n: "${{ inputs.n }}"}}}]
"""


async def runs_of(house: House, pipeline: str) -> list:
    return (await house.runtime.store.list_runs(RunFilter(pipeline=pipeline)))[0]


async def test_an_emitted_event_starts_the_pipelines_that_listen(house: House) -> None:
    """The event is stored with its decision, and the run has the inputs the trigger names."""
    await house.deploy(LISTENER, name="listener")
    await house.deploy(EMITTER)
    await house.finish(n=7)
    started = await runs_of(house, "listener")
    assert len(started) == 1
    assert await house.turn(started[0].id)
    assert [call[:2] for call in house.probe.calls] == [("heard", 7)]
    events, _ = await house.runtime.store.list_events(EventFilter(source="internal"))
    assert [(event.type, event.source) for event in events] == [("order.paid", "internal")]


async def test_an_event_nobody_wants_is_kept_with_the_reason(house: House) -> None:
    """The decision names the condition and the value that failed it."""
    await house.deploy(LISTENER, name="listener")
    await house.deploy(EMITTER)
    await house.finish(n=0)
    assert await runs_of(house, "listener") == []
    events, _ = await house.runtime.store.list_events(EventFilter(source="internal"))
    decisions = await house.runtime.store.list_decisions(events[0].id)
    assert [(found.matched, found.reason) for found in decisions] == [(False, "condition_false")]
    assert decisions[0].detail["values"] == {"event.body.n": 0}


async def test_a_chain_of_emits_is_cut(house: House) -> None:
    """A pipeline that wakes itself runs a few times, not for ever."""
    await house.deploy(
        """
        id: echo
        triggers: [{uses: event, with: {type: ping}}]
        steps: [{uses: emit, with: {type: ping, body: {}}}]
    """,
        name="echo",
    )
    run_id = await house.start("echo")
    turned = 0
    queue = [run_id]
    while queue:
        turned += await house.turn(queue.pop())
        queue += [row.id for row in await runs_of(house, "echo") if row.status == "queued"]
        assert turned <= MAX_DEPTH + 1
    assert turned == MAX_DEPTH + 1


async def test_replay_makes_a_new_run_of_a_stored_event(house: House) -> None:
    """It names the run it repeats, and has idempotency keys of its own."""
    await house.deploy(LISTENER, name="listener")
    await house.deploy(EMITTER)
    await house.finish(n=3)
    first = (await runs_of(house, "listener"))[0]
    await house.turn(first.id)
    assert first.event_id is not None
    replayed = await replay_event(house.runtime, first.event_id)
    assert [name for _, name in replayed.runs] == ["listener"]
    again = await house.run(replayed.runs[0][0])
    assert (again.replay_of, again.event_id) == (first.id, first.event_id)
    await house.turn(again.id)
    keys = [call[2] for call in house.probe.calls if call[0] == "heard"]
    assert len(set(keys)) == 2
    with pytest.raises(NotFound):
        await replay_event(house.runtime, first.event_id, Wanted(pipeline="nobody"))
    with pytest.raises(NotFound):
        await replay_event(house.runtime, uuid7())


async def test_a_repeated_delivery_id_counts_once(house: House) -> None:
    """The second answer is the first one's."""
    await house.deploy(LISTENER, name="listener")
    bindings = house.runtime.deployments.current.events

    def event() -> Event:
        body = msgspec.json.encode({"n": 1})
        headers = {"content-type": "application/json"}
        return Event(uuid7(), "internal", "order.new", datetime.now(UTC), headers=headers, body=body, delivery_id="d-1")

    first = await record_event(house.runtime, event(), bindings, dedup_scope="test")
    second = await record_event(house.runtime, event(), bindings, dedup_scope="test")
    assert (first.duplicate, second.duplicate) == (False, True)
    assert (second.event_id, second.runs) == (first.event_id, first.runs)
