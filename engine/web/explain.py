"""Decisions as sentences: why a trigger did or did not start a run."""

from typing import Any

import msgspec

LONGEST = 120  # characters of one shown value
WAITING = {"debounced": "a run with the last event of its burst", "batched": "a run with its batch"}
GONE = {
    "pipeline_removed": "the pipeline is not deployed any more",
    "trigger_removed": "the pipeline has no such trigger any more",
    "event_gone": "the event is not stored any more",
}


def explain_decision(pipeline: str, trigger: str, matched: bool, reason: str, detail: dict[str, Any]) -> str:
    """One sentence for people; code and values are between backticks."""
    who = f"{pipeline}/{trigger}"
    if reason in WAITING:
        return f"{who} matched: {_waits(reason, detail)}."
    if matched:
        return f"{who} matched."
    if reason == "event_type":
        return f"{who} did not match: {_event_type(detail)}."
    if reason == "condition_false":
        return f"{who} did not match: `{detail.get('condition', 'its condition')}` was false{_values(detail)}."
    if reason == "condition_error":
        condition = detail.get("condition", "its condition")
        return f"{who} could not be decided: `{condition}` failed: {_error(detail)}{_values(detail)}."
    if reason == "invalid_inputs":
        return f"{who} matched, but its inputs were refused: {_problems(detail)}."
    if reason == "disabled":
        return f"{who} was not tried: the pipeline is disabled (`enabled: false`)."
    if reason == "duplicate":
        first = f"run `{detail['run']}`" if "run" in detail else f"event `{detail.get('event')}`"
        return f"{who} matched, but {first} has the same `dedup` key: `{show(detail.get('key'))}`."
    if reason in ("dropped", "superseded"):
        return f"{who} matched, but its run `{detail.get('run')}` was {detail.get('why') or reason}."
    if reason == "limit_error":
        return f"{who} matched, but its limit has no value: {_error(detail)}."
    if reason in ("dedup_error", "debounce_error", "batch_error"):
        return f"{who} could not be decided: its `{reason[:-6]}` failed: {_error(detail)}."
    if reason in GONE:
        events = f"{detail.get('size')} events" if detail.get("size") != 1 else "the event"
        return f"no run came of {events} that waited for {who}: {GONE[reason]}. Replay what should run all the same."
    if reason == "chain_too_long":
        return (
            f"{who} was not tried: a chain of pipelines that wake each other is cut after {detail.get('limit')} events."
        )
    return f"{who} did not match: {reason.replace('_', ' ')}{_values(detail)}."


def _waits(reason: str, detail: dict[str, Any]) -> str:
    key = f" for the key `{show(detail['key'])}`" if "key" in detail else ""
    due = detail.get("due_at")
    when = f"at {due}, unless other events change that" if due else "when it is full"
    return f"{WAITING[reason]}{key} starts {when}"


def show(value: Any) -> str:
    """A value as JSON, cut to a readable length."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        text = repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _event_type(detail: dict[str, Any]) -> str:
    wanted, seen = detail.get("wanted"), detail.get("type")
    listed = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
    names = " or ".join(f"`{name}`" for name in listed)
    if names and seen:
        return f"it wants {names}, and this is `{seen}`"
    return f"it does not want `{seen}`" if seen else "it wants other types of event"


def _values(detail: dict[str, Any]) -> str:
    values = detail.get("values")
    if not isinstance(values, dict) or not values:
        return ""
    return "; " + ", ".join(f"`{name}` = `{show(value)}`" for name, value in values.items())


def _error(detail: dict[str, Any]) -> str:
    return str(detail.get("error") or "no reason was given").rstrip(".")


def _problems(detail: dict[str, Any]) -> str:
    problems = detail.get("problems") or detail.get("errors")
    if isinstance(problems, list):
        parts = [f"`{item.get('name')}` {item.get('message')}" for item in problems if isinstance(item, dict)]
        if parts:
            return "; ".join(parts).rstrip(".")
    return _error(detail)
