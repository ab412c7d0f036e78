"""Call one plugin once and say what came of it. Nothing is judged or stored here."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from engine.core.catalog import Effect
from engine.core.outcome import Failed, Stopped, Succeeded
from engine.core.run import ErrorInfo
from engine.flow.child import Children
from engine.flow.contain import TimedOut, Unfit, call_function, count_leaked
from engine.flow.execution import Call, Done, Execution
from engine.flow.fitting import check_emitted, check_output, failure_of, text_of, usage_of
from engine.pipeline.expression import reveal
from engine.pipeline.spec import DEFAULT_STEP_TIMEOUT
from engine.plugin import translate
from engine.plugin.api import StepContext, StepError, Stop
from engine.runtime import Runtime
from engine.watchdog import Blocked


class MissingSecretError(Exception):
    """A step names a secret that is not set."""


async def execute(runtime: Runtime, execution: Execution, call: Call, *, attempt: int) -> Done:
    """Validate the inputs and call the plugin within its time. Only cancellation escapes as an exception."""
    step, limit = call.step, call.timeout or DEFAULT_STEP_TIMEOUT
    context = StepContext(
        run_id=execution.run.id,
        pipeline=execution.run.pipeline,
        step=call.key,
        attempt=attempt,
        idempotency_key=call.idempotency_key,
        timeout=limit,
        log=runtime.log,
        http=runtime.http,
        cache=runtime.cache,
        documents=runtime.store.documents,
        runs=Children(execution, call),
        options=runtime.options,
        emitted=[],
        used={},
    )

    def failed(type_: str, message: str, *, retryable: bool = False, timed_out: bool = False) -> Done:
        error = ErrorInfo(type=type_, message=message, step=step.id or call.key, attempt=attempt)
        return Done(Failed(error, retryable=retryable, timed_out=timed_out, usage=usage_of(context)))

    def leak(task: asyncio.Task[Any]) -> None:
        where = {"run_id": str(execution.run.id), "step": call.key, "step_type": step.uses}
        runtime.log.error("step.leaked", **where, leaked=count_leaked())

    config = read_config(call, execution.environment.lookup_secret, attempt=attempt)
    if isinstance(config, Done):
        return config
    try:
        output = await call_function(call.type.function, config, context, limit, leak)
    except Stop as stop:
        if (unfit := check_output(stop.output) or check_emitted(context)) is not None:
            return failed(*unfit)
        return Done(Stopped(text_of(stop.message), stop.output), context.emitted)
    except StepError as problem:
        return Done(failure_of(problem, step.id or call.key, attempt, usage_of(context)))
    except httpx.HTTPError as problem:  # a plugin that uses the client as it is
        known = translate(problem, where=step.uses, timeout=limit)
        return failed(known.type, known.message, retryable=known.retryable)
    except TimedOut:
        return failed(
            "timeout",
            f"{step.uses} did not finish within {limit:g} s",
            retryable=call.type.effect != Effect.EFFECT,
            timed_out=True,
        )
    except TimeoutError:
        return failed("timeout", f"{step.uses} ran into a time-out of its own", retryable=True, timed_out=True)
    except MemoryError:
        return failed("memory", f"{step.uses} needs more memory than this worker may use")
    except Blocked as problem:
        facts = {"step_type": step.uses, "place": problem.place, "seconds": round(problem.seconds, 1)}
        runtime.log.error("step.blocked", **facts)  # noqa: TRY400 - the place says it all
        return failed("blocked", f"{step.uses} {problem}; its function must await, or use `asyncio.to_thread`")
    except Unfit as problem:
        return failed(problem.type, f"{step.uses} {problem}")
    except Exception as problem:  # a plugin may raise anything; the run must hear of it
        runtime.log.exception("step.broken", step_type=step.uses)
        return failed("plugin", f"{step.uses} failed: {type(problem).__name__}: {text_of(problem)}")
    if (unfit := check_output(output) or check_emitted(context)) is not None:
        return failed(*unfit)
    return Done(Succeeded(output, usage=usage_of(context)), context.emitted)


def read_config(call: Call, lookup_secret: Callable[[str], str | None], *, attempt: int) -> Any:
    """The validated config of a call with its secrets in place; a Done says why there is none."""

    def lookup(name: str) -> str:
        value = lookup_secret(name)
        if value is None:
            raise MissingSecretError(f"the secret {name} is not set: add it to the secrets file or the environment")
        return value

    try:
        plain = reveal(call.rendered, lookup) if call.step.with_.secrets else call.rendered
        if call.type.whole:
            plain = {"value": plain}
        return msgspec.convert(plain, call.type.config, strict=True)
    except MissingSecretError as problem:
        kind, message = "secret", str(problem)
    except msgspec.ValidationError as problem:
        kind, message = "invalid_input", f"{call.step.uses}: {problem}"
    return Done(Failed(ErrorInfo(type=kind, message=message, step=call.step.id or call.key, attempt=attempt)))
