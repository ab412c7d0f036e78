"""Secrets that pipelines name and nobody has set."""

import re
from collections.abc import Collection, Iterable

import msgspec

from engine.pipeline.marks import Marks
from engine.pipeline.report import Problem
from engine.pipeline.spec import Pipeline


def missing_secrets(pipelines: Iterable[Pipeline], known: Collection[str]) -> list[Problem]:
    """A problem for each pipeline and secret that is not among the known names, where it first stands in the file."""
    return [_problem(pipeline, name) for pipeline in pipelines for name in pipeline.secrets if name not in known]


def _problem(pipeline: Pipeline, name: str) -> Problem:
    text = str(msgspec.json.decode(pipeline.source)["yaml"])
    place = re.search(rf"\bsecrets\s*\.\s*{re.escape(name)}\b", text)  # none: it comes with the project's defaults
    marks = Marks(text, {})
    where = marks.place(place.start(), place.end()) if place else marks.place(0, 1)
    return Problem(
        code="E306",
        severity="error",
        message=f"secret {name} is not set",
        file=pipeline.file,
        line=where.line,
        column=where.column,
        length=where.length,
        help=f"set HOOKWRIGHT_SECRET_{name}, or write `{name}=...` into the secrets file",
        source_line=marks.line(where.line),
    )
