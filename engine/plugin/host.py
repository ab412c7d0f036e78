"""Finds the installed plugins and fills the catalog. Ours come through the same door as a stranger's."""

import contextlib
import difflib
import functools
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pluggy
import structlog

from engine.core.catalog import Catalog
from engine.plugin import hooks
from engine.plugin.observers import EVENTS, Observer, Observers
from engine.plugin.registry import Plugin, Registry

REGISTER = ("register_steps", "register_triggers", "register_schemes", "register_filters")
OURS = "hookwright"  # this distribution; its plugins are asked first, so nobody can take their names

log = structlog.get_logger("plugin")

Source = tuple[Plugin, Callable[[], Any]]  # what is known before loading, and how to load it


class Host(msgspec.Struct):
    """What load_catalog() found."""

    catalog: Catalog
    observers: Observers
    problems: list[str]  # one text for each thing that was refused; the rest works
    plugins: list[Plugin]


def load_catalog(*, extra: Iterable[Any] = ()) -> Host:
    """Load every plugin of the entry-point group `hookwright`, then the extra ones (modules or objects).

    Nothing is raised: a plugin that cannot be imported, misspells a hook or takes a name that is taken becomes a
    problem, and the others are not affected.
    """
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    registry = Registry()
    plugins: list[Plugin] = []
    observers: dict[str, list[Observer]] = {event: [] for event in EVENTS}
    for plugin, load in [*_installed(), *_given(extra)]:
        try:
            loaded = load()
            _admit(manager, loaded, plugin)
        except Exception as error:  # noqa: BLE001 - importing a stranger's module may raise anything
            registry.problems.append(f"plugin {plugin} is left out: {_text(error)}")
            continue
        plugin.summary = (getattr(loaded, "__doc__", None) or "").strip().partition("\n")[0]
        plugins.append(plugin)
        doors = registry.doors(plugin)
        for hook in REGISTER:
            for function in _functions(manager, hook, loaded):
                try:
                    function(register=doors[hook])
                except Exception as error:  # noqa: BLE001
                    registry.problems.append(f"plugin {plugin}: {hook} failed: {_text(error)}")
        for event in EVENTS:
            observers[event] += [(plugin.name, function) for function in _functions(manager, event, loaded)]
    for problem in registry.problems:
        log.warning("plugin.refused", problem=problem)
    watching = Observers({event: tuple(found) for event, found in observers.items()})
    return Host(registry.catalog, watching, registry.problems, plugins)


def _installed() -> list[Source]:
    """Entry points of all distributions, ours first, each distribution once even if the path shows it twice."""
    found: dict[tuple[str, str], Source] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"] or "?"
        for point in distribution.entry_points:
            if point.group == hooks.PROJECT:
                plugin = Plugin(name=point.name, distribution=name, version=distribution.version)
                found.setdefault((name.lower(), point.name), (plugin, point.load))
    return [found[key] for key in sorted(found, key=lambda key: (key[0] != OURS, key))]


def _given(extra: Iterable[Any]) -> Iterator[Source]:
    for index, thing in enumerate(extra):
        name = getattr(thing, "__name__", None) or f"{type(thing).__name__}-{index}"
        version = getattr(thing, "__version__", "")
        yield Plugin(name=name, distribution=name, version=version), functools.partial(_same, thing)


def _same(thing: Any) -> Any:
    return thing


def _admit(manager: pluggy.PluginManager, loaded: Any, plugin: Plugin) -> None:
    """Register with pluggy, which finds wrong argument names; then look for misspelt hooks."""
    try:
        manager.register(loaded, name=f"{plugin.distribution}:{plugin.name}")
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        with contextlib.suppress(Exception):
            manager.unregister(loaded)
        raise ValueError(_hint(str(error))) from None


def _hint(message: str) -> str:
    """pluggy's words, with the hook that was probably meant."""
    unknown = message.partition("unknown hook '")[2].partition("'")[0]
    near = difflib.get_close_matches(unknown, [*REGISTER, *EVENTS], 1) if unknown else []
    first = f"there is no hook `{unknown}`" if unknown else " ".join(message.split())
    return f"{first}; did you mean `{near[0]}`?" if near else first


def _functions(manager: pluggy.PluginManager, hook: str, loaded: Any) -> list[Callable[..., Any]]:
    """The plugin's implementations of a hook, called by keyword with what each asks for."""
    return [
        _accepting(implementation.function, implementation.argnames)
        for implementation in getattr(manager.hook, hook).get_hookimpls()
        if implementation.plugin is loaded and not (implementation.wrapper or implementation.hookwrapper)
    ]


def _accepting(function: Callable[..., Any], names: Iterable[str]) -> Callable[..., Any]:
    wanted = tuple(names)

    def call(**facts: Any) -> Any:
        return function(**{name: facts[name] for name in wanted})

    return call


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
