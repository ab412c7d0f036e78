"""Migrate a run that is not at work to another version of its pipeline."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from engine.core.run import FINISHED, RunStatus
from engine.errors import Conflict, HookwrightError, NotFound, Unavailable
from engine.flow import audit
from engine.flow.deploy import load_pipeline
from engine.flow.migration import Difference, compare, inputs_for
from engine.pipeline.spec import Pipeline
from engine.runtime import Runtime
from engine.store import Course, NewAudit, RunRow, StoredAttempt

LATEST = "latest"


class CannotMigrateError(Conflict):
    """The run cannot go on in that version. `problems`: [{"name", "message"}], one for each difference."""

    def __init__(self, version: str, differences: Sequence[Difference]) -> None:
        super().__init__(f"the run cannot go on in version {version[:12]}: {len(differences)} things differ")
        self.problems = [{"name": each.step, "message": with_place(each)} for each in differences]


class Migrated(msgspec.Struct, frozen=True):
    """What a migration came to. differences: why it cannot be. changed: whether the run was changed."""

    run_id: UUID
    before: str
    version: str
    differences: list[Difference]
    changed: bool


async def migrate_run(runtime: Runtime, run_id: UUID, *, by: str, to: str = LATEST, check: bool = False) -> Migrated:
    """Let a queued or waiting run go on in another version. check: only say whether it could.

    NotFound: no such run, or no such version. Conflict: it is at work, has ended, or cannot go on there.
    """
    run = await runtime.store.get_run(run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    if run.status in FINISHED:
        hint = ": retry it in the newest version instead" if run.status != RunStatus.SUCCEEDED else ""
        raise Conflict(f"run {run_id} has ended{hint}")
    if run.status == RunStatus.RUNNING and not check:
        raise Conflict(f"run {run_id} is at work: a run can be migrated while it waits")
    old = await _load(runtime, run.version)
    new = newest(runtime, run) if to == LATEST else await _load(runtime, to)
    if new.id != run.pipeline:
        raise Conflict(f"version {new.version[:12]} belongs to pipeline {new.id}, the run to {run.pipeline}")
    if new.version == run.version:
        return Migrated(run_id, run.version, new.version, [], changed=False)
    attempts = await runtime.store.get_attempts(run_id)
    if check:
        differences = compare(old, new, attempts, inputs=run.inputs, variables=run.vars)
        return Migrated(run_id, run.version, new.version, differences, changed=False)
    require_no_difference(old, new, run, attempts)
    trace = NewAudit(
        by=by,
        action="run.migrate",
        target=run.pipeline,
        run_id=run_id,
        detail={"from": run.version, "to": new.version},
    )
    course = Course(
        run_id=run_id,
        turn=run.turn,
        rounds=run.rounds,
        audit=trace,
        version=new.version,
        inputs=inputs_for(new, run.inputs),
    )
    if await runtime.store.change_run(course) is None:
        raise Conflict(f"run {run_id} changed just now: look at it and try again")
    runtime.queue.changed(run_id, run.pipeline, run.status)
    runtime.queue.ring_soon([run_id])
    audit.log(runtime, trace)
    return Migrated(run_id, run.version, new.version, [], changed=True)


def newest(runtime: Runtime, run: RunRow) -> Pipeline:
    """The version of this run's pipeline that is in force. NotFound if it is not deployed any more."""
    pipeline = runtime.deployments.current.pipelines.get(run.pipeline)
    if pipeline is None:
        raise NotFound(f"pipeline {run.pipeline} is not deployed any more")
    return pipeline


def require_no_difference(old: Pipeline, new: Pipeline, run: RunRow, attempts: Sequence[StoredAttempt]) -> None:
    """CannotMigrateError if a run with these attempts cannot go on in the new version."""
    differences = compare(old, new, attempts, inputs=run.inputs, variables=run.vars)
    if differences:
        raise CannotMigrateError(new.version, differences)


def with_place(difference: Difference) -> str:
    """The message, and where in the file."""
    if not difference.line:
        return f"{difference.message} ({difference.file})" if difference.file else difference.message
    return f"{difference.message} ({difference.file}:{difference.line}:{difference.column})"


async def _load(runtime: Runtime, version: str) -> Pipeline:
    try:
        return await load_pipeline(runtime, version)
    except (Unavailable, NotFound):
        raise
    except HookwrightError as error:
        raise Conflict(f"version {version[:12]} cannot be loaded: {error}") from None
