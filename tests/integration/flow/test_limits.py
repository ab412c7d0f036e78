"""`concurrency` and `rate_limit` of pipelines, from their triggers to the end of their runs."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.errors import BadRequest
from engine.flow.cancel import cancel_run
from engine.flow.limits import Gatekeeper
from engine.flow.record import record_event
from engine.flow.replay import replay_event
from engine.store import Ingested, IngestRecord
from tests.integration.flow.conftest import House, decode

ONE = """
    id: test
    inputs: {shop: {type: string, default: acme}}
    concurrency: {key: "${{ inputs.shop }}"}
    steps:
      - {id: act, uses: test.effect, with: "${{ inputs.shop }}"}
"""
PAUSING = ONE + "      - {wait: 1h}\n"
EVENTS = """
    id: test
    triggers:
      - {uses: event, with: {type: order.*}}
    concurrency: {key: "${{ event.body.shop }}", on_limit: drop}
    steps: [{id: act, uses: test.effect}]
"""


async def send(house: House, body: Any) -> Ingested:
    event = Event(
        uuid7(), "internal", "order.new", datetime.now(UTC), headers={"content-type": "application/json"},
        body=msgspec.json.encode(body),
    )  # fmt: skip
    return await record_event(house.runtime, event, house.runtime.deployments.current.events, dedup_scope="test")


async def status(house: House, run_id: UUID) -> str:
    return str((await house.run(run_id)).status)


async def test_the_next_one_goes_on_when_the_first_has_ended(house: House) -> None:
    """By the turn that ends the first one, without any upkeep; another key is not concerned."""
    await house.deploy(ONE)
    first, second = await house.start(), await house.start()
    other = await house.start(shop="other")
    assert not await house.turn(second)
    assert (await house.run(second)).waiting_for == (
        f"a slot of concurrency key `acme` (1 at a time), held by run {first}"
    )
    assert await house.turn(other)
    assert await house.turn(first)
    assert await house.turn(second)
    assert await status(house, second) == "succeeded"


async def test_a_slot_is_held_through_waits(house: House) -> None:
    """Until the run ends, also if it is cancelled then."""
    await house.deploy(PAUSING)
    first, second = await house.start(), await house.start()
    assert await house.turn(first)
    assert await status(house, first) == "waiting"
    assert not await house.turn(second)
    await cancel_run(house.runtime, first)
    assert await house.turn(first)
    assert await status(house, first) == "cancelled"
    assert await house.turn(second)


async def test_a_failed_run_frees_its_slot(house: House) -> None:
    """Whatever it failed of: its steps, or a version that cannot be loaded."""
    await house.deploy(ONE)
    runs = [await house.start() for _ in range(3)]
    house.probe.script["act"] = [RuntimeError("broken")]
    assert await house.turn(runs[0])
    await house.runtime.store._database.fetch("update run set version = 'gone', turn = 1 where id = $1", runs[1])
    assert await house.turn(runs[1])
    assert [await status(house, run_id) for run_id in runs] == ["failed", "failed", "queued"]
    assert await house.turn(runs[2])


async def test_a_cancelled_run_that_had_not_begun_frees_its_slot(house: House) -> None:
    """At once."""
    await house.deploy(ONE)
    first, second = await house.start(), await house.start()
    assert await cancel_run(house.runtime, first) == "cancelled"
    assert await house.turn(second)


async def test_a_run_that_waited_takes_the_newest_version(house: House) -> None:
    """As it is deployed when it starts, with the inputs that version adds."""
    await house.deploy(ONE)
    first, second = await house.start(), await house.start()
    newer = ONE.replace("inputs: {", "inputs: {extra: {type: integer, default: 5}, ").replace(
        'with: "${{ inputs.shop }}"', 'with: "${{ inputs.extra }}"'
    )
    await house.deploy(newer)
    await house.turn(first)
    await house.turn(second)
    assert [call[1] for call in house.probe.calls] == [5, 5]
    row = await house.run(second)
    assert row.version == house.runtime.deployments.current.pipelines["test"].version
    assert decode(row.inputs) == {"extra": 5, "shop": "acme"}


async def test_inputs_that_do_not_fit_any_more_end_the_run(house: House) -> None:
    """With an error that says so; the next one goes on."""
    await house.deploy(ONE)
    first, second = await house.start(), await house.start()
    await house.deploy(ONE.replace("shop: {type: string, default: acme}", "shop: {type: integer, default: 1}"))
    assert await house.turn(first)
    error = decode((await house.run(first)).error)
    assert error["type"] == "invalid_input"
    assert "deployed while this run waited for its turn" in error["message"]
    assert await house.turn(second)


async def test_a_run_that_has_begun_keeps_its_version(house: House) -> None:
    """However often it waits."""
    await house.deploy(PAUSING)
    run_id = await house.start()
    assert await house.turn(run_id)
    version = (await house.run(run_id)).version
    await house.deploy(PAUSING.replace("1h", "2h"))
    await house.runtime.store.wake([run_id])
    assert await house.turn(run_id)
    assert (await house.run(run_id)).version == version


async def test_a_dropped_event_says_so(house: House) -> None:
    """The run exists and is cancelled; the event's decision names the holder."""
    await house.deploy(EVENTS)
    first = (await send(house, {"shop": "acme"})).runs[0][0]
    sent = await send(house, {"shop": "acme"})
    row = await house.run(sent.runs[0][0])
    assert str(row.status) == "cancelled"
    assert decode(row.error)["type"] == "dropped"
    assert sent.event_id is not None
    [decision] = await house.runtime.store.list_decisions(sent.event_id)
    assert (decision.reason, decision.detail["by"]) == ("dropped", str(first))


