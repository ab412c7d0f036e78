"""Prints what was measured, and keeps it as JSON."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine import __version__
from tests.benchmarks.figures import FIGURES, FLOORS, NOTES, Figure

HEADINGS = ("figure", "value", "floor", "ratio", "reach / strive", "verdict")


def print_report(values: dict[str, float], more: Sequence[Figure] = ()) -> None:
    """The table of the figures that were measured, then what they were divided by, then the rest."""
    rows = [_row(figure, values) for figure in (*FIGURES, *more) if figure.key in values]
    if rows:
        print_table([HEADINGS, *rows])
    for title, figures in (("Floors", FLOORS), ("Beside that", NOTES)):
        lines = [(figure.title, _value(figure, values)) for figure in figures if figure.key in values]
        if lines:
            print(f"\n{title}")
            print_table(lines)


def missed(values: dict[str, float], more: Sequence[Figure] = ()) -> list[str]:
    """Titles of the figures that do not reach what they should."""
    found = (figure for figure in (*FIGURES, *more) if figure.key in values)
    return [figure.title for figure in found if figure.verdict(values) == "missed"]


def write_json(
    file: Path,
    values: dict[str, float],
    samples: dict[str, list[float]],
    machine: dict[str, Any],
    more: Sequence[Figure],
) -> None:
    """Everything, every sample included."""
    figures = [_plain(figure, values) for figure in (*FLOORS, *FIGURES, *NOTES, *more) if figure.key in values]
    file.write_text(json.dumps({"machine": machine, "figures": figures, "samples": samples}, indent=1) + "\n")


def describe_machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "hookwright": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
    }


def print_table(rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as they need to be; all but the first to the right."""
    table = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        first, *rest = [
            text.ljust(width) if index == 0 else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join([first, *rest]).rstrip())


def number(value: float) -> str:
    """Three significant digits, thousands grouped."""
    if value != value or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _row(figure: Figure, values: dict[str, float]) -> Sequence[str]:
    ratio = figure.ratio(values)
    floor = sum(values[floor] for floor in figure.floors) if ratio is not None else None
    targets = ""
    if figure.reach is not None and figure.strive is not None:
        targets = f"{_target(figure.reach)} / {_target(figure.strive)}"
        if figure.absolute or not figure.floors:
            targets += f" {figure.unit}"
    return (
        figure.title,
        _value(figure, values),
        number(floor) if floor is not None else "",
        f"{ratio:.2f}" if ratio is not None else "",
        targets,
        figure.verdict(values),
    )


def _value(figure: Figure, values: dict[str, float]) -> str:
    return f"{number(values[figure.key])} {figure.unit}"


def _target(value: float) -> str:
    return f"{round(value, 2):,g}"


def _plain(figure: Figure, values: dict[str, float]) -> dict[str, Any]:
    return {
        "key": figure.key,
        "title": figure.title,
        "unit": figure.unit,
        "value": values[figure.key],
        "ratio": figure.ratio(values),
        "reach": figure.reach,
        "strive": figure.strive,
        "verdict": figure.verdict(values),
    }
