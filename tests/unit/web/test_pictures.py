"""Pictures as SVG."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

from engine.web.dashboard.pictures import Hour, Span, draw_hours, draw_timeline

START = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = '"><script>alert(1)</script>'


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def rectangles(svg: str) -> list[ET.Element]:
    return [node for node in ET.fromstring(svg).iter() if node.tag.endswith("rect")]


def test_bars_are_as_long_as_their_attempts() -> None:
    """Start and width are in proportion to time."""
    spans = [Span("a", 1, "failed", at(0), at(1)), Span("a", 2, "succeeded", at(2), at(4))]
    first, second = rectangles(draw_timeline(spans, start=at(0), end=at(4)))
    widths = [float(node.attrib["width"]) for node in (first, second)]
    assert widths[1] == 2 * widths[0]
    assert float(second.attrib["x"]) == float(first.attrib["x"]) + 2 * widths[0]
    assert (first.attrib["class"], second.attrib["class"]) == ("f-failed", "f-succeeded")


def test_a_running_attempt_ends_now() -> None:
    """Its bar reaches the right edge."""
    spans = [Span("a", 1, "running", at(1), None), Span("b", 1, "succeeded", at(0), at(4))]
    running, whole = rectangles(draw_timeline(spans, start=at(0), end=at(4)))
    right = [float(node.attrib["x"]) + float(node.attrib["width"]) for node in (running, whole)]
    assert right[0] == right[1]


def test_odd_times_stay_in_the_picture() -> None:
    """Clocks of two machines may differ; nothing has no length, nothing leaves the frame."""
    spans = [Span("a", 1, "succeeded", at(-5), at(-4)), Span("b", 1, "succeeded", at(9), at(8))]
    for node in rectangles(draw_timeline(spans, start=at(0), end=at(0))):
        assert 0 < float(node.attrib["width"]) <= 1000
        assert 0 <= float(node.attrib["x"]) <= 1000


def test_names_are_escaped() -> None:
    """A step's name is text, also in the title."""
    svg = draw_timeline([Span(HOSTILE, 1, "succeeded", at(0), at(1))], start=at(0), end=at(1))
    assert "<script>" not in svg
    ET.fromstring(svg)


def test_no_attempt_no_picture() -> None:
    """The page leaves the section out."""
    assert draw_timeline([], start=at(0), end=at(1)) == ""


def test_hours_stack_their_outcomes() -> None:
    """One bar per outcome that happened; the tallest hour fills the height."""
    svg = draw_hours([Hour(at(0), succeeded=3, failed=1), Hour(at(3600))])
    assert [node.attrib["class"] for node in rectangles(svg)] == ["f-succeeded", "f-failed"]
    assert "3 succeeded, 1 failed, 0 cancelled" in svg


def test_an_empty_day_is_drawn() -> None:
    """Axes without bars."""
    assert rectangles(draw_hours([Hour(at(3600 * hour)) for hour in range(24)])) == []
