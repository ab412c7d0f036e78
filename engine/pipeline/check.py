"""Check pipeline files: everything that can be wrong is found here, in all files at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.pipeline.checking.callees import called_ids, started_ids
from engine.pipeline.checking.events import Recorded
from engine.pipeline.checking.repository import Unit, check_repository, read_units
from engine.pipeline.checking.secrets import missing_secrets
from engine.pipeline.defaults import Defaults, read_entries
from engine.pipeline.loader import YamlError, decode, load_yaml, read_file
from engine.pipeline.marks import Marks
from engine.pipeline.project import Project, load_project, yaml_problem
from engine.pipeline.report import PipelineError, Problem, Report, format_problem
from engine.pipeline.source import Files, Source
from engine.pipeline.spec import Pipeline

__all__ = [
    "PipelineError",
    "Problem",
    "Report",
    "check_files",
    "check_text",
    "format_problem",
    "load_version",
    "missing_secrets",
]

# What does not keep a stored version from running: it depends on the plugins that are installed now, or it is about
# an expression that can be evaluated all the same and was fine with the plugins of then.
INSTALLATION = frozenset({"E105", "E106", "E107", "E113", "E114", "E115", "E304"})
TYPES = frozenset({"E121", "E214", "E224", "E225", "E226", "E228", "E307", "E403"})


def check_files(
    paths: Iterable[Path],
    catalog: Catalog,
    *,
    root: Path,
    overlay: Mapping[Path, str | bytes] | None = None,
    recorded: Sequence[Recorded] = (),
) -> Report:
    """Check pipeline files. root: the repository, which holds project.yaml and what file() reads.

    A file with an error yields problems and no pipeline; the others are not affected, unless they call it. Pipelines
    that are called and not among the files are looked for beside them and in `pipelines/` of the root.
    overlay: what stands in files instead of what the disk has; an editor's unsaved texts.
    recorded: events that have been seen; where a trigger does not say what its events are like, these do.
    """
    project = load_project(root, catalog, overlay=overlay)
    chosen = sorted(set(paths))
    problems: list[Problem] = []
    units: list[Unit] = []
    for path in chosen:
        try:
            units.append(_load(path, root, project, overlay or {}))
        except OSError as error:
            problems.append(Problem("E005", "error", f"cannot be read: {error.strerror}", _name(path, root)))
        except YamlError as error:
            problems.append(yaml_problem(_name(path, root), error))
    called, others = _called(units, chosen, root, project, overlay or {})
    units += called
    read_units(units, catalog, others=others, recorded=recorded)
    check_repository(units, catalog)
    shown = [unit for unit in units if not unit.hidden]
    pipelines = [unit.pipeline for unit in shown if unit.pipeline is not None and not unit.source.broken]
    found = [*_sorted(project.problems), *problems]
    for unit in shown:
        found += _sorted(unit.source.problems)
    queues = {name: (rule.priority, rule.concurrency) for name, rule in project.queues.items()}
    return Report(pipelines=list(pipelines), problems=found, groups=project.groups, queues=queues)


def check_text(
    text: str | bytes,
    catalog: Catalog,
    *,
    file: str = "pipeline.yaml",
    root: Path | None = None,
    env: Iterable[str] = (),
    project: Project | None = None,
    callees: Iterable[Pipeline] | None = None,
    recorded: Sequence[Recorded] = (),
) -> Report:
    """Check one pipeline that is not in a file. root: where file() reads; None: nowhere.

    callees: the pipelines that it may call; None: they are not known, and calls are not checked.
    """
    queues = frozenset(project.queues) if project is not None else None
    project = project or Project()
    try:
        source, decoded = _source(text, file)
    except YamlError as error:
        return Report(pipelines=[], problems=[yaml_problem(file, error)])
    unit = Unit(source, decoded, Files(root), project.env | set(env), queues, project.defaults)
    read_units([unit], catalog, known=callees, closed=callees is not None, recorded=recorded)
    if callees is not None:
        check_repository([unit], catalog)
    good = unit.pipeline is not None and not source.broken
    before = project.problems if source.spoiled else ()
    return Report(pipelines=[unit.pipeline] if good else [], problems=[*before, *_sorted(source.problems)])


def load_version(source: bytes, catalog: Catalog, *, strict: bool = False) -> Pipeline:
    """The pipeline of a stored version and those that it calls, without touching the disk.

    PipelineError if it cannot be read any more. What depends on the installed plugins is not an error here, unless
    strict: a run finds that out at the step in question.
    """
    stored: dict[str, Any] = msgspec.json.decode(source)
    units: list[Unit] = []
    for item in (stored, *stored.get("called", {}).values()):
        try:
            loaded, text = _source(item["yaml"], item["file"])
        except YamlError as error:
            raise PipelineError([yaml_problem(item["file"], error)]) from None
        files, defaults = Files(None, item["files"]), _stored_defaults(item.get("defaults"))
        units.append(Unit(loaded, text, files, frozenset(item["env"]), defaults=defaults))
    read_units(units, catalog)
    if strict:
        check_repository(units, catalog)
    problems = [problem for unit in units for problem in unit.source.problems]
    tolerated = frozenset() if strict else INSTALLATION | TYPES
    fatal = [item for item in problems if item.severity == "error" and item.code not in tolerated]
    pipeline = units[0].pipeline
    if fatal or pipeline is None:
        raise PipelineError(fatal or problems)
    return pipeline


def _source(text: str | bytes, file: str) -> tuple[Source, str]:
    decoded = decode(text)
    data, marks = load_yaml(decoded, file)
    return Source(file, data, marks), decoded


def _load(path: Path, root: Path, project: Project, overlay: Mapping[Path, str | bytes]) -> Unit:
    text = overlay[path] if path in overlay else read_file(path)
    source, decoded = _source(text, _name(path, root))
    return Unit(source, decoded, Files(root), project.env, frozenset(project.queues), project.defaults)


def _called(
    units: list[Unit], chosen: list[Path], root: Path, project: Project, overlay: Mapping[Path, str | bytes]
) -> tuple[list[Unit], list[str]]:
    """The files of pipelines that are called and not among those that are checked; and the ids of others around."""
    known = {unit.id for unit in units}
    missing = {name for unit in units for name in called_ids(unit.source.data) | started_ids(unit.source.data)} - known
    if not missing:
        return [], []
    around: dict[str | None, Unit] = {}
    for path in _neighbours(chosen, root):
        try:
            unit = _load(path, root, project, overlay)
        except (OSError, YamlError):
            continue
        around.setdefault(unit.id, unit)
    found: list[Unit] = []
    while missing:
        unit_or_none = around.get(missing.pop())
        if unit_or_none is not None and unit_or_none.id not in known:
            unit_or_none.hidden = True
            found.append(unit_or_none)
            known.add(unit_or_none.id)
            missing |= called_ids(unit_or_none.source.data) - known
    return found, [name for name in around if name is not None and name not in known]


def _neighbours(chosen: list[Path], root: Path) -> Iterator[Path]:
    seen = {path.resolve() for path in chosen}
    folders = [*dict.fromkeys(path.parent for path in chosen)]
    patterns = [(folder, "*.y*ml") for folder in folders] + [(root / "pipelines", "**/*.y*ml")]
    for folder, pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.suffix in (".yaml", ".yml") and (resolved := path.resolve()) not in seen:
                seen.add(resolved)
                yield path


def _stored_defaults(value: Any) -> Defaults:
    source = Source("project.yaml", None, Marks("", {}))
    return read_entries(source, ("defaults",), value, project=True)


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _name(path: Path, root: Path) -> str:
    """The file's name for people: relative to the root if it is below it."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()
