"""What a replay takes over from the run it repeats; who deployed which version, when and from which commit.

`set_deployment` replaces the deployed set in one go. Each of its statements sees what was committed before the lock was
granted, so that two deployments at once follow one another, and each change is noted once.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-24T04:00:13:000000"
VERSION = "1.38.0"
DESCRIPTION = "Replays and the history of deployments"

FORWARDS = (
    """
    create table replay (
        run_id uuid primary key,
        key_run uuid,
        vars json,
        from_step text
    )
    """,
    "alter table pipeline_version add column commit text, add column author text",
    "create index pipeline_version_pipeline on pipeline_version (pipeline, created_at)",
    "alter table pipeline add column rolled_back_from text",
    """
    create table deployed (
        number bigint generated always as identity primary key,
        at timestamptz not null default now(),
        kind text not null check (kind in ('files', 'deploy', 'rollback')),
        pipeline text not null,
        version text,
        previous text,
        by text not null,
        commit text,
        author text
    )
    """,
    "create index deployed_pipeline on deployed (pipeline, number)",
    """
    create function deployment_revision() returns text language sql stable as $body$
        select coalesce(md5(string_agg(concat_ws(':', id, version, file), ',' order by id)), '') from pipeline
    $body$
    """,
    """
    create function set_deployment(
        ids text[], versions text[], names text[], descriptions text[], enableds boolean[], files text[],
        triggers_ json[], problems text[], rolled text[], commits text[], authors text[],
        kind_ text, by_ text, expected text
    ) returns text language plpgsql as $body$
    begin
        perform pg_advisory_xact_lock(1215785068);
        if expected is not null and deployment_revision() <> expected then
            return null;
        end if;
        insert into deployed (kind, pipeline, version, previous, by, commit, author)
        select kind_, coalesce(w.id, p.id), w.version, p.version, by_, w.commit, w.author
        from unnest(ids, versions, commits, authors) as w (id, version, commit, author)
        full join pipeline p on p.id = w.id
        where w.version is distinct from p.version
        order by coalesce(w.id, p.id);
        delete from pipeline where id <> all (ids);
        insert into pipeline (id, version, name, description, enabled, file, triggers, problem, rolled_back_from)
        select w.* from unnest(ids, versions, names, descriptions, enableds, files, triggers_, problems, rolled)
            as w (id, version, name, description, enabled, file, triggers, problem, rolled_back_from)
        order by w.id
        on conflict (id) do update set version = excluded.version, name = excluded.name,
            description = excluded.description, enabled = excluded.enabled, file = excluded.file,
            triggers = excluded.triggers, problem = excluded.problem, rolled_back_from = excluded.rolled_back_from;
        return deployment_revision();
    end
    $body$
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
