"""Runs that a step starts and does not wait for: `pipeline.start`, and plugins through `context.runs`."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from engine.core.failure import Fail
from engine.errors import BadRequest, NotFound, Unavailable
from engine.flow.chain import MAX_DEPTH, TOO_LONG, explain, next_depth
from engine.flow.execution import RECONNECT, Call, Execution
from engine.flow.start import start_run
from engine.pipeline.expression.secret import has_secret
from engine.pipeline.match import InvalidInputs
from engine.plugin.api import StartedRun
from engine.runtime import Runtime

STARTED = "pipeline.start"  # the step type, and the trigger's name on the runs that it started


class Children:
    """`context.runs` of one attempt. Runs are numbered within their step: each is started once."""

    __slots__ = ("_call", "_count", "_execution")

    def __init__(self, execution: Execution, call: Call) -> None:
        self._execution = execution
        self._call = call
        self._count = 0

    async def start(
        self, pipeline: str, inputs: Mapping[str, Any] | None = None, *, labels: Mapping[str, str] | None = None
    ) -> StartedRun:
        """Start a run. Fail with type `unknown_pipeline`, `invalid_input` or `chain_too_long`."""
        if self._call.type.name == STARTED and has_secret(self._call.rendered):
            text = "a secret cannot be an input of a pipeline: use `secrets.NAME` in its own steps"
            raise Fail(text, type="invalid_input")
        key = f"{STARTED}:{self._call.idempotency_key}#{self._count}"
        self._count += 1
        execution = self._execution
        return await execution.environment.start(
            execution, self._call, key, pipeline, dict(inputs or {}), dict(labels or {})
        )


async def start_child(
    runtime: Runtime, execution: Execution, key: str, pipeline: str, inputs: dict[str, Any], labels: dict[str, str]
) -> StartedRun:
    """Record the run with its parent and ring it; under the same key it is the same run. Fail says why not."""
    parent = execution.run
    values = msgspec.json.decode(execution.encode(inputs))  # secrets masked: they are not to leave the step
    while True:
        try:
            if (depth := await next_depth(runtime, parent)) > MAX_DEPTH:
                raise Fail(explain(f"pipeline `{pipeline}` is not started", depth), type=TOO_LONG)
            started = await start_run(
                runtime,
                pipeline,
                values,
                idempotency_key=key,
                trigger=STARTED,
                parent=parent.id,
                labels=labels,
            )
            return make_started(execution, started.run_id)
        except Unavailable:
            await asyncio.sleep(RECONNECT)
        except NotFound:
            raise unknown_pipeline(pipeline) from None
        except InvalidInputs as problem:
            raise Fail(
                f"pipeline `{pipeline}`: {problem}", type="invalid_input", data={"problems": problem.problems}
            ) from None
        except BadRequest as problem:
            raise Fail(f"pipeline `{pipeline}`: {problem}", type="invalid_input") from None


def make_started(execution: Execution, run_id: UUID) -> StartedRun:
    """What the step hears of the run."""
    return StartedRun(run_id=str(run_id), url=execution.environment.run_url(run_id))


def unknown_pipeline(name: str) -> Fail:
    """There is none of this name in force."""
    return Fail(f"there is no pipeline `{name}`", type="unknown_pipeline")
