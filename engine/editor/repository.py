"""A repository as an editor sees it: the files on disk, with what is open and unsaved on top."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.editor.knowledge import Knowledge
from engine.editor.schema import KINDS, Kind, make_schema
from engine.editor.tree import Tree, parse
from engine.pipeline.check import check_files
from engine.pipeline.report import Problem
from engine.pipeline.spec import Pipeline

PROJECT = ("project.yaml", "project.yml")
TEST = (".test.yaml", ".test.yml")
YAML = (".yaml", ".yml")
MOST = 2_000  # files of a repository that are looked at

# (file, text, pipelines without errors, root): what is wrong with a test file
CheckTests = Callable[[Path, str, Sequence[Pipeline], Path], list[Problem]]


class Known(msgspec.Struct, frozen=True):
    """One file of the repository. id: that of its pipeline, or empty."""

    id: str
    path: Path
    text: str
    tree: Tree

    @property
    def data(self) -> dict[str, Any]:
        """Its keys."""
        return self.tree.data if isinstance(self.tree.data, dict) else {}


class Repository:
    """One root and its files. open: texts of documents that are being edited, by path."""

    def __init__(
        self,
        root: Path,
        catalog: Catalog,
        open: Mapping[Path, str],
        knowledge: Mapping[Kind, Knowledge],
        check_tests: CheckTests | None = None,
    ) -> None:
        self.root = root
        self.catalog = catalog
        self.open = open
        self.knowledge = knowledge  # what the schemas say
        self.check_tests = check_tests
        self._read: dict[Path, tuple[Any, Known | None]] = {}

    def kind(self, path: Path) -> Kind | None:
        """Which kind of file it is; None: not one of ours."""
        if path.name in PROJECT and path.parent == self.root:
            return "project"
        if path.name.endswith(TEST):
            return "test"
        if path.suffix not in YAML:
            return None
        if _is_below(path, self.root / "pipelines"):
            return "pipeline"
        known = self.document(path)
        return "pipeline" if known is not None and known.id and "steps" in known.data else None

    def check(self) -> dict[Path, list[Problem]]:
        """What is wrong in all files of the repository and in those that are open, by path."""
        paths = list(dict.fromkeys([*self.files(), *(path for path in self.open if self.kind(path) == "pipeline")]))
        found: dict[Path, list[Problem]] = {path: [] for path in [*paths, *self.open]}
        names = {self._name(path): path for path in paths} | {name: self.root / name for name in PROJECT}
        overlay = {path: text for path, text in self.open.items() if path in found}
        report = check_files(paths, self.catalog, root=self.root, overlay=overlay)
        for problem in report.problems:
            found.setdefault(names.get(problem.file, self.root / problem.file), []).append(problem)
        for path, text in self.open.items():
            if self.check_tests is not None and self.kind(path) == "test":
                found[path] += self.check_tests(path, text, report.pipelines, self.root)
        return found

    def files(self) -> Iterator[Path]:
        """The pipeline files below `pipelines/`."""
        folder = self.root / "pipelines"
        count = 0
        for path in sorted(folder.glob("**/*.y*ml")) if folder.is_dir() else ():
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.suffix in YAML and not hidden and not path.name.endswith(TEST) and count < MOST:
                count += 1
                yield path

    def pipelines(self) -> dict[str, Known]:
        """The repository's pipelines by id, as far as they can be read."""
        paths = dict.fromkeys([*self.files(), *(path for path in self.open if not path.name.endswith(TEST))])
        known = (self.document(path) for path in paths)
        return {item.id: item for item in known if item is not None and item.id}

    def project_data(self) -> dict[str, Any]:
        """The keys of project.yaml, as far as it can be read."""
        for name in PROJECT:
            text = self.text(self.root / name)
            if text is not None:
                tree = parse(text)
                return tree.data if tree is not None and isinstance(tree.data, dict) else {}
        return {}

    def text(self, path: Path) -> str | None:
        """What stands in a file, saved or not; None: nothing that can be read."""
        if path in self.open:
            return self.open[path]
        try:
            return path.read_bytes().decode("utf-8", "replace")
        except OSError:
            return None

    def below(self, name: str) -> Path | None:
        """A file of the repository; None if there is none or it is outside."""
        try:
            path = (self.root / name).resolve()
        except (OSError, ValueError):
            return None
        return path if path.is_file() and path.is_relative_to(self.root.resolve()) else None

    def _name(self, path: Path) -> str:
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return path.as_posix()

    def document(self, path: Path) -> Known | None:
        """A file, read again only when it has changed. The last readable text counts while it is half-typed."""
        stamp: Any = self.open.get(path)
        if stamp is None:
            try:
                status = path.stat()
            except OSError:
                return None
            stamp = (status.st_mtime_ns, status.st_size)
        before = self._read.get(path)
        if before is not None and before[0] == stamp:
            return before[1]
        text = self.text(path) or ""
        tree = parse(text)
        if tree is None:
            return before[1] if before is not None else None
        name = tree.data.get("id") if isinstance(tree.data, dict) else None
        known = Known(name if isinstance(name, str) else "", path, text, tree)
        self._read[path] = (stamp, known)
        return known


def make_knowledge(catalog: Catalog) -> dict[Kind, Knowledge]:
    """What the schemas of a catalog's types say; made once."""
    return {kind: Knowledge(make_schema(kind, catalog)) for kind in KINDS}


def find_root(path: Path, folders: list[Path]) -> Path:
    """The repository of a file: the nearest folder above with project.yaml, else the workspace, else the parent."""
    for folder in path.parents:
        if any((folder / name).is_file() for name in PROJECT):
            return folder
    for folder in path.parents:
        if folder.name in ("pipelines", "tests"):
            return folder.parent
    around = [folder for folder in folders if _is_below(path, folder)]
    return max(around, key=lambda folder: len(folder.parts)) if around else path.parent


def _is_below(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder)
