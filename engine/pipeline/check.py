"""Check pipeline files: everything that can be wrong is found here, in all files at once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.pipeline.check_expressions import Desk
from engine.pipeline.check_pipeline import read_pipeline
from engine.pipeline.check_repository import check_repository
from engine.pipeline.loader import YamlError, decode, load_yaml, read_file
from engine.pipeline.project import load_project, yaml_problem
from engine.pipeline.report import PipelineError, Problem, Report, format_problem
from engine.pipeline.source import Files, Source
from engine.pipeline.spec import Pipeline

__all__ = ["PipelineError", "Problem", "Report", "check_files", "check_text", "format_problem", "load_version"]

INSTALLATION = frozenset({"E105", "E106", "E107", "E113", "E114", "E115", "E304"})  # a matter of the plugins installed


def check_files(paths: Iterable[Path], catalog: Catalog, *, root: Path) -> Report:
    """Check pipeline files. root: the repository, which holds project.yaml and what file() reads.

    A file with an error yields problems and no pipeline; the others are not affected.
    """
    project = load_project(root)
    problems = list(project.problems)
    sources: list[Source] = []
    pipelines: list[Pipeline] = []
    for path in sorted(set(paths)):
        file = _name(path, root)
        try:
            text = read_file(path)
        except OSError as error:
            problems.append(Problem("E005", "error", f"cannot be read: {error.strerror}", file))
            continue
        try:
            source, pipeline = _check(text, file, catalog, Files(root), project.env)
        except YamlError as error:
            problems.append(yaml_problem(file, error))
            continue
        sources.append(source)
        if pipeline is not None:
            pipelines.append(pipeline)
    check_repository(sources, catalog)
    good = {source.file for source in sources if not source.broken}
    for source in sources:
        problems += sorted(source.problems, key=lambda problem: (problem.line, problem.column))
    return Report(pipelines=[item for item in pipelines if item.file in good], problems=problems)


def check_text(
    text: str | bytes,
    catalog: Catalog,
    *,
    file: str = "pipeline.yaml",
    root: Path | None = None,
    env: Iterable[str] = (),
) -> Report:
    """Check one pipeline that is not in a file. root: where file() reads; None: nowhere."""
    try:
        source, pipeline = _check(text, file, catalog, Files(root), frozenset(env))
    except YamlError as error:
        return Report(pipelines=[], problems=[yaml_problem(file, error)])
    problems = sorted(source.problems, key=lambda problem: (problem.line, problem.column))
    return Report(pipelines=[pipeline] if pipeline is not None and not source.broken else [], problems=problems)


def load_version(source: bytes, catalog: Catalog) -> Pipeline:
    """The pipeline of a stored version, without touching the disk. PipelineError if it cannot be read any more.

    What depends on the installed plugins is not an error here: a run finds that out at the step in question.
    """
    stored: dict[str, Any] = msgspec.json.decode(source)
    file = stored["file"]
    try:
        checked, pipeline = _check(
            stored["yaml"], file, catalog, Files(None, stored["files"]), frozenset(stored["env"])
        )
    except YamlError as error:
        raise PipelineError([yaml_problem(file, error)]) from None
    fatal = [item for item in checked.problems if item.severity == "error" and item.code not in INSTALLATION]
    if fatal or pipeline is None:
        raise PipelineError(fatal or checked.problems)
    return pipeline


def _check(
    text: str | bytes, file: str, catalog: Catalog, files: Files, env: frozenset[str]
) -> tuple[Source, Pipeline | None]:
    data, marks = load_yaml(text, file)
    source = Source(file, data, marks)
    desk = Desk(source=source, catalog=catalog, files=files, env=env)
    try:
        return source, read_pipeline(desk, decode(text))
    except RecursionError:
        source.error("E003", (), "nested too deeply")
        return source, None


def _name(path: Path, root: Path) -> str:
    """The file's name for people: relative to the root if it is below it."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()
