"""Retention: history older than the setting goes, a week at a time, a little in each round of upkeep."""

from datetime import datetime, timedelta

from engine.core.duration import parse_duration
from engine.flow.execution import now
from engine.runtime import Runtime
from engine.store import Week

FOREVER = "forever"
AHEAD = 3  # weeks whose partitions are made in advance; upkeep may be off for as long
PERIOD = timedelta(hours=1)  # between two looks for something to do


class Retention:
    """What the leader keeps of it between rounds; it may be lost at any time."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._looked: datetime | None = None
        self._going: list[Week] = []

    async def step(self, moment: datetime | None = None) -> int:
        """One short piece of work: how many runs were deleted. Most times there is nothing to do."""
        moment = moment or now()
        if self._looked is None or not timedelta(0) <= moment - self._looked < PERIOD:
            self._looked = moment
            await self._runtime.store.make_weeks(AHEAD, now=moment)
            self._going = await expired_weeks(self._runtime, moment)
        if not self._going:
            return 0
        week = self._going[0]
        if deleted := await self._runtime.store.delete_runs(week.until):
            return deleted
        if await self._runtime.store.drop_week(week):
            self._runtime.log.info("history.dropped", until=week.until.isoformat(), bytes=week.size)
        del self._going[0]  # one that is in use is tried again in an hour
        return 0


async def expired_weeks(runtime: Runtime, moment: datetime) -> list[Week]:
    """Weeks that ended longer ago than the setting allows, as long as nothing open goes back to them; oldest first."""
    if runtime.settings.retention == FOREVER:
        return []
    seconds = parse_duration(runtime.settings.retention)
    going = []
    for week in await runtime.store.list_weeks():
        if week.until > moment - timedelta(seconds=seconds):
            break
        if open_runs := await runtime.store.count_needed(week.until):
            runtime.log.info("history.kept", until=week.until.isoformat(), open_runs=open_runs)
            break
        going.append(week)
    return going
