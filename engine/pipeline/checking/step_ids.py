"""Where the steps of a pipeline's data stand: their ids, and why one cannot be seen from the place of another."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import Any

from engine.pipeline.checking.values import STEP_ID
from engine.pipeline.marks import Path

LISTS = ("on_error", "compensate")  # besides those that make the shape
OUTSIDE = "on_error"  # of a loop: runs once, not for each item


def find_ids(data: dict[str, Any]) -> dict[str, Path]:
    """Every step id of a pipeline and the path of its first step."""
    ids: dict[str, Path] = {}
    for path, step in find_steps(data):
        name = step.get("id")
        if isinstance(name, str) and STEP_ID.fullmatch(name):
            ids.setdefault(name, path)
    return ids


def find_steps(data: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every step of a pipeline's data with its path, the outer before the inner."""
    for part in ("steps", "on_error", "finally"):
        yield from _in_list((part,), data.get(part))


class Later(Set[str]):
    """The ids of steps that have not been read, without a copy for each place."""

    def __init__(self, ids: Collection[str], read: Collection[str]) -> None:
        self.ids = ids
        self.read = read

    def __contains__(self, name: object) -> bool:
        return name in self.ids and name not in self.read

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.ids if name not in self.read)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @classmethod
    def _from_iterable(cls, names: Iterable[str]) -> frozenset[str]:  # type: ignore[override]
        return frozenset(names)


class Hidden(Mapping[str, str]):
    """By step id: why it cannot be seen from this place, whether or not it has run. Worked out when it is asked for."""

    def __init__(self, data: Any, ids: Mapping[str, Path], place: Path) -> None:
        self.data = data
        self.ids = ids
        self.place = place

    def __getitem__(self, name: str) -> str:
        reason = why_hidden(self.data, self.place, self.ids[name])
        if not reason:
            raise KeyError(name)
        return reason

    def __iter__(self) -> Iterator[str]:
        return (name for name, path in self.ids.items() if why_hidden(self.data, self.place, path))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def why_hidden(data: Any, place: Path, target: Path) -> str:
    """Why what stands at `target` cannot be seen by the step at `place`; empty: only its turn may not have come."""
    shared = 0
    while shared < min(len(place), len(target)) and place[shared] == target[shared]:
        shared += 1
    if place == target:
        return "it is this step itself, which has not ended; in `output` and `repeat.until` there is its `result`"
    if shared == len(target) < len(place) and place[shared] != "compensate":
        return "this step stands inside of it, and it has not ended"
    if shared < len(place) and _is_key(place, shared - 1):
        if place[shared - 1] == "parallel":
            return "it is in another branch of `parallel`, and branches run side by side"
        if place[shared - 1] == "switch":
            return "it is in another branch of `switch`, and only one of them runs"
    found = data
    for index, part in enumerate(target[:-1]):
        length = index + 1  # of the path to `found`
        found = found[part]
        if part == "compensate" and _is_key(target, index) and place[:length] != target[:length]:
            return "it is in a `compensate`, which only runs when the run has failed"
        loops = isinstance(part, int) and isinstance(found, dict) and "for_each" in found
        if loops and target[length] != OUTSIDE and not _is_inside(place, target[:length]):
            name = found.get("id")
            if isinstance(name, str):
                return f"it is inside of the loop `{name}`: read the list `steps.{name}.output`"
            return "it is inside of a loop: give the loop an `id` and read the list `steps.ID.output`"
    return ""


def _is_inside(place: Path, loop: Path) -> bool:
    """Whether the place belongs to an iteration. The loop's own keys, `output` for one, do."""
    length = len(loop)
    return place[:length] == loop and (len(place) == length or place[length] != OUTSIDE)


def _is_key(path: Path, index: int) -> bool:
    """Whether a part of a path is a key of a step, and not the name of a branch."""
    return index > 0 and isinstance(path[index], str) and isinstance(path[index - 1], int)


def _in_list(path: Path, value: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, dict):
            yield (*path, index), item
            yield from _in_step((*path, index), item)


def _in_step(path: Path, step: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    yield from _in_list((*path, "steps"), step.get("steps"))
    branches = step.get("parallel")
    for name, steps in (branches if isinstance(branches, dict) else {}).items():
        yield from _in_list((*path, "parallel", name), steps)
    cases = step.get("switch")
    for index, case in enumerate(cases if isinstance(cases, list) else ()):
        for name in ("steps", "else"):
            yield from _in_list((*path, "switch", index, name), case.get(name) if isinstance(case, dict) else None)
    wait = step.get("wait")
    approval = wait.get("approval") if isinstance(wait, dict) else None
    if isinstance(approval, dict):
        yield from _in_list((*path, "wait", "approval", "notify"), approval.get("notify"))
    for name in LISTS:
        yield from _in_list((*path, name), step.get(name))
