"""`retry:`, `on_unknown:` and `cache:` of a step."""

from typing import Any

from engine.core.catalog import Effect
from engine.core.retry import RetryPolicy
from engine.pipeline.checking.expressions import Desk, compile_condition
from engine.pipeline.checking.keys import check_keys
from engine.pipeline.checking.limits import read_key
from engine.pipeline.checking.values import (
    describe,
    need_bool,
    need_duration,
    need_integer,
    need_list,
    need_number,
    need_text,
    need_word,
)
from engine.pipeline.defaults import CALL
from engine.pipeline.grammar.section import ON_UNKNOWN
from engine.pipeline.grammar.steps import CACHE, RETRY
from engine.pipeline.inference.names import Names
from engine.pipeline.marks import Path
from engine.pipeline.spec import Cache, Retry

MAX_ATTEMPTS = 100


def read_retry(desk: Desk, path: Path, value: Any, names: Names) -> Retry | None:
    """From a number of attempts, or a map."""
    source = desk.source
    if isinstance(value, int) and not isinstance(value, bool):
        attempts = need_integer(source, path, value, "`retry`", least=1, most=MAX_ATTEMPTS)
        return Retry(RetryPolicy(attempts=attempts or 1))
    if not isinstance(value, dict):
        hint = "as in `retry: 3` or `retry: {attempts: 3, delay: 2s}`"
        source.error("E103", path, f"`retry` must be a number or a map, this is {describe(value)}", hint)
        return None
    check_keys(source, path, value, RETRY)
    policy: dict[str, Any] = {"attempts": 3}
    if "attempts" in value:
        where = (*path, "attempts")
        number = need_integer(source, where, value["attempts"], "`attempts`", least=1, most=MAX_ATTEMPTS)
        policy["attempts"] = number or 1
    for name in ("delay", "max_delay", "max_elapsed"):
        if name in value:
            seconds = need_duration(source, (*path, name), value[name], f"`{name}`")
            policy |= {name: seconds} if seconds is not None else {}
    if "factor" in value:
        factor = need_number(source, (*path, "factor"), value["factor"], "`factor`", least=1, most=100)
        policy |= {"factor": float(factor)} if factor is not None else {}
    if "jitter" in value:
        policy["jitter"] = need_bool(source, (*path, "jitter"), value["jitter"], "`jitter`", default=True)
    if "errors" in value:
        errors = need_list(source, (*path, "errors"), value["errors"], "`errors`")
        policy["errors"] = tuple(
            need_text(source, (*path, "errors", index), item, "an error type") for index, item in enumerate(errors)
        )
    when = None
    if "when" in value:
        known = names if "error" in names.roots else names.adding("error")
        when = compile_condition(desk, (*path, "when"), value["when"], known)
    return Retry(RetryPolicy(**policy), when)


def read_on_unknown(desk: Desk, path: Path, value: Any, uses: str) -> str:
    """What follows an outcome that nobody knows. Only where doing it twice can be seen."""
    type_ = desk.catalog.steps.get(uses)
    if uses.startswith(CALL):
        message = "`on_unknown` does not go with the call of a pipeline"
        desk.source.error("E142", path, message, "give it to the steps of that pipeline that need it", key=True)
    elif type_ is not None and type_.effect == Effect.PURE:
        message = f"`on_unknown` does not go with `{uses}`, which is {type_.effect}"
        desk.source.error("E142", path, message, "it can be run again without harm: remove the line", key=True)
    return need_word(desk.source, path, value, "`on_unknown`", ON_UNKNOWN) or "retry"


def read_cache(desk: Desk, path: Path, value: Any, names: Names) -> Cache | None:
    """From a duration, or `{key, ttl}`."""
    source = desk.source
    if not isinstance(value, dict):
        seconds = need_duration(source, path, value, "`cache`")
        return Cache(ttl=seconds) if seconds is not None else None
    check_keys(source, path, value, CACHE)
    key = read_key(desk, (*path, "key"), value["key"], names) if "key" in value else None
    if "ttl" not in value:
        source.error("E104", path, "`cache` needs `ttl`", "as in `cache: {key: ..., ttl: 1h}`")
        return None
    seconds = need_duration(source, (*path, "ttl"), value["ttl"], "`ttl`")
    return Cache(ttl=seconds, key=key) if seconds is not None else None
