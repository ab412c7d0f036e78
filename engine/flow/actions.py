"""The attempts of one step that does something itself: an action, or the call of a pipeline.

Every run of a `repeat` is an attempt: they are numbered on, and `steps.ID.attempts` counts them all. `retry.attempts`
counts within one run, `repeat.max` counts runs. A run that did not satisfy `until` is kept as a success that is due
again.
"""

import asyncio
import contextlib
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import msgspec

from engine.core.catalog import Effect, StepType
from engine.core.outcome import EndRun, Failed, Proceed, RetryAfter, Stopped, Succeeded, decide
from engine.core.retry import RetryPolicy
from engine.core.run import AttemptStatus, ErrorInfo
from engine.flow.attempts import FAILURES, as_text, failure_of, make_row, observe, refuse
from engine.flow.chain import TOO_LONG, ChainTooLong
from engine.flow.execution import NEVER, Call, Done, Execution, counted
from engine.flow.frame import Frame, OutOfTime, RunStopped, StepGaveUp
from engine.flow.routing import reach
from engine.flow.unknown import UNKNOWN_OUTCOME, cares, counted_deaths, describe, is_unknown, lost_answer, may_repeat
from engine.pipeline.expression import ExpressionError, from_stored, to_stored
from engine.pipeline.spec import Cache, Repeat, Step
from engine.plugin.api import StepError
from engine.store import AttemptRow, StoredAttempt

IN_PROCESS = 5.0  # seconds: a shorter delay sleeps here, a longer one releases the worker
MAX_DEATHS = 3  # a step whose worker died this often is given up: it may be what kills them
STOP = "stop"  # marks the attempt of a `stop` step, so that a resumed run ends there again
IDEMPOTENT_ATTEMPTS = 3

Perform = Callable[[Execution, Frame, Call, int, int, datetime], Awaitable[Done]]  # count, number, when it began


async def run_action(execution: Execution, frame: Frame, step: Step, key: str) -> datetime:
    """Carry out an action until it has succeeded; when that was. Raises StepGaveUp or RunStopped."""
    earlier = execution.stored.get(key) or []
    if earlier and (finished := take_over(frame, step, earlier)) is not None:
        return finished
    if frame.recalling or execution.hold.reason or execution.hold.draining:
        await ready(execution, frame, step, earlier)
    if step.queue is not None or frame.queue is not None or execution.environment.pool.queues:
        await reach(execution, frame, step, key)
    type_ = execution.environment.catalog.steps.get(step.uses)
    if type_ is None:
        raise refuse(execution, step, key, "unknown_step", f"step type `{step.uses}` is not installed on this worker")
    if earlier:
        await _judge_lost(execution, step, key, type_, earlier)
    return await run_attempts(execution, frame, step, key, type_, earlier, _perform)


def take_over(frame: Frame, step: Step, earlier: list[StoredAttempt]) -> datetime | None:
    """What an earlier visit finished: when, or None if there is something left to do. A finished step never repeats."""
    last = earlier[-1]
    if last.due_at is not None:
        return None
    if last.status in FAILURES:
        raise failure_of(last)
    if last.status == AttemptStatus.SKIPPED:  # by a person
        frame.show(step, "skipped", attempts=counted(earlier[:-1]))
        return last.finished_at
    if last.status != AttemptStatus.SUCCEEDED:
        return None
    output = msgspec.json.decode(last.output) if last.output is not None else None
    if last.error is not None:
        stopped = msgspec.json.decode(last.error, type=ErrorInfo)
        if stopped.type == STOP:
            raise RunStopped(stopped.message, output)
    frame.show(
        step,
        "succeeded",
        output=output,
        cached=last.cached,
        attempts=counted(earlier),
        started_at=as_text(earlier[0].started_at),
        finished_at=as_text(last.finished_at),
    )
    assert last.finished_at is not None
    return last.finished_at


