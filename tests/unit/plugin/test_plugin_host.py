"""Plugins are found, checked and kept apart."""

import types
from typing import Any

import pytest
from msgspec import field

from engine.plugin import StepConfig, StepContext, WebhookRules, hookimpl
from engine.plugin.host import Host, load_catalog


class GreetConfig(StepConfig, frozen=True):
    """Say hello."""

    name: str


async def greet(config: GreetConfig, context: StepContext) -> str:
    """Hello."""
    return f"Hello {config.name}"


def plugin(name: str = "demo", **hooks: Any) -> types.ModuleType:
    """A module with these hook implementations."""
    module = types.ModuleType(name)
    for hook, function in hooks.items():
        setattr(module, hook, hookimpl(function))
    return module


def with_step(*args: Any, **kwargs: Any) -> Host:
    """The host after one plugin has registered this step."""

    def register_steps(register: Any) -> None:
        register(*args, **kwargs)

    return load_catalog(extra=[plugin(register_steps=register_steps)])


def test_our_own_plugins_come_through_entry_points() -> None:
    """What is installed is in the catalog, with its distribution and version, and without problems."""
    host = load_catalog()
    assert host.problems == []
    assert {"value", "http.request", "ai.complete", "store.put"} <= host.catalog.steps.keys()
    step = host.catalog.steps["http.request"]
    assert (step.plugin, step.effect, step.summary) == (
        "hookwright",
        "idempotent",
        "Send one HTTP request and return the answer.",
    )
    assert step.version
    assert "http.request" in next(found for found in host.plugins if found.name == "http").steps


def test_a_step_is_registered_with_what_it_said() -> None:
    """Name, function, effect, time and summary arrive in the catalog."""
    step = with_step("demo.greet", greet, config=GreetConfig, effect="pure", result=str, timeout=5).catalog.steps[
        "demo.greet"
    ]
    assert (step.function, step.config, step.effect, step.result) == (greet, GreetConfig, "pure", str)
    assert (step.timeout, step.summary, step.plugin) == (5, "Say hello.", "demo")


class Undocumented(StepConfig, frozen=True):
    name: str = ""


def not_async(config: Any, context: Any) -> None:
    """Not a step."""


