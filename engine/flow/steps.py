"""Carry out one step: condition, inputs, attempts, output, and what happens when it fails."""

import asyncio
import hashlib
from datetime import datetime, timedelta
from typing import Any

import msgspec

from engine.core.catalog import Effect, StepType
from engine.core.outcome import EndRun, Failed, Outcome, Proceed, RetryAfter, Stopped, Succeeded, decide
from engine.core.retry import RetryPolicy
from engine.core.run import AttemptStatus, ErrorInfo, RunStatus
from engine.flow.emit import emit_events
from engine.flow.execute import Call, Done, execute
from engine.flow.execution import Execution, RunReleased, RunStopped, StepGaveUp, counted, now
from engine.pipeline.expression import ExpressionError, from_stored, to_stored
from engine.pipeline.spec import Cache, Step
from engine.plugin.api import StepError
from engine.store import AttemptRow, RunUpdate, StoredAttempt

IN_PROCESS = 5.0  # seconds: a shorter delay sleeps here, a longer one releases the worker
MAX_INTERRUPTIONS = 10  # a step whose worker died this often is given up: it may be what kills them
STOP = "stop"  # marks the attempt of a `stop` step, so that a resumed run ends there again
IDEMPOTENT_ATTEMPTS = 3


async def run_step(execution: Execution, step: Step) -> None:
    """Carry out one step. Raises StepGaveUp, RunStopped or RunReleased; otherwise the run goes on."""
    earlier = execution.stored.get(step.key, [])
    if earlier and _restore(execution, step, earlier):
        return
    if execution.hold.reason == "cancel":  # the cancellation itself was swallowed by somebody's library
        raise asyncio.CancelledError
    if execution.hold.draining:
        await execution.checkpoint(RunUpdate(status=RunStatus.QUEUED))
        raise RunReleased
    try:
        await _attempts(execution, step, earlier)
    except StepGaveUp as failure:
        await _recover(execution, step, failure.error)


async def run_steps(execution: Execution, steps: tuple[Step, ...]) -> None:
    """Carry out steps from top to bottom."""
    for index, step in enumerate(steps):
        await run_step(execution, step)
        if execution.pending and index + 1 < len(steps) and _is_pure(execution, steps[index + 1]):
            execution.checkpoint_later()  # a pure step may take its time: do not keep what is done to ourselves


def _restore(execution: Execution, step: Step, earlier: list[StoredAttempt]) -> bool:
    """Take over what an earlier visit finished; whether there is nothing left to do. A finished step never repeats."""
    last = earlier[-1]
    if last.status == AttemptStatus.SKIPPED:
        execution.show(step, "skipped", attempts=0)
        return True
    if last.status != AttemptStatus.SUCCEEDED:
        return False
    output = msgspec.json.decode(last.output) if last.output is not None else None
    if last.error is not None:
        stopped = msgspec.json.decode(last.error, type=ErrorInfo)
        if stopped.type == STOP:
            raise RunStopped(stopped.message, output)
    execution.show(
        step,
        "succeeded",
        output=output,
        cached=last.cached,
        attempts=counted(earlier),
        started_at=_text(earlier[0].started_at),
        finished_at=_text(last.finished_at),
    )
    return True


