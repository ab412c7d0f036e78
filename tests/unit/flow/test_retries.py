"""`retry:` of a step, as the language says it in 3.9."""

from typing import Any

import pytest

from engine.plugin import Fail, Retry
from tests.unit.flow.memory import Ended, carry_out


async def tried(*answers: Any, retry: str = "", uses: str = "test.effect") -> Ended:
    text = f"id: a\nsteps: [{{id: one, uses: {uses}, with: 1{retry and f', retry: {retry}'}}}]"
    return await carry_out(text, script={"one": list(answers)})


@pytest.mark.parametrize(("uses", "calls"), [("test.effect", 1), ("test.idempotent", 3), ("test.pure", 1)])
async def test_the_default_follows_from_what_the_step_does(uses: str, calls: int) -> None:
    """Three attempts if doing it twice is as good as once, else one."""
    run = await tried(*[Retry("busy")] * 5, uses=uses)
    assert (run.status, len(run.calls)) == ("failed", calls)


async def test_a_number_is_the_number_of_attempts() -> None:
    """The first one included."""
    run = await tried(*[Retry("busy")] * 9, retry="5")
    assert (run.status, len(run.calls)) == ("failed", 5)


async def test_an_error_for_good_is_not_tried_again() -> None:
    """Unless the author lists its type."""
    assert len((await tried(Fail("no", type="http.404"), retry="3")).calls) == 1
    run = await tried(Fail("no", type="http.404"), retry="{attempts: 3, errors: [http.4*]}")
    assert (run.status, len(run.calls)) == ("succeeded", 2)
    run = await tried(Retry("no", type="network"), retry="{attempts: 3, errors: [http.4*]}")
    assert (run.status, len(run.calls)) == ("failed", 1)


async def test_when_has_the_last_word() -> None:
    """It sees the error; false, or an expression that fails, ends it."""
    when = "{{attempts: 3, when: {}}}"
    assert len((await tried(Retry("busy"), retry=when.format("error.message == 'busy'"))).calls) == 2
    assert len((await tried(Retry("full"), retry=when.format("error.message == 'busy'"))).calls) == 1
    assert len((await tried(Retry("busy"), retry=when.format("error.data.nope == 1"))).calls) == 1


async def test_max_elapsed_counts_from_the_first_attempt() -> None:
    """Delays of 10, 20 and 40 minutes: the third would end after an hour."""
    policy = "{attempts: 9, delay: 10m, factor: 2, max_delay: 1d, jitter: false, max_elapsed: 1h}"
    run = await tried(*[Retry("busy")] * 9, retry=policy)
    assert (run.status, len(run.calls)) == ("failed", 3)


async def test_retry_after_counts_if_it_is_longer() -> None:
    """And against max_elapsed."""
    run = await tried(Retry("slow", after=7200), retry="{attempts: 2, max_elapsed: 1h}")
    assert (run.status, len(run.calls)) == ("failed", 1)
    run = await tried(Retry("slow", after=1800), retry="{attempts: 2, max_elapsed: 1h}")
    assert (run.status, len(run.calls)) == ("succeeded", 2)


async def test_every_attempt_has_the_same_inputs_and_key_and_a_row() -> None:
    """What was rendered is repeated, not rendered anew."""
    text = "id: a\nsteps: [{id: one, uses: test.effect, with: '${{ uuid() }}', retry: {attempts: 3, delay: 1h}}]"
    run = await carry_out(text, script={"one": [Retry("a"), Retry("b")]})
    calls = run.memory.probe.calls
    assert len({(value, key) for _, value, key, _ in calls}) == 1
    assert [number for *_, number in calls] == [1, 2, 3]
    rows = [(row.number, str(row.status)) for row in run.memory.ledger.attempts() if row.step == "one"]
    assert rows == [(1, "failed"), (2, "failed"), (3, "succeeded")]
