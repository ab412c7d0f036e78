"""What is paused keeps its runs: they are set aside until it is resumed.

`pause_of` says why a run may not be claimed, or null. Runs that have begun go on, unless it is their queue that is
paused.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-24T04:00:17:000000"
VERSION = "1.38.0"
DESCRIPTION = "Runs of what is paused"

FORWARDS = (
    "alter table run add column set_aside boolean not null default false",
    "create index run_set_aside on run (id) where set_aside and finished_at is null",
    """
    create function pause_of(p_run uuid, p_pipeline text, p_queue text, p_event uuid, p_turn integer) returns text
    stable language sql as $$
        select format('paused: %s `%s` by %s since %s', kind, name, by,
            to_char(at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
            || case when reason <> '' then ' (' || reason || ')' else '' end
        from pause
        where (kind = 'queue' and name = p_queue)
            or (kind = 'pipeline' and p_turn = 0 and name = p_pipeline)
            or (kind = 'source' and p_turn = 0 and name = (
                select event.source from event where event.id = coalesce(p_event,
                    (select event_id from batch_event where run_id = p_run and number = 1))))
        order by at limit 1
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