async def _attempts(execution: Execution, step: Step, earlier: list[StoredAttempt]) -> None:
    type_ = execution.runtime.catalog.steps.get(step.uses)
    if earlier and earlier[-1].status in (AttemptStatus.FAILED, AttemptStatus.TIMED_OUT) and not earlier[-1].due_at:
        raise StepGaveUp(msgspec.json.decode(earlier[-1].error or b"{}", type=ErrorInfo))
    if type_ is None:
        raise _fail(execution, step, "unknown_step", f"step type `{step.uses}` is not installed on this worker")
    interruptions = len(earlier) - counted(earlier)
    if interruptions >= MAX_INTERRUPTIONS:
        text = f"given up: the worker stopped {interruptions} times while this step ran"
        raise _fail(execution, step, "interrupted", text)
    if earlier and earlier[-1].due_at is not None:
        await _wait_until(execution, step, earlier[-1].due_at)
    try:
        if not earlier and step.condition is not None and not step.condition.condition(execution.scope):
            execution.pending.append(
                AttemptRow(step=step.key, number=1, status=AttemptStatus.SKIPPED, finished_at=now())
            )
            execution.show(step, "skipped", attempts=0)
            return
        call = _prepare(execution, step, type_, earlier)
    except ExpressionError as error:
        raise _fail(execution, step, "expression", str(error)) from None
    if (hit := await _cached(execution, step, call)) is not None:
        await _succeed(execution, step, call, hit, number=len(earlier) + 1, count=0, started=now())
        return
    await _try(execution, step, call, earlier)


def _prepare(execution: Execution, step: Step, type_: StepType, earlier: list[StoredAttempt]) -> Call:
    """Inputs are rendered once: a retry and a resume repeat the same call with the same idempotency key."""
    stored = next((attempt.input for attempt in earlier if attempt.input is not None), None)
    if stored is not None:
        plain = msgspec.json.decode(stored)
        rendered = from_stored(plain) if step.with_.secrets else plain
    else:
        rendered = step.with_.render(execution.scope)
        stored = execution.encode(to_stored(rendered) if step.with_.secrets else rendered)
    key = f"{execution.run.id}/{step.key}"
    if step.idempotency_key is not None:
        key = str(step.idempotency_key.render(execution.scope))
    limit = step.timeout or type_.timeout
    return Call(step=step, type=type_, rendered=rendered, stored=stored, idempotency_key=key, timeout=limit)


async def _try(execution: Execution, step: Step, call: Call, earlier: list[StoredAttempt]) -> None:
    policy = _policy(step, call.type)
    number, count = len(earlier), counted(earlier)
    begun = earlier[0].started_at if earlier and earlier[0].started_at else now()
    while True:
        number, count, started = number + 1, count + 1, now()
        await _mark(execution, step, call, number, started)
        done = await _interruptible(execution, step, call, number, count, started)
        outcome = done.outcome
        if isinstance(outcome, Failed):
            outcome = msgspec.structs.replace(outcome, error=execution.error(outcome.error))
        elapsed = (now() - begun).total_seconds()
        allowed = _allowed(execution, step, outcome)
        verdict = decide(outcome, attempt=count, policy=policy, elapsed=elapsed, allowed=allowed)
        if isinstance(outcome, Succeeded) and isinstance(verdict, Proceed):
            await emit_events(execution, step, done.emitted)
            await _succeed(execution, step, call, outcome, number=number, count=count, started=started)
            return
        if isinstance(outcome, Stopped) and isinstance(verdict, EndRun):
            mark = ErrorInfo(type=STOP, message=outcome.message)
            execution.pending.append(
                _row(execution, call, number, AttemptStatus.SUCCEEDED, started, outcome.output, mark)
            )
            execution.show(step, "succeeded", output=outcome.output, attempts=count)
            raise RunStopped(outcome.message, outcome.output)
        assert isinstance(outcome, Failed)
        status = AttemptStatus.TIMED_OUT if outcome.timed_out else AttemptStatus.FAILED
        row = _row(execution, call, number, status, started, None, outcome.error, usage=outcome.usage)
        if isinstance(verdict, RetryAfter):
            due_at = now() + timedelta(seconds=verdict.seconds)
            execution.pending.append(msgspec.structs.replace(row, due_at=due_at))
            _observe(execution, call, row, count, outcome.error)
            await _wait_until(execution, step, due_at)
            continue
        execution.pending.append(row)
        _observe(execution, call, row, count, outcome.error)
        raise StepGaveUp(outcome.error)


