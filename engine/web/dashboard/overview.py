"""The first page: what is happening now."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from litestar import Response, get

from engine.store.rows import EventFilter, RunFilter
from engine.web.dashboard.pages import SAMPLE, page
from engine.web.dashboard.pictures import Hour, draw_hours
from engine.web.dashboard.rows import run_lines
from engine.web.parameters import WithRuntime
from engine.web.queries import page_of_events, page_of_runs

HOURS = 24
SHOWN_RUNS, SHOWN_EVENTS = 10, 8


@get("/", include_in_schema=False)
async def overview(runtime: WithRuntime) -> Response[Any]:
    """Counters, the last day, recent runs and events, problems."""
    store = runtime.store
    stats, ended, runs, events, pauses = await asyncio.gather(
        store.stats(),
        store.count_ended(HOURS),
        page_of_runs(store, RunFilter(limit=SHOWN_RUNS)),
        page_of_events(store, EventFilter(limit=SHOWN_EVENTS)),
        store.list_pauses(),
    )
    hours = fill_hours(ended, datetime.now(UTC))
    succeeded, failed, cancelled = (
        sum(hour.succeeded for hour in hours),
        sum(hour.failed for hour in hours),
        sum(hour.cancelled for hour in hours),
    )
    return page(
        "overview.html",
        page="overview",
        counts={"running": stats.running, "queued": stats.queued, "waiting": stats.waiting},
        oldest=stats.oldest_due,
        day={"succeeded": succeeded, "failed": failed, "cancelled": cancelled, "total": succeeded + failed + cancelled},
        bars=draw_hours(hours),
        runs=run_lines(runs.items),
        events=events.items,
        problems=[item for item in runtime.deployments.problems if item.severity == "error"],
        pauses=pauses,
        sample=SAMPLE,
    )


def fill_hours(ended: dict[tuple[datetime, str], int], now: datetime) -> list[Hour]:
    """One entry per hour up to now, oldest first, also where nothing ended."""
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    hours = []
    for place in range(HOURS):
        start = first + timedelta(hours=place)
        figures = {status: ended.get((start, status), 0) for status in ("succeeded", "failed", "cancelled")}
        hours.append(Hour(start, **figures))
    return hours


handlers = [overview]
