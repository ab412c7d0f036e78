"""project.yaml: what holds for every pipeline of a repository."""

import re
from pathlib import Path
from typing import Any

import msgspec

from engine.pipeline.check_keys import check_keys
from engine.pipeline.check_values import describe, need_list
from engine.pipeline.grammar_pipeline import PROJECT
from engine.pipeline.loader import YamlError, load_yaml, read_file
from engine.pipeline.marks import Marks
from engine.pipeline.report import Problem
from engine.pipeline.source import Source

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Project(msgspec.Struct, frozen=True):
    """What project.yaml says."""

    env: frozenset[str] = frozenset()  # the environment variables that expressions may see
    problems: tuple[Problem, ...] = ()


def load_project(root: Path) -> Project:
    """The project of a repository; an empty one if there is no project.yaml."""
    path = next((root / name for name in ("project.yaml", "project.yml") if (root / name).is_file()), None)
    if path is None:
        return Project()
    try:
        text = read_file(path)
    except OSError as error:
        return Project(problems=(Problem("E005", "error", f"cannot be read: {error.strerror}", path.name),))
    try:
        data, marks = load_yaml(text, path.name)
    except YamlError as error:
        return Project(problems=(yaml_problem(path.name, error),))
    source = Source(path.name, data, marks)
    env = _read(source, data)
    return Project(env=frozenset(env), problems=tuple(source.problems))


def yaml_problem(file: str, error: YamlError) -> Problem:
    """The error of the loader as a Problem."""
    marks = Marks(error.source, {})
    place = marks.place(error.start, error.end)
    line = marks.line(place.line)
    return Problem(error.code, "error", error.message, file, place.line, place.column, place.length, error.help, line)


def _read(source: Source, data: Any) -> list[str]:
    if data is None:
        return []
    if not isinstance(data, dict):
        source.error("E103", (), f"project.yaml must be a map, this is {describe(data)}")
        return []
    check_keys(source, (), data, PROJECT)
    if data.get("language", 1) != 1 or isinstance(data.get("language", 1), bool):
        source.error("E111", ("language",), "this version of Hookwright knows `language: 1`")
    names: list[str] = []
    for index, name in enumerate(need_list(source, ("env",), data.get("env"), "`env`")):
        if isinstance(name, str) and VARIABLE.fullmatch(name):
            names.append(name)
        else:
            source.error("E103", ("env", index), "this is not the name of an environment variable")
    return names
