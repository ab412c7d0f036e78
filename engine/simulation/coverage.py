"""Which ways through the pipelines a set of tests has taken."""

from collections.abc import Iterable

import msgspec

from engine.pipeline.spec import Pipeline, Step
from engine.simulation.names import walk

Way = tuple[str, str, str]  # pipeline id, step key or `trigger:ID`, what: `true`, `false`, `case 0`, `no items`, ...


class Point(msgspec.Struct, frozen=True):
    """One way that a test can take."""

    way: Way
    what: str  # for people
    file: str
    line: int


class PipelineCoverage(msgspec.Struct, frozen=True):
    """The ways of one pipeline."""

    pipeline: str
    file: str
    taken: int
    total: int
    missed: list[Point]

    @property
    def percent(self) -> float:
        """100 if there is nothing to choose."""
        return 100.0 * self.taken / self.total if self.total else 100.0


def measure(pipelines: Iterable[Pipeline], taken: set[Way]) -> list[PipelineCoverage]:
    """For each pipeline which of its ways were taken."""
    found = []
    for pipeline in sorted(pipelines, key=lambda item: item.id):
        points = ways(pipeline)
        missed = [point for point in points if point.way not in taken]
        found.append(PipelineCoverage(pipeline.id, pipeline.file, len(points) - len(missed), len(points), missed))
    return found


def total_percent(coverage: Iterable[PipelineCoverage]) -> float:
    """Over all pipelines together."""
    counted = [(item.taken, item.total) for item in coverage]
    total = sum(all_ for _, all_ in counted)
    return 100.0 * sum(taken for taken, _ in counted) / total if total else 100.0


def ways(pipeline: Pipeline) -> list[Point]:
    """Every way there is, in the order of the file: conditions, branches, handlers, loops, waits, compensations."""
    points: list[Point] = []

    def add(key: str, kind: str, what: str, line: int) -> None:
        points.append(Point((pipeline.id, key, kind), what, pipeline.file, line))

    for trigger in pipeline.triggers:
        line = trigger.position.line
        add(f"trigger:{trigger.id}", "true", f"trigger `{trigger.id}` starts a run", line)
        if trigger.condition is not None:
            add(f"trigger:{trigger.id}", "false", f"`if` of trigger `{trigger.id}` is false", line)
    for place in walk(pipeline):
        step, name, line = place.step, place.name, place.step.position.line
        add(step.key, "true", f"`{name}` runs", line)
        if step.condition is not None:
            add(step.key, "false", f"`if` of `{name}` is false", line)
        for kind, what in _inside(step, name):
            add(step.key, kind, what, line)
    return points


def _inside(step: Step, name: str) -> Iterable[tuple[str, str]]:
    if step.cases and step.cases[-1].condition is not None:
        yield "no case", f"no branch of `{name}` is taken"
    if step.for_each is not None:
        yield "no items", f"the list of `{name}` is empty"
    if step.on_error.mode in ("continue", "output"):
        yield "handled", f"`on_error` of `{name}`"
    wait = step.wait
    if wait is None:
        return
    if wait.events:
        for index, event in enumerate(wait.events):
            yield f"event {index}", f"`{name}` gets {event.type or event.source or 'an event'}"
    if (wait.events or wait.approval is not None) and wait.timeout is not None:
        yield "timed out", f"`{name}` times out"
    if wait.approval is not None:
        yield "approved", f"`{name}` is approved"
        yield "rejected", f"`{name}` is rejected"