async def _judge_lost(
    execution: Execution, step: Step, key: str, type_: StepType, earlier: list[StoredAttempt]
) -> None:
    """Return if an attempt that a worker took to its grave may be followed by another one."""
    if cares(step, type_) and is_unknown(earlier):
        await _stop_at_unknown(execution, step, key, earlier[-1], len(earlier) + 1)
    deaths = counted_deaths(earlier)
    if deaths >= MAX_DEATHS:
        text = f"given up: the worker died {deaths} times while this step ran"
        raise refuse(execution, step, key, "interrupted", text)


async def _stop_at_unknown(execution: Execution, step: Step, key: str, last: AttemptRow, number: int) -> None:
    """Nobody knows what an attempt came to: do as the author says. Does not return."""
    text = describe(step, last)
    if step.on_unknown == "fail":
        raise refuse(execution, step, key, UNKNOWN_OUTCOME, text, number=number)
    await execution.park(NEVER, f"a decision about {text}")


async def ready(execution: Execution, frame: Frame, step: Step, earlier: list[StoredAttempt]) -> None:
    """Return if something new may be begun."""
    if frame.recalling:
        if earlier:
            frame.show(step, "cancelled", attempts=counted(earlier))
        raise OutOfTime
    if execution.hold.reason == "cancel":  # the cancellation itself was swallowed by somebody's library
        raise asyncio.CancelledError
    if execution.hold.draining:
        await execution.park(None, "the worker stops")


async def run_attempts(
    execution: Execution,
    frame: Frame,
    step: Step,
    key: str,
    type_: StepType,
    earlier: list[StoredAttempt],
    perform: Perform,
    *,
    opened: StoredAttempt | None = None,
) -> datetime:
    """Attempts from where earlier ones left off. opened: the last one goes on where it was, it is not a new one."""
    if earlier and (due_at := earlier[-1].due_at) is not None:
        await wait_until(execution, due_at, f"another attempt of step {step.id or key}")
    try:
        call = _prepare(execution, frame, step, key, type_, earlier)
        hit = await _cached(execution, frame, call, step.cache) if step.cache is not None else None
    except ExpressionError as error:
        raise refuse(execution, step, key, "expression", str(error)) from None
    if hit is not None:
        moment = execution.environment.now()
        return await _succeed(execution, frame, call, hit, number=len(earlier) + 1, count=0, started=moment)
    return await _try(execution, frame, call, earlier[:-1] if opened else earlier, perform, opened)


def _prepare(
    execution: Execution, frame: Frame, step: Step, key: str, type_: StepType, earlier: list[StoredAttempt]
) -> Call:
    """Inputs are rendered once: a retry and a resume repeat the same call with the same idempotency key."""
    stored = next((attempt.input for attempt in earlier if attempt.input is not None), None)
    if stored is not None:
        plain = msgspec.json.decode(stored)
        rendered = from_stored(plain) if step.with_.secrets else plain
    else:
        rendered = step.with_.render(frame.scope)
        stored = execution.encode(to_stored(rendered) if step.with_.secrets else rendered)
    idempotency_key = f"{execution.run.key_run or execution.run.id}/{key}"
    if step.idempotency_key is not None:
        idempotency_key = str(step.idempotency_key.render(frame.scope))
    return Call(step, key, type_, rendered, stored, idempotency_key, step.timeout or type_.timeout)


