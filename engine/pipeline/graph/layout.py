"""Places of what is drawn: rectangles, lines and texts with coordinates. Every box knows its size and its axis."""

import textwrap
from collections.abc import Callable, Sequence
from html import escape as escape_markup

import msgspec

GAP = 26  # between two steps, room for the arrow
BESIDE = 34  # between a step and what stands beside it
PADDING = 14
COLUMN = 20  # between branches
RAIL = 12  # between branches that need several rows and the lines that lead to them
WIDEST = 1080  # of the branches beside each other; more of them begin a new row
LEAST, MOST = 176, 330  # width of a step
TITLE, DETAIL, NOTE = 8.1, 7.0, 6.7  # room of a character of the three sizes
LINE = 17  # height of a line of text
LINES = 3  # of one note; the rest is in the tooltip
SPAN = 46  # characters of a line of a container's notes

Draw = Callable[[list[str], float, float], None]


class Box(msgspec.Struct):
    """Something with a size. `axis`: where the line of the run enters and leaves, from the left edge."""

    width: float
    height: float
    axis: float
    draw: Draw


class Words(msgspec.Struct, frozen=True):
    """The text of a card."""

    title: str
    detail: str = ""
    notes: tuple[str, ...] = ()
    tooltip: str = ""


def make_card(words: Words, kind: str, *, link: str = "") -> Box:
    """A rectangle with a title, a detail and notes. kind: its class, which is also its icon."""
    wanted = max([TITLE * len(words.title), DETAIL * len(words.detail), *(NOTE * len(note) for note in words.notes)])
    width = min(MOST, max(LEAST, wanted + 52))
    notes = _wrap(words.notes, int((width - 48) / NOTE))
    title = shorten(words.title, int((width - 48) / TITLE))
    detail = wrap(words.detail, int((width - 48) / DETAIL)) if words.detail else []
    height = 20.0 + LINE * (1 + len(detail) + len(notes))

    def draw(out: list[str], x: float, y: float) -> None:
        out.append(f'<a href="{escape(link)}">' if link else "<g>")
        out.append(f"<title>{escape(words.tooltip)}</title>" if words.tooltip else "")
        out.append(f'<rect class="card {kind}" {place(x, y)} {size(width, height)} rx="8"/>')
        out.append(icon(kind, x + 20, y + 18.5))
        _texts(out, x + 36, y + 23, title, detail, notes)
        out.append("</a>" if link else "</g>")

    return Box(width, height, width / 2, draw)


def make_pill(words: Words, kind: str) -> Box:
    """A rounded card: where a run begins and ends."""
    wanted = max([TITLE * len(words.title), *(NOTE * len(note) for note in words.notes)])
    width = min(MOST + 40.0, max(120, wanted + 44))
    room = int((width - 40) / NOTE)
    notes = _wrap(words.notes, room)
    height = 17.0 + LINE * (1 + len(notes))

    def draw(out: list[str], x: float, y: float) -> None:
        out.append("<g>" + (f"<title>{escape(words.tooltip)}</title>" if words.tooltip else ""))
        out.append(f'<rect class="pill {kind}" {place(x, y)} {size(width, height)} rx="{min(height / 2, 20):g}"/>')
        middle = x + width / 2
        out.append(text("title", middle, y + 21.5, shorten(words.title, int((width - 30) / TITLE)), anchor="middle"))
        for row, note in enumerate(notes):
            out.append(text("note", middle, y + 21.5 + LINE * (row + 1), note, anchor="middle"))
        out.append("</g>")

    return Box(width, height, width / 2, draw)


def in_sequence(boxes: Sequence[Box]) -> Box:
    """One below the other, arrows between them."""
    axis = max((box.axis for box in boxes), default=0.0)
    width = axis + max((box.width - box.axis for box in boxes), default=0.0)
    height = sum(box.height for box in boxes) + GAP * max(len(boxes) - 1, 0)

    def draw(out: list[str], x: float, y: float) -> None:
        for number, box in enumerate(boxes):
            if number:
                arrow(out, x + axis, y, y + GAP)
                y += GAP
            box.draw(out, x + axis - box.axis, y)
            y += box.height

    return Box(width, height, axis, draw)