async def test_a_key_without_a_value_loses_no_event(house: House) -> None:
    """The decision says why there is no run; a replay can start it later. By hand it is refused."""
    await house.deploy(EVENTS)
    sent = await send(house, {"other": 1})
    assert sent.runs == []
    assert sent.event_id is not None
    [decision] = await house.runtime.store.list_decisions(sent.event_id)
    assert (decision.matched, decision.reason) == (False, "limit_error")
    assert decision.detail["error"].startswith("concurrency: ")
    await house.deploy(EVENTS.replace("event.body.shop", "event.body.other"))
    assert len((await replay_event(house.runtime, sent.event_id)).runs) == 1
    with pytest.raises(BadRequest, match="concurrency: "):
        await house.start()


async def test_a_limit_that_is_no_number(house: House) -> None:
    """Is refused like a key without a value."""
    await house.deploy(ONE.replace("{key:", "{limit: '${{ inputs.shop }}', key:"))
    with pytest.raises(BadRequest, match="the limit must be a number of at least 1"):
        await house.start()


async def test_a_key_shared_by_pipelines(house: House) -> None:
    """`scope: global`: also a run of another pipeline waits."""
    shared = ONE.replace("{key:", "{scope: global, key:")
    await house.deploy(shared)
    await house.deploy(shared.replace("id: test", "id: other"), name="other")
    first, second = await house.start(), await house.start("other")
    assert not await house.turn(second)
    await house.turn(first)
    assert await house.turn(second)


async def test_the_leader_does_what_a_crash_left_undone(house: House) -> None:
    """Runs that nobody decided on, and slots that nobody freed."""
    await house.deploy(ONE)
    store = house.runtime.store
    keeper = Gatekeeper(house.runtime)
    template = await house.start()
    await house.turn(template)
    row = await store._database.fetch("select version from run where id = $1", template)
    from engine.flow.limits import gates_of
    from engine.store import NewRun

    pipeline = house.runtime.deployments.current.pipelines["test"]
    gates = gates_of(pipeline, {"inputs": {"shop": "acme"}, "env": {}})
    runs = [
        NewRun(
            id=uuid7(), pipeline="test", version=row[0]["version"], inputs=b'{"shop":"acme"}', gates=gates, held=True
        )
        for _ in range(2)
    ]
    await store.ingest(IngestRecord(runs=runs))
    assert not await house.turn(runs[0].id)
    await keeper.round()
    assert await house.turn(runs[0].id)
    await store._database.fetch(
        "insert into gate_exit (run_id, at) values ($1, now() - interval '3 seconds')", runs[0].id
    )
    await keeper.round()
    assert await house.turn(runs[1].id)
