"""Advance one claimed run until it ends, waits, or has to be handed back."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec

from engine.core.run import ErrorInfo, RunStatus
from engine.errors import HookwrightError
from engine.flow.deploy import load_pipeline
from engine.flow.execution import Execution, Hold, RunReleased, RunStopped, StepGaveUp, TakenOver, now
from engine.flow.steps import run_step, run_steps
from engine.pipeline.expression import ExpressionError
from engine.pipeline.spec import Pipeline, Step
from engine.runtime import Runtime
from engine.store import CheckpointRecord, ClaimedRun, RunUpdate

FAR = 86400.0  # seconds; an end further away is looked at again in a later visit
AFTERMATH = 3600.0  # seconds that `on_error` and `finally` may take once the run's own time is over


class Verdict(msgspec.Struct):
    """How the run ends."""

    status: RunStatus = RunStatus.SUCCEEDED
    error: ErrorInfo | None = None
    message: str | None = None
    outputs: Any = None


async def advance(runtime: Runtime, run: ClaimedRun, hold: Hold) -> None:
    """Carry the run on from its last checkpoint. Never raises for anything the pipeline or a plugin did."""
    try:
        pipeline = await load_pipeline(runtime, run.version)
    except HookwrightError as error:
        await fail_run(runtime, run, ErrorInfo(type="version", message=f"this version cannot be loaded: {error}"))
        return
    execution = Execution(runtime, run, pipeline, hold)
    try:
        if run.cancel_requested:
            hold.reason = "cancel"
            await _cancelled(execution)
            return
        await _run(execution)
    except (TakenOver, RunReleased):
        return
    except asyncio.CancelledError:
        if hold.reason == "cancel":
            await _cancelled(execution)
        elif hold.reason == "stop":
            await _give_back(execution)
        else:
            raise


async def _run(execution: Execution) -> None:
    pipeline, run = execution.pipeline, execution.run
    verdict = Verdict()
    began = run.started_at or run.created_at
    left = pipeline.timeout - (now() - began).total_seconds()
    expiry = asyncio.timeout(max(left, 0) if left < FAR else None)
    try:
        async with expiry:
            _evaluate_vars(execution)
            await run_steps(execution, pipeline.steps)
            verdict.outputs = {name: template.render(execution.scope) for name, template in pipeline.outputs.items()}
    except StepGaveUp as failure:
        verdict = Verdict(RunStatus.FAILED, failure.error)
    except RunStopped as stopped:
        verdict = Verdict(message=stopped.message or None, outputs=stopped.output)
    except ExpressionError as error:
        verdict = Verdict(RunStatus.FAILED, ErrorInfo(type="expression", message=str(error)))
    except TimeoutError:
        if not expiry.expired():
            raise
        text = f"the run took longer than its timeout of {timedelta(seconds=pipeline.timeout)}"
        verdict = Verdict(RunStatus.FAILED, ErrorInfo(type="timeout", message=text))
    await _aftermath(execution, pipeline, verdict)
    await _finish(execution, verdict)


def _evaluate_vars(execution: Execution) -> None:
    """`vars` are evaluated once, from top to bottom, and stored: a resumed run sees the same values."""
    pipeline, run = execution.pipeline, execution.run
    values = execution.scope.roots["vars"]
    if run.vars is not None:
        values.update(msgspec.json.decode(run.vars))
        return
    volatile = False
    for name, template in pipeline.vars.items():
        try:
            values[name] = template.render(execution.scope)
        except ExpressionError as error:
            raise ExpressionError(f"vars.{name}: {error}") from None
        volatile = volatile or template.volatile or "env" in template.roots
    if volatile:
        execution.vars = execution.encode(values)  # others come out the same when they are evaluated again


async def _aftermath(execution: Execution, pipeline: Pipeline, verdict: Verdict) -> None:
    """`on_error` after a failure, then `finally` in any case. Their own failures are recorded; the verdict stays."""
    roots = execution.scope.roots
    if verdict.error is not None:
        verdict.error = execution.error(verdict.error)
        roots["error"] = msgspec.to_builtins(verdict.error)
        if verdict.status == RunStatus.FAILED:
            await _section(execution, pipeline.on_error)
    roots["run"]["outcome"] = str(verdict.status)
    await _section(execution, pipeline.finally_)


async def _section(execution: Execution, steps: tuple[Step, ...]) -> None:
    if not steps:
        return
    try:
        async with asyncio.timeout(AFTERMATH):
            for step in steps:
                await run_step(execution, step)
    except (StepGaveUp, RunStopped, TimeoutError, ExpressionError) as failure:
        execution.runtime.log.warning("section.failed", run_id=str(execution.run.id), error=str(failure))


async def _finish(execution: Execution, verdict: Verdict) -> None:
    outputs = None
    if verdict.outputs is not None:
        try:
            outputs = execution.encode(verdict.outputs)
        except (TypeError, ValueError) as error:
            verdict = Verdict(RunStatus.FAILED, ErrorInfo(type="expression", message=f"outputs: {error}"))
    await execution.checkpoint(
        RunUpdate(
            status=verdict.status,
            outputs=outputs,
            error=msgspec.json.encode(verdict.error) if verdict.error else None,
            message=verdict.message,
        )
    )
    run, runtime = execution.run, execution.runtime
    seconds = (now() - (run.started_at or run.created_at)).total_seconds()
    facts = {
        "pipeline": run.pipeline,
        "version": run.version[:12],
        "status": str(verdict.status),
        "error": verdict.error.type if verdict.error else None,
        "step": verdict.error.step if verdict.error else None,
        "turn": run.turn,
        "seconds": round(seconds, 6),
    }
    runtime.log.info("run.finished", run_id=str(run.id), **facts)
    runtime.observers.notify("run_finished", run={"id": str(run.id), **facts})


async def _cancelled(execution: Execution) -> None:
    """Finish as cancelled; `finally` still runs."""
    execution.hold.reason = ""
    verdict = Verdict(RunStatus.CANCELLED, ErrorInfo(type="cancelled", message="the run was cancelled"))
    try:
        await _aftermath(execution, execution.pipeline, verdict)
        await _finish(execution, verdict)
    except (TakenOver, RunReleased):
        return


async def _give_back(execution: Execution) -> None:
    """Hand the run back so that another worker goes on at once."""
    try:
        await execution.checkpoint(RunUpdate(status=RunStatus.QUEUED))
    except TakenOver:
        return


async def fail_run(runtime: Runtime, run: ClaimedRun, error: ErrorInfo) -> None:
    """End a run that cannot be carried out at all."""
    update = RunUpdate(status=RunStatus.FAILED, error=msgspec.json.encode(error))
    await runtime.store.checkpoint(CheckpointRecord(run_id=run.id, turn=run.turn, attempts=[], run=update))
    runtime.queue.changed(run.id, run.pipeline, RunStatus.FAILED)
    runtime.log.error("run.refused", run_id=str(run.id), pipeline=run.pipeline, error=error.message)
