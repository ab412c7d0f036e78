"""The pipelines in force: which path leads where, with secrets bound. Built as a whole, never changed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from engine.core.catalog import Catalog, TriggerKind, TriggerType
from engine.pipeline.expression import ExpressionError, reveal
from engine.pipeline.report import Problem
from engine.pipeline.spec import Pipeline, Trigger


class Binding(msgspec.Struct, frozen=True):
    """A trigger made ready: `config` is its `with` with the secrets in it."""

    pipeline: Pipeline
    trigger: Trigger
    type: TriggerType
    config: Any


class Endpoint(msgspec.Struct, frozen=True):
    """One path below /hooks/ and everybody who listens there; all with the same type and authentication."""

    path: str
    methods: tuple[str, ...]
    max_body: int
    bindings: tuple[Binding, ...]


class Deployment(msgspec.Struct):
    """What is in force."""

    pipelines: dict[str, Pipeline] = {}
    endpoints: tuple[Endpoint, ...] = ()
    paths: dict[str, Endpoint] = {}  # those without parameters, by path
    schedules: tuple[Binding, ...] = ()
    events: tuple[Binding, ...] = ()
    problems: list[Problem] = []

    def find(self, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """The endpoint of a path below /hooks/ and its `{parameters}`; a path without parameters wins."""
        path = path.strip("/")
        found = self.paths.get(path)
        if found is not None:
            return found, {}
        parts = path.split("/")
        for endpoint in self.endpoints:
            if "{" in endpoint.path and (parameters := _parameters(endpoint.path.split("/"), parts)) is not None:
                return endpoint, parameters
        return None


class _MissingSecretError(Exception):
    pass


def deploy(
    pipelines: Sequence[Pipeline],
    catalog: Catalog,
    *,
    secrets: Callable[[str], str | None],
    env: Mapping[str, str],
) -> Deployment:
    """Bind every trigger. One that cannot be bound is a problem and is left out; the rest works."""
    problems: list[Problem] = []
    bindings: list[Binding] = []
    for pipeline in pipelines:
        for trigger in pipeline.triggers:
            bound = _bind(pipeline, trigger, catalog, secrets, env)
            if isinstance(bound, Binding):
                bindings.append(bound)
            else:
                problems.append(bound)
    by_path: dict[str, list[Binding]] = {}
    for binding in bindings:
        if binding.type.kind == TriggerKind.WEBHOOK:
            by_path.setdefault(str(binding.config.path).strip("/"), []).append(binding)
    endpoints = []
    for path, listening in by_path.items():
        first = listening[0]
        agreed = [binding for binding in listening if _same_door(first, binding)]
        problems += [_disagrees(first, binding, path) for binding in listening if binding not in agreed]
        endpoint = Endpoint(
            path=path,
            methods=tuple(method.upper() for method in first.config.methods),
            max_body=max(int(binding.config.max_body) for binding in agreed),
            bindings=tuple(agreed),
        )
        endpoints.append(endpoint)
    return Deployment(
        pipelines={pipeline.id: pipeline for pipeline in pipelines},
        endpoints=tuple(endpoints),
        paths={endpoint.path: endpoint for endpoint in endpoints if "{" not in endpoint.path},
        schedules=tuple(found for found in bindings if found.type.kind == TriggerKind.SCHEDULE),
        events=tuple(found for found in bindings if found.type.kind == TriggerKind.EVENT),
        problems=problems,
    )


def _bind(
    pipeline: Pipeline,
    trigger: Trigger,
    catalog: Catalog,
    secrets: Callable[[str], str | None],
    env: Mapping[str, str],
) -> Binding | Problem:
    def problem(code: str, message: str, help: str = "") -> Problem:
        return Problem(
            code=code,
            severity="error",
            message=message,
            file=pipeline.file,
            line=trigger.position.line,
            column=trigger.position.column,
            help=help,
        )

    def lookup(name: str) -> str:
        value = secrets(name)
        if not value:
            raise _MissingSecretError(name)
        return value

    type_ = catalog.triggers.get(trigger.uses)
    if type_ is None:
        return problem("E114", f"there is no trigger type `{trigger.uses}`")
    try:
        plain = reveal(trigger.with_.render({"env": env}), lookup)
        config = msgspec.convert(plain or {}, type_.config, strict=True)
    except _MissingSecretError as error:
        return problem(
            "E303",
            f"the secret `{error}` is not set: trigger `{trigger.id}` is off",
            f"set HOOKWRIGHT_SECRET_{error} or add it to the secrets file",
        )
    except ExpressionError as error:
        return problem("E220", f"trigger `{trigger.id}`: {error}")
    except msgspec.ValidationError as error:
        return problem("E106", f"trigger `{trigger.id}`: {error}")
    return Binding(pipeline, trigger, type_, config)


def _same_door(one: Binding, other: Binding) -> bool:
    """Type, methods and authentication agree; which events are wanted may differ."""
    if one.type.name != other.type.name:
        return False
    return all(
        getattr(one.config, name, None) == getattr(other.config, name, None) for name in ("secret", "auth", "methods")
    )


def _disagrees(first: Binding, other: Binding, path: str) -> Problem:
    return Problem(
        code="E117",
        severity="error",
        message=f"path `{path}` is also used by pipeline `{first.pipeline.id}` with another type, secret or method",
        file=other.pipeline.file,
        line=other.trigger.position.line,
        column=other.trigger.position.column,
        help="triggers on one path must agree in `uses`, `secret` or `auth`, and `methods`",
    )


def _parameters(wanted: list[str], parts: list[str]) -> dict[str, str] | None:
    if len(wanted) != len(parts):
        return None
    found = {}
    for pattern, part in zip(wanted, parts, strict=True):
        if pattern.startswith("{") and pattern.endswith("}"):
            found[pattern[1:-1]] = part
        elif pattern != part:
            return None
    return found
