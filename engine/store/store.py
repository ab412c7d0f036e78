"""The facade: everything the engine asks of PostgreSQL."""

import asyncio
from datetime import datetime

from engine.store.announcements import Announcements
from engine.store.approvals import Approvals
from engine.store.audit import Audits
from engine.store.claims import Claims
from engine.store.control import Control
from engine.store.database import Database
from engine.store.documents import Documents
from engine.store.events import Events
from engine.store.expiry import Expiry
from engine.store.explaining import Explaining
from engine.store.gates import Gates
from engine.store.gather import Gathers
from engine.store.health import Health
from engine.store.hearing import Hearing
from engine.store.history import History
from engine.store.ingest import Ingest
from engine.store.keys import Keys
from engine.store.pauses import Pauses
from engine.store.pipelines import Pipelines
from engine.store.replays import Replays
from engine.store.ringing import Ringing
from engine.store.runs import Runs
from engine.store.waits import Waits

PRUNED_MOST = 5000  # rows in one go
PRUNED_ROUNDS = 20  # of so many rows at once
TALLY_DAYS = 8

PRUNE_DEDUP = """
with gone as (
    delete from dedup where id in (
        select id from dedup where expires_at <= now() order by expires_at limit $1 for update skip locked)
    returning 1
), old as (
    delete from tally where hour < now() - make_interval(days => $2)
)
select count(*) as gone from gone
"""
PRUNE_RUN_KEYS = """
with gone as (
    delete from run_key where id in (
        select id from run_key where expires_at <= coalesce($2::timestamptz, now()) order by expires_at limit $1
        for update skip locked)
    returning 1
)
select count(*) as gone from gone
"""


class Store(
    Ingest,
    Claims,
    Ringing,
    Announcements,
    Approvals,
    Audits,
    Control,
    Gates,
    Gathers,
    Runs,
    Events,
    Expiry,
    Explaining,
    Health,
    Waits,
    Hearing,
    History,
    Pauses,
    Pipelines,
    Replays,
    Keys,
):
    """PostgreSQL as the rest of the engine sees it.

    Every method raises Unavailable while PostgreSQL is away and works again by itself when it is back.
    Ingest, checkpoints, leases and the feeder have a connection each that is held; everyday queries share a pool.
    """

    def __init__(self, database_url: str, pool_size: int) -> None:
        Ingest.__init__(self, database_url)
        Claims.__init__(self, database_url)
        Gates.__init__(self, database_url)
        Ringing.__init__(self, database_url)
        self._database = Database(database_url, pool_size)
        self.documents = Documents(self._database)
        self._signing_keys = {}

    async def open(self) -> None:
        """Connect the pool. Unavailable if PostgreSQL is away."""
        await self._database.open()

    async def ping(self) -> None:
        """Unavailable if PostgreSQL is away."""
        await self._database.fetch("select 1")

    async def prune_dedup(self) -> int:
        """Delete dedup rows that have expired (and very old tallies), some thousands at most; how many."""
        return int((await self._database.fetch(PRUNE_DEDUP, PRUNED_MOST, TALLY_DAYS))[0]["gone"])

    async def prune_run_keys(self, *, now: datetime | None = None) -> int:
        """Delete keys of runs whose window is over, 100,000 at most; how many."""
        pruned = 0
        for _ in range(PRUNED_ROUNDS):
            gone = int((await self._database.fetch(PRUNE_RUN_KEYS, PRUNED_MOST, now))[0]["gone"])
            pruned += gone
            if gone < PRUNED_MOST:
                break
        return pruned

    async def prune_kv(self) -> int:
        """Delete documents and API keys that have expired; how many."""
        return await self.documents.prune() + await self.prune_api_keys()

    async def close(self) -> None:
        """Write what is waiting, then close all connections."""
        await asyncio.gather(self.ingest_writer.close(), self.checkpoint_writer.close(), self.gate_writer.close())
        await asyncio.gather(
            self._ingesting.close(),
            self._checkpointing.close(),
            self._leasing.close(),
            self._gating.close(),
            self._ringing.close(),
            self._database.close(),
        )


async def connect(database_url: str, *, pool_size: int = 10) -> Store:
    """A connected store. Unavailable if PostgreSQL is away, ConfigurationError if the URL is wrong."""
    store = Store(database_url, pool_size)
    await store.open()
    return store
