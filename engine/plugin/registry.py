"""Checks what a plugin registers and fills the catalog; what is refused becomes a problem, not an exception."""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from engine.core.catalog import Catalog, Effect, Scheme, StepType, TriggerKind, TriggerType, WebhookRules
from engine.plugin.config import StepConfig, WholeConfig
from engine.plugin.schemes import add_scheme

NAME = re.compile(r"[a-z][a-z0-9_.-]*")


class Plugin(msgspec.Struct):
    """One installed plugin and what it brought."""

    name: str  # of the entry point
    distribution: str
    version: str
    summary: str = ""
    steps: list[str] = []
    triggers: list[str] = []
    schemes: list[str] = []
    filters: list[str] = []

    def __str__(self) -> str:
        return f"`{self.name}` ({self.distribution} {self.version})".replace(" )", ")")


class RefusedError(Exception):
    """This registration is not accepted; the text says why."""


class Registry:
    """Fills one catalog on behalf of many plugins."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.problems: list[str] = []
        self._owners: dict[tuple[str, str], Plugin] = {}

    def doors(self, plugin: Plugin) -> dict[str, Callable[..., None]]:
        """The `register` function of each register_* hook, for this plugin."""

        def door(accept: Callable[..., None]) -> Callable[..., None]:
            def register(name: str, *args: Any, **kwargs: Any) -> None:
                try:
                    accept(plugin, name, *args, **kwargs)
                except (RefusedError, TypeError) as error:
                    self.problems.append(f"plugin {plugin}: `{name}` is not registered: {error}")

            return register

        return {
            "register_steps": door(self._step),
            "register_triggers": door(self._trigger),
            "register_schemes": door(self._scheme),
            "register_filters": door(self._filter),
        }

    def _claim(self, plugin: Plugin, kind: str, name: str) -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise RefusedError(f"a {kind}'s name is lower case, like `demo.greet`")
        owner = self._owners.get((kind, name))
        if owner is not None:
            raise RefusedError(f"plugin {owner} has registered a {kind} of this name already")

    def _step(
        self,
        plugin: Plugin,
        name: str,
        function: Callable[[Any, Any], Awaitable[Any]],
        *,
        config: type[StepConfig],
        effect: str = Effect.EFFECT,
        result: Any = Any,
        result_of: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
        timeout: float | None = None,
    ) -> None:
        self._claim(plugin, "step", name)
        if not inspect.iscoroutinefunction(function) or not _takes(function, 2):
            raise RefusedError("a step is an async function of two parameters: (config, context)")
        if effect not in tuple(Effect):
            raise RefusedError(f"effect is one of {', '.join(Effect)}; not {effect!r}")
        if result_of is not None and not _plain(result_of, 1):
            raise RefusedError("result_of(with) is a plain function that returns JSON Schemas by field of the output")
        if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
            raise RefusedError("timeout is a positive number of seconds, or None")
        self.catalog.steps[name] = StepType(
            name=name,
            function=function,
            config=config,
            effect=Effect(effect),
            result=result,
            result_of=result_of,
            timeout=timeout,
            whole=issubclass(config, WholeConfig),
            summary=_summary(config),
            plugin=plugin.distribution,
            version=plugin.version,
        )
        self._owners["step", name] = plugin
        plugin.steps.append(name)

    def _trigger(
        self,
        plugin: Plugin,
        name: str,
        *,
        config: type[StepConfig],
        kind: str,
        source: str = "",
        webhook: WebhookRules | None = None,
    ) -> None:
        self._claim(plugin, "trigger", name)
        if kind not in tuple(TriggerKind):
            raise RefusedError(f"kind is one of {', '.join(TriggerKind)}; not {kind!r}")
        if (kind == TriggerKind.WEBHOOK) != (webhook is not None):
            raise RefusedError("webhook=WebhookRules(...) belongs to kind webhook, and only there")
        summary = _summary(config)
        if webhook is not None and (missing := {"path", "methods", "max_body"} - set(config.__struct_fields__)):
            raise RefusedError(f"the config of a webhook trigger needs the fields {', '.join(sorted(missing))}")
        self.catalog.triggers[name] = TriggerType(
            name=name,
            kind=TriggerKind(kind),
            config=config,
            source=source,
            webhook=webhook,
            summary=summary,
            plugin=plugin.distribution,
            version=plugin.version,
        )
        self._owners["trigger", name] = plugin
        plugin.triggers.append(name)

    def _scheme(
        self,
        plugin: Plugin,
        name: str,
        *,
        config: type[StepConfig],
        verify: Callable[..., None],
        sign: Callable[..., dict[str, str]],
        short: str = "",
    ) -> None:
        self._claim(plugin, "scheme", name)
        if not _plain(verify, 2) or not _plain(sign, 4):
            raise RefusedError("verify(delivery, config) and sign(body, headers, config, now) are plain functions")
        if short and short not in config.__struct_fields__:
            raise RefusedError(f"`short` names a field of the config; there is no `{short}`")
        scheme = Scheme(name=name, config=config, verify=verify, sign=sign, summary=_summary(config), short=short)
        self.catalog.schemes[name] = scheme
        add_scheme(scheme)
        self._owners["scheme", name] = plugin
        plugin.schemes.append(name)

    def _filter(self, plugin: Plugin, name: str, function: Callable[..., Any]) -> None:
        self._claim(plugin, "filter", name)
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise RefusedError("a filter is a plain function of the value and its arguments")
        self.catalog.filters[name] = function
        self._owners["filter", name] = plugin
        plugin.filters.append(name)


def _summary(config: Any) -> str:
    """First line of the config's own docstring."""
    if not (isinstance(config, type) and issubclass(config, StepConfig)):
        raise RefusedError("config is a subclass of engine.plugin.StepConfig")
    text = (config.__dict__.get("__doc__") or "").strip()
    if not text:
        raise RefusedError(f"{config.__name__} needs a docstring: its first line is shown in lists and editors")
    return str(text.splitlines()[0])


def _plain(function: Any, parameters: int) -> bool:
    return callable(function) and not inspect.iscoroutinefunction(function) and _takes(function, parameters)


def _takes(function: Callable[..., Any], parameters: int) -> bool:
    try:
        inspect.signature(function).bind(*range(parameters))
    except (TypeError, ValueError):
        return False
    return True
