"""Start a run by hand: API, command line, dashboard; or by a step of another."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from engine.core.ids import uuid7
from engine.errors import BadRequest, NotFound
from engine.flow.execution import now
from engine.flow.limits import gates_of, has_limits
from engine.flow.make_run import expiry_of, launch, render_labels
from engine.pipeline.match import validate_inputs
from engine.runtime import Runtime
from engine.store import IngestRecord, NewRun

MANUAL = "manual"  # the trigger's name on runs that nobody's trigger started
MAX_INPUTS = 1_000_000  # bytes of JSON


class Started(msgspec.Struct, frozen=True):
    """The run; `duplicate`: it was started before with the same idempotency key."""

    run_id: UUID
    duplicate: bool = False


async def start_run(
    runtime: Runtime,
    pipeline_id: str,
    inputs: dict[str, object],
    *,
    idempotency_key: str | None = None,
    trigger: str = MANUAL,
    parent: UUID | None = None,
    labels: Mapping[str, str] | None = None,
) -> Started:
    """Record a run and ring it. labels: more than the pipeline's own, which they replace. parent: who starts it.

    NotFound, InvalidInputs, LimitError, or Unavailable if it could not be recorded.
    """
    pipeline = runtime.deployments.current.pipelines.get(pipeline_id)
    if pipeline is None:
        raise NotFound(f"there is no pipeline {pipeline_id}")
    values = validate_inputs(pipeline, inputs)
    scope = {"env": runtime.environment, "inputs": values, "run": {"started_at": now().isoformat()}}
    encoded = msgspec.json.encode(values)
    if len(encoded) > MAX_INPUTS:
        raise BadRequest(f"the inputs have {len(encoded):,} bytes, {MAX_INPUTS:,} are allowed")
    run = NewRun(
        id=uuid7(),
        pipeline=pipeline.id,
        version=pipeline.version,
        trigger=trigger,
        labels={**render_labels(runtime, pipeline, scope), **(labels or {})},
        inputs=encoded,
        idempotency_key=idempotency_key,
        parent=parent,
        expires_at=expiry_of(pipeline),
    )
    if has_limits(pipeline):
        run = msgspec.structs.replace(run, gates=gates_of(pipeline, scope), held=True)
    ingested = await runtime.store.ingest(IngestRecord(runs=[run]))
    run_id = ingested.runs[0][0]
    if not ingested.duplicate:
        await launch(runtime, [run], ingested)
    return Started(run_id, ingested.duplicate)
