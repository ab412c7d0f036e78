"""Hold a run against what its test expects."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.core.duration import parse_duration
from engine.pipeline.expression import ExpressionError, parse_condition
from engine.pipeline.expression.errors import did_you_mean
from engine.simulation.matching import MISSING, Mismatch, Path, compare, in_order, show, show_path
from engine.simulation.result import Failure, Result

IMPLIES = ("outcome", "error", "compensated", "response")  # without one of them the run must have succeeded


def check(expect: Mapping[str, Any], result: Result, filters: Mapping[str, Any] | None = None) -> list[Failure]:
    """Everything that is not as expected. What is not listed does not matter; but a run should succeed."""
    if result.problems:
        return [Failure("", problem) for problem in result.problems]
    failures = _outcome(expect, result)
    for key, compare_key in CHECKS.items():
        if key == "outputs" and failures and result.outputs is None:
            continue  # the run did not get that far, which has been said
        if key in expect and expect[key] is not None:
            failures += compare_key(expect[key], result)
    failures += _assertions(expect.get("assert") or [], result, filters)
    return failures


def _outcome(expect: Mapping[str, Any], result: Result) -> list[Failure]:
    if any(key in expect for key in IMPLIES):
        if result.outcome == "not_triggered" and result.error is not None and "error" not in expect:
            return [
                Failure("expect.outcome", f"no run was started, by mistake: {result.reason}", ("expect", "outcome"))
            ]
        wanted = expect.get("outcome", result.outcome)
    else:
        wanted = "succeeded"
    if wanted == result.outcome:
        return []
    text = f"expected {wanted}, got {result.outcome}"
    return [Failure("expect.outcome", text + _because(result), ("expect", "outcome"), wanted, result.outcome)]


def _because(result: Result) -> str:
    if result.reason:
        return f": {result.reason}"
    if result.error is not None:
        where = f" in step `{result.error['step']}`" if result.error.get("step") else ""
        return f": {result.error.get('type')}{where}: {result.error.get('message')}"
    return f": {result.message}" if result.message else ""


def _partial(key: str, get: Callable[[Result], Any]) -> Callable[[Any, Result], list[Failure]]:
    def check_key(expected: Any, result: Result) -> list[Failure]:
        got = get(result)
        if got is None and expected is not None:
            got = MISSING
        return _failures(("expect", key), compare(expected, got))

    return check_key


def _failures(base: Path, mismatches: list[Mismatch]) -> list[Failure]:
    return [_failure((*base, *item.path), item) for item in mismatches]


def _failure(path: Path, item: Mismatch) -> Failure:
    note = f" ({item.note})" if item.note else ""
    text = f"expected {show(item.expected)}, got {show(item.got)}{note}"
    return Failure(show_path(path), text, path, item.expected, item.got)


def _response(expected: Any, result: Result) -> list[Failure]:
    """Header names are compared in small letters."""
    got = result.response
    if got is None:
        return _failures(("expect", "response"), [Mismatch((), expected, MISSING, "nobody is answered")])
    actual = dict(got) | {"headers": {name.lower(): value for name, value in (got.get("headers") or {}).items()}}
    failures: list[Failure] = []
    for key, value in expected.items():
        if key == "headers" and isinstance(value, dict):
            for name, wanted in value.items():
                found = actual["headers"].get(name.lower(), MISSING)
                failures += _failures(("expect", "response", "headers", name), compare(wanted, found))
        else:
            failures += _failures(("expect", "response", key), compare(value, actual.get(key, MISSING)))
    return failures


def _ran(expected: list[str], result: Result) -> list[Failure]:
    missing = in_order([_bare(name, result) for name in expected], result.order)
    if missing is None:
        return []
    index = [_bare(name, result) for name in expected].index(missing)
    path = ("expect", "ran", index)
    ran = f"these ran: {', '.join(result.order) or 'none'}"
    if missing not in result.order:
        status = (result.steps.get(missing) or {}).get("status")
        how = "was skipped" if status == "skipped" else "did not run"
        return [Failure("expect.ran", f"`{missing}` {how}; {ran}", path, expected, result.order)]
    return [Failure("expect.ran", f"`{missing}` did not run after `{expected[index - 1]}`; {ran}", path)]


def _not_ran(expected: list[str], result: Result) -> list[Failure]:
    return [
        Failure("expect.not_ran", f"`{name}` ran", ("expect", "not_ran", index))
        for index, name in enumerate(expected)
        if _bare(name, result) in result.order
    ]


def _skipped(expected: list[str], result: Result) -> list[Failure]:
    return [
        Failure(
            "expect.skipped",
            f"`{name}` was not skipped: it {_status(result, name)}",
            ("expect", "skipped", index),
        )
        for index, name in enumerate(expected)
        if (result.steps.get(name) or {}).get("status") != "skipped"
    ]


def _status(result: Result, name: str) -> str:
    status = (result.steps.get(name) or {}).get("status", "not_run")
    return "did not run" if status == "not_run" else status


def _bare(name: str, result: Result) -> str:
    """The name as it stands in the order of the run; `page/alert` is `alert` of the pipeline that `page` calls."""
    return name if name in result.order else name.rpartition("/")[2]


def _steps(expected: dict[str, Any], result: Result) -> list[Failure]:
    failures: list[Failure] = []
    for name, wanted in expected.items():
        step = result.steps.get(name) or result.steps.get(name.rpartition("/")[2])
        base: Path = ("expect", "steps", name)
        if step is None:
            hint = did_you_mean(name, result.steps)
            failures.append(Failure(show_path(base), f"there is no step `{name}`{'; ' * bool(hint)}{hint}", base))
            continue
        for key, value in (wanted or {}).items():
            path = (*base, key)
            if key == "calls":
                count = len(step["calls"])
                if count != value:
                    text = f"expected {value} calls, there were {count}"
                    failures.append(Failure(show_path(path), text, path, value, count))
                continue
            if step["status"] == "not_run" and key != "status":
                failures.append(Failure(show_path(path), f"`{name}` did not run", path, value))
                continue
            got = step.get(key)
            failures += _failures(path, compare(value, MISSING if got is None and value is not None else got))
    return failures


def _elapsed(expected: Any, result: Result) -> list[Failure]:
    """A duration such as `3d1h`, or the text that `elapsed` is in assertions."""
    text = str(expected)
    try:
        fits = abs(parse_duration(text) - result.elapsed) < 0.0005
    except ValueError:
        fits = text == result.duration
    path: Path = ("expect", "elapsed")
    got = result.duration
    return [] if fits else [Failure("expect.elapsed", f"expected {text}, got {got}", path, expected, got)]


def _text(key: str, get: Callable[[Result], Any]) -> Callable[[Any, Result], list[Failure]]:
    def check_key(expected: Any, result: Result) -> list[Failure]:
        got = get(result)
        return _failures(("expect", key), compare(str(expected), MISSING if got is None else str(got)))

    return check_key


def _assertions(expected: list[Any], result: Result, filters: Mapping[str, Any] | None) -> list[Failure]:
    failures: list[Failure] = []
    scope = result.scope()
    for index, text in enumerate(expected):
        path: Path = ("expect", "assert", index)
        source = str(text).lower() if isinstance(text, bool) else str(text)
        try:
            expression = parse_condition(source, filters=filters)
            if expression.condition(scope):
                continue
        except ExpressionError as error:
            failures.append(Failure("expect.assert", f"`{source}` cannot be evaluated: {error}", path))
            continue
        values = "".join(f"\n  {name} is {show(value)}" for name, value in expression.explain(scope).items())
        failures.append(Failure("expect.assert", f"`{source}` is false{values}", path))
    return failures


CHECKS: dict[str, Callable[[Any, Result], list[Failure]]] = {
    "error": _partial("error", lambda result: result.error),
    "message": _text("message", lambda result: result.message or None),
    "ran": _ran,
    "not_ran": _not_ran,
    "skipped": _skipped,
    "outputs": _partial("outputs", lambda result: result.outputs),
    "response": _response,
    "labels": _partial("labels", lambda result: result.labels),
    "key": _text("key", lambda result: result.key),
    "emitted": _partial("emitted", lambda result: result.emitted),
    "started": _partial("started", lambda result: result.started),
    "compensated": _partial("compensated", lambda result: result.compensated),
    "steps": _steps,
    "elapsed": _elapsed,
}