async def _mark(execution: Execution, step: Step, call: Call, number: int, started: datetime) -> None:
    """Record that the attempt has begun. What finished before is committed before an effect can start."""
    waits = bool(execution.pending) or execution.unconfirmed or step.with_.volatile
    mark = AttemptRow(step=step.key, number=number, status=AttemptStatus.RUNNING, input=call.stored, started_at=started)
    if call.type.effect == Effect.PURE and not step.with_.volatile:
        return  # nothing to protect: it rides on the next commit as finished
    execution.pending.append(mark)
    if waits:
        await execution.checkpoint()
    else:
        execution.checkpoint_later()


async def _interruptible(
    execution: Execution, step: Step, call: Call, number: int, count: int, started: datetime
) -> Done:
    """The call; if this process must let go of the run, the attempt is given back."""
    try:
        return await execute(execution, call, attempt=count)
    except asyncio.CancelledError:
        if execution.hold.reason in ("stop", "cancel"):
            row = _row(execution, call, number, AttemptStatus.INTERRUPTED, started, None, None)
            execution.pending.append(row)
        raise


async def _succeed(
    execution: Execution,
    step: Step,
    call: Call,
    outcome: Succeeded,
    *,
    number: int,
    count: int,
    started: datetime,
) -> None:
    output = outcome.output
    try:
        if step.output is not None:
            output = step.output.render(execution.scope.extended(result=output))
        row = _row(execution, call, number, AttemptStatus.SUCCEEDED, started, output, None, usage=outcome.usage)
    except ExpressionError as error:
        raise _fail(execution, step, "expression", f"output: {error}", number=number) from None
    execution.pending.append(msgspec.structs.replace(row, cached=outcome.cached))
    if not outcome.cached and step.cache is not None:
        await _remember(execution, step, call, step.cache, outcome.output)
    execution.show(
        step,
        "succeeded",
        output=output,
        cached=outcome.cached,
        attempts=count,
        started_at=_text(started),
        finished_at=_text(row.finished_at),
    )
    _observe(execution, call, row, count)


async def _recover(execution: Execution, step: Step, error: ErrorInfo) -> None:
    """The step's `on_error`, once its attempts are over."""
    error = msgspec.structs.replace(error, step=error.step or step.id or step.key)
    plain = msgspec.to_builtins(error)
    rule = step.on_error
    if rule.mode == "fail":
        execution.show(step, "failed", error=plain)
        raise StepGaveUp(error)
    if rule.mode == "continue":
        execution.show(step, "failed", error=plain)
        return
    scope, execution.scope = execution.scope, execution.scope.extended(error=plain)
    try:
        output: Any = None
        if rule.mode == "output":
            output = rule.output.render(execution.scope) if rule.output is not None else None
        else:
            await run_steps(execution, rule.steps)
            output = execution.outputs.get(rule.steps[-1].key) if rule.steps else None
    except ExpressionError as problem:
        execution.show(step, "failed", error=plain)
        raise StepGaveUp(
            ErrorInfo(type="expression", message=f"on_error: {problem}", step=step.id or step.key)
        ) from None
    finally:
        execution.scope = scope
    execution.show(step, "recovered", output=output, error=plain)


async def _wait_until(execution: Execution, step: Step, due_at: datetime) -> None:
    """Wait for the next attempt: here if it is soon, else as a due run that no worker holds."""
    delay = (due_at - now()).total_seconds()
    if delay > IN_PROCESS or (delay > 0 and execution.hold.draining):
        reason = f"another attempt of step {step.id or step.key}"
        await execution.checkpoint(RunUpdate(status=RunStatus.WAITING, due_at=due_at, waiting_for=reason))
        raise RunReleased
    if delay > 0:
        execution.checkpoint_later()
        await asyncio.sleep(delay)


async def _cached(execution: Execution, step: Step, call: Call) -> Succeeded | None:
    if step.cache is None:
        return None
    found, output = await execution.runtime.cache.get(_cache_key(execution, step, call, step.cache))
    return Succeeded(output, cached=True) if found else None


