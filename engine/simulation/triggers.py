"""A pipeline's triggers, made ready with dummy secrets, and why one does or does not take an event."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import msgspec

from engine.core.catalog import Catalog, TriggerKind, TriggerType
from engine.core.run import Decision
from engine.errors import HookwrightError
from engine.pipeline.deployment import Binding
from engine.pipeline.expression import ExpressionError, reveal
from engine.pipeline.spec import Pipeline, Trigger
from engine.simulation.matching import show

INTERNAL = "internal"  # source of what `emit` steps emit


class Mistake(HookwrightError):
    """The test itself is wrong: it says nothing about the pipeline."""


def bind(
    pipeline: Pipeline, trigger: Trigger, catalog: Catalog, *, env: Mapping[str, str], secrets: Callable[[str], str]
) -> Binding:
    """The trigger with its settings. Settings that dummies do not fit are taken as they are written."""
    type_ = catalog.triggers.get(trigger.uses)
    if type_ is None:
        raise Mistake(f"the trigger type `{trigger.uses}` is not installed")
    try:
        plain = reveal(trigger.with_.render({"env": env}), secrets) or {}
    except ExpressionError:
        plain = trigger.with_.value or {}
    config: Any
    try:
        config = msgspec.convert(plain, type_.config, strict=True)
    except Exception:  # noqa: BLE001 - a type's own check may raise anything about a dummy
        config = SimpleNamespace(**{"path": "", "methods": ["POST"], "events": ["*"], "max_body": 0, **plain})
    return Binding(pipeline, trigger, type_, config)


def takes_source(binding: Binding, source: str) -> bool:
    """Whether an event of this source can be meant for the trigger: its type's source, or its path."""
    kind: TriggerType = binding.type
    names = {kind.source, kind.name, kind.name.removesuffix(".webhook"), ""}
    if kind.kind == TriggerKind.EVENT:
        names.add(INTERNAL)
    path = str(getattr(binding.config, "path", "") or "").strip("/")
    return source in names or (bool(path) and _fits(path.split("/"), source.strip("/").split("/")))


def default_type(binding: Binding) -> str:
    """The type of an event that does not say: the first that the trigger wants, if it names one."""
    events = getattr(binding.config, "events", None) or [getattr(binding.config, "type", None)]
    first = events[0] if isinstance(events, list | tuple) else events
    if isinstance(first, str) and first and "*" not in first:
        return first
    return {TriggerKind.WEBHOOK: "webhook"}.get(binding.type.kind, binding.type.name)


def explain(decision: Decision) -> str:
    """One sentence: why there was no run."""
    detail = decision.detail
    who = f"trigger `{decision.trigger}`"
    values = "".join(f"; `{name}` is {show(value, 120)}" for name, value in (detail.get("values") or {}).items())
    match decision.reason:
        case "disabled":
            return "the pipeline is not enabled"
        case "source":
            return f"{who} takes events of `{detail.get('wanted')}`, this one is of `{detail.get('source')}`"
        case "event_type":
            return f"{who} wants {show(detail.get('wanted'))}, this is `{detail.get('type')}`"
        case "condition_false":
            return f"{who}: `{detail.get('condition')}` is false{values}"
        case "condition_error":
            return f"{who}: `{detail.get('condition')}` failed: {detail.get('error')}{values}"
        case "invalid_inputs":
            return f"{who}: its inputs were refused: {detail.get('error')}"
    return f"{who}: {decision.reason}"


def _fits(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(
        one == other or (one.startswith("{") and one.endswith("}")) for one, other in zip(pattern, parts, strict=True)
    )
