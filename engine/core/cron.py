"""When a schedule fires next: five cron fields in a time zone, with Debian cron's rules for clock changes.

A fixed time that a spring night skips fires at the next time that exists; one that an autumn night repeats fires once.
"""

import re
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from engine.errors import BadValue

LONGEST = 200  # characters
ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FIELDS = {  # as cronsim calls them: what may stand there
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L or LW",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 or SUN-SAT",
}
DAYS = re.compile(r"[0-9]{1,3}(,[0-9]{1,3})*")


def next_tick(cron: str, timezone: str, after: datetime) -> datetime:
    """The first tick later than `after`, in UTC. ValueError as check_cron and check_timezone say."""
    zone = load_zone(timezone)
    ticks = _simulate(cron, after.astimezone(zone))
    try:
        while True:
            # In an hour that is repeated, cronsim counts from its first pass and may name a tick that is over.
            if (tick := next(ticks).astimezone(UTC)) > after:
                return tick
    except StopIteration:
        raise ValueError(f"{cron!r} never fires") from None


def check_cron(cron: str) -> None:
    """ValueError with a hint if this is not five fields or one of the aliases."""
    next_tick(cron, "UTC", datetime(2000, 1, 1, tzinfo=UTC))


def explain_cron(cron: str) -> str:
    """The schedule in words, e.g. "Every fifth minute"."""
    return str(_simulate(cron, datetime(2000, 1, 1, tzinfo=UTC)).explain())


@lru_cache(maxsize=256)
def load_zone(timezone: str) -> ZoneInfo:
    """The IANA time zone. ValueError with a hint if there is none of this name."""
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise BadValue(f"there is no time zone {timezone[:80]!r}", _zone_like(timezone)) from None


def _zone_like(timezone: str) -> str:
    close = get_close_matches(timezone[:80], available_timezones(), n=1, cutoff=0.8)
    return f"did you mean `{close[0]}`?" if close else "write for example UTC or Europe/Berlin"


def _simulate(cron: str, start: datetime) -> CronSim:
    fields = ALIASES.get(cron.strip().lower(), cron)
    if fields.startswith("@"):
        raise BadValue(f"{cron[:LONGEST]!r} is not known", f"write five fields, or one of {', '.join(ALIASES)}")
    if len(fields) > LONGEST or len(fields.split()) != 5:
        raise BadValue(
            f"{cron[:LONGEST]!r} is not five fields",
            "minute hour day-of-month month day-of-week, like 30 9 * * MON-FRI",
        )
    try:
        return CronSim(fields, start)
    except (CronSimError, ValueError, AssertionError) as error:
        raise _explain(fields, str(error)) from None


def _explain(fields: str, error: str) -> BadValue:
    """What is wrong with the field that cronsim names: `hour cannot be 25: 0-23`."""
    values = dict(zip(FIELDS, re.finditer(r"\S+", fields), strict=True))
    name = error.removeprefix("Bad ")
    if name not in values:
        return BadValue(f"{fields!r} is not a schedule", error)
    value = values[name][0]
    if name == "day-of-month" and DAYS.fullmatch(value) and all(1 <= int(day) <= 31 for day in value.split(",")):
        return BadValue(f"{fields!r} never fires", f"month {values['month'][0]} has no day {value}")
    label = name.replace("-", " ")
    message = f"{label} cannot be {value}"
    return BadValue(message, f"{label}: {FIELDS[name]}", span=values[name].span(), text=f"{message}: {FIELDS[name]}")
