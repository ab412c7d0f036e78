"""Times: ISO 8601 text in UTC outside, aware datetimes inside."""

import re
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from engine.core.clock import CLOCK as CLOCK_OF_PROCESS
from engine.core.duration import parse_duration
from engine.pipeline.expression.arguments import need_text
from engine.pipeline.expression.errors import Complaint
from engine.pipeline.expression.secret import Secret
from engine.pipeline.expression.values import Frame, is_number, kind, refused_secret

ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?\s?(Z|z|[+-]\d\d:?\d\d)?)?")
LETTERS = frozenset("aAbBcdDeFgGhHIjklmMnpPrRsSTuUVwWxXyYzZ%f")  # what strftime knows on every platform we run on


CLOCK: ContextVar[Callable[[], datetime] | None] = ContextVar("clock", default=None)  # None: the time it is


def now(frame: Frame) -> str:
    """The time; a test's own where one is set, see CLOCK."""
    clock = CLOCK.get()
    return iso(CLOCK_OF_PROCESS.now() if clock is None else clock())


def date(frame: Frame, value: Any, format: Any = None, timezone: Any = None) -> str:
    """The time as text: ISO 8601 in UTC, or in the given format and time zone."""
    moment = parse_moment(value)
    if timezone is not None:
        moment = moment.astimezone(_zone(need_text(timezone, "the time zone")))
    if format is None:
        return moment.isoformat() if timezone is not None else iso(moment)
    text = need_text(format, "the format")
    for letter in re.findall(r"%[-_0^#]?(.?)", text):
        if letter not in LETTERS:
            raise Complaint(f"`%{letter}` is not a part of a date format", "as in '%Y-%m-%d %H:%M'")
    if len(text) > 200:
        raise Complaint("a date format may have 200 characters")
    return moment.strftime(text)


def date_add(frame: Frame, value: Any, duration: Any) -> str:
    """The time plus a duration such as '2h' or '-1d', as ISO 8601 text in UTC."""
    if is_number(duration):
        seconds = float(duration)
    else:
        text = need_text(duration, "the duration")
        sign = -1 if text.startswith("-") else 1
        seconds = sign * _seconds(text.lstrip("+-"))
    try:
        return iso(parse_moment(value) + timedelta(seconds=seconds))
    except OverflowError:
        raise Complaint("the result is not within the years 1 to 9999", code="E223") from None


def duration(frame: Frame, value: Any) -> int | float:
    """The seconds of a duration such as '1h30m'."""
    seconds = _seconds(need_text(value, "the argument of `duration`"))
    return int(seconds) if seconds.is_integer() else seconds


def parse_moment(value: Any) -> datetime:
    """A time: ISO 8601 text (without offset: UTC) or Unix seconds."""
    if isinstance(value, Secret):
        raise refused_secret()
    try:
        if is_number(value):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str) and ISO.fullmatch(value.strip()):
            text = re.sub(r"(\.\d{6})\d+", r"\1", value.strip())
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    shown = f"`{value[:40]}`" if isinstance(value, str) else kind(value)
    raise Complaint(f"{shown} is not a time", "a time is ISO 8601 text or Unix seconds", "E225")


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC, with Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Complaint(f"there is no time zone `{name[:60]}`", "as in 'Europe/Berlin'") from None


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Complaint(str(error), code="E225") from None