async def one_parameter(config: Any) -> None:
    """Not a step."""


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        (("Greet", greet), {"config": GreetConfig}, "lower case"),
        (("demo greet", greet), {"config": GreetConfig}, "lower case"),
        (("demo.greet", not_async), {"config": GreetConfig}, "async function of two parameters"),
        (("demo.greet", one_parameter), {"config": GreetConfig}, "async function of two parameters"),
        (("demo.greet", greet), {"config": dict}, "subclass of engine.plugin.StepConfig"),
        (("demo.greet", greet), {"config": Undocumented}, "Undocumented needs a docstring"),
        (("demo.greet", greet), {"config": GreetConfig, "effect": "maybe"}, "pure, idempotent, effect"),
        (("demo.greet", greet), {"config": GreetConfig, "timeout": -1}, "positive number"),
        (("demo.greet", greet), {"config": GreetConfig, "result_of": greet}, "result_of(with) is a plain function"),
        (("demo.greet", greet), {}, "config"),
        (("demo.greet", greet), {"config": GreetConfig, "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_registration_is_refused_and_explained(
    args: tuple[Any, ...], kwargs: dict[str, Any], reason: str
) -> None:
    """What does not fit becomes a problem that names plugin and reason; everything else works."""
    host = with_step(*args, **kwargs)
    assert args[0] not in host.catalog.steps
    assert len(host.problems) == 1
    assert "plugin `demo`" in host.problems[0]
    assert reason in host.problems[0]
    assert "http.request" in host.catalog.steps


def test_a_taken_name_is_refused_naming_both() -> None:
    """The second registration of a name loses; the plugin's other steps are kept."""

    def register_steps(register: Any) -> None:
        register("http.request", greet, config=GreetConfig)
        register("demo.greet", greet, config=GreetConfig)

    host = load_catalog(extra=[plugin(register_steps=register_steps)])
    assert host.catalog.steps["http.request"].plugin == "hookwright"
    assert "demo.greet" in host.catalog.steps
    assert len(host.problems) == 1
    assert "`demo`" in host.problems[0]
    assert "`http` (hookwright" in host.problems[0]


def test_a_misspelt_hook_leaves_the_plugin_out() -> None:
    """A hook nobody calls is a mistake, and the right name is suggested."""

    def register_stepz(register: Any) -> None:
        raise AssertionError("never called")

    host = load_catalog(extra=[plugin(register_stepz=register_stepz)])
    assert host.problems == [
        "plugin `demo` (demo) is left out: there is no hook `register_stepz`; did you mean `register_steps`?"
    ]
    assert "http.request" in host.catalog.steps


def test_a_wrong_hook_argument_leaves_the_plugin_out() -> None:
    """A hook asks for what the hook has."""

    def register_steps(registry: Any) -> None:
        raise AssertionError("never called")

    host = load_catalog(extra=[plugin(register_steps=register_steps)])
    assert len(host.problems) == 1
    assert "registry" in host.problems[0]


def test_a_plugin_that_raises_does_not_stop_the_others() -> None:
    """An exception while registering is this plugin's problem only."""

    def register_steps(register: Any) -> None:
        raise KeyError("my bug")

    def register_filters(register: Any) -> None:
        register("shout", str.upper)

    host = load_catalog(extra=[plugin("bad", register_steps=register_steps), plugin(register_filters=register_filters)])
    assert host.problems == ["plugin `bad` (bad): register_steps failed: KeyError: 'my bug'"]
    assert host.catalog.filters["shout"]("a") == "A"


def test_triggers_schemes_and_filters_are_checked() -> None:
    """Each kind of registration has its own rules."""

    class PathConfig(StepConfig, frozen=True):
        """A webhook."""

        path: str
        methods: list[str] = field(default_factory=list)
        max_body: int = 1

    def nothing(*_args: Any) -> Any:
        return None

    rules = WebhookRules(verify=nothing, delivery_id=nothing, event_type=nothing, wants=nothing, sign=nothing)

    def register_triggers(register: Any) -> None:
        register("good.webhook", config=PathConfig, kind="webhook", source="good", webhook=rules)
        register("pathless", config=GreetConfig, kind="webhook", webhook=rules)
        register("ruleless", config=PathConfig, kind="webhook")
        register("kindless", config=PathConfig, kind="cron")

    def register_schemes(register: Any) -> None:
        register("good", config=GreetConfig, verify=lambda delivery, config: None, sign=lambda a, b, c, d: {})
        register("bad", config=GreetConfig, verify=greet, sign=nothing)

    def register_filters(register: Any) -> None:
        register("later", greet)

    hooks = {"register_triggers": register_triggers, "register_schemes": register_schemes}
    host = load_catalog(extra=[plugin(register_filters=register_filters, **hooks)])
    assert host.catalog.triggers["good.webhook"].source == "good"
    assert "good" in host.catalog.schemes
    refused = " ".join(host.problems)
    assert len(host.problems) == 5
    for name in ("`pathless`", "`ruleless`", "`kindless`", "`bad`", "`later`"):
        assert name in refused


async def test_observers_are_told_one_by_one_and_apart() -> None:
    """Sync and async observers hear in order, each with what it asked for; one that raises stops nobody."""
    heard: list[Any] = []

    def broken(run: dict[str, Any]) -> None:
        raise RuntimeError("my bug")

    async def later(run: dict[str, Any]) -> None:
        heard.append(("async", run["id"]))

    def asks_nothing() -> None:
        heard.append(("sync", None))

    observers = load_catalog(
        extra=[
            plugin("a", run_finished=broken),
            plugin("b", run_finished=later),
            plugin("c", run_finished=asks_nothing),
        ]
    ).observers
    assert observers.run_finished
    assert not observers.event_received
    observers.notify("run_finished", run={"id": 1})
    observers.notify("run_finished", run={"id": 2})
    observers.notify("event_received", event={})
    await observers.close()
    assert heard == [("async", 1), ("sync", None), ("async", 2), ("sync", None)]