async def _try(
    execution: Execution,
    frame: Frame,
    call: Call,
    earlier: list[StoredAttempt],
    perform: Perform,
    opened: StoredAttempt | None,
) -> datetime:
    environment, step = execution.environment, call.step
    policy = _policy(execution, call)
    number, before, runs = len(earlier), 0, 1  # before: attempts of earlier runs of a `repeat`
    if step.repeat is not None:
        over = [index for index, row in enumerate(earlier) if row.status == AttemptStatus.SUCCEEDED]
        before, runs = counted(earlier[: over[-1] + 1]) if over else 0, len(over) + 1
    count = counted(earlier) - before if earlier else 0
    began = earlier[0].started_at if earlier and earlier[0].started_at else environment.now()
    begun = began if runs == 1 else environment.now()
    unlimited = (step.concurrency is None and step.rate_limit is None) or _only_looks(execution, frame)
    while True:
        number, count = number + 1, count + 1
        current = call if runs == 1 else _again(call, runs)
        attempt = _attempt(execution, frame, current, number, count, perform, opened)
        done, started = await (attempt if unlimited else _in_turn(execution, frame, current, number, attempt))
        opened = None
        outcome, elapsed, allowed = done.outcome, 0.0, True
        if isinstance(outcome, Failed):
            outcome = msgspec.structs.replace(outcome, error=execution.error(outcome.error))
            elapsed = (environment.now() - begun).total_seconds()
            allowed = _allowed(execution, frame, step, outcome)
        verdict = decide(outcome, attempt=count, policy=policy, elapsed=elapsed, allowed=allowed)
        if isinstance(outcome, Succeeded) and isinstance(verdict, Proceed):
            if done.emitted:
                await _emit(execution, current, done.emitted, number)
            if step.repeat is None or _satisfied(execution, frame, call, step.repeat, outcome, number):
                return await _succeed(
                    execution, frame, call, outcome, number=number, count=before + count, started=started
                )
            due_at = _next_run(execution, call, step.repeat, outcome, runs=runs, number=number, began=began)
            row = make_row(
                execution, call, number, AttemptStatus.SUCCEEDED, started, outcome.output, outcome=outcome,
                due_at=due_at,
            )  # fmt: skip
            execution.pending.append(row)
            observe(execution, call, row, before + count)
            await wait_until(execution, due_at, f"another run of step {step.id or call.key}")
            before, count, runs, begun = before + count, 0, runs + 1, environment.now()
            continue
        if isinstance(outcome, Stopped) and isinstance(verdict, EndRun):
            mark = ErrorInfo(type=STOP, message=outcome.message)
            row = make_row(execution, call, number, AttemptStatus.SUCCEEDED, started, outcome.output, mark)
            execution.pending.append(row)
            frame.show(step, "succeeded", output=outcome.output, attempts=before + count)
            raise RunStopped(outcome.message, outcome.output)
        assert isinstance(outcome, Failed)
        status = AttemptStatus.TIMED_OUT if outcome.timed_out else AttemptStatus.FAILED
        if isinstance(verdict, RetryAfter) and cares(step, call.type) and (lost := lost_answer(outcome)) is not None:
            row = make_row(execution, call, number, AttemptStatus.INTERRUPTED, started, outcome=outcome)
            row = msgspec.structs.replace(row, error=lost)
            execution.pending.append(row)
            await _stop_at_unknown(execution, step, call.key, row, number + 1)
        retry_at = environment.now() + timedelta(seconds=verdict.seconds) if isinstance(verdict, RetryAfter) else None
        row = make_row(execution, call, number, status, started, None, outcome.error, outcome=outcome, due_at=retry_at)
        execution.pending.append(row)
        observe(execution, call, row, before + count, outcome.error)
        if retry_at is None:
            raise StepGaveUp(outcome.error)
        await wait_until(execution, retry_at, f"another attempt of step {step.id or call.key}")


async def _emit(execution: Execution, call: Call, emitted: list[tuple[str, Any]], number: int) -> None:
    try:
        await execution.environment.emit(execution, call, emitted)
    except ChainTooLong as problem:
        raise refuse(execution, call.step, call.key, TOO_LONG, str(problem), number=number) from None


def _perform(
    execution: Execution, frame: Frame, call: Call, count: int, number: int, started: datetime
) -> Awaitable[Done]:
    return execution.environment.perform(execution, frame, call, count)


