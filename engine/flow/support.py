"""What the language has and this version does not execute yet: it is checked and simulated, but not deployed."""

from collections.abc import Iterator

from engine.flow.frame import parts
from engine.pipeline.report import Problem
from engine.pipeline.spec import Pipeline, Position, Respond, Step, Trigger

HELP = "`hookwright check` and `hookwright test` know it"


def unsupported(pipeline: Pipeline, text: str = "") -> list[Problem]:
    """One problem for each place that cannot be executed, called pipelines included.

    text: of the pipeline's file, for the lines in the problems.
    """
    lines = text.splitlines()
    problems = []
    for what, place in _found(pipeline):
        line = lines[place.line - 1] if place.line <= len(lines) else ""
        problem = Problem(
            code="E120",
            severity="error",
            message=f"{what} is not executed by this version yet",
            file=pipeline.file,
            line=place.line,
            column=place.column,
            help=HELP,
            source_line=line,
        )
        if problem not in problems:
            problems.append(problem)
    return problems


def _found(pipeline: Pipeline) -> Iterator[tuple[str, Position]]:
    for trigger in pipeline.triggers:
        for what in _of_trigger(trigger):
            yield what, trigger.position
    for section in (pipeline.steps, pipeline.on_error, pipeline.finally_):
        yield from _in_steps(pipeline, section)


def _of_trigger(trigger: Trigger) -> Iterator[str]:
    if trigger.respond is not None and trigger.respond != Respond():
        yield "`respond`"


def _in_steps(pipeline: Pipeline, steps: tuple[Step, ...]) -> Iterator[tuple[str, Position]]:
    for step in steps:
        for what in _of_step(step):
            yield what, step.position
        callee = pipeline.called.get(step.pipeline) if step.pipeline is not None else None
        if callee is not None:
            for what, place in _found(callee):
                yield f"{what} in the called pipeline `{callee.id}` ({callee.file}:{place.line})", step.position
        for part in parts(step):
            yield from _in_steps(pipeline, part)


def _of_step(step: Step) -> Iterator[str]:
    if step.sensitive:
        yield "`sensitive`"
