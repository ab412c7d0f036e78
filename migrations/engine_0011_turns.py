"""Queues with their settings, which workers serve which, and the order in which runs are rung.

`run_ready` finds what may be taken now, by queue, priority and turn key; `run_timer` what comes due. Both are without
the runs that were rung already, so an event that is taken up at once touches neither.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-24T04:00:11:000000"
VERSION = "1.38.0"
DESCRIPTION = "Turns"

FORWARDS = (
    """
    create table queue (
        name text primary key,
        priority smallint not null default 0,
        concurrency integer
    )
    """,
    "alter table worker add column queues text[]",
    """
    create index run_ready on run
        (queue, (- priority), (coalesce(turn_key, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)), due_at, id)
        where status = 'queued' and rung_at is null and due_at is not null
    """,
    "create index run_timer on run (due_at) where status = 'waiting' and rung_at is null and due_at is not null",
)


class Raw(Table):
    """Gives access to raw()."""


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="engine", description=DESCRIPTION)

    async def run():
        for statement in FORWARDS:
            await Raw.raw(statement)

    manager.add_raw(run)
    return manager
