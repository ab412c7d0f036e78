"""Schedules: every tick once, whoever fires it, whatever happened meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.flow import schedule
from engine.flow.upkeep import Upkeep
from engine.store import EventFilter, RunFilter
from tests.integration.flow.conftest import House, decode

SCHEDULED = """
    id: test
    triggers: [{{uses: schedule, with: {{cron: "{cron}", timezone: {timezone}, catch_up: {catch_up}}}}}]
    steps: [{{id: at, uses: test.effect, with: "${{{{ run.scheduled_at }}}}"}}]
"""
NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def deploy(
    house: House, *, cron: str = "0 * * * *", timezone: str = "UTC", catch_up: str = "last", since: datetime
) -> None:
    """In force since then."""
    await house.deploy(SCHEDULED.format(cron=cron, timezone=timezone, catch_up=catch_up))
    await schedule.plan(house.runtime, since)


async def ticks(house: House) -> list[datetime]:
    """When runs were scheduled, each as often as there is a run for it."""
    runs, _ = await house.runtime.store.list_runs(RunFilter(pipeline="test", limit=500))
    return sorted(run.scheduled_at for run in runs if run.scheduled_at is not None)


async def watch(house: House, first: datetime, last: datetime, step: timedelta) -> list[str]:
    """Fire what is due every so often; the ticks in UTC."""
    moment = first
    while moment <= last:
        await schedule.fire_due(house.runtime, moment)
        moment += step
    return [f"{tick:%m-%dT%H:%M}" for tick in await ticks(house)]


@pytest.mark.parametrize(("catch_up", "hours"), [("none", []), ("last", [11]), ("all", [8, 9, 10, 11])])
async def test_missed_ticks_are_caught_up_as_asked(house: House, catch_up: str, hours: list[int]) -> None:
    """Down from 8 to half past 11: none, the last or all of the missed ticks run, each once."""
    await deploy(house, catch_up=catch_up, since=NOON.replace(hour=7, minute=59))
    now = NOON.replace(hour=11, minute=30)
    await schedule.fire_due(house.runtime, now)
    await schedule.fire_due(house.runtime, now)
    assert [tick.hour for tick in await ticks(house)] == hours
    assert await house.runtime.store.due_schedules(now + timedelta(minutes=29)) == []
    assert len(await house.runtime.store.due_schedules(NOON)) == 1


@pytest.mark.parametrize("catch_up", ["none", "last", "all"])
async def test_a_tick_that_is_only_a_little_late_is_not_missed(house: House, catch_up: str) -> None:
    """Another scheduler took over within the minute."""
    await deploy(house, catch_up=catch_up, since=NOON - HOUR)
    await schedule.fire_due(house.runtime, NOON + timedelta(seconds=40))
    assert await ticks(house) == [NOON]


async def test_the_last_of_very_many_missed_ticks_is_the_last(house: House) -> None:
    """A month of minutes."""
    await deploy(house, cron="* * * * *", since=NOON - timedelta(days=30))
    began = asyncio.get_running_loop().time()
    await schedule.fire_due(house.runtime, NOON + timedelta(seconds=5))
    assert await ticks(house) == [NOON]
    assert asyncio.get_running_loop().time() - began < 2


async def test_all_of_very_many_missed_ticks_come_in_portions(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is left out, and the leader has other things to do in between."""
    monkeypatch.setattr(schedule, "MOST", 10)
    await deploy(house, cron="* * * * *", catch_up="all", since=NOON - timedelta(minutes=25))
    monkeypatch.setattr(schedule, "AT_ONCE", 100)
    counts = []
    for _ in range(4):
        await schedule.fire_due(house.runtime, NOON)
        counts.append(len(await ticks(house)))
    assert counts == [10, 20, 25, 25]
    assert await ticks(house) == [NOON - timedelta(minutes=n) for n in range(24, -1, -1)]


async def test_any_number_of_schedulers_fire_a_tick_once(house: House) -> None:
    """All see the same due tick; one run comes of it, and it knows its time."""
    await deploy(house, since=NOON - HOUR)
    now = NOON + timedelta(seconds=1)
    await asyncio.gather(*(schedule.fire_due(house.runtime, now) for _ in range(5)))
    runs, _ = await house.runtime.store.list_runs(RunFilter(pipeline="test"))
    assert len(runs) == 1
    await house.turn(runs[0].id)
    assert [call[1] for call in house.probe.calls] == ["2030-01-01T12:00:00Z"]
    assert decode((await house.run(runs[0].id)).inputs) == {}


