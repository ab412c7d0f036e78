"""A run that dies after any of its records goes on as if nothing had happened.

Each pipeline is run once; then every beginning of what it wrote is taken as all that a dead worker left behind.
"""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.flow.execution import Hold
from engine.store import CheckpointRecord
from tests.integration.flow.conftest import Fail, Probe, Retry
from tests.unit.flow.memory import Ended, Memory, claim, read

CALLEE = """
    id: callee
    inputs: {n: integer}
    vars: {token: "${{ uuid() }}"}
    steps:
      - {id: first, uses: test.effect, with: "${{ inputs.n }}", compensate: [{id: undo_first, uses: test.effect}]}
      - {id: second, uses: test.effect, with: "${{ steps.first.output * 10 }}"}
      - {if: inputs.n == 3, uses: stop, with: {output: stopped}}
    outputs: "${{ OUT }}"
    finally: [{id: closed, uses: test.effect}]
""".replace('"${{ OUT }}"', '{n: "${{ steps.second.output }}"}')

PIPELINES: dict[str, str] = {
    "sequence": """
        id: t
        steps:
          - {id: a, uses: test.effect, with: 1}
          - {id: b, uses: test.pure, with: "${{ steps.a.output }}"}
          - {id: c, uses: test.effect, with: "${{ steps.b.output }}", retry: {attempts: 2, delay: 1h}}
        outputs: {c: "${{ steps.c.output }}"}
    """,
    "group": """
        id: t
        steps:
          - id: g
            timeout: 10h
            steps: [{id: a, uses: test.effect, with: 1}, {id: b, uses: test.effect, with: 2}]
            output: ["${{ result }}", "${{ uuid() }}"]
          - {id: c, uses: test.effect, with: ["${{ steps.g.output }}", "${{ steps.a.output }}"]}
          - {id: d, uses: test.effect, with: "${{ steps.c.output[0] == steps.g.output }}"}
        outputs: {d: "${{ steps.d.output }}"}
    """,
    "parallel": """
        id: t
        steps:
          - id: p
            parallel:
              x: [{id: a, uses: test.effect, with: 1}, {id: b, uses: test.effect, with: 2}]
              y: [{id: c, uses: test.effect, with: 3, retry: {attempts: 2, delay: 1h}}, {id: d, uses: test.effect}]
          - {id: e, uses: test.effect, with: ["${{ steps.b.output }}", "${{ steps.c.output }}"]}
        outputs: {e: "${{ steps.e.output }}"}
    """,
    "parallel that fails": """
        id: t
        steps:
          - id: p
            parallel:
              x: [{id: a, uses: test.effect, with: 1}, {id: hang, uses: test.hang}]
              y: [{id: bad, uses: test.effect}]
            on_error: [{id: other, uses: test.effect, with: 5}, {id: more, uses: test.effect, with: 6}]
          - {id: e, uses: test.effect, with: ["${{ steps.p.output }}", "${{ steps.hang.status }}"]}
        outputs: {p: "${{ steps.p.status }}", e: "${{ steps.e.output[0] }}"}
    """,
    "switch": """
        id: t
        steps:
          - switch:
              - if: now() < '2000'
                steps: [{id: a, uses: test.effect}]
              - else: [{id: b, uses: test.effect, with: 1}, {id: c, uses: test.effect, with: 2}]
          - {id: d, uses: test.effect, with: ["${{ steps.c.output }}", "${{ steps.a.status }}"]}
        outputs: {d: "${{ steps.d.output }}"}
    """,
    "loop": """
        id: t
        steps:
          - id: loop
            for_each: {items: [3, 1, 2], as: n, key: "${{ n }}", concurrency: 2}
            steps:
              - {id: a, uses: test.effect, with: "${{ n }}"}
              - {id: b, uses: test.effect, with: "${{ steps.a.output + 1 }}"}
          - {id: c, uses: test.effect, with: "${{ steps.loop.output }}"}
        outputs: {c: "${{ steps.c.output }}"}
    """,
    "loop with poison": """
        id: t
        steps:
          - id: loop
            for_each: {items: [0, 1, 2, 3], on_item_error: continue, max_errors: 50%}
            uses: test.effect
            with: "${{ item }}"
            retry: {attempts: 2, delay: 1h}
          - {id: c, uses: test.effect, with: ["${{ steps.loop.output }}", "${{ steps.loop.errors | map('key') }}"]}
        outputs: {c: "${{ steps.c.output }}"}
    """,
    "loop that gives up": """
        id: t
        steps:
          - id: loop
            for_each: {items: [0, 1, 2, 3], on_item_error: continue, max_errors: 0}
            steps: [{id: a, uses: test.effect, with: "${{ item }}", compensate: [{id: undo, uses: test.effect}]}]
        on_error: [{id: told, uses: test.effect, with: "${{ run.compensated | length }}"}]
    """,
    "items that are drawn": """
        id: t
        steps:
          - id: loop
            for_each: {items: ["${{ uuid() }}", "${{ uuid() }}"]}
            steps:
              - {id: a, uses: test.effect, with: "${{ item }}"}
              - {id: b, uses: test.effect, with: "${{ steps.a.output == item }}"}
        outputs: {same: "${{ steps.loop.output }}"}
    """,
    "waits": """
        id: t
        steps:
          - {id: first, uses: test.effect, with: 1}
          - parallel:
              a: [{id: long, wait: {until: "${{ date_add(now(), '1h') }}"}}, {id: a, uses: test.effect}]
              b: [{id: b, uses: test.effect}, {id: short, wait: 1m}, {id: c, uses: test.effect}]
          - {id: last, uses: test.effect}
    """,
    "repeat": """
        id: t
        steps:
          - {id: poll, uses: test.effect, with: 1, repeat: {until: result == 'done', every: 1h}}
          - {id: c, uses: test.effect, with: ["${{ steps.poll.output }}", "${{ steps.poll.attempts }}"]}
        outputs: {c: "${{ steps.c.output }}"}
    """,
    "fallbacks": """
        id: t
        steps:
          - {id: value, uses: test.effect, on_error: {output: "${{ uuid() }}"}}
          - {id: x, uses: test.effect, with: "${{ steps.value.output }}"}
          - {id: y, uses: test.effect, with: "${{ steps.value.output == steps.x.output }}"}
          - id: steps
            uses: test.effect
            on_error:
              - {id: f1, uses: test.effect, with: 1}
              - {id: f2, uses: test.effect, with: "${{ steps.f1.output }}"}
          - {id: z, uses: test.effect, with: "${{ steps.steps.output }}"}
        outputs: {y: "${{ steps.y.output }}", z: "${{ steps.z.output }}"}
    """,
    "calls": """
        id: t
        steps:
          - {id: one, uses: "pipeline:callee", with: {n: 1}}
          - id: many
            for_each: [2, 3]
            uses: pipeline:callee
            with: {n: "${{ item }}"}
        outputs: {one: "${{ steps.one.output }}", many: "${{ steps.many.output }}"}
    """,
    "call that is tried again": """
        id: t
        steps:
          - {id: one, uses: "pipeline:callee", with: {n: 1}, retry: {attempts: 2, delay: 1h}}
        outputs: {one: "${{ steps.one.output }}"}
    """,
    "saga": """
        id: t
        steps:
          - id: a
            uses: test.effect
            with: 1
            compensate: [{id: undo_a, uses: test.effect, with: "${{ steps.a.output }}"}]
          - parallel:
              x: [{id: b, uses: test.effect, compensate: [{id: undo_b, uses: test.effect}]}]
              y:
                - id: loop
                  for_each: [1, 2]
                  uses: test.effect
                  with: "${{ item }}"
                  compensate: [{id: undo_loop, uses: test.effect, with: "${{ item }}"}]
          - {id: call, uses: "pipeline:callee", with: {n: 4}}
          - {id: bad, uses: test.effect}
        on_error: [{id: told, uses: test.effect, with: "${{ run.compensated }}"}]
        finally: [{id: last, uses: test.effect, with: "${{ run.outcome }}"}]
    """,
    "nested": """
        id: t
        steps:
          - id: outer
            for_each: {items: [1, 2], as: i, concurrency: 2}
            steps:
              - parallel:
                  x:
                    - id: inner
                      for_each: {items: ["${{ i }}", 5], as: j}
                      steps:
                        - switch: [{if: j == 5, steps: [{id: a, uses: test.effect, with: [ "${{ i }}", "${{ j }}" ]}]}]
                        - {id: b, uses: test.effect, with: "${{ j }}"}
                  y: [{id: c, uses: test.effect, with: "${{ i }}", on_error: continue}]
              - {id: d, uses: test.effect, with: ["${{ steps.inner.output }}", "${{ steps.c.output ?? null }}"]}
        outputs: {outer: "${{ steps.outer.output }}"}
    """,
}
SCRIPTS: dict[str, dict[str, list[Any]]] = {
    "sequence": {"c": [Retry("busy")]},
    "parallel": {"c": [Retry("busy")]},
    "parallel that fails": {"bad": [Fail("no")]},
    "loop with poison": {"loop[1]": [Retry("a"), Retry("b")], "loop[2]": [Fail("no")], "loop[3]": [Retry("a")]},
    "loop that gives up": {"loop[2]/a": [Fail("no")]},
    "repeat": {"poll": ["no", "no", "done"]},
    "fallbacks": {"value": [Fail("no")], "steps": [Fail("no")]},
    "call that is tried again": {"one/second": [Fail("no")]},
    "saga": {"bad": [Fail("no")]},
    "nested": {"outer[1]/c": [Fail("no")]},
}
FINISHED = ("succeeded", "failed", "timed_out")


