"""What Piccolo has no words for: checks, composite keys, partial indexes, storage settings.

Every filter that a page offers is served by an index whose last column is the time-ordered id, so that lists are
read newest first from a cursor and never sorted or counted.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-23T21:54:15:000000"
VERSION = "1.38.0"
DESCRIPTION = "Checks, composite keys and indexes"

FORWARDS = """
alter table run
    add constraint run_status check (status in ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    add constraint run_turn check (turn >= 0),
    add constraint run_held check ((status = 'running') = (worker is not null));
create index run_pipeline on run (pipeline, id);
create index run_event on run (event_id) where event_id is not null;
create index run_open on run (status, id) where status in ('queued', 'running', 'waiting');
create index run_ended_badly on run (status, id) where status in ('failed', 'cancelled');
create index run_due on run (due_at) where status in ('queued', 'waiting') and rung_at is null;
create index run_rung on run (rung_at) where status in ('queued', 'waiting') and rung_at is not null;
create index run_labels on run using gin (labels jsonb_path_ops) where labels <> '{}';
create unique index run_idempotency on run (pipeline, idempotency_key) where idempotency_key is not null;

create index event_source on event (source, id);
create index event_type on event (type, id);
create index event_path on event (path, id);

create index decision_event on decision (event_id);
create index dedup_expires on dedup (expires_at);

alter table attempt
    drop constraint attempt_pkey,
    add primary key (run_id, step, number),
    add constraint attempt_status
        check (status in ('running', 'succeeded', 'failed', 'timed_out', 'skipped', 'interrupted')),
    add constraint attempt_number check (number >= 1);
alter table attempt set (fillfactor = 90);

alter table tally
    drop constraint tally_pkey,
    add primary key (hour, status, slot);
alter table tally set (fillfactor = 50);

alter table schedule
    drop constraint schedule_pkey,
    add primary key (pipeline, trigger);
create index schedule_next on schedule (next_at);

alter table worker set (fillfactor = 50);

alter table api_key
    add constraint api_key_kind check (kind in ('token', 'session', 'login'));

alter table kv
    drop constraint kv_pkey,
    alter column collection type text collate "C",
    alter column key type text collate "C",
    add primary key (collection, key);
create index kv_updated on kv (collection, updated_at);
create index kv_expires on kv (expires_at) where expires_at is not null;
create index kv_value on kv using gin (value jsonb_path_ops);
"""


class Raw(Table):
    """Gives access to raw()."""


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="engine", description=DESCRIPTION)

    async def run():
        for statement in FORWARDS.split(";\n"):
            if statement.strip():
                await Raw.raw(statement.replace("{", "{{").replace("}", "}}"))

    manager.add_raw(run)
    return manager
