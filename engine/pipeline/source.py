"""One file under check: its data, where everything stands, what was found, what it reads."""

from pathlib import Path as FilePath
from typing import Any

import msgspec

from engine.pipeline.expression.errors import Complaint, suggest
from engine.pipeline.marks import Marks, Path, Place
from engine.pipeline.report import Problem

DEFAULTS_ENTRY = 2  # length of the path of an entry of `defaults`
MAX_PROBLEMS = 1000  # of one file
LONGEST_LINE = 10_000  # characters of a line that is shown with a problem
MAX_FILE = 1_000_000  # bytes of a file that file() or template() reads


class Source:
    """A file and its problems."""

    def __init__(self, file: str, data: Any, marks: Marks) -> None:
        self.file = file
        self.data = data
        self.marks = marks
        self.problems: list[Problem] = []
        self._known: set[Problem] = set()
        self.env: set[str] = set()  # environment variables that its expressions name
        self.secrets: set[str] = set()
        self.origins: dict[Path, tuple[Source, Path]] = {}  # values that `defaults` put here, and where they stand
        self.scopes: dict[Path, Any] = {}  # the Names of every value and condition that was compiled; for editors
        self.spoiled = False  # there is an error at one of those
        self.count = 0  # of everything noted, also what has been told before
        self.noted: set[Path] = set()  # where something is wrong

    def error(
        self,
        code: str,
        path: Path,
        message: str,
        help: str = "",
        *,
        key: bool = False,
        offset: tuple[int, int] | None = None,
    ) -> None:
        """Note an error at a value, at its key, or within its text."""
        self._note(code, "error", path, message, help, key, offset)

    def warning(
        self,
        code: str,
        path: Path,
        message: str,
        help: str = "",
        *,
        key: bool = False,
        offset: tuple[int, int] | None = None,
    ) -> None:
        """Note a warning; it does not keep the pipeline from running."""
        self._note(code, "warning", path, message, help, key, offset)

    @property
    def broken(self) -> bool:
        """Whether there is an error."""
        return self.spoiled or any(problem.severity == "error" for problem in self.problems)

    def origin(self, path: Path) -> tuple["Source", Path] | None:
        """Where a value really stands that `defaults` put here; None: here."""
        for length in range(len(path), 0, -1):
            found = self.origins.get(path[:length])
            if found is not None:
                source, start = found
                return source, (*start, *path[length:])
        return None

    def _note(
        self, code: str, severity: str, path: Path, message: str, help: str, key: bool, offset: tuple[int, int] | None
    ) -> None:
        self.count += 1
        if len(self.problems) >= MAX_PROBLEMS:
            self._cut(severity)
            return
        found = self.origin(path) if self.origins else None
        if found is None:
            self.noted.add(path)
            self._add(code, severity, message, self._place(path, key, offset), help)
            return
        other, where = found
        self.spoiled = self.spoiled or severity == "error"
        if any(_overlap(where, known) for known in other.noted):
            return  # it is told once, however many steps the value is merged into
        other.noted.add(where)
        if other is not self and not help:
            help = f"merged into {self.file}"
        other._add(code, severity, message, other._place(where, key, offset), help)

    def _cut(self, severity: str) -> None:
        """Nobody reads that many; and a file of a megabyte could make a gigabyte of them."""
        self.spoiled = self.spoiled or severity == "error"
        if len(self.problems) == MAX_PROBLEMS:
            message = f"there are more problems in this file; these are the first {MAX_PROBLEMS}"
            last = self.problems[-1]
            self.problems.append(msgspec.structs.replace(last, code="E003", message=message, help="mend these first"))
        if severity == "error":
            self.problems[-1] = msgspec.structs.replace(self.problems[-1], severity="error")

    def _place(self, path: Path, key: bool, offset: tuple[int, int] | None) -> Place:
        return self.marks.key(path) if key else self.marks.value(path, offset)

    def _add(self, code: str, severity: str, message: str, place: Place, help: str) -> None:
        problem = Problem(
            code=code,
            severity="error" if severity == "error" else "warning",
            message=message,
            file=self.file,
            line=place.line,
            column=place.column,
            length=place.length,
            help=help,
            source_line=self.marks.line(place.line, longest=LONGEST_LINE),
        )
        if problem in self._known:
            return
        self._known.add(problem)
        self.problems.append(problem)


def _overlap(one: Path, other: Path) -> bool:
    """Whether one value of an entry of `defaults` contains the other."""
    length = min(len(one), len(other))
    return length > DEFAULTS_ENTRY and one[:length] == other[:length]


class Files:
    """What file() and template() read, below the repository's root; remembers it, because it is part of the version."""

    def __init__(self, root: FilePath | None, contents: dict[str, str] | None = None) -> None:
        self.root = root
        self.contents: dict[str, str] = dict(contents or {})

    def __call__(self, path: str) -> str:
        """The file's text. Complaint if there is none."""
        if path not in self.contents:
            self.contents[path] = self._read(path)
        return self.contents[path]

    def _read(self, path: str) -> str:
        if self.root is None:
            raise Complaint(f"the file `{path}` is not part of this version", code="E211")
        root = self.root.resolve()
        try:
            found = (root / path).resolve()
            if not path or "\\" in path or not found.is_relative_to(root):
                raise Complaint(f"`{path}` is not below the repository's root", "as in 'prompts/triage.md'", "E211")
            if found.stat().st_size > MAX_FILE:
                raise Complaint(f"`{path}` is larger than {MAX_FILE} bytes", code="E211")
            return found.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise Complaint(f"there is no file `{path}`", self._hint(root, path), "E211") from None
        except UnicodeDecodeError:
            raise Complaint(f"`{path}` is not UTF-8", code="E211") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise Complaint(f"`{path}` cannot be read: {reason}", code="E211") from None

    def _hint(self, root: FilePath, path: str) -> str:
        folder = (root / path).parent
        names = [item.name for item in sorted(folder.iterdir())[:500]] if folder.is_dir() else []
        close = suggest(FilePath(path).name, names)
        if close:
            return f"did you mean `{(folder / close).relative_to(root).as_posix()}`?"
        return "paths begin at the repository's root"
