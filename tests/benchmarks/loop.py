"""W6: one loop over very many items: how fast, how much memory, how fat its rows get."""

import time

from tests.benchmarks.database import ended, query
from tests.benchmarks.processes import proportional_bytes
from tests.benchmarks.site import Site

ITEMS = 10_000  # as the pipeline `loop` has
FATTEST = """
select max(pg_column_size(input) + coalesce(pg_column_size(output), 0)) as bytes, count(*) as rows from attempt
where run_id = $1
"""


def loop(site: Site) -> dict[str, float]:
    """One run whose loop has 10,000 items, 100 at a time."""
    site.clear()
    with site.workers():
        site.load("post", 1, 1, path="loop")
        ended(site.database_url, "loop", 1)  # warm
        before = proportional_bytes(site.worker.pid)
        site.load("post", 1, 1, path="loop")
        most = before
        while len(rows := query(site.database_url, "select 1 from run where finished_at is not null")) < 2:
            most = max(most, proportional_bytes(site.worker.pid))
            time.sleep(0.1)
        rows = ended(site.database_url, "loop", 2)
    row = max(rows, key=lambda row: row["started_at"])
    fattest = query(site.database_url, FATTEST, row["id"])[0]
    if fattest["rows"] < ITEMS:
        raise RuntimeError(f"a loop over {ITEMS} items left {fattest['rows']} attempts")
    seconds = float((row["finished_at"] - row["started_at"]).total_seconds())
    site.clear()
    return {
        "w6.items": ITEMS / seconds,
        "w6.memory": (most - before) / 1e6,
        "w6.row": fattest["bytes"] / 1000,
    }
