"""The steps of a pipeline and what people call them in tests."""

from collections.abc import Iterable, Iterator

import msgspec

from engine.pipeline.spec import Pipeline, Step


class Place(msgspec.Struct, frozen=True):
    """One step and where it stands. role: steps | branch | case | on_error | compensate | notify | finally."""

    step: Step
    name: str  # what people call it
    role: str = "steps"
    parent: Step | None = None  # the step it stands in; None: a section of the pipeline
    index: int = 0  # case: which branch of the `switch`
    first: bool = False  # the first step of its list


def walk(pipeline: Pipeline) -> Iterator[Place]:
    """Every step of the pipeline's own, those inside others after the one they stand in."""
    yield from _list(pipeline.steps, "steps", None)
    yield from _list(pipeline.on_error, "on_error", None)
    yield from _list(pipeline.finally_, "finally", None)


def walk_all(pipeline: Pipeline) -> Iterator[tuple[Pipeline, Place]]:
    """The same with all pipelines it calls, each once."""
    for found in called(pipeline):
        for place in walk(found):
            yield found, place


def called(pipeline: Pipeline) -> list[Pipeline]:
    """The pipeline and all that it calls, directly and through others."""
    found = {pipeline.id: pipeline}
    todo = [pipeline]
    while todo:
        for name, callee in todo.pop().called.items():
            if name not in found:
                found[name] = callee
                todo.append(callee)
    return list(found.values())


def shown_names(pipeline: Pipeline) -> dict[str, str]:
    """What people call each step, by its key."""
    return {place.step.key: place.name for place in walk(pipeline)}


def step_names(pipelines: Iterable[Pipeline]) -> list[str]:
    """All names of steps in these pipelines, each once."""
    return list(dict.fromkeys(place.name for pipeline in pipelines for place in walk(pipeline)))


def shown_name(step: Step, compensates: Step | None = None) -> str:
    """The id; else `undo_ID` of a compensation, the step type, or the place in the file."""
    if step.id is not None:
        return step.id
    if compensates is not None and compensates.id is not None:
        return f"undo_{compensates.id}"
    return step.uses or step.key


def _list(steps: tuple[Step, ...], role: str, parent: Step | None, index: int = 0) -> Iterator[Place]:
    for number, step in enumerate(steps):
        name = shown_name(step, parent if role == "compensate" else None)
        yield Place(step, name, role, parent, index, first=number == 0)
        yield from _list(step.steps, "steps", step)
        for branch in step.branches.values():
            yield from _list(branch, "branch", step)
        for case, branch_of_case in enumerate(step.cases):
            yield from _list(branch_of_case.steps, "case", step, case)
        if step.wait is not None and step.wait.approval is not None:
            yield from _list(step.wait.approval.notify, "notify", step)
        yield from _list(step.on_error.steps, "on_error", step)
        yield from _list(step.compensate, "compensate", step)
