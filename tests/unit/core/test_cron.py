"""When a schedule fires: fields, aliases, clock changes, and what the author is told."""

import contextlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.cron import ALIASES, check_cron, load_zone, next_tick
from engine.errors import BadValue


def at(text: str) -> datetime:
    """A moment in UTC, written without its zone."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ticks(cron: str, timezone: str, after: str, number: int) -> list[str]:
    """The next ticks, in UTC without seconds and zone."""
    found, moment = [], at(after)
    for _ in range(number):
        moment = next_tick(cron, timezone, moment)
        found.append(moment.strftime("%Y-%m-%dT%H:%M"))
    return found


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("*/5 * * * *", "2026-01-01T00:02", "2026-01-01T00:05"),
        ("*/5 * * * *", "2026-01-01T00:05", "2026-01-01T00:10"),  # later than, never the same
        ("30 9 * * MON-FRI", "2026-01-02T10:00", "2026-01-05T09:30"),  # Friday to Monday
        ("0 0 29 2 *", "2026-01-01T00:00", "2028-02-29T00:00"),
        ("0 0 L * *", "2026-02-01T00:00", "2026-02-28T00:00"),
        ("0 0 * * 7", "2026-01-01T00:00", "2026-01-04T00:00"),  # 7 is Sunday too
        ("0 0 13 * FRI", "2026-01-01T00:00", "2026-01-02T00:00"),  # both days named: either counts
        ("@hourly", "2026-01-01T00:00", "2026-01-01T01:00"),
        ("@daily", "2026-01-01T00:00", "2026-01-02T00:00"),
        ("@weekly", "2026-01-01T00:00", "2026-01-04T00:00"),
        ("@monthly", "2026-01-01T00:00", "2026-02-01T00:00"),
        ("@Yearly ", "2026-01-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_fields_and_aliases(cron: str, after: str, expected: str) -> None:
    """Five fields as cron reads them, or a word."""
    assert next_tick(cron, "UTC", at(after)) == at(expected)


@pytest.mark.parametrize(
    ("cron", "timezone", "after", "expected"),
    [
        # Riga, 29 March 2026: 03:00 becomes 04:00 (01:00 UTC). 03:30 does not exist: fires as soon as time goes on.
        ("30 3 * * *", "Europe/Riga", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        ("30 2 * * *", "Europe/Riga", "2026-03-28T12:00", ["2026-03-29T00:30", "2026-03-29T23:30"]),
        ("*/30 * * * *", "Europe/Riga", "2026-03-29T00:15", ["2026-03-29T00:30", "2026-03-29T01:00"]),
        # Riga, 25 October 2026: 04:00 becomes 03:00 (01:00 UTC). 03:30 comes twice: fires the first time.
        ("30 3 * * *", "Europe/Riga", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        (
            "*/30 * * * *",  # an interval goes on through both passes
            "Europe/Riga",
            "2026-10-24T23:45",
            ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T02:00"],
        ),
        # Santiago, 6 September 2026: midnight itself is skipped, 00:00 becomes 01:00 (04:00 UTC).
        ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", ["2026-09-06T04:00", "2026-09-07T03:00"]),
        # New York, 1 November 2026: 02:00 becomes 01:00 (06:00 UTC).
        ("15 1 * * *", "America/New_York", "2026-11-01T00:00", ["2026-11-01T05:15", "2026-11-02T06:15"]),
        ("@daily", "Asia/Kolkata", "2026-01-01T00:00", ["2026-01-01T18:30", "2026-01-02T18:30"]),
    ],
)
def test_clock_changes(cron: str, timezone: str, after: str, expected: list[str]) -> None:
    """A fixed time that is skipped fires at the change, one that is repeated fires once, intervals go on."""
    assert ticks(cron, timezone, after, len(expected)) == expected


@given(
    cron=st.sampled_from(["*/20 * * * *", "30 3 * * *", "0 1-4 * * *", "15 2 * * SUN"]),
    timezone=st.sampled_from(["Europe/Riga", "America/Santiago", "America/New_York"]),
    first=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    later=st.timedeltas(timedelta(0), timedelta(hours=30)),
)
def test_looking_again_loses_no_tick(cron: str, timezone: str, first: datetime, later: timedelta) -> None:
    """Whoever looks at any moment before the next tick is told the same tick, in spring and autumn as well."""
    tick = next_tick(cron, timezone, first)
    assert tick > first
    between = min(first + later, tick - timedelta(microseconds=1))
    assert next_tick(cron, timezone, between) == tick


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("0 25 * * *", "hour cannot be 25: 0-23"),
        ("61 * * * *", "minute cannot be 61: 0-59"),
        ("*/0 * * * *", "minute cannot be */0: 0-59"),
        ("0 0 32 * *", "day of month cannot be 32: 1-31, L or LW"),
        ("0 0 * 13 *", "month cannot be 13: 1-12 or JAN-DEC"),
        ("0 0 * * MOND", "day of week cannot be MOND: 0-7 or SUN-SAT"),
        ("0 0 31 2 *", "'0 0 31 2 *' never fires: month 2 has no day 31"),
    ],
)
def test_a_wrong_field_is_named(cron: str, message: str) -> None:
    """The author is told which field, what stands there and what may."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_cron(cron)


@pytest.mark.parametrize("cron", ["", "* * * *", "0 0 * * * *", "every day", "0 " * 200])
def test_five_fields_are_asked_for(cron: str) -> None:
    """Fewer, more (seconds) or none: an example is shown."""
    with pytest.raises(ValueError, match="is not five fields: minute hour day-of-month month day-of-week, like 30 9"):
        check_cron(cron)


def test_an_unknown_alias_lists_those_there_are() -> None:
    """@reboot means nothing here."""
    with pytest.raises(ValueError, match="@reboot") as raised:
        check_cron("@reboot")
    assert all(alias in str(raised.value) for alias in ALIASES)


@given(st.text(max_size=40) | st.text("0123456789*/-,LW# MONJAF", max_size=30))
def test_any_text_is_a_schedule_or_a_value_error(cron: str) -> None:
    """Nothing else escapes, whatever is written."""
    with contextlib.suppress(ValueError):
        check_cron(cron)
        assert next_tick(cron, "UTC", at("2026-01-01T00:00")) > at("2026-01-01T00:00")


def test_the_place_of_a_wrong_field_is_known() -> None:
    """For a caret under it; what may stand there is said apart."""
    with pytest.raises(BadValue) as raised:
        check_cron("25  25 * * *")
    assert (raised.value.message, raised.value.help) == ("hour cannot be 25", "hour: 0-23")
    assert raised.value.span == (4, 6)


def test_a_time_zone_that_is_nearly_right_is_named() -> None:
    """Most wrong names are typing errors."""
    with pytest.raises(ValueError, match="there is no time zone 'Europe/Rigga': did you mean `Europe/Riga`\\?"):
        load_zone("Europe/Rigga")


@pytest.mark.parametrize("timezone", ["Mars/Base", "", "../etc/passwd", "/etc/localtime", "a\0b", "x" * 5000])
def test_an_unknown_time_zone_is_a_value_error(timezone: str) -> None:
    """A name that is none is told with an example; a path is never opened."""
    with pytest.raises(ValueError, match="write for example UTC or Europe/Berlin"):
        load_zone(timezone)
