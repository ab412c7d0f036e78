"""Events that wait for others: bursts and batches, the events of a batched run. And who is paused.

`gather_event` adds one event to the burst or batch of its key. It is a function since it needs fresh eyes between its
statements: two processes that begin the same batch at once find each other's row.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-24T04:00:10:000000"
VERSION = "1.38.0"
DESCRIPTION = "Bursts, batches and pauses"

FORWARDS = (
    """
    create table gather (
        id uuid primary key,
        slot uuid not null,
        pipeline text not null,
        trigger text not null,
        kind text not null check (kind in ('debounce', 'batch')),
        key text not null,
        first_at timestamptz not null,
        due_at timestamptz,
        last_event uuid not null,
        size integer not null,
        bytes bigint not null,
        closed boolean not null,
        number bigint generated always as identity
    )
    """,
    "create unique index gather_slot on gather (slot) where not closed",
    "create index gather_due on gather (due_at, number)",
    """
    create table gathered (
        gather_id uuid not null,
        number integer not null,
        event_id uuid not null,
        primary key (gather_id, number)
    )
    """,
    """
    create table batch_event (
        run_id uuid not null,
        number integer not null,
        event_id uuid not null,
        primary key (run_id, number)
    )
    """,
    "create index batch_event_event on batch_event (event_id)",
    """
    create table pause (
        kind text not null check (kind in ('pipeline', 'source', 'queue')),
        name text not null,
        by text not null,
        reason text not null,
        at timestamptz not null,
        primary key (kind, name)
    )
    """,
    """
    create function gather_event(
        p_event uuid, p_bytes integer, p_at timestamptz, p_slot uuid, p_pipeline text, p_trigger text, p_kind text,
        p_key text, p_period float8, p_max_wait float8, p_max_size integer, p_max_bytes bigint,
        out gather_id uuid, out due timestamptz, out ready uuid[]
    ) language plpgsql as $$
    declare
        burst gather%rowtype;
        quiet timestamptz := p_at + make_interval(secs => p_period);
    begin
        ready := array[]::uuid[];
        loop
            select * into burst from gather where slot = p_slot and not closed for update;
            if found then
                if (burst.due_at >= p_at) is not false and (
                    p_kind = 'debounce' or (burst.size < p_max_size and burst.bytes + p_bytes <= p_max_bytes)
                ) then
                    due := burst.due_at;
                    if p_kind = 'debounce' then
                        due := least(greatest(due, quiet), burst.first_at + make_interval(secs => p_max_wait));
                    end if;
                    exit;
                end if;
                update gather set closed = true, due_at = least(due_at, p_at) where id = burst.id;
                ready := ready || burst.id;
            end if;
            burst.id := gen_random_uuid();
            burst.size := 0;
            burst.bytes := 0;
            due := least(quiet, p_at + make_interval(secs => p_max_wait));
            insert into gather (id, slot, pipeline, trigger, kind, key, first_at, due_at, last_event, size, bytes,
                closed)
            values (burst.id, p_slot, p_pipeline, p_trigger, p_kind, p_key, p_at, due, p_event, 0, 0, false)
            on conflict (slot) where not closed do nothing;
            exit when found;
        end loop;
        gather_id := burst.id;
        if p_kind = 'batch' then
            insert into gathered (gather_id, number, event_id) values (burst.id, burst.size + 1, p_event);
            if burst.size + 1 >= p_max_size or burst.bytes + p_bytes >= p_max_bytes then
                due := least(due, p_at);
                ready := ready || burst.id;
            end if;
        end if;
        update gather set last_event = p_event, size = burst.size + 1, bytes = burst.bytes + p_bytes, due_at = due,
            closed = burst.id = any(ready)
        where id = burst.id;
    end
    $$
    """,
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