def side_by_side(boxes: Sequence[Box], *, joined_only: bool = False) -> Box:
    """Beside each other with a fork above and a join below; several rows if they are too wide for one."""
    rows: list[list[Box]] = [[]]
    for box in boxes:
        if rows[-1] and sum(item.width + COLUMN for item in rows[-1]) + box.width > WIDEST:
            rows.append([])
        rows[-1].append(box)
    rail = RAIL * 2.0 if len(rows) > 1 else 0.0
    widths = [sum(box.width for box in row) + COLUMN * (len(row) - 1) for row in rows]
    width = max(widths) + 2 * rail
    axis = width / 2
    above = 0.0 if joined_only else GAP
    height = sum(max(box.height for box in row) + above + GAP for row in rows)

    def draw(out: list[str], x: float, y: float) -> None:
        top, bottom = y, y + height
        for row, across in zip(rows, widths, strict=True):
            left = x + (width - across) / 2 if len(rows) == 1 else x + rail
            places = [left + sum(box.width + COLUMN for box in row[:number]) for number in range(len(row))]
            axes = [place + box.axis for place, box in zip(places, row, strict=True)]
            low = y + above + max(box.height for box in row)
            first, last = (x + RAIL / 2, x + width - RAIL / 2) if len(rows) > 1 else (x + axis, x + axis)
            if above:
                line(out, min(first, *axes), y, max(first, *axes), y)
            line(out, min(last, *axes), low + GAP / 2, max(last, *axes), low + GAP / 2)
            for place, center, box in zip(places, axes, row, strict=True):
                if above:
                    arrow(out, center, y, y + above)
                box.draw(out, place, y + above)
                line(out, center, y + above + box.height, center, low + GAP / 2)
            y = low + GAP
        if len(rows) > 1:
            end = bottom - GAP / 2
            line(out, x + RAIL / 2, top, x + axis, top)
            line(out, x + RAIL / 2, top, x + RAIL / 2, end - max(box.height for box in rows[-1]) - GAP / 2 - above)
            first_join = top + above + max(box.height for box in rows[0]) + GAP / 2
            line(out, x + width - RAIL / 2, first_join, x + width - RAIL / 2, end)
            line(out, x + axis, end, x + width - RAIL / 2, end)
        line(out, x + axis, bottom - GAP / 2, x + axis, bottom)

    return Box(width, height, axis, draw)


def with_heading(lines: Sequence[str], box: Box, *, rows: int = 0, tooltip: str = "") -> Box:
    """A box with what it is for above it, centred on its axis. rows: the room is for so many lines."""
    room = NOTE * max((len(item) for item in lines), default=0) / 2 + 4
    axis = max(box.axis, room)
    width = max(axis + box.width - box.axis, axis + room)
    rows = max(rows, len(lines))
    height = box.height + LINE * rows + 6

    def draw(out: list[str], x: float, y: float) -> None:
        out.append("<g>" + (f"<title>{escape(tooltip)}</title>" if tooltip else ""))
        first = y + 13 + LINE * (rows - len(lines)) / 2
        for row, item in enumerate(lines):
            out.append(text("branch", x + axis, first + LINE * row, item, anchor="middle"))
        out.append("</g>")
        box.draw(out, x + axis - box.axis, y + height - box.height)

    return Box(width, height, axis, draw)


def in_frame(words: Words, kind: str, body: Box, *, link: str = "", arrive: str = "nothing") -> Box:
    """A container with its heading. arrive: arrow | line | nothing, from the heading to the body."""
    notes = _wrap(words.notes, SPAN)
    head = TITLE * len(words.title) + (DETAIL * len(words.detail) + 12 if words.detail else 0) + 40
    room = max([head, *(NOTE * len(note) + 36 for note in notes)])
    axis = PADDING + max(body.axis, (min(room, 700) - body.width) / 2 + body.axis if room > body.width else 0)
    width = max(axis + body.width - body.axis + PADDING, room + PADDING)
    top = 32.0 + LINE * len(notes) + (4 if arrive == "nothing" else GAP - 10)
    height = top + body.height + PADDING

    def draw(out: list[str], x: float, y: float) -> None:
        out.append(f'<rect class="frame {kind}" {place(x, y)} {size(width, height)} rx="10"/>')
        out.append(f'<a href="{escape(link)}">' if link else "<g>")
        out.append(f"<title>{escape(words.tooltip)}</title>" if words.tooltip else "")
        out.append(icon(kind, x + 20, y + 18.5))
        out.append(text("title", x + 36, y + 23, words.title))
        if words.detail:
            out.append(text("detail", x + 36 + TITLE * len(words.title) + 12, y + 23, words.detail))
        for row, note in enumerate(notes):
            out.append(text("note", x + 36, y + 23 + LINE * (row + 1), note))
        out.append("</a>" if link else "</g>")
        if arrive == "arrow":
            arrow(out, x + axis, y + top - GAP + 10, y + top)
        elif arrive == "line":  # the run goes through
            line(out, x + axis, y + top - GAP + 10, x + axis, y + top)
            line(out, x + axis, y + height - PADDING, x + axis, y + height)
        body.draw(out, x + axis - body.axis, y + top)

    return Box(width, height, axis, draw)