async def test_a_scheduler_that_died_after_the_event_does_not_double_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick is recorded, the schedule was not moved on: the next scheduler finds that it has fired."""

    class Dead(Exception):
        pass

    async def die(*args: Any, **kwargs: Any) -> bool:
        raise Dead

    await deploy(house, since=NOON - HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(type(house.runtime.store), "advance_schedule", die)
        with pytest.raises(Dead):
            await schedule.fire_due(house.runtime, NOON)
    assert await ticks(house) == [NOON]
    await schedule.fire_due(house.runtime, NOON + timedelta(seconds=5))
    await schedule.fire_due(house.runtime, NOON + HOUR)
    assert await ticks(house) == [NOON, NOON + HOUR]


async def test_a_scheduler_that_died_before_the_event_loses_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was moved on."""

    async def die(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError

    await deploy(house, since=NOON - HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(type(house.runtime.store), "ingest", die)
        with pytest.raises(RuntimeError):
            await schedule.fire_due(house.runtime, NOON)
    await schedule.fire_due(house.runtime, NOON + timedelta(seconds=5))
    assert await ticks(house) == [NOON]


@pytest.mark.parametrize(
    ("cron", "first", "expected"),
    [
        # Riga, 29 March 2026: 03:00 becomes 04:00 (01:00 UTC); 25 October 2026: 04:00 becomes 03:00 (01:00 UTC)
        ("30 3 * * *", "2026-03-28T12:00", ["03-29T01:00", "03-30T00:30"]),
        ("30 3 * * *", "2026-10-24T12:00", ["10-25T00:30", "10-26T01:30"]),
        ("0 * * * *", "2026-03-28T23:30", ["03-29T00:00", "03-29T01:00", "03-29T02:00"]),
        ("0 * * * *", "2026-10-24T23:30", ["10-25T00:00", "10-25T01:00", "10-25T02:00"]),
    ],
)
async def test_changes_of_the_clock(house: House, cron: str, first: str, expected: list[str]) -> None:
    """A fixed time that a spring night skips fires at the change, one that an autumn night repeats once."""
    begin = datetime.fromisoformat(first).replace(tzinfo=UTC)
    await deploy(house, cron=cron, timezone="Europe/Riga", since=begin)
    end = datetime.fromisoformat(f"2026-{expected[-1]}").replace(tzinfo=UTC)
    assert await watch(house, begin, end, timedelta(minutes=10)) == expected


async def test_a_changed_cron_line_does_not_fire_for_the_past(house: House) -> None:
    """From the next tick of the new line on."""
    await deploy(house, since=NOON - HOUR)
    now = NOON + timedelta(minutes=30)
    await deploy(house, cron="*/15 * * * *", catch_up="all", since=now)
    await schedule.fire_due(house.runtime, now)
    assert await ticks(house) == []
    await schedule.fire_due(house.runtime, now + timedelta(minutes=15))
    assert await ticks(house) == [NOON + timedelta(minutes=45)]


async def test_who_has_an_old_deployment_leaves_a_new_schedule_alone(house: House) -> None:
    """Its cron line would say a wrong next tick."""
    await deploy(house, since=NOON - HOUR)
    spec = "30 5 * * * UTC"
    await house.runtime.store.sync_schedules([("test", "schedule", spec, NOON)])
    await schedule.fire_due(house.runtime, NOON)
    assert await ticks(house) == []
    (row,) = await house.runtime.store.due_schedules(NOON)
    assert (row.spec, row.next_at) == (spec, NOON)


async def test_a_clock_that_was_a_day_ahead(house: House) -> None:
    """Once it is right again ticks fire as before: those of that day as well, but none twice."""
    await deploy(house, since=NOON - HOUR)
    await schedule.fire_due(house.runtime, NOON)
    await schedule.fire_due(house.runtime, NOON + timedelta(days=1))  # it says tomorrow
    assert await ticks(house) == [NOON, NOON + timedelta(days=1)]
    await schedule.plan(house.runtime, NOON + timedelta(minutes=1))
    found = await watch(house, NOON + timedelta(minutes=1), NOON + timedelta(days=1, hours=1), timedelta(minutes=30))
    assert found == [f"{NOON + n * HOUR:%m-%dT%H:%M}" for n in range(25)]


async def test_a_clock_that_was_a_day_behind(house: House) -> None:
    """The ticks of that day were missed, and are caught up as asked."""
    await deploy(house, catch_up="all", since=NOON - HOUR)
    await schedule.fire_due(house.runtime, NOON - timedelta(days=1))  # it says yesterday
    await schedule.plan(house.runtime, NOON - timedelta(days=1))
    await schedule.fire_due(house.runtime, NOON)
    await schedule.fire_due(house.runtime, NOON)
    found = await ticks(house)
    assert found[-1] == NOON
    assert len(found) == len(set(found))


async def test_the_leader_plans_what_it_has_taken_over(house: House) -> None:
    """A deployment becomes schedules in the round in which it is taken over."""
    await house.deploy(SCHEDULED.format(cron="* * * * *", timezone="UTC", catch_up="last"))
    upkeep = Upkeep(house.runtime)
    await upkeep.follow()
    await upkeep.lead()
    far = datetime.now(UTC) + timedelta(minutes=2)
    assert [row.pipeline for row in await house.runtime.store.due_schedules(far)] == ["test"]
    events, _ = await house.runtime.store.list_events(EventFilter(source="schedule"))
    assert events == []
