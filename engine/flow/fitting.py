"""What plugins hand back, made fit to be kept: outputs, errors, events, usage. Nothing here raises."""

import math
from typing import Any

import msgspec

from engine.core.outcome import Failed
from engine.core.run import ErrorInfo
from engine.plugin.api import StepContext, StepError

MAX_OUTPUT = 10_000_000  # bytes of JSON
LONGEST_AFTER = 365 * 86400.0  # seconds somebody may ask to wait


def check_output(output: Any) -> tuple[str, str] | None:
    """Error type and message if the output cannot be kept, else None."""
    try:
        encoded = msgspec.json.encode(output)
    except (msgspec.EncodeError, TypeError, ValueError, RecursionError) as problem:
        return "invalid_output", f"the step returned something that is not JSON: {problem}"
    if len(encoded) > MAX_OUTPUT:
        text = f"the output has {len(encoded):,} bytes, {MAX_OUTPUT:,} are allowed; keep what you need with `output:`"
        return "output_too_large", text
    if b"null" in encoded and (where := _find_odd_number(output)):  # NaN and infinity are written as null
        return "invalid_output", f"the step returned a number that JSON does not have, at {where}"
    return None


def failure_of(problem: StepError, step: str, attempt: int, usage: dict[str, Any] | None) -> Failed:
    """The failure that a plugin raised."""
    data = problem.data if check_output(problem.data) is None else None
    type_ = problem.type if isinstance(problem.type, str) and problem.type else "failed"
    info = ErrorInfo(type=type_, message=text_of(problem.message), step=step, attempt=attempt, data=data)
    after = problem.after if isinstance(problem.after, int | float) and 0 <= problem.after <= LONGEST_AFTER else None
    return Failed(info, retryable=bool(problem.retryable), after=after, usage=usage)


def usage_of(context: StepContext) -> dict[str, Any] | None:
    """What the attempt says it used; None: nothing that could be kept."""
    return context.used if context.used and check_output(context.used) is None else None


def check_emitted(context: StepContext) -> tuple[str, str] | None:
    """Error type and message if an event cannot be kept that the attempt emitted, else None."""
    emitted: list[tuple[Any, Any]] = context.emitted  # their types are a promise
    for type_, body in emitted:
        if not isinstance(type_, str):
            return "invalid_output", f"the step emitted an event whose type is {type(type_).__name__}, not a text"
        if (unfit := check_output(body)) is not None:
            return unfit[0], f"event `{type_}`: {unfit[1].replace('the step returned', 'its body is')}"
    return None


def text_of(value: Any) -> str:
    """The value as text, whatever it is."""
    try:
        text = value if type(value) is str else str(value)
        return text.encode("utf-8", "replace").decode()
    except Exception as problem:  # noqa: BLE001 - it is a stranger's __str__
        return f"(its text cannot be had: {type(problem).__name__})"


def _find_odd_number(value: Any) -> str:
    """Where the first number is that is not a number or infinite; empty: nowhere."""
    todo = [("the output", value)]
    while todo:
        where, item = todo.pop()
        if isinstance(item, float) and not math.isfinite(item):
            return where
        if isinstance(item, dict):
            todo += [(f"{where}.{key}", inner) for key, inner in item.items() if isinstance(inner, float | dict | list)]
        elif isinstance(item, list):
            todo += [(f"{where}[{n}]", inner) for n, inner in enumerate(item) if isinstance(inner, float | dict | list)]
    return ""
