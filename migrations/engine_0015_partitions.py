"""History by weeks: event, attempt and decision are partitioned by their time-ordered keys.

What is there becomes the first partition, up to the end of this week. Old weeks are dropped whole, see
engine/store/history.py, which also makes the coming ones. What belongs to no week, since a clock was far off, goes to
the default partition. A process of the previous release does not notice: names, columns and keys stay.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-24T04:00:15:000000"
VERSION = "1.38.0"
DESCRIPTION = "History by weeks"

FORWARDS = (
    """
    create function first_id(at timestamptz) returns uuid immutable language sql as
    $$ select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid $$
    """,
    # A week's partition of one table; rows of that week that the default partition has got meanwhile move over.
    """
    create function make_week(parent text, key text, monday timestamptz) returns boolean language plpgsql as $$
    declare
        child text := parent || to_char(monday at time zone 'UTC', '"_"IYYY"w"IW');
        lower_id uuid := first_id(monday);
        upper_id uuid := first_id(monday + interval '7 days');
    begin
        if to_regclass(child) is not null then
            return false;
        end if;
        execute format('create table %I (like %I including defaults including constraints including storage)',
            child, parent);
        if parent = 'attempt' then
            execute format('alter table %I set (fillfactor = 90)', child);
        end if;
        execute format('with moved as (delete from only %I where %I >= %L and %I < %L returning *)
            insert into %I select * from moved', parent || '_other', key, lower_id, key, upper_id, child);
        execute format('alter table %I attach partition %I for values from (%L) to (%L)',
            parent, child, lower_id, upper_id);
        return true;
    end $$
    """,
    """
    do $$
    declare
        monday timestamptz := date_trunc('week', now(), 'UTC') + interval '7 days';
        parent text;
        key text;
        index record;
    begin
        for parent, key in values ('event', 'id'), ('attempt', 'run_id'), ('decision', 'id') loop
            execute format('alter table %I rename to %I', parent, parent || '_first');
            create temporary table definition on commit drop as
                select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as text, c.conname,
                    pg_get_constraintdef(c.oid) as key_text
                from pg_index i left join pg_constraint c on c.conindid = i.indexrelid and c.contype = 'p'
                where i.indrelid = (parent || '_first')::regclass;
            for index in select name from definition loop
                execute format('alter index %s rename to %I', index.name, index.name || '_first');
            end loop;
            execute format('create table %I (like %I including defaults including constraints including storage)
                partition by range (%I)', parent, parent || '_first', key);
            for index in select * from definition loop
                if index.conname is not null then
                    execute format('alter table %I add constraint %I %s', parent, index.conname, index.key_text);
                else
                    execute replace(index.text, parent || '_first', parent);
                end if;
            end loop;
            execute format('alter table %I attach partition %I for values from (minvalue) to (%L)',
                parent, parent || '_first', first_id(monday));
            execute format('create table %I partition of %I default', parent || '_other', parent);
            perform make_week(parent, key, monday);
            perform make_week(parent, key, monday + interval '7 days');
            drop table definition;
        end loop;
    end $$
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
