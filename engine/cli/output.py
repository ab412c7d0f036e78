"""What commands print: JSON for machines, aligned text for people, colours only on a terminal."""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

Json = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="Print JSON, and nothing else, on standard output."),
]

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline: data must not steer the terminal
COLORS = {
    "succeeded": "32", "ok": "32", "matched": "32",
    "failed": "31", "timed_out": "31", "error": "31", "wrong": "31",
    "running": "36", "queued": "34", "waiting": "33", "warning": "33",
    "cancelled": "35", "interrupted": "35", "skipped": "2", "cached": "2",
}  # fmt: skip
BOLD, FAINT, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"


def print_json(value: Any) -> None:
    """One JSON document, indented, on standard output."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2)
    sys.stdout.write(text.decode() + "\n")


def print_json_line(value: Any) -> None:
    """One JSON document on one line: for streams."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(value, enc_hook=str).decode() + "\n")
    sys.stdout.flush()


def say(text: str = "") -> None:
    """A line for people on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A line for people on standard error: progress, and what is not the result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def complain(message: str, *, hint: str = "") -> None:
    """An error on standard error, without a traceback."""
    note(f"{paint('error', RED, stream=sys.stderr)}: {clean(message)}")
    if hint:
        note(f"  {hint}")


def clean(value: Any) -> str:
    """Text that cannot move the cursor or change colours."""
    return CONTROL.sub("\ufffd", str(value))


def in_color(stream: Any = None) -> bool:
    """Whether this stream is a terminal that wants colours (https://no-color.org)."""
    stream = stream or sys.stdout
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, color: str, *, stream: Any = None) -> str:
    """The text in an ANSI colour where colours are wanted."""
    return f"\x1b[{color}m{text}\x1b[0m" if color and in_color(stream) else text


def paint_status(status: str) -> str:
    """A status word in its colour."""
    return paint(clean(status), COLORS.get(status, ""))


def table(rows: Iterable[Sequence[Any]], head: Sequence[str], *, status: int | None = None) -> None:
    """Aligned columns on standard output; the column `status` is coloured. The last column is never padded."""
    cells = [[" ".join(clean("" if cell is None else cell).split()) for cell in row] for row in rows]
    widths = [max([len(title), *(len(row[i]) for row in cells)]) for i, title in enumerate(head)]
    say(paint(_aligned(head, widths), FAINT))
    for row in cells:
        if status is None:
            say(_aligned(row, widths))
            continue
        before, word, after = row[:status], row[status], row[status + 1 :]
        parts = [
            _aligned(before, widths, last=False),
            paint(word.ljust(widths[status] * bool(after)), COLORS.get(word, "")),
        ]
        say(("".join(parts) + (("  " + _aligned(after, widths[status + 1 :])) if after else "")).rstrip())


def _aligned(cells: Sequence[str], widths: Sequence[int], *, last: bool = True) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=False)]
    if last:
        return "  ".join(padded).rstrip()
    return "".join(cell + "  " for cell in padded)


def ago(moment: str | None) -> str:
    """How long ago an ISO time was: `12 s`, `3 min 5 s`; empty for None."""
    from datetime import UTC, datetime

    from engine.core.duration import format_duration

    if not moment:
        return ""
    seconds = max((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds(), 0.0)
    return f"{format_duration(seconds) if seconds >= 60 else f'{seconds:.0f} s'} ago"


def compact(value: Any, width: int = 400) -> str:
    """A value as one line of JSON, cut to the width."""
    import msgspec

    text = clean(msgspec.json.encode(value, enc_hook=str).decode())
    return text if len(text) <= width else text[: width - 1] + "…"
