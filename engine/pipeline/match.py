"""Match an event against a trigger, and say why it did or did not start a run. Pure."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from engine.core.catalog import TriggerKind
from engine.core.run import Decision
from engine.errors import BadRequest
from engine.pipeline.deployment import RUN_FINISHED, Binding
from engine.pipeline.expression import ExpressionError, Template
from engine.pipeline.spec import Pipeline, Trigger

MAX_PROBLEMS = 20


class InvalidInputs(BadRequest):
    """The inputs do not fit what the pipeline declares. `problems`: [{"name", "message"}]."""

    def __init__(self, problems: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{problem['name']}: {problem['message']}" for problem in problems))
        self.problems = problems


def match(binding: Binding, event_type: str, scope: Mapping[str, Any]) -> tuple[Decision, dict[str, Any] | None]:
    """The decision, and the run's inputs if it matched. The scope has `event` and `env`.

    Without inputs if the event first waits for others: they are rendered when a run comes of them.
    """
    trigger, pipeline = binding.trigger, binding.pipeline

    def no(reason: str, **detail: Any) -> tuple[Decision, None]:
        return Decision(pipeline.id, trigger.id, matched=False, reason=reason, detail=detail), None

    if not pipeline.enabled:
        return no("disabled")
    if not _wants(binding, event_type, scope):
        return no("event_type", type=event_type, wanted=_wanted(binding))
    condition = trigger.condition
    if condition is not None:
        try:
            holds = condition.condition(scope)
        except ExpressionError as error:
            values = condition.explain(scope)
            return no("condition_error", condition=condition.source, error=str(error), values=values)
        if not holds:
            return no("condition_false", condition=condition.source, values=condition.explain(scope))
    matched = Decision(pipeline.id, trigger.id, matched=True, reason="matched")
    if trigger.debounce is not None or trigger.batch is not None:
        return matched, {}
    inputs = render_inputs(pipeline, trigger, scope)
    return (inputs, None) if isinstance(inputs, Decision) else (matched, inputs)


def render_inputs(pipeline: Pipeline, trigger: Trigger, scope: Mapping[str, Any]) -> dict[str, Any] | Decision:
    """The inputs of a run that this trigger starts; or why it starts none."""
    try:
        return validate_inputs(pipeline, {name: template.render(scope) for name, template in trigger.inputs.items()})
    except ExpressionError as error:
        detail: dict[str, Any] = {"error": str(error)}
    except InvalidInputs as error:
        detail = {"error": str(error), "problems": error.problems}
    return Decision(pipeline.id, trigger.id, matched=False, reason="invalid_inputs", detail=detail)


def render_key(key: Template, scope: Mapping[str, Any]) -> str:
    """A key as text. ExpressionError if it has no value."""
    value = key.render(scope)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def validate_inputs(pipeline: Pipeline, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with defaults filled in, checked and not coerced. InvalidInputs names everything that does not fit."""
    known = ", ".join(pipeline.inputs) or "none"
    problems = [
        {"name": str(name), "message": f"there is no such input; the pipeline has: {known}"}
        for name in values
        if name not in pipeline.inputs
    ]
    complete: dict[str, Any] = {}
    for name, declared in pipeline.inputs.items():
        complete[name] = values.get(name, declared.default)
        if name not in values:
            if declared.required:
                problems.append({"name": name, "message": "is required"})
            continue
        if declared.validator is not None and not (values[name] is None and not declared.required):
            problems += [{"name": name, "message": message} for message in declared.validator(values[name])]
    if problems:
        raise InvalidInputs(problems[:MAX_PROBLEMS])
    return complete


def _wants(binding: Binding, event_type: str, scope: Mapping[str, Any]) -> bool:
    if binding.type.webhook is not None:
        return binding.type.webhook.wants(event_type, binding.config)
    if binding.type.name == RUN_FINISHED:
        return event_type == RUN_FINISHED and _has_finished(binding.config, scope)
    if binding.type.kind == TriggerKind.EVENT:
        return fnmatchcase(event_type, str(getattr(binding.config, "type", "*")))
    return True


def _has_finished(config: Any, scope: Mapping[str, Any]) -> bool:
    """Whether the run of a `run.finished` event is one of those that the trigger names."""
    body = scope["event"].get("body")
    run = body.get("run") if isinstance(body, Mapping) else None
    return isinstance(run, Mapping) and awaits(config, str(run.get("pipeline", "")), str(run.get("outcome", "")))


def awaits(config: Any, pipeline: str, outcome: str) -> bool:
    """Whether a trigger of the type run.finished names this pipeline and this outcome."""
    if outcome not in config.outcomes:
        return False
    excluded = [name[1:] for name in config.pipelines if name.startswith("!")]
    included = [name for name in config.pipelines if not name.startswith("!")] or ["*"]
    return any(fnmatchcase(pipeline, name) for name in included) and not any(
        fnmatchcase(pipeline, name) for name in excluded
    )


def _wanted(binding: Binding) -> Any:
    events = getattr(binding.config, "events", None)
    return list(events) if events else getattr(binding.config, "type", None)
