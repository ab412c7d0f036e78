"""What flow control adds to a run: a wake-up call, its queue and place in it, a time after which it is too late.

All columns have defaults, so that processes of the previous release go on writing rows.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-24T04:00:06:000000"
VERSION = "1.38.0"
DESCRIPTION = "Flow control of runs"

FORWARDS = (
    """
    alter table run
        add column woken boolean not null default false,
        add column queue text not null default 'default',
        add column priority smallint not null default 0,
        add column turn_key uuid,
        add column expires_at timestamptz,
        add column batched boolean not null default false,
        add column parent uuid
    """,
    "create index run_expires on run (expires_at) where status = 'queued' and expires_at is not null",
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
