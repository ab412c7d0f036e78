"""project.yaml: what holds for every pipeline of a repository."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.pipeline.checking.defaults import UNKNOWN, read_connections, read_defaults, read_groups, read_queues
from engine.pipeline.checking.expressions import Desk
from engine.pipeline.checking.keys import check_keys
from engine.pipeline.checking.values import describe, need_list
from engine.pipeline.defaults import Defaults
from engine.pipeline.grammar.pipeline import PROJECT
from engine.pipeline.inference.names import Names
from engine.pipeline.loader import YamlError, load_yaml, read_file
from engine.pipeline.marks import Marks
from engine.pipeline.report import Problem
from engine.pipeline.source import Files, Source
from engine.pipeline.spec import Connection, QueueRule

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Project(msgspec.Struct, frozen=True):
    """What project.yaml says."""

    env: frozenset[str] = frozenset()  # the environment variables that expressions may see
    queues: Mapping[str, QueueRule] = msgspec.field(default_factory=lambda: {"default": QueueRule()})
    defaults: Defaults = Defaults()
    groups: dict[str, frozenset[str]] = {}  # who is in them
    connections: dict[str, Connection] = {}
    source: Source | None = None  # collects what is found wrong with it, also while pipelines are checked

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with it, as far as it is known by now."""
        return tuple(self.source.problems) if self.source is not None else ()


def load_project(
    root: Path, catalog: Catalog | None = None, *, overlay: Mapping[Path, str | bytes] | None = None
) -> Project:
    """The project of a repository; an empty one if there is no project.yaml. catalog None: types are not checked.

    overlay: what stands in files instead of what the disk has.
    """
    unsaved = overlay or {}
    paths = (root / name for name in ("project.yaml", "project.yml"))
    path = next((path for path in paths if path in unsaved or path.is_file()), None)
    if path is None:
        return Project()
    try:
        text = unsaved[path] if path in unsaved else read_file(path)
    except OSError as error:
        return _broken(Problem("E005", "error", f"cannot be read: {error.strerror}", path.name))
    return read_project(text, catalog, file=path.name, files=Files(root))


def read_project(
    text: str | bytes, catalog: Catalog | None, *, file: str = "project.yaml", files: Files | None = None
) -> Project:
    """The project from the text of its file. files: what file() reads."""
    try:
        data, marks = load_yaml(text, file)
    except YamlError as error:
        return _broken(yaml_problem(file, error))
    source = Source(file, data, marks)
    if data is None:
        return Project(source=source)
    if not isinstance(data, dict):
        source.error("E103", (), f"project.yaml must be a map, this is {describe(data)}")
        return Project(source=source)
    check_keys(source, (), data, PROJECT)
    if data.get("language", 1) != 1 or isinstance(data.get("language", 1), bool):
        source.error("E111", ("language",), "this version of Hookwright knows `language: 1`")
    env = frozenset(_variables(source, data.get("env")))
    desk = Desk(source=source, catalog=catalog or Catalog(), files=files or Files(None), env=env)
    queues = read_queues(desk, ("queues",), data.get("queues"))
    desk.queues = frozenset(queues)
    names = Names(roots=("env",), env=env, locals=UNKNOWN)
    return Project(
        env=env,
        queues=queues,
        defaults=read_defaults(
            desk, ("defaults",), data.get("defaults"), names, project=True, types=catalog is not None
        ),
        groups=read_groups(source, ("groups",), data.get("groups")),
        connections=read_connections(desk, ("connections",), data.get("connections")),
        source=source,
    )


def yaml_problem(file: str, error: YamlError) -> Problem:
    """The error of the loader as a Problem."""
    marks = Marks(error.source, {})
    place = marks.place(error.start, error.end)
    line = marks.line(place.line)
    return Problem(error.code, "error", error.message, file, place.line, place.column, place.length, error.help, line)


def _broken(problem: Problem) -> Project:
    source = Source(problem.file, None, Marks("", {}))
    source.problems.append(problem)
    return Project(source=source)


def _variables(source: Source, value: Any) -> list[str]:
    names: list[str] = []
    for index, name in enumerate(need_list(source, ("env",), value, "`env`")):
        if isinstance(name, str) and VARIABLE.fullmatch(name):
            names.append(name)
        else:
            source.error("E103", ("env", index), "this is not the name of an environment variable")
    return names
