"""Who changed the course of things, and runs that go on after their end.

`run.rounds` counts how often a run was reopened; the time it may take counts from `reopened_at` then. Rows of attempts
that such a round has superseded keep their history under keys with the prefix `~N/`.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-24T04:00:12:000000"
VERSION = "1.38.0"
DESCRIPTION = "Audit and reopened runs"

FORWARDS = (
    """
    create table audit (
        id uuid primary key,
        at timestamptz not null default now(),
        by text not null,
        action text not null,
        target text not null default '',
        run_id uuid,
        event_id uuid,
        detail json not null default '{}'
    )
    """,
    "create index audit_run on audit (run_id, id) where run_id is not null",
    "create index audit_event on audit (event_id, id) where event_id is not null",
    "create index audit_action on audit (action, id)",
    """
    alter table run
        add column rounds integer not null default 0,
        add column reopened_at timestamptz
    """,
)


class Raw(Table):
    """Gives access to raw()."""


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="engine", description=DESCRIPTION)

    async def run():
        for statement in FORWARDS:
            await Raw.raw(statement.replace("{", "{{").replace("}", "}}"))

    manager.add_raw(run)
    return manager
