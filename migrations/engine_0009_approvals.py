"""Questions that runs ask people, and the key that signs the links to answer them.

`created_at` is when the wait began: one that begins anew asks anew. What is neither decided nor closed is open.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-24T04:00:09:000000"
VERSION = "1.38.0"
DESCRIPTION = "Approvals"

FORWARDS = (
    """
    create table approval (
        id uuid primary key,
        run_id uuid not null,
        step text not null,
        pipeline text not null,
        prompt text not null,
        approvers json,
        exclude json not null default '[]',
        form json not null default '{}',
        created_at timestamptz not null,
        expires_at timestamptz not null,
        decided_at timestamptz,
        approved boolean,
        decided_by text,
        via text,
        answers json,
        comment text,
        closed_at timestamptz,
        closed text,
        unique (run_id, step, created_at)
    )
    """,
    "create index approval_open on approval (id) where decided_at is null and closed_at is null",
    """
    create table signing_key (
        name text primary key,
        key bytea not null,
        created_at timestamptz not null default now()
    )
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
