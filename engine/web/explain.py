"""Decisions as sentences: why a trigger did or did not start a run."""

from typing import Any

import msgspec

LONGEST = 120  # characters of one shown value


def explain_decision(pipeline: str, trigger: str, matched: bool, reason: str, detail: dict[str, Any]) -> str:
    """One sentence for people; code and values are between backticks."""
    who = f"{pipeline}/{trigger}"
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
        return f"{who} matched, but run `{detail.get('run')}` has the same `dedup` key: `{show(detail.get('key'))}`."
    if reason == "dedup_error":
        return f"{who} could not be decided: its `dedup` failed: {_error(detail)}."
    if reason == "chain_too_long":
        return (
            f"{who} was not tried: a chain of pipelines that wake each other is cut after {detail.get('limit')} events."
        )
    return f"{who} did not match: {reason.replace('_', ' ')}{_values(detail)}."


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
