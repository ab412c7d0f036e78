"""What a test puts in the place of parts of a pipeline: kept outputs, values of variables."""

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.pipeline.expression import Template, compile_template
from engine.pipeline.spec import Case, Pipeline, Step
from engine.simulation.mocks import Mocks, literal


class Kept:
    """The output of a mock that replaces what the step's `output:` would make of it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class KeepTemplate(Template):
    """A step's `output:` that lets a Kept value pass."""

    __slots__ = ("original",)

    def __init__(self, original: Template | None) -> None:
        base = original if original is not None else compile_template(None)
        super().__init__(base.value, None, base.expressions)
        self.literal = False
        self.original = original

    def render(self, scope: Mapping[str, Any]) -> Any:
        """What is kept, or what the original makes of the result."""
        result = scope["result"]
        if isinstance(result, Kept):
            return result.value
        return self.original.render(scope) if self.original is not None else result


def prepare(pipeline: Pipeline, mocks: Mocks, values: Mapping[str, Any]) -> Pipeline:
    """The pipeline as the test wants it: with its values for variables, and with steps that take kept outputs."""
    if any(answer.kept for mock in mocks.mocks.values() for answer in mock.answers):
        pipeline = _keeping(pipeline)
    if values:
        known = {name: compile_template(literal(value)) for name, value in values.items()}
        pipeline = msgspec.structs.replace(pipeline, vars={**pipeline.vars, **known})
    return pipeline


def _keeping(pipeline: Pipeline) -> Pipeline:
    return msgspec.structs.replace(
        pipeline,
        steps=_all(pipeline.steps),
        on_error=_all(pipeline.on_error),
        finally_=_all(pipeline.finally_),
        called={name: _keeping(callee) for name, callee in pipeline.called.items()},
    )


def _all(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(_step(step) for step in steps)


def _step(step: Step) -> Step:
    changes: dict[str, Any] = {
        "steps": _all(step.steps),
        "branches": {name: _all(branch) for name, branch in step.branches.items()},
        "cases": tuple(Case(case.condition, _all(case.steps)) for case in step.cases),
        "compensate": _all(step.compensate),
        "on_error": msgspec.structs.replace(step.on_error, steps=_all(step.on_error.steps)),
    }
    if step.wait is not None and step.wait.approval is not None:
        approval = msgspec.structs.replace(step.wait.approval, notify=_all(step.wait.approval.notify))
        changes["wait"] = msgspec.structs.replace(step.wait, approval=approval)
    if step.shape in ("action", "call") and step.repeat is None:
        changes["output"] = KeepTemplate(step.output)
    return msgspec.structs.replace(step, **changes)
