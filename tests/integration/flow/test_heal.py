"""What upkeep has not mended in time is found, and mended at once."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from engine.flow.heal import WORDS, heal
from engine.store import CheckpointRecord, IngestRecord, RunUpdate
from tests.integration.flow.conftest import House
from tests.integration.store.records import make_run

SIMPLE = """
    id: test
    steps: [{id: only, uses: test.effect, with: {value: 1}}]
"""
LATE = 10.0


async def defects(house: House, *, after: float = 0.0) -> dict[str, int]:
    """How many of each kind, so many seconds from now."""
    moment = datetime.now(UTC) + timedelta(seconds=after)
    return {found.kind: found.number for found in await house.runtime.store.find_defects(LATE, now=moment)}


async def abandoned(house: House) -> UUID:
    """A run whose worker has died long ago."""
    await house.deploy(SIMPLE)
    run_id = await house.start()
    worker = await house.new_worker()
    assert len(await house.runtime.store.claim([run_id], worker, 1)) == 1
    await house.runtime.store._database.fetch("update worker set seen_at = now() - interval '1 hour'")
    return run_id


async def test_nothing_is_wrong_with_a_fresh_house(house: House) -> None:
    """A run that is just being taken up is no defect."""
    await house.deploy(SIMPLE)
    await house.start()
    assert await defects(house) == {}


async def test_a_run_of_a_dead_worker_goes_on(house: House) -> None:
    """It is found as an orphan, mended, and can be claimed."""
    run_id = await abandoned(house)
    assert await defects(house) == {"dead_worker": 1, "orphan": 1}
    await heal(house.runtime)
    assert await defects(house) == {}
    await house.new_worker()
    assert await house.turn(run_id)
    assert (await house.run(run_id)).status == "succeeded"


async def test_a_lost_ring_is_rung_again(house: House) -> None:
    """A run that is due and nobody took is a defect after a while, if there is a worker that could."""
    await house.deploy(SIMPLE)
    await house.start()
    assert await defects(house, after=60) == {}
    await house.new_worker()
    await house.runtime.store._database.fetch(
        "update run set due_at = due_at - interval '1 minute', rung_at = rung_at - interval '1 minute'"
    )
    assert await defects(house) == {"lost_ring": 1}
    before = await house.runtime.queue.depth()
    await heal(house.runtime)
    assert await house.runtime.queue.depth() > before
    assert await defects(house) == {}


async def test_an_overdue_timer_is_found_and_rung(house: House) -> None:
    """A run whose wait is over, and that nobody rang."""
    run = make_run()
    await house.runtime.store.ingest(IngestRecord(runs=[run]))
    worker = await house.new_worker()
    [claimed] = await house.runtime.store.claim([run.id], worker, 1)
    past = datetime.now(UTC) - timedelta(minutes=1)
    update = RunUpdate(status="waiting", due_at=past, waiting_for="the end of step x")  # type: ignore[arg-type]
    await house.runtime.store.checkpoint(CheckpointRecord(run_id=run.id, turn=claimed.turn, run=update))
    assert await defects(house) == {"overdue_timer": 1}
    await heal(house.runtime)
    assert await defects(house) == {}


async def test_an_end_that_was_not_announced_is_announced(house: House) -> None:
    """Upkeep does so after two seconds, this at once."""
    await house.deploy(SIMPLE)
    run = await house.finish()
    await house.runtime.store._database.fetch(
        "insert into announcement (run_id, owed_at) values ($1, now() - interval '1 minute')", run.id
    )
    assert await defects(house) == {"unannounced": 1}
    await heal(house.runtime)
    assert await defects(house) == {}


def test_every_kind_has_words() -> None:
    """What the store calls it, people can read."""
    from engine.store.health import FIND

    kinds = {line.split("'")[1] for line in FIND.splitlines() if line.strip().startswith("select '")}
    assert kinds == set(WORDS)
