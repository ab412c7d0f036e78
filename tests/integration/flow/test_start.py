"""`pipeline.start`: runs that a step starts and does not wait for."""

import asyncio
import contextlib
from uuid import UUID

import pytest

from engine.flow.chain import MAX_DEPTH
from engine.flow.execution import Hold
from engine.store import EventFilter, RunFilter
from tests.integration.flow.conftest import House, decode

CHILD = """
    id: child
    inputs: {n: integer}
    labels: {n: "${{ inputs.n }}", kind: own}
    steps:
      - {id: seen, uses: test.effect, with: {n: "${{ inputs.n }}", parent: "${{ run.parent }}"}}
"""
PARENT = """
    id: test
    inputs: {n: any}
    steps:
      - id: start
        uses: pipeline.start
        with: {pipeline: child, inputs: {n: "${{ inputs.n }}"}, labels: {kind: given}}
    outputs: {run: "${{ steps.start.output }}"}
"""
LISTENS = "triggers: [{uses: event, with: {type: ping}}]"


async def children(house: House, pipeline: str = "child") -> list:
    return (await house.runtime.store.list_runs(RunFilter(pipeline=pipeline)))[0]


async def family(house: House, child: str = CHILD, parent: str = PARENT) -> None:
    await house.deploy(child, name="child")
    await house.deploy(parent)


async def test_a_run_is_started_and_not_waited_for(house: House) -> None:
    """The parent has ended before the child has begun; each knows of the other."""
    await family(house)
    run = await house.finish(n=7)
    (child,) = await children(house)
    assert run.status == "succeeded"
    assert decode(run.outputs)["run"] == {"run_id": str(child.id), "url": f"http://127.0.0.1:8000/runs/{child.id}"}
    assert (child.status, child.parent, child.trigger) == ("queued", run.id, "pipeline.start")
    assert child.labels == {"n": "7", "kind": "given"}
    assert await house.turn(child.id)
    assert house.probe.calls[0][1] == {"n": 7, "parent": str(run.id)}


async def test_it_is_started_once_even_after_a_crash(house: House) -> None:
    """The worker dies after the child was recorded and before the step was."""
    await family(house)
    run_id, hold = await house.start(n=7), Hold()
    started, go_on = asyncio.Event(), house.runtime.store.ingest

    async def ingest(record):  # the child is written, then the worker is gone
        answer = await go_on(record)
        started.set()
        await asyncio.Event().wait()
        return answer

    house.runtime.store.ingest = ingest
    task = asyncio.create_task(house.turn(run_id, hold))
    async with asyncio.timeout(10):
        await started.wait()
    hold.reason = "lost"
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    house.runtime.store.ingest = go_on
    await house.runtime.store.unregister_worker(house.worker)
    house.worker = None
    (child,) = await children(house)
    assert await house.turn(run_id)
    assert decode((await house.run(run_id)).outputs)["run"]["run_id"] == str(child.id)
    assert [row.id for row in await children(house)] == [child.id]


async def test_each_item_and_each_run_of_a_repeat_starts_one(house: House) -> None:
    """They are steps of their own."""
    await family(
        house,
        parent="""
        id: test
        inputs: {n: any}
        steps:
          - for_each: ${{ [1, 2, 3] }}
            uses: pipeline.start
            with: {pipeline: child, inputs: {n: "${{ item }}"}}
    """,
    )
    await house.finish(n=0)
    assert sorted(row.labels["n"] for row in await children(house)) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("with_", "type_", "message"),
    [
        ("{pipeline: child, inputs: {n: '${{ inputs.n }}'}}", "invalid_input", "pipeline `child`: n: "),
        ("{pipeline: \"${{ 'chi' ~ 'ld' }}\"}", "invalid_input", "pipeline `child`: n: is required"),
        ("{pipeline: \"${{ 'chid' }}\"}", "unknown_pipeline", "there is no pipeline `chid`"),
    ],
)
async def test_what_does_not_fit_is_an_error_of_the_step(house: House, with_: str, type_: str, message: str) -> None:
    """Nothing is started."""
    await family(house, parent=f"id: test\ninputs: {{n: any}}\nsteps: [{{uses: pipeline.start, with: {with_}}}]")
    run = await house.finish(n="no number")
    error = decode(run.error)
    assert (run.status, error["type"]) == ("failed", type_)
    assert error["message"].startswith(message)
    assert await children(house) == []


async def turn_all(house: House, first: UUID, *pipelines: str) -> list:
    """Every run that one leads to, in the order they began."""
    queue, met = [first], []
    while queue:
        run_id = queue.pop(0)
        assert await house.turn(run_id)
        met.append(await house.run(run_id))
        for name in pipelines:
            known = {row.id for row in met} | set(queue)
            queue += [row.id for row in await children(house, name) if row.status == "queued" and row.id not in known]
        assert len(met) <= MAX_DEPTH + 1
    return met


async def test_a_loop_of_starts_is_cut(house: House) -> None:
    """The last run fails and says why."""
    await house.deploy("id: test\nsteps: [{uses: pipeline.start, with: {pipeline: test}}]")
    met = await turn_all(house, await house.start(), "test")
    assert [row.status for row in met] == ["succeeded"] * MAX_DEPTH + ["failed"]
    error = decode(met[-1].error)
    assert error["type"] == "chain_too_long"
    assert error["message"].startswith("pipeline `test` is not started: that would be number 6 in a chain of pipelines")


async def test_a_loop_of_starts_emits_and_ends_is_one_chain(house: House) -> None:
    """Whichever way pipelines start each other, the links are counted together."""
    await house.deploy("id: test\nsteps: [{uses: pipeline.start, with: {pipeline: second}}]\n" + LISTENS)
    await house.deploy("id: second\nsteps: [{uses: emit, with: {type: ping}}]", name="second")
    met = await turn_all(house, await house.start(), "test", "second")
    assert [row.pipeline for row in met] == ["test", "second"] * 3
    error = decode(met[-1].error)
    assert error["message"].startswith("event `ping` is recorded, but does not start test: that would be number 6")
    events, _ = await house.runtime.store.list_events(EventFilter(source="internal"))
    decisions = await house.runtime.store.list_decisions(events[0].id)
    assert [(each.pipeline, each.matched, each.reason) for each in decisions] == [("test", False, "chain_too_long")]
