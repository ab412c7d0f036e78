"""Roll a pipeline back: a stored version comes into force again, until its file changes."""

import msgspec

from engine.errors import Conflict, NotFound
from engine.flow import audit
from engine.flow.deploy import bind_all, load_pipeline, put_in_force
from engine.flow.deploy_sources import TRIES, CannotDeploy
from engine.flow.replay import find_version
from engine.flow.support import unsupported
from engine.runtime import Runtime
from engine.store import PipelineRow


class RolledBack(msgspec.Struct, frozen=True):
    """The version in force now, and the one before. `rolled_back_from` None: it is the version of the file again."""

    pipeline: str
    version: str
    previous: str | None
    rolled_back_from: str | None


async def rollback(runtime: Runtime, pipeline_id: str, to: str | None = None, *, by: str = audit.SYSTEM) -> RolledBack:
    """Put an earlier version in force; new runs start with it, open ones keep theirs.

    to: the beginning of its hash; None: the version that was in force before. NotFound, Conflict if it is in force
    already or others keep deploying, CannotDeploy if it cannot be carried out any more.
    """
    for _ in range(TRIES):
        revision = await runtime.store.deployment_revision()
        rows = await runtime.store.list_pipelines()
        row = next((row for row in rows if row.id == pipeline_id), None)
        version = await find_version(runtime, to, pipeline_id) if to else await _before(runtime, pipeline_id, row)
        if row is not None and row.version == version:
            raise Conflict(f"version {version[:12]} of {pipeline_id} is in force already")
        pipeline = await load_pipeline(runtime, version)
        others = [await load_pipeline(runtime, other.version) for other in rows if other.id != pipeline_id]
        problems = unsupported(pipeline)
        problems += [item for item in bind_all(runtime, [*others, pipeline]).problems if item.file == pipeline.file]
        if problems:
            raise CannotDeploy(problems)
        back = {other.id: other.rolled_back_from for other in rows if other.rolled_back_from is not None}
        back.pop(pipeline_id, None)
        source = (row.rolled_back_from or row.version) if row is not None else None
        if source is not None and source != version:
            back[pipeline_id] = source
        if await put_in_force(
            runtime, [*others, pipeline], kind="rollback", by=by, rolled_back=back, expected=revision
        ):
            previous = row.version if row is not None else None
            await audit.record(runtime, by, "pipeline.rollback", target=pipeline_id, version=version, previous=previous)
            return RolledBack(pipeline_id, version, previous, back.get(pipeline_id))
    raise Conflict("others are deploying at the same time: try again")


async def _before(runtime: Runtime, pipeline_id: str, row: PipelineRow | None) -> str:
    """The version that the one in force has replaced: rolling back twice leads further back, not forth again."""
    current = row.version if row is not None else None
    cursor: int | None = None
    while True:
        entries, cursor = await runtime.store.list_deployed(pipeline_id, cursor=cursor)
        for entry in entries:
            if entry.kind != "rollback" and entry.previous is not None and entry.version == current:
                return entry.previous
        if cursor is None:
            raise NotFound(f"no earlier version of {pipeline_id} is known; `--to` takes any version")
