"""Whatever fails wherever: once it is retried, a run comes to what it would have come to without the failure."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.flow.conftest import Fail
from tests.unit.flow.test_crashes import CALLEE, PIPELINES, SCRIPTS, number, step_texts
from tests.unit.flow.test_reopen import Story

MOST_ROUNDS = 12
UNDONE = ("a", "b", "loop", "first")  # steps above that have a compensation, by the last part of their key


def undone(key: str) -> bool:
    return key.rpartition("/")[2].partition("[")[0] in UNDONE


# In `loop with poison` a retry takes up all failed items, the poisoned too, and comes to more than before.
@pytest.mark.parametrize("name", [name for name in PIPELINES if name != "loop with poison"])
async def test_a_failure_at_any_step_is_made_good_by_a_retry(name: str) -> None:
    """The same end and outputs; nothing that had finished is done again unless it was undone."""
    script = SCRIPTS.get(name, {})
    whole = await Story(PIPELINES[name], CALLEE, script=copy(script)).end()
    if whole.status != "succeeded":
        return
    compared = 0
    for key in dict.fromkeys(key for key, _ in whole.calls):
        story = Story(PIPELINES[name], CALLEE, script=copy(script) | {key: [Fail("trouble"), *script.get(key, [])]})
        first = await story.end()
        if first.status != "failed":
            continue
        compared += 1
        done = {step for step, status in first.statuses.items() if status == "succeeded"}
        again = await story.again()
        assert (again.status, again.outputs) == (whole.status, whole.outputs), key
        repeated = {call for call, _ in again.calls} & done
        assert not {call for call in repeated if not undone(call) and not call.endswith("closed")}, key
    assert compared


def copy(script: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {key: list(answers) for key, answers in script.items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
async def test_random_pipelines_are_retried_until_they_succeed(data: st.DataObject) -> None:
    """What was done and not undone was done once, however often and wherever it failed before."""
    steps = number(data.draw(st.lists(step_texts(2), min_size=1, max_size=4)), [0])
    text = msgspec.json.encode({"id": "t", "steps": steps}).decode()
    keys = sorted({key for key, _ in (await Story(text).end()).calls})
    troubled = data.draw(st.lists(st.sampled_from(keys), max_size=6)) if keys else []
    trouble = Counter(troubled)
    story = Story(text, script={key: [Fail("trouble") for _ in range(count)] for key, count in trouble.items()})
    ended = await story.end()
    for _ in range(MOST_ROUNDS):
        if ended.status == "succeeded":
            break
        ended = await story.again()
    assert ended.status == "succeeded"
    made = Counter(call[0] for call in story.probe.calls)
    undo = compensations(steps)
    for key, count in made.items():
        own = key.rpartition("/")[2]
        if own in undo.values():
            continue
        failures = trouble[key] - len(story.probe.script.get(key, ()))
        undos = made[key.removesuffix(own) + undo[own]] if own in undo else 0
        assert 0 <= count - failures - undos <= 1, key


def compensations(value: Any) -> dict[str, str]:
    """The step that undoes each step that can be undone, by their ids."""
    found: dict[str, str] = {}
    for item in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        found |= compensations(item)
    if isinstance(value, dict) and "compensate" in value:
        found[value["id"]] = value["compensate"][0]["id"]
    return found
