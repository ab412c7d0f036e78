"""How each figure is measured: every function does one round and returns values by key."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks import database
from tests.benchmarks.history import lists
from tests.benchmarks.loop import loop
from tests.benchmarks.percentiles import median
from tests.benchmarks.processes import paused, run_json
from tests.benchmarks.site import Site
from tests.benchmarks.waiting import waiting

CONNECTIONS = 32
RATE = 20  # deliveries per second where latency is measured
WARM_UP = 60

Values = dict[str, float]


def receive(site: Site) -> Values:
    """W1 with no worker: only the receiving is measured. Every acknowledged event must be in the table."""
    site.clear()
    site.load("post", WARM_UP * 5, CONNECTIONS)
    before, stored = site.cpu(), database.count_events(site.database_url)
    report = site.load("flood", 2.5 if site.quick else 4, CONNECTIONS)
    used = {part: (seconds - before[part]) * 1000 for part, seconds in site.cpu().items()}
    accepted = report["accepted"]
    durable = database.count_events(site.database_url) - stored
    if durable != accepted:
        raise RuntimeError(f"{accepted} deliveries were acknowledged, {durable} are stored")
    site.clear()
    return {
        "w1.acks": report["per_second"],
        "w1.p50_full": report["p50_ms"],
        "w1.p99_full": report["p99_ms"],
        "w1.cpu": used["postgresql"] / accepted,
        "w1.api_cpu": used["api"] / accepted,
        "w1.valkey_cpu": used["valkey"] / accepted,
    }


def receive_calmly(site: Site) -> Values:
    """W1 latency, no worker."""
    site.clear()
    site.load("post", WARM_UP, 1)
    report = site.load("rate", RATE, 5 if site.quick else 8)
    site.clear()
    return {"w1.p50": report["p50_ms"], "w1.p99": report["p99_ms"], "w1.p99_calm": report["p99_ms"]}


def full_queue(site: Site) -> Values:
    """W2: fill the queue, then start one worker."""
    values = drain(site, path="bench", workers=1)
    return {
        "w2.full": values["per_second"],
        "w2.worker_cpu": values["worker"],
        "w2.postgresql_cpu": values["postgresql"],
        "w2.valkey_cpu": values["valkey"],
    }


def full_queue_two(site: Site) -> Values:
    return {"w2.two": drain(site, path="bench", workers=2)["per_second"]}


def full_queue_awaited(site: Site) -> Values:
    return {"w2.awaited": drain(site, path="awaited", workers=1)["per_second"]}


def drain(site: Site, *, path: str, workers: int) -> Values:
    """Runs per second between the first and the last effect, and CPU milliseconds per run."""
    count = 1000 if site.quick else 3000
    site.clear()
    site.load("post", count, CONNECTIONS, path=path)
    site.start_workers(workers)
    site.arrivals(1)
    before = site.cpu()
    figures = site.arrivals_in_all(count)
    used = {part: (seconds - before[part]) * 1000 / count for part, seconds in site.cpu().items()}
    site.stop_workers()
    site.clear()
    return {"per_second": (count - 1) / (figures["last"] - figures["first"]), **used}


def burst(site: Site) -> Values:
    """W2 with ingest: from the first delivery to the last effect."""
    count = 1000 if site.quick else 3000
    site.clear()
    with site.workers():
        warm_up(site)
        report = site.load("post", count, CONNECTIONS)
        figures = site.arrivals_in_all(count)
    site.clear()
    return {"w2.burst": count / (figures["last"] - report["began"]), "w2.burst_acks": report["per_second"]}


def end_to_end(site: Site) -> Values:
    """W2 latency from building the delivery to its arrival at the sink."""
    seconds = 5 if site.quick else 8
    site.clear()
    with site.workers():
        warm_up(site)
        report = site.load("rate", RATE, seconds)
        figures = site.arrivals_in_all(RATE * seconds)
    site.clear()
    return {"w2.p50": figures["p50_ms"], "w2.p99": figures["p99_ms"], "w2.ack_p99": report["p99_ms"]}


def steps(site: Site) -> Values:
    """W3: PostgreSQL's clock from the claim of the first run to the last checkpoint."""
    site.clear()
    with site.workers():
        chain = [alone(site, number) for number in range(1, 10)]
        many(site, "pure", 10)  # warm
        pure = many(site, "pure", 100)
        many(site, "effects", 4)
        effects = many(site, "effects", 32)
    site.clear()
    return {
        "w3.chain": median(chain[3:]) * 1000 / 40,
        "w3.chain_cold": chain[0] * 1000 / 40,
        "w3.pure": 100 * 10 / pure,
        "w3.overhead": effects * 1000 / (32 * 20),
    }


def language(site: Site) -> Values:
    """Expressions and checks, in a process of their own; the floor is measured there too."""
    return dict(run_json("tests.benchmarks.language", 1 if site.quick else 3, env=site.env))


def alone(site: Site, number: int) -> float:
    """Seconds of one run of the chain; the number of such runs so far, this one included."""
    site.load("post", 1, 1, path="chain")
    rows = database.ended(site.database_url, "chain", number)
    row = max(rows, key=lambda row: row["started_at"])
    return float((row["finished_at"] - row["started_at"]).total_seconds())


def many(site: Site, path: str, count: int) -> float:
    """Seconds of so many runs that are all there when the worker wakes up."""
    before = len(database.ended(site.database_url, path, 0))
    with paused(site.worker):
        site.load("post", count, CONNECTIONS, path=path)
    rows = sorted(database.ended(site.database_url, path, before + count), key=lambda row: row["started_at"])[before:]
    last = max(row["finished_at"] for row in rows)
    return float((last - rows[0]["started_at"]).total_seconds())


def warm_up(site: Site) -> None:
    """Until the worker works and the database has planned its statements."""
    site.load("post", WARM_UP, 4)
    site.arrivals_in_all(WARM_UP)
    site.reset_sink()


@dataclass(frozen=True)
class Scenario:
    """A round of measurements, the floors they need, and the figures they give."""

    name: str
    run: Callable[[Site], Values]
    floors: tuple[str, ...]
    figures: tuple[str, ...]


SCENARIOS = (
    Scenario("receive", receive, ("web", "inserts"), ("w1.acks", "w1.cpu")),
    Scenario("receive calmly", receive_calmly, ("commit",), ("w1.p99",)),
    Scenario("full queue", full_queue, ("jobs",), ("w2.full",)),
    Scenario("full queue, two workers", full_queue_two, (), ("w2.two",)),
    Scenario("full queue, awaited", full_queue_awaited, ("posts",), ("w2.awaited",)),
    Scenario("burst", burst, ("jobs",), ("w2.burst",)),
    Scenario("end to end", end_to_end, ("commit", "posts"), ("w2.p50", "w2.p99")),
    Scenario("steps", steps, ("commit",), ("w3.chain", "w3.pure", "w3.overhead")),
    Scenario("lists", lists, (), ("w7.list",)),
    Scenario("loop", loop, (), ("w6.items", "w6.memory", "w6.row")),
    Scenario("waiting", waiting, (), ("w5.memory", "w5.wake_p99", "w5.late", "w5.acks")),
    Scenario("language", language, (), ("l.evaluations", "l.parses", "l.check", "l.bomb", "l.bomb_memory", "l.tests")),
)
