"""Write what came into a test file in place of what was expected; everything else of the text stays as it is."""

from collections.abc import Iterable

from engine.pipeline.loader import YamlError, load_yaml
from engine.pipeline.marks import ANCHOR, Mark, Path
from engine.simulation.matching import Missing, same
from engine.simulation.result import Failure
from engine.simulation.testfiles import Case
from engine.simulation.writing import flow

UPDATED = (
    "outcome",
    "error",
    "message",
    "outputs",
    "response",
    "labels",
    "key",
    "emitted",
    "started",
    "compensated",
    "steps",
    "elapsed",
)


def update(text: str, failures: Iterable[tuple[Case, Failure]]) -> tuple[str, int, list[tuple[Case, Failure]]]:
    """The new text, how many values were replaced, and those that could not be.

    Only values of `expect` that are written out are replaced. A value that comes from an alias is left alone.
    """
    edits: dict[tuple[int, int], tuple[str, Case, Failure]] = {}
    left: list[tuple[Case, Failure]] = []
    for case, failure in failures:
        mark = _mark(case, failure)
        if mark is None:
            left.append((case, failure))
            continue
        place = _range(text, mark)
        new = flow(failure.got)
        if place in edits and edits[place][0] != new:  # one text for several tests, which now differ
            left.append((case, failure))
            continue
        edits[place] = (new, case, failure)
    count = 0
    for (start, end), (new, case, failure) in sorted(edits.items(), reverse=True):
        changed = text[:start] + new + text[end:]
        if _holds(changed, case, failure):
            text, count = changed, count + 1
        else:
            left.append((case, failure))
    return text, count, left


def _mark(case: Case, failure: Failure) -> Mark | None:
    path = failure.path
    if (
        len(path) < 2
        or path[1] not in UPDATED
        or isinstance(failure.got, Missing)
        or isinstance(failure.expected, Missing)
    ):
        return None
    return case.marks.marks.get(case.path(*path))


def _range(text: str, mark: Mark) -> tuple[int, int]:
    """Where the value stands, without its anchor, and without the blank lines and comments after it."""
    start, end = mark.start, mark.end
    if anchor := ANCHOR.match(text, start, end):
        start = anchor.end()
    if mark.text is None and not text[start:end].startswith(("{", "[")):
        lines = text[start:end].split("\n")
        while len(lines) > 1 and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
            lines.pop()
        end = start + len("\n".join(lines))
    while end > start and text[end - 1] in " \t\r\n":
        end -= 1
    return start, end


def _holds(text: str, case: Case, failure: Failure) -> bool:
    """Whether the new text says what it should at this place."""
    try:
        value, _ = load_yaml(text)
    except YamlError:
        return False
    path: Path = case.path(*failure.path)
    try:
        for part in path:
            value = value[part]
    except (KeyError, IndexError, TypeError):
        return False
    return same(value, failure.got)
