"""`dedup:`, `debounce:` and `batch:` of a trigger: which events become runs, and when."""

from typing import Any

from engine.pipeline.checking.expressions import Desk
from engine.pipeline.checking.keys import is_section
from engine.pipeline.checking.limits import read_key
from engine.pipeline.checking.values import need_duration, need_integer
from engine.pipeline.grammar.pipeline import BATCH, DEBOUNCE, DEDUP
from engine.pipeline.inference.names import Names
from engine.pipeline.marks import Path
from engine.pipeline.spec import Batch, Debounce, Dedup

MOST_EVENTS = 10_000  # of one batch


def read_dedup(desk: Desk, path: Path, value: Any, names: Names) -> Dedup | None:
    """From a key, or `{key, window}`."""
    if isinstance(value, str):
        return Dedup(key=read_key(desk, path, value, names))
    if not is_section(desk.source, path, value, DEDUP, "as in `dedup: ${{ event.body.id }}`"):
        return None
    window = _duration(desk, path, value, "window")
    key = read_key(desk, (*path, "key"), value["key"], names) if "key" in value else None
    return Dedup(key=key) if window is None else Dedup(key=key, window=window)


def read_debounce(desk: Desk, path: Path, value: Any, names: Names) -> Debounce | None:
    """From `{key, period, max_wait}`."""
    if not is_section(desk.source, path, value, DEBOUNCE, "as in `debounce: {key: ${{ event.body.id }}, period: 20s}`"):
        return None
    if "period" not in value:
        desk.source.error("E104", path, "`debounce` needs `period`", "as in `period: 20s`", key=True)
    period, longest = _duration(desk, path, value, "period"), _duration(desk, path, value, "max_wait")
    if period is not None and longest is not None and longest < period:
        message = "`max_wait` must not be shorter than `period`"
        desk.source.error("E103", (*path, "max_wait"), message, "it ends a burst that never falls quiet")
    key = read_key(desk, (*path, "key"), value["key"], names) if "key" in value else None
    return Debounce(period=period or 0.0, key=key, max_wait=longest)


def read_batch(desk: Desk, path: Path, value: Any, names: Names) -> Batch | None:
    """From `{key, max_size, max_wait}`."""
    hint = "as in `batch: {max_size: 100, max_wait: 30s}`"
    if not is_section(desk.source, path, value, BATCH, hint):
        return None
    if not {"max_size", "max_wait"} & set(value):
        message = "`batch` needs `max_size`, `max_wait` or both: else it would never end"
        desk.source.error("E104", path, message, hint, key=True)
    size = None
    if "max_size" in value:
        where = (*path, "max_size")
        size = need_integer(desk.source, where, value["max_size"], "`max_size`", least=1, most=MOST_EVENTS)
    key = read_key(desk, (*path, "key"), value["key"], names) if "key" in value else None
    return Batch(key=key, max_size=size, max_wait=_duration(desk, path, value, "max_wait"))


def _duration(desk: Desk, path: Path, value: dict[str, Any], name: str) -> float | None:
    return need_duration(desk.source, (*path, name), value[name], f"`{name}`") if name in value else None