def _only_looks(execution: Execution, frame: Frame) -> bool:
    """Whether a call that is under way is only gone through again: nothing begins, so it needs no turn."""
    return frame.recalling or execution.hold.reason == "cancel"


async def _in_turn(
    execution: Execution, frame: Frame, call: Call, number: int, attempt: Coroutine[Any, Any, tuple[Done, datetime]]
) -> tuple[Done, datetime]:
    """The attempt, when its limits let it. It counts as begun only then."""
    try:
        async with execution.environment.slot(execution, frame, call.step, call.key):
            return await attempt
    except StepGaveUp as refusal:
        error = refusal.error
        raise refuse(execution, call.step, call.key, error.type, error.message, number=number) from None
    finally:
        attempt.close()


async def _attempt(
    execution: Execution,
    frame: Frame,
    call: Call,
    number: int,
    count: int,
    perform: Perform,
    opened: StoredAttempt | None,
) -> tuple[Done, datetime]:
    """One attempt, recorded as begun unless it has been; when it began."""
    suspect = call.step.shape == "action" and counted_deaths(execution.stored.get(call.key, ())) >= MAX_DEATHS - 1
    async with execution.environment.alone() if suspect else contextlib.nullcontext():
        started = execution.environment.now()
        if opened is not None:
            started = opened.started_at or started
        else:
            await _mark(execution, call, number, started)
        return await _interruptible(execution, frame, call, number, count, started, perform), started


async def _mark(execution: Execution, call: Call, number: int, started: datetime) -> None:
    """Record that the attempt has begun. What finished before is committed before an effect can start.

    The record itself can wait, unless it must be known for sure that it has begun: its author cares, or workers of
    this run have died, and whichever step it was is to be found out.
    """
    volatile, died = call.step.with_.volatile, execution.run.deaths > 0
    if call.type.effect == Effect.PURE and not volatile and not died:
        return  # nothing to protect: it rides on the next commit as finished
    waits = volatile or died or execution.unconfirmed or cares(call.step, call.type)
    execution.pending.append(
        AttemptRow(step=call.key, number=number, status=AttemptStatus.RUNNING, input=call.stored, started_at=started)
    )
    if waits:
        await execution.checkpoint()
    else:
        execution.checkpoint_later()


async def _interruptible(
    execution: Execution, frame: Frame, call: Call, number: int, count: int, started: datetime, perform: Perform
) -> Done:
    """The attempt; if it must be let go of, it is given back."""
    try:
        return await perform(execution, frame, call, count, number, started)
    except asyncio.CancelledError:
        if execution.hold.reason != "lost":
            row = make_row(execution, call, number, AttemptStatus.INTERRUPTED, started)
            if execution.hold.reason == "stop":
                row = msgspec.structs.replace(row, error=may_repeat("the worker stopped and gave the attempt back"))
            execution.pending.append(row)
            frame.show(call.step, "cancelled", attempts=count - 1)
        raise


async def _succeed(
    execution: Execution,
    frame: Frame,
    call: Call,
    outcome: Succeeded,
    *,
    number: int,
    count: int,
    started: datetime,
) -> datetime:
    output, step = outcome.output, call.step
    try:
        if step.output is not None:
            output = step.output.render(frame.scope.extended(result=output))
        row = make_row(execution, call, number, AttemptStatus.SUCCEEDED, started, output, outcome=outcome)
    except ExpressionError as error:
        raise refuse(execution, step, call.key, "expression", f"output: {error}", number=number) from None
    execution.pending.append(row)
    if not outcome.cached and step.cache is not None:
        await _remember(execution, frame, call, step.cache, outcome.output)
    frame.show(
        step,
        "succeeded",
        output=output,
        cached=outcome.cached,
        attempts=count,
        started_at=as_text(started),
        finished_at=as_text(row.finished_at),
    )
    observe(execution, call, row, count)
    assert row.finished_at is not None
    return row.finished_at


