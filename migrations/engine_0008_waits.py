"""Waits for events: who waits for which, and what has come for them. See engine/store/waits.py and hearing.py."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-24T04:00:08:000000"
VERSION = "1.38.0"
DESCRIPTION = "Waits for events"

FORWARDS = (
    """
    create table wait (
        run_id uuid not null,
        step text not null,
        signature uuid not null,
        open boolean not null default true,
        looked boolean not null default false,
        event_id uuid,
        created_at timestamptz not null default now(),
        primary key (run_id, step)
    )
    """,
    "create unique index wait_event on wait (run_id, event_id) where event_id is not null",
    "create index wait_open on wait (created_at) where open",
    # What is awaited, of open waits only: by kind of event, then by the values that its fields must have.
    "create table wait_kind (id uuid primary key, kind text not null)",
    """
    create table awaited (
        run_id uuid not null,
        step text not null,
        number integer not null,
        kind uuid not null,
        key uuid not null,
        primary key (run_id, step, number)
    )
    """,
    "create index awaited_key on awaited (kind, key, run_id)",
    """
    create table arrival (
        run_id uuid not null,
        step text not null,
        event_id uuid not null,
        refused boolean not null default false,
        primary key (run_id, step, event_id)
    )
    """,
    "create index arrival_event on arrival (event_id)",
    "create table wait_sweep (id boolean primary key default true check (id), position timestamptz not null)",
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
