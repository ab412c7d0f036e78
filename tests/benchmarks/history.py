"""What many stored runs cost whoever looks, and how they go. Only with `--rows`."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from engine.store import RunFilter, connect
from tests.benchmarks.percentiles import median
from tests.benchmarks.site import Site

LOOKS = 50


def lists(site: Site) -> dict[str, float]:
    """Milliseconds for a page of runs: all, of one pipeline, the failed ones; the slowest of the three counts."""

    async def look() -> float:
        store = await connect(site.database_url)
        slowest = 0.0
        for wanted in (RunFilter(), RunFilter(pipeline="old-7"), RunFilter(status="failed")):  # type: ignore[arg-type]
            taken = []
            for _ in range(LOOKS):
                began = time.perf_counter()
                await store.list_runs(wanted)
                taken.append(time.perf_counter() - began)
            slowest = max(slowest, median(taken))
        await store.close()
        return slowest * 1000

    return {"w7.list": asyncio.run(look())}


def retire(site: Site) -> dict[str, float]:
    """Everything goes: runs deleted per second, milliseconds to drop the partitions of their events and attempts."""

    async def go() -> dict[str, float]:
        store = await connect(site.database_url)
        first = (await store.list_weeks())[0]
        gone, began = 0, time.perf_counter()
        while deleted := await store.delete_runs(first.until):
            gone += deleted
        deleting = time.perf_counter() - began
        began = time.perf_counter()
        dropped = await store.drop_week(first)
        dropping = time.perf_counter() - began
        await store.make_weeks(1, now=datetime.now(UTC) - timedelta(days=7))
        await store.close()
        if not dropped:
            raise RuntimeError("the week is in use")
        return {"w7.delete": gone / deleting, "w7.drop": dropping * 1000}

    return asyncio.run(go())
