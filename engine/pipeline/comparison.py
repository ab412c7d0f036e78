"""What is different between two versions of a step: by what was written, wherever it stands in its file."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from engine.pipeline.expression import Expression, Template
from engine.pipeline.spec import Pipeline, Step

SILENT = frozenset({"position", "name", "validator"})  # they change nothing
WORDS = {
    "with_": "with",
    "condition": "if",
    "for_": "for",
    "branches": "parallel",
    "cases": "switch",
}


def changes(old: Step, new: Step, *, callees: tuple[Pipeline, Pipeline] | None = None) -> list[str]:
    """The keys in which the steps differ, as an author writes them. callees: the pipelines whose steps these are."""
    one, other = _plain(old), _plain(new)
    found = [WORDS.get(name, name) for name in one if one[name] != other[name]]
    if callees is not None:
        before, after = (_versions(pipeline, step) for pipeline, step in zip(callees, (old, new), strict=True))
        found += [f"pipeline:{name}" for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
    return found


def changed_values(old: Mapping[str, Template], new: Mapping[str, Template]) -> list[str]:
    """Names whose templates differ or that only one of them has."""
    return [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]


def inner_steps(step: Step) -> Iterator[Step]:
    """The step and all that stand in it, those that undo it included."""
    yield step
    for part in _parts(step):
        for inner in part:
            yield from inner_steps(inner)


def _parts(step: Step) -> Iterator[tuple[Step, ...]]:
    yield step.steps
    yield from step.branches.values()
    for case in step.cases:
        yield case.steps
    if step.wait is not None and step.wait.approval is not None:
        yield step.wait.approval.notify
    yield step.on_error.steps
    yield step.compensate


def _versions(pipeline: Pipeline, step: Step) -> dict[str, str]:
    called: Iterable[str | None] = (inner.pipeline for inner in inner_steps(step))
    return {name: pipeline.called[name].version for name in called if name in pipeline.called}


def _plain(value: Any) -> Any:
    if isinstance(value, Template):
        return value.value
    if isinstance(value, Expression):
        return value.source
    if isinstance(value, msgspec.Struct):
        fields = (name for name in value.__struct_fields__ if name not in SILENT)
        return {name: _plain(getattr(value, name)) for name in fields}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
