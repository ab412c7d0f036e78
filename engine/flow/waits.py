"""When a wait for a time is over. The rest of `wait:` is the environment's business."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.core.duration import parse_duration
from engine.pipeline.expression import ExpressionError, Template
from engine.pipeline.expression.errors import Complaint
from engine.pipeline.expression.moments import parse_moment
from engine.pipeline.spec import Wait


def end_of(wait: Wait, scope: Mapping[str, Any], began: datetime) -> datetime | None:
    """The time that `for` or `until` names; None if the wait is for something else. ExpressionError if it is none."""
    if wait.until is not None:
        try:
            return parse_moment(wait.until.render(scope))
        except Complaint as complaint:
            raise ExpressionError(f"until: {complaint.message}") from None
    seconds = seconds_of(wait.for_, scope, "for")
    try:
        return None if seconds is None else began + timedelta(seconds=seconds)
    except OverflowError:
        raise ExpressionError("for: nobody can wait that long") from None


def seconds_of(template: Template | None, scope: Mapping[str, Any], name: str) -> float | None:
    """The duration that a template yields, in seconds; None without one. ExpressionError if it is none."""
    if template is None:
        return None
    value = template.render(scope)
    if not isinstance(value, str):
        raise ExpressionError(f"{name}: a duration is a text such as 30s, 5m, 1h30m")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ExpressionError(f"{name}: {error}") from None
