"""W5: very many runs that wait: what they cost others, how soon an event wakes one of them, how late timers are."""

import time
from typing import Any

import msgspec

from engine.core.awaited import Awaited, Kind, fingerprint, key_for
from engine.core.ids import uuid7
from tests.benchmarks.database import ended, query
from tests.benchmarks.percentiles import percentile
from tests.benchmarks.processes import proportional_bytes
from tests.benchmarks.site import Site

WAITING = 100_000
TIMERS = 1000
RATE = 20  # events per second, each for one of the runs
CONNECTIONS = 32
ROWS = 10_000  # filled in with one statement
PATIENCE = 60.0  # seconds until something must have happened
SETTLE = 4.0  # seconds: more than the sweep's period
TABLES = "wait, awaited, wait_kind, arrival, wait_sweep"

# As runs of the pipeline `waiting` are once they have been let go.
FILL = """
with made as (
    insert into run (id, pipeline, version, trigger, status, turn, labels, inputs, cancel_requested, created_at,
        started_at, due_at)
    select id, 'waiting', (select version from pipeline where id = 'waiting'), 'event', 'waiting', 1, '{}',
        jsonb_build_object('number', number)::json, false, now(), now(), now() + interval '30 days'
    from unnest($1::uuid[], $3::integer[]) as r (id, number)
), tried as (
    insert into attempt (run_id, step, number, status, input, started_at, cached)
    select id, 'paid', 1, 'running', '{"until": null}', now(), false from unnest($1::uuid[]) as id
), waiting as (
    insert into wait (run_id, step, signature, looked)
    select id, 'paid', signature, true from unnest($1::uuid[], $4::uuid[]) as r (id, signature)
), kinds as (
    insert into wait_kind (id, kind) values ($5, $6) on conflict (id) do nothing
)
insert into awaited (run_id, step, number, kind, key)
select id, 'paid', 1, $5, key from unnest($1::uuid[], $2::uuid[]) as a (id, key)
"""
WOKEN = """
select extract(epoch from finished_at - event.received_at) * 1000 as ms
from run join wait on wait.run_id = run.id join event on event.id = wait.event_id
where run.pipeline = 'waiting' and run.finished_at is not null
"""
LATE = """
select extract(epoch from run.finished_at - (attempt.input ->> 'until')::timestamptz) * 1000 as ms
from run join attempt on attempt.run_id = run.id and attempt.step = 'pause' where run.pipeline = 'timer'
"""


def waiting(site: Site) -> dict[str, float]:
    """One round, on tables that are empty before and after."""
    count = WAITING // 10 if site.quick else WAITING
    clear(site)
    with site.workers():
        site.load("post", 60, 4, path="heard")
        time.sleep(SETTLE)
        before = proportional_bytes(site.worker.pid)
        fill(site, count)
        time.sleep(SETTLE)
        idle = site.cpu()
        time.sleep(SETTLE)
        busy = sum(site.cpu().values()) - sum(idle.values())
        events = RATE * (3 if site.quick else 6)
        site.load("rate", RATE, events / RATE, path="heard")
        ended(site.database_url, "waiting", events)
        woken = [float(row["ms"]) for row in query(site.database_url, WOKEN)]
        if len(woken) != events:
            raise RuntimeError(f"{events} events were each for one run, {len(woken)} runs were woken")
        late = timers(site)
        after = proportional_bytes(site.worker.pid)
    start = site.cpu()
    report = site.load("flood", 2 if site.quick else 3, CONNECTIONS, path="heard")
    used = {part: (seconds - start[part]) * 1000 / report["accepted"] for part, seconds in site.cpu().items()}
    clear(site)
    return {
        "w5.memory": (after - before) / 1e6,
        "w5.idle": busy / SETTLE * 1000,
        "w5.wake_p50": percentile(woken, 0.5),
        "w5.wake_p99": percentile(woken, 0.99),
        "w5.late": late,
        "w5.acks": report["per_second"],
        "w5.api_cpu": used["api"],
        "w5.cpu": used["postgresql"],
    }


def timers(site: Site) -> float:
    """Milliseconds by which the last of many timers that are due at the same time was late."""
    site.load("post", TIMERS, CONNECTIONS, path="timer")
    ended(site.database_url, "timer", TIMERS)
    return max(float(row["ms"]) for row in query(site.database_url, LATE))


def fill(site: Site, count: int) -> None:
    """So many runs that wait for an event with a number of their own."""
    kind = Kind("git*", "iss*", (("body", "n"),))
    text = msgspec.json.encode(kind).decode()
    for start in range(1, count + 1, ROWS):
        numbers = range(start, min(start + ROWS, count + 1))
        awaited = [Awaited(kind, key_for([number])) for number in numbers]
        columns: list[Any] = [
            [uuid7() for _ in numbers],
            [one.key for one in awaited],
            list(numbers),
            [fingerprint([one]) for one in awaited],
        ]
        query(site.database_url, FILL, *columns, kind.id, text)
    query(site.database_url, f"analyze run, {TABLES}")


def clear(site: Site) -> None:
    """As Site.clear, with the waits."""
    site.clear()
    query(site.database_url, f"truncate {TABLES}")
