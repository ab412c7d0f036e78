"""Pictures as SVG, made on the server: the timeline of a run, the last day's outcomes."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from markupsafe import Markup
from msgspec import Struct

from engine.core.duration import format_duration

WIDTH = 1000
ROW, BAR = 26, 13
LEFT, RIGHT = 190, 92  # room for the names and for the durations
NAME = 26  # characters of a step's name that fit
CHART, AXIS = 120, 20  # height of the bars and of the hours below them
MARKS = 4


class Span(Struct, frozen=True):
    """One attempt on the timeline. `end` None: it runs still."""

    step: str
    number: int
    status: str
    start: datetime
    end: datetime | None


class Hour(Struct, frozen=True):
    """How runs ended within one hour."""

    start: datetime
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


def draw_timeline(spans: Sequence[Span], *, start: datetime, end: datetime) -> Markup:
    """A waterfall: one row per step, one bar per attempt, dashes between them. Empty without spans."""
    if not spans:
        return Markup("")
    steps = list(dict.fromkeys(span.step for span in spans))
    total = max((end - start).total_seconds(), 0.001)
    width = WIDTH - LEFT - RIGHT
    height = len(steps) * ROW + AXIS + 4

    def x(moment: datetime) -> float:
        return LEFT + width * min(1.0, max(0.0, (moment - start).total_seconds() / total))

    parts = [_open(height, f"Timeline of {len(steps)} steps over {format_duration(total)}")]
    for mark in range(MARKS + 1):
        at = LEFT + width * mark / MARKS
        anchor = "start" if mark == 0 else "end" if mark == MARKS else "middle"
        parts.append(
            Markup('<line class="grid" x1="{0}" y1="0" x2="{0}" y2="{1}"/>').format(f"{at:.1f}", height - AXIS)
        )
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
                f"{at:.1f}", height - 5, anchor, format_duration(total * mark / MARKS) if mark else "0"
            )
        )
    for row, step in enumerate(steps):
        parts.append(_timeline_row([span for span in spans if span.step == step], row * ROW + 4, x, end))
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def _timeline_row(spans: Sequence[Span], top: int, x: Callable[[datetime], float], end: datetime) -> Markup:
    middle = top + BAR / 2 + 2
    name = spans[0].step if len(spans[0].step) <= NAME else spans[0].step[: NAME - 1] + "…"
    parts = [
        Markup('<text class="name" x="0" y="{}">{}<title>{}</title></text>').format(middle + 4, name, spans[0].step)
    ]
    first, last = x(spans[0].start), x(spans[-1].end or end)
    if len(spans) > 1:
        parts.append(
            Markup('<line class="gap" x1="{}" y1="{y}" x2="{}" y2="{y}"/>').format(
                f"{first:.1f}", f"{last:.1f}", y=middle
            )
        )
    for span in spans:
        left, seconds = x(span.start), ((span.end or end) - span.start).total_seconds()
        title = (
            f"{span.step}, attempt {span.number}: {span.status.replace('_', ' ')}, {format_duration(max(0.0, seconds))}"
        )
        parts.append(
            Markup('<rect class="f-{}" x="{}" y="{}" width="{}" height="{}" rx="3"><title>{}</title></rect>').format(
                span.status, f"{left:.1f}", top + 2, f"{max(3.0, x(span.end or end) - left):.1f}", BAR, title
            )
        )
    whole = ((spans[-1].end or end) - spans[0].start).total_seconds()
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
            WIDTH, middle + 4, format_duration(max(0.0, whole))
        )
    )
    return Markup("").join(parts)


def draw_hours(hours: Sequence[Hour]) -> Markup:
    """Stacked bars of how runs ended, one per hour, oldest first."""
    most = max([2, *(hour.succeeded + hour.failed + hour.cancelled for hour in hours)])
    most += most % 2  # so that the middle line is a whole number
    slot = (WIDTH - 40) / max(1, len(hours))
    total = sum(hour.succeeded + hour.failed + hour.cancelled for hour in hours)
    parts = [_open(CHART + AXIS + 8, f"{total} runs ended in the last {len(hours)} hours")]
    for share in (0.0, 0.5, 1.0):
        y = 6 + CHART * (1 - share)
        parts.append(Markup('<line class="grid" x1="36" y1="{y}" x2="{}" y2="{y}"/>').format(WIDTH, y=f"{y:.1f}"))
        label = _figure(most * share)
        parts.append(Markup('<text x="30" y="{}" text-anchor="end">{}</text>').format(f"{y + 4:.1f}", label))
    for place, hour in enumerate(hours):
        parts.append(_hour_bar(hour, 40 + place * slot, slot, most))
        if place % 4 == 0:
            parts.append(
                Markup('<text x="{}" y="{}">{}</text>').format(
                    f"{40 + place * slot:.1f}", CHART + AXIS + 4, hour.start.strftime("%H:%M")
                )
            )
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def _hour_bar(hour: Hour, left: float, slot: float, most: int) -> Markup:
    parts, y = [], 6.0 + CHART
    for status, count in (("succeeded", hour.succeeded), ("failed", hour.failed), ("cancelled", hour.cancelled)):
        if count:
            height = max(2.0, CHART * count / most)
            y -= height
            parts.append(
                Markup('<rect class="f-{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                    status, f"{left + 1:.1f}", f"{y:.1f}", f"{slot - 5:.1f}", f"{height:.1f}"
                )
            )
    until = hour.start + timedelta(hours=1)
    title = (
        f"{hour.start:%H:%M} to {until:%H:%M} UTC: {hour.succeeded} succeeded, {hour.failed} failed, "
        f"{hour.cancelled} cancelled"
    )
    return Markup("<g>{}<title>{}</title></g>").format(Markup("").join(parts), title)


def _figure(count: float) -> str:
    return f"{count / 1000:.3g}k" if count >= 10_000 else f"{count:g}"


def _open(height: float, title: str) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, height, title)
