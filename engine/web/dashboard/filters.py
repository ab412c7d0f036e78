"""How values are written on the pages."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from markupsafe import Markup, escape

from engine.core.duration import format_duration
from engine.pipeline.evaluation import show_shortened

LONGEST = 100_000  # characters of one shown value; the API has all of it
LONGEST_PREVIEW = 140


def iso(moment: datetime) -> str:
    """For the datetime attribute."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def exact(moment: datetime) -> str:
    """To the millisecond, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d} UTC"


def ago(moment: datetime) -> str:
    """How long ago, or in how long; app.js keeps it right afterwards, with the same words."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    size = abs(seconds)
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if size >= length:
            text = f"{int(size // length)} {unit}"
            break
    else:
        text = f"{int(size)} s"
    if seconds < 0:
        return f"in {text}"
    return "just now" if size < 2 else f"{text} ago"


def pretty(data: Any) -> str:
    """JSON over several lines. A lone text is shown as it is; stored secrets are shown by name."""
    if isinstance(data, msgspec.Raw):
        data = msgspec.json.decode(data)
    text = data if isinstance(data, str) else msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… {len(text) - LONGEST} more characters"


def preview(data: Any) -> str:
    """The beginning of some JSON, on one line."""
    text = bytes(data).decode() if isinstance(data, msgspec.Raw) else msgspec.json.encode(data).decode()
    return text if len(text) <= LONGEST_PREVIEW else text[:LONGEST_PREVIEW] + "…"


def short(id: UUID | str) -> str:
    """The end of an id: the part that differs between neighbours."""
    return str(id)[-8:]


def words(name: Any) -> str:
    """A status or reason as words: `timed_out` -> `timed out`."""
    return str(name).replace("_", " ")


def ticks(text: str) -> Markup:
    """Text in which `...` becomes code; everything is escaped."""
    parts = re.split(r"`([^`]*)`", text)
    return Markup("").join(  # parts at odd places stood between backticks
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


FILTERS = {
    "iso": iso,
    "exact": exact,
    "ago": ago,
    "pretty": pretty,
    "preview": preview,
    "shortened": show_shortened,
    "short": short,
    "words": words,
    "ticks": ticks,
    "duration": format_duration,
}
