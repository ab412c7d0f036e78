"""What must hold after every schedule, whoever died."""

from collections import Counter
from typing import Any

from tests.chaos.pipelines import EFFECTS, LIMITS, OUTCOMES
from tests.chaos.world import Delivery, World


async def check(world: World, deliveries: list[Delivery]) -> None:
    """AssertionError names the schedule's deaths and the rule that was broken."""
    events = [delivery.acknowledged for delivery in deliveries]
    runs = await world.admin.fetch("select * from run where event_id = any($1::uuid[])", events)
    heard = await world.admin.fetch("select * from run where pipeline = 'listener'")
    story = f"deaths: {world.deaths}"
    by_event: dict[Any, list[Any]] = {}
    for run in runs:
        by_event.setdefault(run["event_id"], []).append(run)
    for delivery in deliveries:
        if delivery.type in ("burst", "batch"):
            continue
        mine = by_event.get(delivery.acknowledged, [])
        assert [run["pipeline"] for run in mine] == [delivery.type], (
            f"an acknowledged event has not its one run; {story}"
        )
    assert world.ledger.repeated() == [], f"a finished step was repeated; {story}"
    for run in [*runs, *heard]:
        if run["pipeline"] == "burst":
            continue
        assert run["status"] == OUTCOMES[run["pipeline"]], f"{dict(run)}; {story}"
        assert run["worker"] is None, story
        check_effects(world, run, story)
    check_limits(world, runs, deliveries, story)
    assert await world.admin.fetchval("select count(*) from ticket") == 0, f"somebody still has a slot; {story}"
    assert await world.admin.fetchval("select coalesce(sum(held + queued), 0) from gate") == 0, (
        f"a gate is off; {story}"
    )
    await check_gathered(world, deliveries, story)
    announced = [run for run in runs if run["pipeline"] in ("chain", "saga")]
    values = sorted(entry.value for run in heard for entry in world.ledger.of(str(run["id"]))[:1])
    assert values == sorted(str(run["id"]) for run in announced), f"an end was announced not once; {story}"
    left = await world.admin.fetchval("select count(*) from attempt where status = 'running'")
    assert left == 0, f"an attempt of an ended run is still running; {story}"


def check_limits(world: World, runs: list[Any], deliveries: list[Delivery], story: str) -> None:
    """Never more runs at once than allowed, from the first effect to the last; those of one key in their order."""
    for pipeline, most in LIMITS.items():
        mine = {str(run["id"]) for run in runs if run["pipeline"] == pipeline}
        entries = [
            each for each in world.ledger.entries if each.run in mine and each.process not in world.ledger.zombies
        ]
        last = {entry.run: index for index, entry in enumerate(entries)}
        open_runs: list[str] = []
        began: list[str] = []
        for index, entry in enumerate(entries):
            if entry.run not in began:
                began.append(entry.run)
                open_runs.append(entry.run)
            assert len(open_runs) <= most, f"{len(open_runs)} runs of {pipeline} at once; {story}"
            if last[entry.run] == index:
                open_runs.remove(entry.run)
        if most == 1 and not world.ledger.zombies:
            by_event = {run["event_id"]: str(run["id"]) for run in runs if run["pipeline"] == pipeline}
            order = [by_event[each.acknowledged] for each in deliveries if each.type == pipeline]
            assert began == order, f"out of order; {story}"


async def check_gathered(world: World, deliveries: list[Delivery], story: str) -> None:
    """Each event of a burst or batch came to exactly one run, and no batch was too big."""
    rows = await world.admin.fetch("select run_id, event_id from batch_event")
    batched = sorted(row["event_id"] for row in rows)
    assert batched == sorted(each.acknowledged for each in deliveries if each.type == "batch"), story
    sizes = Counter(row["run_id"] for row in rows)
    assert max(sizes.values(), default=0) <= 2, f"a batch is too big: {sizes}; {story}"
    ended = await world.admin.fetch(
        "select id, pipeline, status, event_id from run where pipeline in ('burst', 'batch')"
    )
    assert {run["status"] for run in ended} <= {"succeeded"}, story
    assert {run["id"] for run in ended if run["pipeline"] == "batch"} == set(sizes), story
    last = sorted(run["event_id"] for run in ended if run["pipeline"] == "burst")
    assert last == sorted(each.acknowledged for each in deliveries if each.type == "burst"), story


def check_effects(world: World, run: Any, story: str) -> None:
    """All effects, in order; only what was under way at a death may have happened twice."""
    steps = [entry.step for entry in world.ledger.of(str(run["id"]))]
    firsts = list(dict.fromkeys(steps))
    for wanted in EFFECTS[run["pipeline"]]:
        got = [step for step in firsts if step in wanted]
        assert got == wanted, f"{run['pipeline']}: {got} instead of {wanted}; {story}"
    repeats = len(steps) - len(firsts)
    assert repeats <= 2 * len(world.deaths), f"{repeats} repeats; {story}"