def _satisfied(execution: Execution, frame: Frame, call: Call, repeat: Repeat, outcome: Succeeded, number: int) -> bool:
    try:
        return repeat.until.condition(frame.scope.extended(result=outcome.output))
    except ExpressionError as error:
        text = f"repeat.until: {error}"
        raise refuse(execution, call.step, call.key, "expression", text, number=number) from None


def _next_run(
    execution: Execution, call: Call, repeat: Repeat, outcome: Succeeded, *, runs: int, number: int, began: datetime
) -> datetime:
    """When a step that is not satisfied runs again; StepGaveUp if its runs or its time are used up."""
    due_at = execution.environment.now() + timedelta(seconds=repeat.every)
    if repeat.max is not None and runs >= repeat.max:
        text = f"`until` was still false after {runs} run{'s' if runs > 1 else ''}"
    elif repeat.max_elapsed is not None and (due_at - began).total_seconds() > repeat.max_elapsed:
        text = f"`until` was still false when `max_elapsed` of {timedelta(seconds=repeat.max_elapsed)} was over"
    else:
        return due_at
    raise refuse(execution, call.step, call.key, "timeout", text, number=number)


def _again(call: Call, runs: int) -> Call:
    """A further run of a `repeat` is a call of its own, unless the author gave it a key."""
    if call.step.idempotency_key is not None:
        return call
    return dataclasses.replace(call, idempotency_key=f"{call.idempotency_key}#{runs}")


async def wait_until(execution: Execution, due_at: datetime, reason: str) -> None:
    """Wait: here if it is soon, else as a due run that no worker holds."""
    environment = execution.environment
    delay = (due_at - environment.now()).total_seconds()
    if delay <= 0:
        return
    here = environment.sleeps_through or execution.closing
    if not here and (delay > IN_PROCESS or execution.hold.draining):
        await execution.park(due_at, reason)
        return
    execution.checkpoint_later()
    await environment.sleep(delay)


async def _cached(execution: Execution, frame: Frame, call: Call, cache: Cache) -> Succeeded | None:
    found, output = await execution.environment.cache_get(_cache_key(frame, call, cache))
    return Succeeded(output, cached=True) if found else None


async def _remember(execution: Execution, frame: Frame, call: Call, cache: Cache, output: Any) -> None:
    environment = execution.environment
    try:
        await environment.cache_set(_cache_key(frame, call, cache), output, cache.ttl)
    except StepError as error:  # a cache that is away must not fail a step that succeeded
        environment.log.warning("cache.unwritten", step=call.key, error=error.message)


def _cache_key(frame: Frame, call: Call, cache: Cache) -> str:
    """Without a key, equal types, versions and inputs share an output everywhere. A written key stays in its step."""
    owner = f"{call.type.name}@{call.type.version}"
    if cache.key is None:
        return f"step:{owner}:{hashlib.sha256(call.stored).hexdigest()}"
    key = msgspec.json.encode(cache.key.render(frame.scope))
    place = f"{frame.pipeline.id}:{call.step.key}"
    return f"step:{owner}:{place}:{hashlib.sha256(key).hexdigest()}"


def _policy(execution: Execution, call: Call) -> RetryPolicy:
    retry, environment = call.step.retry, execution.environment
    if retry is not None:
        policy = retry.policy
    else:
        policy = RetryPolicy(attempts=IDEMPOTENT_ATTEMPTS if call.type.effect == Effect.IDEMPOTENT else 1)
    return policy if environment.jitter else msgspec.structs.replace(policy, jitter=False)


def _allowed(execution: Execution, frame: Frame, step: Step, outcome: Failed) -> bool:
    if step.retry is None or step.retry.when is None:
        return True
    try:
        return step.retry.when.condition(frame.scope.extended(error=msgspec.to_builtins(outcome.error)))
    except ExpressionError as error:
        execution.environment.log.warning("retry.when_failed", step=step.key, error=str(error))
        return False