class Story:
    """A pipeline, what its steps do by step and attempt, and how it goes without a crash."""

    def __init__(self, text: str, script: dict[str, list[Any]], *callees: str) -> None:
        self.script = script
        self.pipeline = read(text, *callees)
        self.run = claim(self.pipeline)

    def make_probe(self, records: list[CheckpointRecord]) -> Probe:
        """Steps that go on in their script where the finished attempts among the records leave off."""
        done = Counter(key for key, _ in finished_rows(records))
        probe = Probe()
        probe.script = {key: list(answers[done[key] :]) for key, answers in self.script.items()}
        return probe

    async def tell(self) -> Ended:
        """Without a crash."""
        return await Memory(self.make_probe([])).finish(self.run, self.pipeline)

    async def resume(self, records: list[CheckpointRecord]) -> Ended:
        """After a crash that left these records."""
        return await Memory(self.make_probe(records), records).finish(self.run, self.pipeline)


def finished_rows(records: list[CheckpointRecord]) -> set[tuple[str, int]]:
    return {
        (row.step, row.number) for record in records for row in record.attempts if str(row.status) in FINISHED
    }  # fmt: skip


def check_resumed(whole: Ended, resumed: Ended, records: list[CheckpointRecord]) -> None:
    """The same end, and nothing that had finished was done again."""
    assert (resumed.status, resumed.outputs) == (whole.status, whole.outputs)
    assert (resumed.error or {}).get("type") == (whole.error or {}).get("type")
    before = Counter(key for key, _ in finished_rows(records))
    wanted = Counter(key for key, _ in whole.calls)
    again = Counter(key for key, _ in resumed.calls)
    for key, count in again.items():
        assert count <= max(wanted[key] - before[key], 0), f"{key} was done again"
    left = {key for key in wanted if wanted[key] > before[key]}
    assert left - set(again) <= {"hang"}, "something was left out"


