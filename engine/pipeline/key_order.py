"""The order of keys where it means nothing: the formatter writes it, and versions do not depend on it."""

from collections.abc import Sequence
from typing import Any

ANY = "*"
# From one place of a pipeline to the next: in a map by key, in a list by ANY. What is not here holds data, or keys
# whose order counts (`vars`) or is the author's own (`with`, `inputs`, `parallel`).
PLACES: dict[str, dict[str, str]] = {
    "pipeline": {"triggers": "triggers", "steps": "steps", "on_error": "steps", "finally": "steps"},
    "triggers": {ANY: "trigger"},
    "steps": {ANY: "step"},
    "step": {
        "steps": "steps",
        "parallel": "branches",
        "switch": "cases",
        "wait": "wait",
        "on_error": "steps",
        "compensate": "steps",
    },
    "branches": {ANY: "steps"},
    "cases": {ANY: "case"},
    "case": {"steps": "steps", "else": "steps"},
    "wait": {"approval": "approval"},
    "approval": {"notify": "steps"},
}
# Keys of one group stay in the author's order; groups come in this one.
GROUPS: dict[str, tuple[tuple[str, ...], ...]] = {
    "pipeline": (
        ("id",),
        ("name",),
        ("description",),
        ("enabled",),
        ("labels",),
        ("triggers",),
        ("inputs",),
        ("concurrency", "rate_limit", "timeout", "start_timeout", "defaults", "vars"),
        ("steps",),
        ("on_error",),
        ("finally",),
        ("outputs",),
    ),
    "trigger": (("id",), ("uses",), ("with",), ("if", "inputs", "dedup", "debounce", "batch"), ("respond",)),
    "step": (
        ("id",),
        ("name",),
        ("if",),
        ("for_each", "repeat"),
        ("uses",),
        ("with",),
        ("steps", "parallel", "switch", "wait"),
        (
            "idempotency_key",
            "queue",
            "concurrency",
            "rate_limit",
            "timeout",
            "retry",
            "on_unknown",
            "cache",
            "output",
            "sensitive",
        ),
        ("on_error",),
        ("compensate",),
    ),
    "case": (("if",), ("steps",), ("else",)),
}
RANKS = {place: {key: rank for rank, keys in enumerate(groups) for key in keys} for place, groups in GROUPS.items()}


def step_into(place: str, key: str | int) -> str:
    """The place that a key or an index leads to; an empty text if it is none of ours."""
    known = PLACES.get(place, {})
    return known.get(ANY, "") if isinstance(key, int) else known.get(key) or known.get(ANY, "")


def sorted_places(place: str, keys: Sequence[str]) -> list[int]:
    """The indices of the keys in the usual order. A key that is not ours stays behind the one before it."""
    ranks = RANKS.get(place)
    if ranks is None:
        return list(range(len(keys)))
    wanted, last = [], -1
    for key in keys:
        last = ranks.get(key, last)
        wanted.append(last)
    return sorted(range(len(keys)), key=wanted.__getitem__)


def in_usual_order(data: Any, place: str = "pipeline") -> Any:
    """The same data with the keys of pipelines, triggers, steps and branches in the usual order."""
    if not place:
        return data
    if isinstance(data, dict):
        keys = list(data)
        ordered = [keys[index] for index in sorted_places(place, [str(key) for key in keys])]
        return {key: in_usual_order(data[key], step_into(place, str(key))) for key in ordered}
    if isinstance(data, list):
        return [in_usual_order(item, step_into(place, index)) for index, item in enumerate(data)]
    return data
