"""What commands print for people."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from engine.cli import output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "\ufffd[31mred\ufffd[0m"),  # an event's type is chosen by its sender
        ("bell\x07", "bell\ufffd"),
        ("\x9b31m", "\ufffd31m"),  # the same in one character
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("ünïcode", "ünïcode"),
    ],
)
def test_data_cannot_steer_the_terminal(text: str, shown: str) -> None:
    """Control characters in data are replaced before they are shown."""
    assert output.clean(text) == shown


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "variables", "colored"),
    [
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),  # a pipe or a file
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
    ],
)
def test_colours_only_on_a_terminal_that_wants_them(
    stream: io.StringIO, variables: dict[str, str], colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR and TERM=dumb are honoured."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert output.paint("x", output.RED, stream=stream) == ("\x1b[31mx\x1b[0m" if colored else "x")


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns line up, the last is not padded, a cell stays on its line."""
    output.table([["a", "succeeded", "one\ntwo"], ["longer", "failed", None]], ["NAME", "STATUS", "NOTE"], status=1)
    assert capsys.readouterr().out.splitlines() == [
        "NAME    STATUS     NOTE",
        "a       succeeded  one two",
        "longer  failed",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s ago"), (59, "59 s ago"), (125, "2 min 5 s ago")])
def test_ages(seconds: int, text: str) -> None:
    """Ages are rounded to what people read."""
    moment = datetime.now(UTC) - timedelta(seconds=seconds)
    assert output.ago(moment.isoformat()) == text
    assert output.ago(None) == ""


def test_long_values_are_cut() -> None:
    """A value takes one line."""
    assert output.compact({"a": "x" * 100}, 20) == '{"a":"xxxxxxxxxxxxx…'