async def _remember(execution: Execution, step: Step, call: Call, cache: Cache, output: Any) -> None:
    try:
        await execution.runtime.cache.set(_cache_key(execution, step, call, cache), output, cache.ttl)
    except StepError as error:  # a cache that is away must not fail a step that succeeded
        execution.runtime.log.warning("cache.unwritten", step=step.key, error=error.message)


def _cache_key(execution: Execution, step: Step, call: Call, cache: Cache) -> str:
    """Without a key, equal types, versions and inputs share an output everywhere. A written key stays in its step."""
    owner = f"{call.type.name}@{call.type.version}"
    if cache.key is None:
        return f"step:{owner}:{hashlib.sha256(call.stored).hexdigest()}"
    key = msgspec.json.encode(cache.key.render(execution.scope))
    place = f"{execution.pipeline.id}:{step.key}"
    return f"step:{owner}:{place}:{hashlib.sha256(key).hexdigest()}"


def _policy(step: Step, type_: StepType) -> RetryPolicy:
    if step.retry is not None:
        return step.retry.policy
    return RetryPolicy(attempts=IDEMPOTENT_ATTEMPTS if type_.effect == Effect.IDEMPOTENT else 1)


def _allowed(execution: Execution, step: Step, outcome: Outcome) -> bool:
    if not isinstance(outcome, Failed) or step.retry is None or step.retry.when is None:
        return True
    try:
        return step.retry.when.condition(execution.scope.extended(error=msgspec.to_builtins(outcome.error)))
    except ExpressionError as error:
        execution.runtime.log.warning("retry.when_failed", step=step.key, error=str(error))
        return False


def _is_pure(execution: Execution, step: Step) -> bool:
    type_ = execution.runtime.catalog.steps.get(step.uses)
    return type_ is not None and type_.effect == Effect.PURE


def _fail(execution: Execution, step: Step, type_: str, message: str, *, number: int | None = None) -> StepGaveUp:
    """A failure of our own making, recorded as an attempt."""
    error = execution.error(ErrorInfo(type=type_, message=message, step=step.id or step.key))
    execution.pending.append(
        AttemptRow(
            step=step.key,
            number=number or len(execution.stored.get(step.key, [])) + 1,
            status=AttemptStatus.FAILED,
            error=msgspec.json.encode(error),
            started_at=now(),
            finished_at=now(),
        )
    )
    return StepGaveUp(error)


def _row(
    execution: Execution,
    call: Call,
    number: int,
    status: AttemptStatus,
    started: datetime,
    output: Any,
    error: ErrorInfo | None,
    *,
    usage: dict[str, Any] | None = None,
) -> AttemptRow:
    return AttemptRow(
        step=call.step.key,
        number=number,
        status=status,
        input=call.stored,
        output=execution.encode(output) if status == AttemptStatus.SUCCEEDED else None,
        error=msgspec.json.encode(error) if error is not None else None,
        usage=msgspec.json.encode(usage) if usage else None,
        started_at=started,
        finished_at=now(),
    )


def _observe(execution: Execution, call: Call, row: AttemptRow, count: int, error: ErrorInfo | None = None) -> None:
    """Tell the log and the observers that an attempt ended: one wide line."""
    if error is None and not execution.runtime.observers.attempt_finished:
        return
    seconds = (row.finished_at - row.started_at).total_seconds() if row.finished_at and row.started_at else 0.0
    facts = {
        "run_id": str(execution.run.id),
        "pipeline": execution.run.pipeline,
        "step": row.step,
        "uses": call.step.uses,
        "number": count,
        "status": str(row.status),
        "error": error.type if error else None,
        "seconds": seconds,
        "usage": msgspec.json.decode(row.usage) if row.usage else None,
    }
    if error is not None:
        execution.runtime.log.info("attempt.finished", **facts, message=error.message)
    execution.runtime.observers.notify("attempt_finished", attempt=facts)


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
