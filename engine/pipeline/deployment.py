"""The pipelines in force: which path leads where, with secrets bound. Built as a whole, never changed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from engine.core.catalog import Catalog, TriggerKind, TriggerType
from engine.pipeline.expression import ExpressionError, reveal
from engine.pipeline.inputs import make_validator
from engine.pipeline.report import Problem
from engine.pipeline.spec import Pipeline, Trigger, Validator

RUN_FINISHED = "run.finished"  # the trigger type and the type of its events
OWN = frozenset({"path", "events", "max_body"})  # what triggers on one path may have for themselves


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
    check_body: Validator | None = None  # of `body_schema`


class Deployment(msgspec.Struct):
    """What is in force."""

    pipelines: dict[str, Pipeline] = {}
    endpoints: tuple[Endpoint, ...] = ()
    paths: dict[str, Endpoint] = {}  # those without parameters, by path
    schedules: tuple[Binding, ...] = ()
    events: tuple[Binding, ...] = ()
    finished: tuple[Binding, ...] = ()  # those of the type run.finished
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
    endpoints = _endpoints(bindings, problems)
    return Deployment(
        pipelines={pipeline.id: pipeline for pipeline in pipelines},
        endpoints=endpoints,
        paths={endpoint.path: endpoint for endpoint in endpoints if "{" not in endpoint.path},
        schedules=tuple(
            found for found in bindings if found.type.kind == TriggerKind.SCHEDULE and found.pipeline.enabled
        ),
        events=tuple(
            found for found in bindings if found.type.kind == TriggerKind.EVENT and found.type.name != RUN_FINISHED
        ),
        finished=tuple(found for found in bindings if found.type.name == RUN_FINISHED and found.pipeline.enabled),
        problems=problems,
    )


def _endpoints(bindings: Sequence[Binding], problems: list[Problem]) -> tuple[Endpoint, ...]:
    """One endpoint a path; those with fewer and later parameters first."""
    by_path: dict[str, list[Binding]] = {}
    for binding in bindings:
        if binding.type.kind == TriggerKind.WEBHOOK:
            by_path.setdefault(str(binding.config.path).strip("/"), []).append(binding)
    endpoints: list[Endpoint] = []
    for path, listening in by_path.items():
        first = listening[0]
        agreed = tuple(binding for binding in listening if _same_door(first, binding))
        problems += [_disagrees(first, binding, path) for binding in listening if not _same_door(first, binding)]
        endpoints.append(
            Endpoint(
                path=path,
                methods=tuple(method.upper() for method in first.config.methods),
                max_body=_most([int(binding.config.max_body) for binding in agreed]),
                bindings=agreed,
                check_body=_body_check(first.config),
            )
        )
    return tuple(sorted(endpoints, key=lambda endpoint: [part.startswith("{") for part in endpoint.path.split("/")]))


def _bind(
    pipeline: Pipeline,
    trigger: Trigger,
    catalog: Catalog,
    secrets: Callable[[str], str | None],
    env: Mapping[str, str],
) -> Binding | Problem:
    revealed: list[str] = []

    def problem(code: str, message: str, help: str = "") -> Problem:
        for value in revealed:
            message = message.replace(value, "***")  # a type's own check may quote what it got
        return _problem(pipeline, trigger, code, f"trigger `{trigger.id}`: {message}", help)

    def lookup(name: str) -> str:
        value = secrets(name)
        if not value:
            raise _MissingSecretError(name)
        revealed.append(value)
        return value

    type_ = catalog.triggers.get(trigger.uses)
    if type_ is None:
        return problem("E113", f"there is no trigger type `{trigger.uses}`")
    if _names_secret(trigger.with_.value):
        message = "`secret_ref` is not executed by this version yet"
        return problem("E120", message, "`hookwright check` and `hookwright test` know it; until then write `secret`")
    try:
        plain = reveal(trigger.with_.render({"env": env}), lookup)
        config = msgspec.convert(plain or {}, type_.config, strict=True)
    except _MissingSecretError as error:
        return problem(
            "E306",
            f"the secret {error} is not set; until then nothing starts here",
            f"set HOOKWRIGHT_SECRET_{error}, or add `{error}=...` to the secrets file",
        )
    except ExpressionError as error:
        return problem(error.code, str(error))
    except msgspec.ValidationError as error:
        return problem("E115", str(error).replace(" - at `$.", " at `").replace(" - at `$`", ""))
    except Exception as error:  # noqa: BLE001 - a plugin's own check may raise anything; the others must go on
        return problem("E115", f"{trigger.uses} failed: {type(error).__name__}: {error}")
    return Binding(pipeline, trigger, type_, config)


def _names_secret(with_: Any) -> bool:
    """Whether the secret is to be looked up for each delivery."""
    auth = with_.get("auth") if isinstance(with_, dict) else None
    settings = auth.get("hmac") if isinstance(auth, dict) else None
    return isinstance(settings, dict) and "secret_ref" in settings


def _body_check(config: Any) -> Validator | None:
    schema = getattr(config, "body_schema", None)
    return make_validator(schema) if schema is not None else None


def _most(limits: list[int]) -> int:
    """The largest body that somebody on this path takes; 0, the installation's default, if anybody leaves it open."""
    return 0 if 0 in limits else max(limits)


def _same_door(one: Binding, other: Binding) -> bool:
    """Type and settings agree; which events are wanted, and how large they may be, can differ."""
    if one.type.name != other.type.name:
        return False
    fields = [field.name for field in msgspec.structs.fields(one.type.config) if field.name not in OWN]
    return all(getattr(one.config, name) == getattr(other.config, name) for name in fields)


def _disagrees(first: Binding, other: Binding, path: str) -> Problem:
    message = f"`/hooks/{path}` is also used by pipeline `{first.pipeline.id}`, with another type or other settings"
    help = "triggers on one path differ only in `events` and `if`"
    return _problem(other.pipeline, other.trigger, "E117", message, help)


def _problem(pipeline: Pipeline, trigger: Trigger, code: str, message: str, help: str = "") -> Problem:
    """A problem at the trigger; the line comes from the version's source."""
    line, column = trigger.position.line, trigger.position.column
    text = str(msgspec.json.decode(pipeline.source).get("yaml", "")) if pipeline.source else ""
    lines = text.splitlines()
    return Problem(
        code=code,
        severity="error",
        message=message,
        file=pipeline.file,
        line=line,
        column=column,
        help=help,
        source_line=lines[line - 1] if line <= len(lines) else "",
        length=max(len(lines[line - 1].rstrip()) - column + 1, 1) if line <= len(lines) else 1,
    )


def _parameters(wanted: list[str], parts: list[str]) -> dict[str, str] | None:
    if len(wanted) != len(parts):
        return None
    found = {}
    for pattern, part in zip(wanted, parts, strict=True):
        if pattern.startswith("{") and pattern.endswith("}") and part:
            found[pattern[1:-1]] = part
        elif pattern != part:
            return None
    return found