def with_aside(box: Box, asides: Sequence[tuple[str, Box]]) -> Box:
    """A box and what stands beside it, joined by dashed lines. The axis stays that of the box."""
    if not asides:
        return box
    width = box.width + BESIDE + max(aside.width for _, aside in asides)
    height = max(box.height, sum(aside.height for _, aside in asides) + COLUMN * (len(asides) - 1))

    def draw(out: list[str], x: float, y: float) -> None:
        if box.height < height:  # the way of the run goes on below the taller neighbour
            line(out, x + box.axis, y + box.height, x + box.axis, y + height)
        box.draw(out, x, y)
        left, middle, down = x + box.width, x + box.width + BESIDE / 2, y
        for number, (kind, aside) in enumerate(asides):
            at = down + 18.5
            start = f"M{left:g} {y + 18.5:g}H{middle:g}V{at:g}" if number else f"M{left:g} {at:g}"
            out.append(f'<path class="dash {kind}" d="{start}H{left + BESIDE - 2:g}"/>')
            aside.draw(out, left + BESIDE, down)
            down += aside.height + COLUMN

    return Box(width, height, box.axis, draw)


def arrow(out: list[str], x: float, top: float, bottom: float) -> None:
    """A line down with a head."""
    out.append(f'<path class="line" d="M{x:g} {top:g}V{bottom - 5:g}"/>')
    out.append(f'<path class="head" d="M{x - 4:g} {bottom - 7:g}L{x:g} {bottom - 1:g}L{x + 4:g} {bottom - 7:g}Z"/>')


def line(out: list[str], x: float, y: float, right: float, bottom: float) -> None:
    """A line; nothing if it has no length."""
    if (x, y) != (right, bottom):
        out.append(f'<path class="line" d="M{x:g} {y:g}L{right:g} {bottom:g}"/>')


def text(kind: str, x: float, y: float, value: str, *, anchor: str = "") -> str:
    """One line of text, escaped."""
    at = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text class="{kind}" {place(x, y)}{at}>{escape(value)}</text>'


def escape(value: str) -> str:
    """The text for XML, which knows no control characters."""
    return escape_markup("".join(item if item.isprintable() or item == "\n" else "\ufffd" for item in value))


def place(x: float, y: float) -> str:
    """The attributes of a place."""
    return f'x="{x:g}" y="{y:g}"'


def size(width: float, height: float) -> str:
    """The attributes of a size."""
    return f'width="{width:g}" height="{height:g}"'


ICONS = {
    "call": "M-4-6 6 0-4 6Z",
    "group": "M-6-6H2V2H-6ZM-2 4V6H6V-2H4",
    "parallel": "M-5-6V6M0-6V6M5-6V6",
    "switch": "M0-7 7 0 0 7-7 0Z",
    "wait": "M0-6.5A6.5 6.5 0 1 0 0 6.5 6.5 6.5 0 1 0 0-6.5M0-3.5V0L3 2",
    "loop": "M5.5-2.5A6 6 0 1 0 6 1M6-6V-2H2",
    "fail": "M-5-5 5 5M5-5-5 5",
    "stop": "M-5-5H5V5H-5Z",
    "handler": "M0-6V2M0 5.5V6",
    "undo": "M-2-6-6-2-2 2M-6-2H2A4 4 0 0 1 2 6H-3",
    "notify": "M-6-4H6V4H-6ZL0 1 6-4",
    "always": "M-6 0-2 4 6-5",
}
ROUND = "M0-5A5 5 0 1 0 0 5 5 5 0 1 0 0-5Z"


def icon(kind: str, x: float, y: float) -> str:
    """The sign of a kind of step."""
    return f'<path class="icon {kind}" transform="translate({x:g} {y:g})" d="{ICONS.get(kind, ROUND)}"/>'


def shorten(value: str, room: int) -> str:
    """The text, cut to so many characters."""
    value = "".join(character if character.isprintable() else "\ufffd" for character in value)
    return value if len(value) <= room else value[: max(room - 1, 1)] + "…"


def wrap(value: str, room: int, lines: int = LINES) -> list[str]:
    """The text on at most so many lines."""
    shown = shorten(value, room * lines * 2)
    return textwrap.wrap(shown, room, max_lines=lines, placeholder=" …", break_on_hyphens=False) or [""]


def _wrap(notes: Sequence[str], room: int) -> list[str]:
    return [line for note in notes for line in wrap(note, room)]


def _texts(out: list[str], x: float, y: float, title: str, detail: Sequence[str], notes: Sequence[str]) -> None:
    out.append(text("title", x, y, title))
    for kind, lines in (("detail", detail), ("note", notes)):
        for item in lines:
            y += LINE
            out.append(text(kind, x, y, item))
