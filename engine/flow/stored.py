"""What a run has done so far, by step: its rows, found from the tree of its pipeline. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.core.run import AttemptStatus, split_round
from engine.flow.attempts import FAILURES
from engine.pipeline.spec import Pipeline, Step
from engine.store import StoredAttempt

Chain = tuple[str, ...]  # of what a step stands in, such as ("steps", "group:check", "case:kind:1")


class Rows:
    """The attempts that count, by key; not those that an earlier retry has superseded."""

    def __init__(self, attempts: Iterable[StoredAttempt]) -> None:
        self._rows: dict[str, list[StoredAttempt]] = {}
        for attempt in attempts:
            if split_round(attempt.step)[0] is None:
                self._rows.setdefault(attempt.step, []).append(attempt)
        for rows in self._rows.values():
            rows.sort(key=lambda row: row.number)
        self._keys = sorted(self._rows)

    def of(self, key: str) -> list[StoredAttempt]:
        """The attempts of one step, oldest first."""
        return self._rows.get(key, [])

    def last(self, key: str) -> StoredAttempt | None:
        """The newest attempt of one step."""
        rows = self._rows.get(key)
        return rows[-1] if rows else None

    def under(self, prefix: str) -> list[str]:
        """The keys that begin so."""
        found = []
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            if not self._keys[index].startswith(prefix):
                break
            found.append(self._keys[index])
        return found

    def items(self, key: str) -> list[str]:
        """The keys of a loop's items of which anything is stored."""
        begin = len(key) + 1
        return list(dict.fromkeys(found[: found.index("]", begin) + 1] for found in self.under(f"{key}[")))

    def inside_call(self, key: str, number: int) -> str:
        """The prefix of the steps of this attempt of a call."""
        return f"{key}/" if number == 1 else f"{key}#{number}/"


def succeeded(row: StoredAttempt | None) -> bool:
    """Whether the step is over, and has an output."""
    return row is not None and row.status == AttemptStatus.SUCCEEDED and row.due_at is None


def failed(row: StoredAttempt | None) -> bool:
    """Whether the step is over, and has none."""
    return row is not None and row.status in FAILURES and row.due_at is None


def skipped(row: StoredAttempt | None) -> bool:
    """Whether its condition was false."""
    return row is not None and row.status == AttemptStatus.SKIPPED


class Place(NamedTuple):
    """A step of which something is stored."""

    key: str
    step: Step
    pipeline: Pipeline  # that it stands in
    inside: str  # prefix of the keys of the steps in it, and of its compensation
    static: str = ""  # the key without items and numbers of calls: where it is in any run
    item: bool = False  # of a loop


def places(pipeline: Pipeline, rows: Rows) -> Iterator[Place]:
    """Every step of which something is stored, outer ones first."""
    yield from _in_pipeline(pipeline, rows, "", "")


def _in_pipeline(pipeline: Pipeline, rows: Rows, prefix: str, static: str) -> Iterator[Place]:
    for section in (pipeline.steps, pipeline.on_error, pipeline.finally_):
        yield from _in_steps(pipeline, rows, prefix, static, section)


def _in_steps(pipeline: Pipeline, rows: Rows, prefix: str, static: str, steps: tuple[Step, ...]) -> Iterator[Place]:
    for step in steps:
        key, place = prefix + step.key, static + step.key
        if step.for_each is None:
            yield from _at(pipeline, rows, Place(key, step, pipeline, prefix, place), static)
        else:
            if rows.of(key):
                yield Place(key, step, pipeline, prefix, place)
            for item in rows.items(key):
                inner = Place(item, step, pipeline, f"{item}/", f"{place}[]", item=True)
                yield from _at(pipeline, rows, inner, f"{place}[]/")
        yield from _in_steps(pipeline, rows, prefix, static, step.on_error.steps)


def _at(pipeline: Pipeline, rows: Rows, place: Place, static: str) -> Iterator[Place]:
    step = place.step
    if rows.of(place.key):
        yield place
    for part in inner_parts(step):
        yield from _in_steps(pipeline, rows, place.inside, static, part)
    callee = pipeline.called.get(step.pipeline) if step.pipeline is not None else None
    if callee is not None:
        for row in rows.of(place.key):
            prefix = rows.inside_call(place.key, row.number)
            yield from _in_pipeline(callee, rows, prefix, f"{place.static}/")


def inner_parts(step: Step) -> Iterator[tuple[Step, ...]]:
    """The lists of steps in this one that belong to each of its iterations: all but its `on_error`."""
    yield step.steps
    yield from step.branches.values()
    for case in step.cases:
        yield case.steps
    if step.wait is not None and step.wait.approval is not None:
        yield step.wait.approval.notify
    yield step.compensate


class Spot(NamedTuple):
    """Where a step stands in a version."""

    step: Step
    chain: Chain
    prefix: str  # of the static keys beside it
    parent: str | None  # static key of what it is over with; None: of the run


MAX_DEPTH = 16  # of calls, as when they run


def layout(pipeline: Pipeline) -> dict[str, Spot]:
    """Every step of a version by its static key; those of called pipelines too."""
    found: dict[str, Spot] = {}
    _Layout(found).pipeline(pipeline, "", (), None, 0)
    return found


class _Layout:
    def __init__(self, found: dict[str, Spot]) -> None:
        self.found = found

    def pipeline(self, pipeline: Pipeline, prefix: str, chain: Chain, parent: str | None, depth: int) -> None:
        sections = (("steps", pipeline.steps), ("on_error", pipeline.on_error), ("finally", pipeline.finally_))
        for name, steps in sections:
            self.steps(pipeline, steps, prefix, (*chain, name), parent, depth)

    def steps(
        self, pipeline: Pipeline, steps: tuple[Step, ...], prefix: str, chain: Chain, parent: str | None, depth: int
    ) -> None:
        for step in steps:
            place = prefix + step.key
            self.found[place] = Spot(step, chain, prefix, parent)
            inner, inside, own = prefix, (*chain, f"{step.shape}:{step.key}"), place
            if step.for_each is not None:
                own, inner, inside = f"{place}[]", f"{place}[]/", (*chain, f"loop:{step.key}")
                self.found[own] = Spot(step, chain, prefix, place)
            for part in (step.steps, *step.branches.values()):
                self.steps(pipeline, part, inner, inside, own, depth)
            for index, case in enumerate(step.cases):
                self.steps(pipeline, case.steps, inner, (*inside, f"case:{index}"), own, depth)
            if step.wait is not None and step.wait.approval is not None:
                self.steps(pipeline, step.wait.approval.notify, inner, (*inside, "notify"), own, depth)
            self.steps(pipeline, step.compensate, inner, (*inside, "compensate"), None, depth)
            self.steps(pipeline, step.on_error.steps, prefix, (*chain, f"on_error:{step.key}"), parent, depth)
            callee = pipeline.called.get(step.pipeline) if step.pipeline is not None else None
            if callee is not None and depth < MAX_DEPTH:
                self.pipeline(callee, f"{own}/", (*inside, f"pipeline:{callee.id}"), own, depth + 1)
