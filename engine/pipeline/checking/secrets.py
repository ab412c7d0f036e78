"""Secrets that pipelines name and nobody has set."""

import re
from collections.abc import Collection, Iterable

import msgspec

from engine.pipeline.marks import Marks
from engine.pipeline.report import Problem
from engine.pipeline.spec import Pipeline

NAMED = re.compile(r"\$\{\{[^}\n]*?\bsecrets\s*\.\s*(\w+)")


def missing_secrets(pipelines: Iterable[Pipeline], known: Collection[str]) -> list[Problem]:
    """A problem for each pipeline and secret that is not among the known names, where it first stands in the file."""
    found = []
    for pipeline in pipelines:
        text = str(msgspec.json.decode(pipeline.source)["yaml"])
        found += [_problem(pipeline.file, text, name) for name in pipeline.secrets if name not in known]
    return found


def missing_in_text(file: str, text: str, known: Collection[str]) -> list[Problem]:
    """The same for a file with errors, by its text."""
    names = sorted(set(NAMED.findall(text)).difference(known))
    return [_problem(file, text, name) for name in names]


def _problem(file: str, text: str, name: str) -> Problem:
    place = re.search(rf"\bsecrets\s*\.\s*{re.escape(name)}\b", text)  # none: it comes with the project's defaults
    marks = Marks(text, {})
    where = marks.place(place.start(), place.end()) if place else marks.place(0, 1)
    return Problem(
        code="E306",
        severity="error",
        message=f"secret {name} is not set",
        file=file,
        line=where.line,
        column=where.column,
        length=where.length,
        help=f"set HOOKWRIGHT_SECRET_{name}, or write `{name}=...` into the secrets file",
        source_line=marks.line(where.line),
    )
