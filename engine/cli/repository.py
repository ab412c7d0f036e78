"""Which files belong to a repository, and the report on them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.cli.exits import WrongUsage

PROJECT = ("project.yaml", "project.yml")
YAML = (".yaml", ".yml")
TEST = (".test.yaml", ".test.yml")
FOLDERS = ("pipelines", "tests")  # of a repository


class Files(msgspec.Struct, frozen=True):
    """What was asked for, by kind, and the repository it belongs to."""

    root: Path
    pipelines: tuple[Path, ...] = ()
    tests: tuple[Path, ...] = ()
    project: bool = False  # whether project.yaml itself was asked for
    companions: tuple[Path, ...] = ()  # the repository's other pipelines: they may be called


def find_root(path: Path) -> Path:
    """The repository of these files: the nearest directory above with project.yaml, else the parent."""
    start = path.resolve() if path.is_dir() else path.resolve().parent
    for folder in (start, *start.parents):
        if any((folder / name).exists() for name in PROJECT):
            return folder
    return start.parent


def find_files(paths: Sequence[Path]) -> Files:
    """The pipelines and tests in these places. WrongUsage if one does not exist, or if they are of two repositories.

    Of a repository's own directory, these are its `pipelines/` and `tests/`; of any other, all YAML files below it.
    """
    pipelines: dict[Path, None] = {}
    tests: dict[Path, None] = {}
    project = False
    for path in paths:
        if not path.exists():
            raise WrongUsage(f"there is no file or directory {path}")
        if not path.is_dir():
            project = project or path.name in PROJECT
            if path.name not in PROJECT:
                (tests if path.name.endswith(TEST) else pipelines)[path] = None
            continue
        project = project or any((path / name).exists() for name in PROJECT)
        for folder in _folders(path):
            for file in _yaml_below(folder):
                if file.name.endswith(TEST):
                    tests[file] = None
                elif folder.name != "tests" and file.name not in PROJECT:
                    pipelines[file] = None
    root = find_root(paths[0])
    asked = {path.resolve() for path in pipelines}
    companions = [path for path in _yaml_below(root / FOLDERS[0]) if path.resolve() not in asked]
    return Files(
        root=root,
        pipelines=tuple(pipelines),
        tests=tuple(tests),
        project=project,
        companions=tuple(path for path in companions if not path.name.endswith(TEST)),
    )


def read_files(paths: Sequence[Path]) -> Any:
    """The Report on all pipeline files in these places. WrongUsage if a place does not exist."""
    from engine.pipeline.check import check_files
    from engine.plugin.host import load_catalog

    files = find_files(paths)
    return check_files(files.pipelines, load_catalog().catalog, root=files.root)


def check_places(files: Files, catalog: Any, recorded: Sequence[Any] = ()) -> tuple[list[Any], list[Any]]:
    """The pipelines without errors, and the problems, of the files that were asked for."""
    from engine.pipeline.check import check_files

    report = check_files([*files.pipelines, *files.companions], catalog, root=files.root, recorded=recorded)
    others = {path.resolve() for path in files.companions}
    pipelines = [item for item in report.pipelines if (files.root / item.file).resolve() not in others]
    problems = [item for item in report.problems if (files.root / item.file).resolve() not in others]
    if files.tests:
        from engine.simulation.testfiles import check_tests

        problems += check_tests(files.tests, report.pipelines, catalog, root=files.root)
    return pipelines, problems


def seen_from_here(file: str, root: Path) -> str:
    """The name of a file of a report, which is relative to the root, from the current directory."""
    if os.path.isabs(file) or not file:
        return file
    return Path(os.path.relpath(root / file)).as_posix()


def _folders(path: Path) -> list[Path]:
    if any((path / name).exists() for name in PROJECT):
        own = [path / name for name in FOLDERS if (path / name).is_dir()]
        if own:
            return own
    return [path]


def _yaml_below(folder: Path) -> list[Path]:
    """YAML files in the order of their names; nothing of hidden directories and of other repositories."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        here = Path(place)
        if here != folder and any(name in names for name in PROJECT):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [here / name for name in names if name.endswith(YAML) and not name.startswith(".")]
    return sorted(found)
