"""Retention: old weeks go by themselves, a piece in each round of upkeep."""

from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from engine.flow.retention import Retention
from tests.integration.flow.conftest import House

SIMPLE = """
    id: test
    steps: [{id: only, uses: value, with: 1}]
"""
WAITS = """
    id: waits
    steps: [{id: rest, wait: 90d}]
"""


def keeping(house: House, retention: str) -> Retention:
    """Retention with a setting of its own."""
    settings = msgspec.structs.replace(house.runtime.settings, retention=retention)
    return Retention(replace(house.runtime, settings=settings))


async def first_week(house: House) -> datetime:
    """When the oldest partition ends."""
    return (await house.runtime.store.list_weeks())[0].until


async def rounds(retention: Retention, moment: datetime) -> int:
    """Upkeep until there is nothing to do; how many runs went."""
    gone = 0
    for number in range(6):
        gone += await retention.step(moment + timedelta(seconds=number))
    return gone


async def test_finished_history_goes_after_its_time(house: House) -> None:
    """Not a day before."""
    await house.deploy(SIMPLE)
    run = await house.finish()
    end = await first_week(house)
    assert await rounds(keeping(house, "30d"), end + timedelta(days=29)) == 0
    assert await first_week(house) == end
    assert await rounds(keeping(house, "30d"), end + timedelta(days=30)) == 1
    assert await house.runtime.store.get_run(run.id) is None
    assert await first_week(house) > end


async def test_forever_keeps_everything(house: House) -> None:
    """However old."""
    await house.deploy(SIMPLE)
    await house.finish()
    end = await first_week(house)
    assert await rounds(keeping(house, "forever"), end + timedelta(days=3650)) == 0
    assert await first_week(house) == end


async def test_a_waiting_run_keeps_its_week(house: House) -> None:
    """It goes on long after its history would have gone."""
    await house.deploy(WAITS, "waits")
    run = await house.finish("waits")
    assert run.status == "waiting"
    end = await first_week(house)
    await rounds(keeping(house, "1w"), end + timedelta(days=60))
    assert await first_week(house) == end
    assert len(await house.attempts(run.id)) == 1


async def test_coming_weeks_are_there_before_they_are_needed(house: House) -> None:
    """Upkeep may be off for some weeks."""
    moment = await first_week(house) + timedelta(days=70)
    await keeping(house, "forever").step(moment)
    assert (await house.runtime.store.list_weeks())[-1].until >= moment + timedelta(days=21)
