"""The events of a test as expressions see them."""

from datetime import datetime
from typing import Any

from engine.pipeline.expression.moments import iso

EVENT_KEYS = frozenset({"id", "source", "type", "time", "headers", "query", "path_params", "body"})


def make_event(given: dict[str, Any], *, number: int, at: datetime, source: str = "", type: str = "") -> dict[str, Any]:
    """All fields of an event. number: makes its id, if it has none; source, type: where it does not say."""
    headers = given.get("headers") or {}
    return {
        "id": given.get("id", f"evt-{number}"),
        "source": given.get("source", source),
        "type": given.get("type", type),
        "time": given.get("time", iso(at)),
        "headers": {str(name).lower(): value for name, value in headers.items()},
        "query": given.get("query") or {},
        "path_params": given.get("path_params") or {},
        "body": given.get("body"),
    }
