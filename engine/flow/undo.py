"""Compensation: what has succeeded is undone in reverse order when the run fails or is cancelled.

A step inside a called pipeline belongs to that pipeline: if the call fails, it undoes its steps before its own
`on_error`; once the call has succeeded they are undone with the caller's, unless the call has a `compensate` of its
own, which takes their place.
"""

from engine.flow.execution import Execution, Undo
from engine.flow.frame import Frame, parts
from engine.pipeline.spec import Pipeline, Step


def take_undo(execution: Execution, frame: Frame) -> list[Undo]:
    """What is to be undone in this pipeline, the newest first; it is not registered any more."""
    keys = [key for key in execution.undo if key.startswith(frame.prefix)]
    found = [execution.undo.pop(key) for key in keys]
    found.sort(key=lambda undo: undo.finished_at)
    return found[::-1]


def undoes(pipeline: Pipeline, steps: tuple[Step, ...]) -> bool:
    """Whether any of these steps, or of those within them, knows how to be undone."""
    for step in steps:
        if step.compensate or any(undoes(pipeline, part) for part in parts(step)):
            return True
        callee = pipeline.called.get(step.pipeline) if step.pipeline is not None else None
        if callee is not None and undoes(callee, callee.steps):
            return True
    return False
