"""What stands in for steps with side effects: found by id, step type or glob, answered call by call."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from engine.core.duration import parse_duration
from engine.core.outcome import Failed, Outcome, Succeeded
from engine.core.run import ErrorInfo
from engine.pipeline.expression import ExpressionError, Template, compile_template

RETRYABLE = frozenset({"timeout", "network", "rate_limited", "server_error"})  # unless the mock says otherwise


class Answer(msgspec.Struct, frozen=True):
    """One answer of a mock. Exactly one of output and error is there."""

    output: Template | None = None
    error: ErrorInfo | None = None
    retryable: bool = False
    retry_after: float | None = None
    kept: bool = False  # the output is what the step keeps: its `output:` is not evaluated
    seconds: float = 0.0  # how long it takes


class Mock(msgspec.Struct):
    """What one name answers. A list is used up call by call."""

    name: str
    answers: tuple[Answer, ...]
    listed: bool
    used: int = 0

    def next(self) -> Answer | None:
        """The answer to the next call; None: a list is used up."""
        self.used += 1
        if not self.listed:
            return self.answers[0]
        return self.answers[self.used - 1] if self.used <= len(self.answers) else None


class Mocks:
    """The mocks of one test."""

    def __init__(self, given: Mapping[str, Any], filters: Mapping[str, Any]) -> None:
        self.mocks = {name: _mock(name, item, filters) for name, item in given.items()}

    def find(self, names: Iterable[str], uses: str, *, real: bool = False) -> Mock | None:
        """The one for a step: its id beats its type, its type beats a glob, a longer glob a shorter one.

        real: the step can be carried out, so that only its own name or its type's stands in for it.
        """
        for name in (*names, uses):
            if name in self.mocks:
                return self.mocks[name]
        if real:
            return None
        fitting = [name for name in self.mocks if fnmatchcase(uses, name)]
        return self.mocks[max(fitting, key=len)] if fitting and uses else None

    def unused(self) -> list[str]:
        """Names of mocks that nobody asked."""
        return [name for name, mock in self.mocks.items() if not mock.used]


def answer(given: Answer, *, with_: Any, attempt: int, step: str) -> Outcome:
    """What the call comes to. A mock whose own expressions fail is an error of type `mock`."""
    if given.error is not None:
        error = msgspec.structs.replace(given.error, step=step, attempt=attempt)
        timed_out = error.type == "timeout"
        return Failed(error, retryable=given.retryable, after=given.retry_after, timed_out=timed_out)
    try:
        output = given.output.render({"with": with_, "attempt": attempt}) if given.output is not None else None
    except ExpressionError as error:
        return Failed(ErrorInfo(type="mock", message=f"the mock's output: {error}", step=step, attempt=attempt))
    return Succeeded(output)


def _mock(name: str, item: Any, filters: Mapping[str, Any]) -> Mock:
    listed = isinstance(item, list)
    return Mock(name, tuple(read_answer(one, filters) for one in (item if listed else [item])), listed)


def read_answer(item: Mapping[str, Any], filters: Mapping[str, Any]) -> Answer:
    seconds = parse_duration(item["after"]) if "after" in item else 0.0
    if "error" in item:
        error = item["error"] or {}
        type_ = error.get("type", "failed")
        return Answer(
            error=ErrorInfo(type=type_, message=error.get("message", type_), data=error.get("data")),
            retryable=error.get("retryable", type_ in RETRYABLE),
            retry_after=parse_duration(error["after"]) if "after" in error else None,
            seconds=seconds,
        )
    if "kept" in item:
        return Answer(output=compile_template(literal(item["kept"])), kept=True, seconds=seconds)
    return Answer(output=compile_template(item["output"], filters=filters), seconds=seconds)


def literal(value: Any) -> Any:
    """The value with `${{` in its texts escaped: what is kept was recorded and is data."""
    if isinstance(value, str):
        return value.replace("${{", "$${{")
    if isinstance(value, dict):
        return {key: literal(item) for key, item in value.items()}
    return [literal(item) for item in value] if isinstance(value, list) else value
