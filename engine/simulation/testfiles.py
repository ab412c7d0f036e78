"""Test files: read, checked, and every test with the file's defaults under it."""

from collections.abc import Iterable
from pathlib import Path as FilePath
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.pipeline.loader import YamlError, load_yaml
from engine.pipeline.marks import Marks, Path, Place
from engine.pipeline.project import load_project, yaml_problem
from engine.pipeline.report import Problem
from engine.pipeline.source import Source
from engine.pipeline.spec import Pipeline
from engine.simulation.check_cases import CaseCheck
from engine.simulation.events import EVENT_KEYS

STARTS = ("event", "events", "raw")  # a test that has one of them does not get another one from `defaults`


class Case(msgspec.Struct):
    """One test: its own keys over those of `defaults`."""

    file: str
    index: int
    name: str
    pipeline: str
    data: dict[str, Any]
    own: dict[str, Any]  # as it stands in the file
    marks: Marks
    root: FilePath

    def path(self, *path: str | int) -> Path:
        """Where a value of the merged data stands in the file: in the test, else in `defaults`."""
        own: Path = ("tests", self.index, *path)
        if own in self.marks.marks:
            return own
        shared: Path = ("defaults", *path)
        return shared if shared in self.marks.marks else own

    def place(self, *path: str | int) -> Place:
        """The same as line and column; the nearest enclosing value if it is not written."""
        return self.marks.value(self.path(*path))

    @property
    def line(self) -> int:
        """Where the test begins."""
        return self.marks.value(("tests", self.index)).line


class TestFile(msgspec.Struct):
    """One test file. With an error in `problems` its tests cannot be run."""

    __test__ = False  # pytest: this is no test class

    path: FilePath
    file: str  # for people
    pipeline: Pipeline | None
    cases: list[Case]
    problems: list[Problem]

    @property
    def broken(self) -> bool:
        """Whether there is an error."""
        return any(problem.severity == "error" for problem in self.problems)


def check_tests(
    paths: Iterable[FilePath], pipelines: Iterable[Pipeline], catalog: Catalog, *, root: FilePath | None = None
) -> list[Problem]:
    """What is wrong in test files, without running a test. root: the repository; it has project.yaml."""
    known = {pipeline.id: pipeline for pipeline in pipelines}
    env = load_project(root).env or None if root is not None else None
    return [problem for path in paths for problem in load_tests(path, known, catalog, root=root, env=env).problems]


def load_tests(
    path: FilePath,
    pipelines: dict[str, Pipeline],
    catalog: Catalog,
    *,
    root: FilePath | None = None,
    env: Iterable[str] | None = None,
    text: str | None = None,
) -> TestFile:
    """One test file, checked. root: the repository, where event files are. env: what project.yaml allows.

    text: what stands in the file instead of what the disk has; an editor's unsaved text.
    """
    base = root or path.parent
    file = _shown(path, base)
    try:
        data, marks = load_yaml(path.read_bytes() if text is None else text, file)
    except OSError as error:
        problem = Problem("E005", "error", f"cannot be read: {error.strerror}", file)
        return TestFile(path, file, None, [], [problem])
    except YamlError as error:
        return TestFile(path, file, None, [], [yaml_problem(file, error)])
    source = Source(file, data, marks)
    check = CaseCheck(source, pipelines, catalog, base, env)
    pipeline = check.file(data)
    problems = sorted(source.problems, key=lambda item: (item.line, item.column))
    loaded = TestFile(path, file, pipeline, [], problems)
    if not loaded.broken and pipeline is not None:
        shared = data.get("defaults") or {}
        loaded.cases = [
            Case(
                file=file,
                index=index,
                name=str(own.get("name") or f"test {index + 1}"),
                pipeline=pipeline.id,
                data=_merge_with_files(shared, own, base),
                own=own,
                marks=marks,
                root=base,
            )
            for index, own in enumerate(data["tests"] or [])
        ]
    return loaded


def merge_case(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A test over the file's defaults: maps deeply, mocks and approvals by name, everything else as a whole."""
    if any(key in own for key in STARTS):
        kept = {key for key in STARTS if key in own}
        shared = {key: value for key, value in shared.items() if key not in STARTS or key in kept}
    merged: dict[str, Any] = _merge(shared, own)
    for key in ("mocks", "approvals"):
        if key in shared or key in own:
            merged[key] = {**(shared.get(key) or {}), **(own.get(key) or {})}
    return merged


def _merge_with_files(shared: dict[str, Any], own: dict[str, Any], root: FilePath) -> dict[str, Any]:
    if isinstance(own.get("event"), str):
        shared = {key: value for key, value in shared.items() if key != "event"}
    return merge_case(_with_files(shared, root), _with_files(own, root))


def _merge(under: Any, over: Any) -> Any:
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    merged = dict(under)
    for key, value in over.items():
        merged[key] = _merge(under[key], value) if key in under else value
    return merged


def _with_files(data: dict[str, Any], root: FilePath) -> dict[str, Any]:
    """The same with events read from their files. A file is the whole event: nothing of `defaults` lies under it."""
    changed = dict(data)
    if isinstance(data.get("event"), str):
        changed["event"] = read_event(root / data["event"])
    if isinstance(data.get("events"), list):
        changed["events"] = [read_event(root / item) if isinstance(item, str) else item for item in data["events"]]
    return changed


def read_event(path: FilePath) -> dict[str, Any]:
    """A recorded event: an object with the keys of an event, or just its body. OSError or YamlError."""
    text = path.read_bytes()
    value = msgspec.json.decode(text) if path.suffix == ".json" else load_yaml(text, path.name)[0]
    if isinstance(value, dict) and "body" in value and EVENT_KEYS.issuperset(value):
        return dict(value)
    return {"body": value}


def _shown(path: FilePath, root: FilePath) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()