@pytest.mark.parametrize("name", PIPELINES)
async def test_a_crash_after_any_record_changes_nothing(name: str) -> None:
    """Finished steps, items, branches and decisions stay; the outcome is the same."""
    story = Story(PIPELINES[name], SCRIPTS.get(name, {}), CALLEE)
    whole = await story.tell()
    records = whole.memory.records
    assert len(records) > 2
    for length in range(len(records)):
        kept = records[:length]
        if name == "items that are drawn" and length < 2:
            continue  # nothing was decided yet
        check_resumed(whole, await story.resume(kept), kept)


def step_texts(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """A step of any shape, with ids left to number()."""
    action = st.builds(
        lambda uses, recover: {"uses": uses, "with": "VALUE", **recover},
        st.sampled_from(["test.effect", "test.pure", "test.idempotent"]),
        st.sampled_from([{}, {}, {"on_error": "continue"}, {"compensate": [{"uses": "test.effect"}]}]),
    )
    if depth == 0:
        return action
    some = st.lists(step_texts(depth - 1), min_size=1, max_size=3)
    return st.one_of(
        action,
        st.builds(lambda steps: {"steps": steps}, some),
        st.builds(lambda one, two: {"parallel": {"a": one, "b": two}}, some, some),
        st.builds(
            lambda steps, other, yes: {"switch": [{"if": yes, "steps": steps}, {"else": other}]},
            some,
            some,
            st.sampled_from(["1 == 1", "1 == 2"]),
        ),
        st.builds(
            lambda steps, width, going: {
                "for_each": {"items": [1, 2], "as": "AS", "concurrency": width, "on_item_error": going},
                "steps": steps,
            },
            some,
            st.integers(1, 2),
            st.sampled_from(["fail", "continue"]),
        ),
    )


def number(value: Any, counter: list[int]) -> Any:
    """Give every step an id and every loop a name of its own."""
    if isinstance(value, list):
        return [number(item, counter) for item in value]
    if not isinstance(value, dict):
        return value
    counter[0] += 1
    own, mine = dict(value), counter[0]
    if {"uses", "steps", "parallel", "switch"} & own.keys() and "if" not in own:
        own["id"] = f"s{mine}"
    if own.get("with") == "VALUE":
        own["with"] = mine
    if own.get("as") == "AS":
        own["as"] = f"item{mine}"
    return {key: number(item, counter) for key, item in own.items()}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
async def test_random_pipelines_survive_a_crash_anywhere(data: st.DataObject) -> None:
    """The same outputs, no finished step twice."""
    import json

    counter = [0]
    steps = number(data.draw(st.lists(step_texts(2), min_size=1, max_size=3)), counter)
    outputs = {step["id"]: f"${{{{ steps.{step['id']}.output ?? null }}}}" for step in steps}
    last = [{"id": "last", "uses": "test.effect"}]
    text = json.dumps({"id": "t", "steps": steps, "finally": last, "outputs": outputs})
    probe = Probe()
    whole = await Memory(probe).finish(claim(pipeline := read(text)), pipeline)
    keys = sorted({key for key, _ in whole.calls})
    bad = data.draw(st.sets(st.sampled_from(keys), max_size=2)) if keys else set()
    story = Story(text, {key: [Fail("no"), Fail("no")] for key in bad})
    whole = await story.tell()
    records = whole.memory.records
    kept = records[: data.draw(st.integers(0, max(len(records) - 1, 0)))]
    resumed = await story.resume(kept)
    assert (resumed.status, resumed.outputs) == (whole.status, whole.outputs)
    before = finished_rows(kept)
    assert not {(key, 1) for key, _ in resumed.calls} & before


class Outage(Memory):
    """PostgreSQL is away for the first commit; whoever waits for it is interrupted."""

    def __init__(self, probe: Probe) -> None:
        super().__init__(probe)
        self.away = asyncio.Event()

    async def checkpoint(self, record: CheckpointRecord) -> bool:
        if not self.away.is_set():
            self.away.set()
            await asyncio.Event().wait()
        return await super().checkpoint(record)


async def test_a_commit_that_is_interrupted_is_not_forgotten() -> None:
    """What it held is written when the run is handed back, so that it is not done again."""
    pipeline = read("id: t\nsteps: [{id: a, uses: test.effect}, {id: b, uses: test.effect}]")
    memory, run, hold = Outage(probe := Probe()), claim(pipeline), Hold()
    visit = asyncio.create_task(memory.turn(run, pipeline, hold))
    await memory.away.wait()
    hold.reason = "stop"
    visit.cancel()
    await visit
    assert str(memory.ledger.run.status) == "queued"
    assert (await memory.finish(run, pipeline)).status == "succeeded"
    assert [probe.count(step) for step in ("a", "b")] == [1, 1]
