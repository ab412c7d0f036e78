"""How often the worker of a run died: such runs are carried on with more care, and given up in the end."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-24T04:00:14:000000"
VERSION = "1.38.0"
DESCRIPTION = "Deaths of the workers of a run"

FORWARDS = ("alter table run add column deaths smallint not null default 0",)


class Raw(Table):
    """Gives access to raw()."""


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="engine", description=DESCRIPTION)

    async def run():
        for statement in FORWARDS:
            await Raw.raw(statement)

    manager.add_raw(run)
    return manager
