"""Advance one claimed run until it ends, waits, or has to be handed back."""

import asyncio

import msgspec

from engine.core.run import ErrorInfo, RunStatus
from engine.errors import HookwrightError, Unavailable
from engine.flow.announce import announce, is_awaited
from engine.flow.deploy import load_pipeline
from engine.flow.environment import LiveEnvironment
from engine.flow.execution import RECONNECT, Environment, Execution, Hold
from engine.flow.frame import Parked, TakenOver
from engine.flow.limits import release
from engine.flow.pin import take_newest
from engine.flow.sections import Verdict, carry_out, run_aftermath
from engine.flow.steps import run_steps
from engine.flow.takeover import take_over
from engine.flow.variables import evaluate_vars
from engine.pipeline.expression import ExpressionError
from engine.pipeline.spec import Pipeline
from engine.runtime import Runtime
from engine.store import CheckpointRecord, ClaimedRun, RunUpdate

MAX_DEATHS = (
    20  # a run whose workers died this often without a wait in between is given up: see also engine.flow.actions
)


async def advance(runtime: Runtime, run: ClaimedRun, hold: Hold) -> None:
    """Carry the run on from its last checkpoint. Never raises for anything the pipeline or a plugin did."""
    if run.gated:
        started = await take_newest(runtime, run)
        if started is None:
            return
        if isinstance(started, ErrorInfo):
            await fail_run(runtime, run, started)
            return
        run = started
    if run.deaths >= MAX_DEATHS:
        text = f"given up: {run.deaths} workers died while they held this run"
        await fail_run(runtime, run, ErrorInfo(type="interrupted", message=text))
        return
    try:
        pipeline = await _load(runtime, run.version)
    except HookwrightError as error:
        await fail_run(runtime, run, ErrorInfo(type="version", message=f"this version cannot be loaded: {error}"))
        return
    if run.replay_of is not None:
        run = await take_over(runtime, run)
    environment = LiveEnvironment(runtime)
    awaited = await advance_in(environment, run, pipeline, hold)
    if environment.ended and (run.gated or environment.gated):
        await release(runtime, run.id)
    if awaited:
        await announce(runtime, run.id)


async def _load(runtime: Runtime, version: str) -> Pipeline:
    """The pipeline; while PostgreSQL is away, that is no reason to fail."""
    while True:
        try:
            return await load_pipeline(runtime, version)
        except Unavailable:
            await asyncio.sleep(RECONNECT)


async def advance_in(environment: Environment, run: ClaimedRun, pipeline: Pipeline, hold: Hold) -> bool:
    """The same in any environment. True: the run has ended, and somebody awaits that."""
    execution = Execution(environment, run, pipeline, hold)
    if run.cancel_requested:
        hold.reason = "cancel"  # what is stored is taken over, then the first new step is refused
    try:
        return await _run(execution)
    except TakenOver:
        return False
    except Parked:
        await _let_go(execution, execution.released or RunUpdate(status=RunStatus.QUEUED))
    except asyncio.CancelledError:
        if hold.reason == "cancel":
            return await _cancelled(execution)
        if hold.reason != "stop":
            raise
        await _let_go(execution, RunUpdate(status=RunStatus.QUEUED))
    return False


async def _run(execution: Execution) -> bool:
    frame, run = execution.root, execution.run
    try:
        execution.vars = evaluate_vars(execution, frame, run.vars)
    except ExpressionError as error:
        verdict = Verdict(RunStatus.FAILED, ErrorInfo(type="expression", message=str(error)))
    else:
        verdict = await carry_out(
            execution,
            frame,
            run.reopened_at or run.started_at or run.created_at,
            run_steps,
            seconds=execution.pipeline.timeout,
        )
    await run_aftermath(execution, frame, verdict, run_steps)
    return await _finish(execution, verdict)


async def _finish(execution: Execution, verdict: Verdict) -> bool:
    """End the run; whether somebody awaits that. Nothing is awaited once the end is committed: see _cancelled."""
    outputs = None
    if verdict.outputs is not None:
        try:
            outputs = execution.encode(verdict.outputs)
        except (TypeError, ValueError) as error:
            verdict = Verdict(RunStatus.FAILED, ErrorInfo(type="expression", message=f"outputs: {error}"))
    run, environment = execution.run, execution.environment
    awaited = environment.is_awaited(run.pipeline, verdict.status)
    await execution.checkpoint(
        RunUpdate(
            status=verdict.status,
            outputs=outputs,
            error=msgspec.json.encode(verdict.error) if verdict.error else None,
            message=verdict.message,
            announce=awaited,
        )
    )
    seconds = (environment.now() - (run.started_at or run.created_at)).total_seconds()
    facts = {
        "pipeline": run.pipeline,
        "version": run.version[:12],
        "status": str(verdict.status),
        "error": verdict.error.type if verdict.error else None,
        "step": verdict.error.step if verdict.error else None,
        "turn": run.turn,
        "seconds": round(seconds, 6),
    }
    environment.log.info("run.finished", run_id=str(run.id), **facts)
    environment.observers.notify("run_finished", run={"id": str(run.id), **facts})
    return awaited


async def _cancelled(execution: Execution) -> bool:
    """Finish as cancelled; `finally` still runs, also of the called pipelines it was in."""
    execution.hold.reason, execution.hold.closing = "", True
    execution.closing = True
    execution.recall_kept()
    verdict = Verdict(RunStatus.CANCELLED, ErrorInfo(type="cancelled", message="the run was cancelled"))
    try:
        for frame in (*execution.open_calls, execution.root):
            await run_aftermath(execution, frame, verdict, run_steps)
        return await _finish(execution, verdict)
    except TakenOver:
        return False
    except Parked:
        await _let_go(execution, execution.released or RunUpdate(status=RunStatus.QUEUED))
    except asyncio.CancelledError:
        if execution.hold.reason != "stop":
            raise
        await _let_go(execution, RunUpdate(status=RunStatus.QUEUED))
    return False


async def _let_go(execution: Execution, update: RunUpdate) -> None:
    """Hand the run back: at once, so that another worker goes on, or until it is due."""
    try:
        await execution.checkpoint(update)
    except TakenOver:
        return
    if update.queue is not None and update.status == RunStatus.QUEUED:
        execution.environment.pool.hand_over(execution.run.id, update.queue)


async def fail_run(runtime: Runtime, run: ClaimedRun, error: ErrorInfo) -> None:
    """End a run that cannot be carried out at all."""
    awaited = is_awaited(runtime, run.pipeline, RunStatus.FAILED)
    update = RunUpdate(status=RunStatus.FAILED, error=msgspec.json.encode(error), announce=awaited)
    won = await runtime.store.checkpoint(CheckpointRecord(run_id=run.id, turn=run.turn, attempts=[], run=update))
    runtime.queue.changed(run.id, run.pipeline, RunStatus.FAILED)
    runtime.log.error("run.refused", run_id=str(run.id), pipeline=run.pipeline, error=error.message)
    if won and run.gated:
        await release(runtime, run.id)
    if won and awaited:
        await announce(runtime, run.id)
