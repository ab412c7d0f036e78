"""Retry a run: it goes on where it failed or was cancelled."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from engine.core.run import ErrorInfo, RunStatus
from engine.errors import Conflict, HookwrightError, NotFound, Unavailable
from engine.flow import audit
from engine.flow.deploy import load_pipeline
from engine.flow.limits import admit
from engine.flow.migrate_run import newest, require_no_difference
from engine.flow.migration import inputs_for
from engine.flow.readmit import gates_again
from engine.flow.reopen import Plan, plan_retry
from engine.flow.stored import Rows, layout, places
from engine.pipeline.spec import Pipeline
from engine.runtime import Runtime
from engine.store import Course, NewAudit, RunRow, StoredAttempt

ENDED_BADLY = (RunStatus.FAILED, RunStatus.CANCELLED)


class Reopened(msgspec.Struct, frozen=True):
    """A run that goes on. round: 1 is the first time its course was changed. goes_on: keys of steps, maybe none."""

    run_id: UUID
    round: int
    version: str
    goes_on: list[str]


async def retry_run(runtime: Runtime, run_id: UUID, *, by: str, latest: bool = False) -> Reopened:
    """Go on at the failed step, in the same version or in the newest one.

    NotFound; Conflict if the run has not failed and was not cancelled, if somebody else changed it just now, or if it
    cannot go on in the newest version.
    """
    run = await find_run(runtime, run_id)
    if run.status not in ENDED_BADLY:
        raise Conflict(f"run {run_id} is {run.status}: only one that failed or was cancelled can be retried")
    pipeline, attempts = await load_run(runtime, run)
    error = msgspec.json.decode(run.error, type=ErrorInfo) if run.error is not None else None
    plan = plan_retry(pipeline, attempts, error=error, now=datetime.now(UTC), note=f"retried by {by}")
    version = inputs = None
    other = newest(runtime, run) if latest else pipeline
    if other.version != run.version:
        plan = _in_version(plan, pipeline, other, attempts)
        anew = set(plan.goes_on) & {step for step, _ in plan.superseded}
        kept = [row for row in left_after(plan, attempts) if row.step not in anew]
        require_no_difference(pipeline, other, run, kept)
        version, inputs = other.version, inputs_for(other, run.inputs)
    trace = NewAudit(
        by=by,
        action="run.retry",
        target=run.pipeline,
        run_id=run_id,
        detail={"steps": plan.goes_on[:20]} | ({"from": run.version, "to": version} if version else {}),
    )
    return await reopen(runtime, run, other, plan, trace, version=version, inputs=inputs)


async def reopen(
    runtime: Runtime,
    run: RunRow,
    pipeline: Pipeline,
    plan: Plan,
    trace: NewAudit,
    *,
    version: str | None = None,
    inputs: bytes | None = None,
) -> Reopened:
    """Queue an ended run with this plan. Of two at once one wins, the other one gets a Conflict.

    pipeline: as it goes on, whose limits the run has to get through again.
    """
    gates = await gates_again(runtime, run, pipeline, inputs or run.inputs)
    course = Course(
        run_id=run.id,
        turn=run.turn,
        rounds=run.rounds,
        audit=trace,
        superseded=plan.superseded,
        written=plan.written,
        version=version,
        inputs=inputs,
        gates=gates,
    )
    number = await runtime.store.reopen_run(course)
    if number is None:
        raise Conflict(f"run {run.id} changed just now, or its end is not over yet: look at it and try again")
    if gates:
        runtime.queue.changed(run.id, run.pipeline, RunStatus.QUEUED)
        await admit(runtime, [run.id])
    else:
        ring_changed(runtime, run)
    audit.log(runtime, trace)
    return Reopened(run.id, number, version or run.version, plan.goes_on)


def ring_changed(runtime: Runtime, run: RunRow) -> None:
    """Tell a worker, and whoever watches."""
    runtime.queue.changed(run.id, run.pipeline, RunStatus.QUEUED)
    runtime.queue.ring_soon([run.id])


async def find_run(runtime: Runtime, run_id: UUID) -> RunRow:
    """The run, or NotFound."""
    run = await runtime.store.get_run(run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    return run


async def load_run(runtime: Runtime, run: RunRow) -> tuple[Pipeline, list[StoredAttempt]]:
    """The pipeline as this run has it, and all its attempts. Conflict if its version cannot be loaded."""
    try:
        pipeline = await load_pipeline(runtime, run.version)
    except Unavailable:
        raise
    except HookwrightError as error:
        raise Conflict(f"the version {run.version[:12]} of run {run.id} cannot be loaded: {error}") from None
    return pipeline, await runtime.store.get_attempts(run.id)


def left_after(plan: Plan, attempts: list[StoredAttempt]) -> list[StoredAttempt]:
    """The attempts that count once the plan is carried out."""
    gone = set(plan.superseded)
    written = [StoredAttempt(**msgspec.structs.asdict(row)) for row in plan.written]
    return [row for row in attempts if (row.step, row.number) not in gone] + written


def _in_version(plan: Plan, old: Pipeline, new: Pipeline, attempts: list[StoredAttempt]) -> Plan:
    """The plan without inputs of steps whose `with` or type differs: they are rendered as the new version says."""
    there = layout(new)
    known = {place.key: place for place in places(old, Rows(attempts))}

    def same(key: str) -> bool:
        place = known[key]
        if key not in plan.goes_on:
            return True
        spot = there.get(place.static)
        return spot is not None and (spot.step.uses, spot.step.with_) == (place.step.uses, place.step.with_)

    return msgspec.structs.replace(plan, written=[row for row in plan.written if same(row.step)])
