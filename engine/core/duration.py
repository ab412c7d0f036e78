"""Durations as authors write them: `500ms`, `30s`, `5m`, `2h`, `3d`, `1w`, `1h30m`."""

import re
from functools import lru_cache

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
PART = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d|w)")


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> float:
    """Seconds for a written duration; ValueError with a hint if it is not one."""
    position, seconds = 0, 0.0
    for part in PART.finditer(text):
        if part.start() != position:
            break
        seconds += float(part[1]) * UNITS[part[2]]
        position = part.end()
    if position != len(text) or not text:
        raise ValueError(f"{text!r} is not a duration: write for example 500ms, 30s, 5m, 2h, 3d, 1h30m")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest usual form for people: `12 ms`, `3.4 s`, `2 min 5 s`, `3 h 10 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
