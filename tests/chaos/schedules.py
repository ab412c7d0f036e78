"""Many schedules in a row, each with a seed that repeats its choices."""

import asyncio
import os

from engine.runtime import Runtime
from tests.chaos.process import watch_tasks
from tests.chaos.rules import check
from tests.chaos.world import Delivery, World, administrator

SEED = int(os.environ.get("CHAOS_SEED", "0"))
SCHEDULES = int(os.environ.get("CHAOS_SCHEDULES", "1000"))
CHUNKS = 10
KINDS = ("chain", "fan", "saga", "waiter", "burst", "batch", "limited", "limited", "pair", "pair")
KEPT = ("migration", "pipeline", "pipeline_version", "schedule", "wait_kind", "signing_key", "queue")
EMPTY = """
select string_agg('delete from ' || quote_ident(relname), '; ') from pg_class
where relkind in ('r', 'p') and not relispartition and relnamespace = 'public'::regnamespace and relname <> all ($1)
"""


async def run_schedules(base: Runtime, database_url: str, chunk: int) -> None:
    """One tenth of all schedules. AssertionError names the seed."""
    watch_tasks(asyncio.get_running_loop())
    async with administrator(database_url) as admin:
        empty = await admin.fetchval(EMPTY, KEPT)
        for number in range(chunk, SCHEDULES, CHUNKS):
            world = World(base, admin, SEED + number)
            deliveries = [Delivery(world.chance.choice(KINDS), {"n": n}) for n in range(world.chance.randint(1, 6))]
            answers = [Delivery("paid", each.body) for each in deliveries if each.type == "waiter"]
            try:
                await world.deliver(deliveries)
                await world.run_until_over(answers)
                await check(world, deliveries)
            except AssertionError as error:
                raise AssertionError(f"seed {SEED + number}: {error}") from error
            finally:
                await world.bell.close()
            await admin.execute(empty)
