"""What is measured, what it is divided by, and what it should reach."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["strives", "reached", "missed", ""]


@dataclass(frozen=True)
class Figure:
    """One line of the table. Targets are for the ratio if there are floors, unless `absolute`; else for the value."""

    key: str
    title: str
    unit: str
    floors: tuple[str, ...] = ()  # keys of other values; their sum divides
    reach: float | None = None
    strive: float | None = None
    more: bool = True  # more is better
    absolute: bool = False

    def ratio(self, values: dict[str, float]) -> float | None:
        """The figure over its floors; None if there are none, or one was not measured."""
        if not self.floors or any(floor not in values for floor in self.floors):
            return None
        return values[self.key] / sum(values[floor] for floor in self.floors)

    def verdict(self, values: dict[str, float]) -> Verdict:
        """How it compares with what it should reach; empty if there is no target or no floor."""
        judged = values[self.key] if self.absolute or not self.floors else self.ratio(values)
        if judged is None or self.reach is None:
            return ""
        if self.strive is not None and self._meets(judged, self.strive):
            return "strives"
        return "reached" if self._meets(judged, self.reach) else "missed"

    def _meets(self, value: float, target: float) -> bool:
        return value >= target if self.more else value <= target


FLOORS = (
    Figure("floor.web", "Litestar route that only checks the HMAC, 32 connections", "/s"),
    Figure("floor.commit", "one PostgreSQL commit", "ms", more=False),
    Figure("floor.calm_p50", "the same at 20/s, p50", "ms", more=False),
    Figure("floor.calm_p99", "the same at 20/s, p99", "ms", more=False),
    Figure("floor.jobs", "SAQ as it comes, no-op jobs, one process", "/s"),
    Figure("floor.posts", "the steps' HTTP client, bare POSTs, 32 at once", "/s"),
    Figure("floor.post", "the same, one at a time", "ms", more=False),
    Figure("floor.rows_cpu", "PostgreSQL CPU, a delivery's rows in one INSERT per request", "ms", more=False),
    Figure("floor.insert_cpu", "PostgreSQL CPU, a single row in one INSERT per request", "ms", more=False),
    Figure("floor.minijinja", "minijinja's eval_expr of the same expression, parsing included", "/s"),
)

FIGURES = (
    Figure("w1.acks", "W1 acknowledged, durable, signed, 32 connections", "/s", ("floor.web",), 0.6, 1.0),
    Figure("w1.p99", "W1 p99 at 20/s", "ms", ("floor.commit",), 4, 2, more=False),
    Figure("w1.p99_calm", "the same, over such a commit at 20/s", "ms", ("floor.calm_p99",), more=False),
    Figure("w1.cpu", "W1 PostgreSQL CPU per acknowledgement", "ms", ("floor.rows_cpu",), 0.25, 0.17, more=False),
    Figure("w2.full", "W2 from a full queue, one worker", "runs/s", ("floor.jobs",), 1.2, 3),
    Figure("w2.burst", "W2 burst, ingest included", "runs/s", ("floor.jobs",), 0.8, 1.4),
    Figure(
        "w2.p50", "W2 end to end at 20/s, p50", "ms", ("floor.commit", "floor.post"), 9, 5, more=False, absolute=True
    ),
    Figure("w2.p99", "W2 end to end at 20/s, p99", "ms", more=False),
    Figure("w2.two", "W2 from a full queue, two workers", "runs/s", ("w2.full",), 1.4, 1.8),
    Figure("w2.awaited", "W2 from a full queue, every step awaited", "runs/s", ("floor.posts",), 0.4, 0.5),
    Figure("w3.chain", "W3 40 tiny effect steps in one run, per step", "ms", ("floor.commit",), 2, 1.2, more=False),
    Figure("w3.pure", "W3 100 runs of 10 no-op pure steps", "steps/s", (), 3000, 10000),
    Figure("w3.overhead", "W3 32 runs of no-op effect steps at once, per step", "ms", (), 0.35, 0.25, more=False),
    Figure("w4.memory", "W4 memory of everything at idle (PSS)", "MB", (), 300, 200, more=False),
    Figure("w4.start", "W4 warm start to first accepted webhook", "s", (), 4, 2, more=False),
    Figure("w5.memory", "W5 100,000 waiting runs: memory they take in a worker", "MB", (), 5, 1, more=False),
    Figure("w5.wake_p99", "W5 an event wakes one of them: to the end of its run, p99", "ms", (), 500, 100, more=False),
    Figure("w5.late", "W5 1,000 more timers due at once: the last one is late by", "ms", (), 1000, 500, more=False),
    Figure("w5.acks", "W5 W1 with them", "/s", ("w1.acks",), 0.8, 0.95),
    Figure("w6.items", "W6 a loop over 10,000 items, 100 at a time", "items/s", (), 1000, 3000),
    Figure("w6.memory", "W6 memory it takes in the worker", "MB", (), 150, 50, more=False),
    Figure("w6.row", "W6 its fattest row", "kB", (), 256, 100, more=False),
    Figure("w7.list", "W7 a page of runs", "ms", (), 10, 3, more=False),
    Figure(
        "l.evaluations",
        "Language: evaluations on a context of 10 kB",
        "/s",
        ("floor.minijinja",),
        80e3,
        800e3,
        absolute=True,
    ),
    Figure("l.parses", "Language: parses of the same expression", "/s", ("floor.minijinja",), 8e3, 80e3, absolute=True),
    Figure("l.check", "Language: check of a pipeline of 300 lines", "ms", (), 100, 50, more=False),
    Figure("l.bomb", "Language: an alias bomb refused", "ms", (), 10, 5, more=False),
    Figure("l.bomb_memory", "Language: memory that the bomb takes", "MB", (), 50, 5, more=False),
    Figure("l.tests", "Language: 1,000 tests of a pipeline", "s", (), 10, 3, more=False),
)

NOTES = (
    Figure("w1.p50_full", "W1 p50 at 32 connections", "ms", more=False),
    Figure("w1.p99_full", "W1 p99 at 32 connections", "ms", more=False),
    Figure("w1.p50", "W1 p50 at 20/s", "ms", more=False),
    Figure("w1.api_cpu", "W1 API CPU per acknowledgement", "ms", more=False),
    Figure("w1.valkey_cpu", "W1 Valkey CPU per acknowledgement", "ms", more=False),
    Figure("w2.ack_p99", "W2 acknowledgement at 20/s, p99", "ms", more=False),
    Figure("w2.burst_acks", "W2 burst, acknowledged", "/s"),
    Figure("w2.worker_cpu", "W2 worker CPU per run", "ms", more=False),
    Figure("w2.postgresql_cpu", "W2 PostgreSQL CPU per run (without ingest)", "ms", more=False),
    Figure("w2.valkey_cpu", "W2 Valkey CPU per run (without ingest)", "ms", more=False),
    Figure("w3.chain_cold", "W3 the first such run after a start, per step", "ms", more=False),
    Figure("w5.wake_p50", "W5 the same, p50", "ms", more=False),
    Figure("w5.api_cpu", "W5 API CPU per acknowledgement with them", "ms", more=False),
    Figure("w5.cpu", "W5 PostgreSQL CPU per acknowledgement with them", "ms", more=False),
    Figure("w5.idle", "W5 CPU of all processes at rest", "ms/s", more=False),
    Figure("w4.api", "W4 API", "MB", more=False),
    Figure("w4.worker", "W4 worker", "MB", more=False),
    Figure("w4.postgresql", "W4 PostgreSQL", "MB", more=False),
    Figure("w4.valkey", "W4 Valkey", "MB", more=False),
    Figure("w4.parent", "W4 the parent process", "MB", more=False),
    Figure("w4.first_start", "W4 the very first start to first accepted webhook", "s", more=False),
)

HISTORY = (
    Figure("w7.delete", "W7 finished runs deleted", "/s", (), 10_000, 25_000),
    Figure("w7.drop", "W7 dropping what belonged to them", "ms", (), 2000, 500, more=False),
)
FILLED = (
    "w1.acks",
    "w1.p99",
    "w2.full",
    "w2.burst",
    "w2.p50",
    "w2.p99",
    "w3.chain",
    "w3.pure",
    "w3.overhead",
    "w7.list",
)


def filled(rows: int) -> tuple[Figure, ...]:
    """The same with so many runs in the tables, divided by the values with empty ones."""
    names = {figure.key: figure for figure in FIGURES}
    found = []
    for key in FILLED:
        figure = names[key]
        reach, strive = (1 / 1.2, 0.95) if figure.more else (1.2, 1 / 0.95)
        title = f"{figure.title}, {rows:,} runs stored"
        found.append(Figure(f"rows.{key}", title, figure.unit, (key,), reach, strive, figure.more))
    return (*found, *HISTORY)
