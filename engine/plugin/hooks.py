"""The hooks a plugin may implement."""

from typing import Any

import pluggy

PROJECT = "hookwright"  # also the entry-point group
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_steps(register: Any) -> None:
    """Call register(name, function, config=..., effect="pure|idempotent|effect", result=..., timeout=...).

    result_of(with): JSON Schemas of those fields of the output that follow from `with:`, as it is written.
    """


@hookspec
def register_triggers(register: Any) -> None:
    """Call register(name, config=..., kind="webhook|schedule|event", source=..., webhook=WebhookRules(...))."""


@hookspec
def register_schemes(register: Any) -> None:
    """Call register(name, config=..., verify=..., sign=..., short="") for each signature scheme."""


@hookspec
def register_filters(register: Any) -> None:
    """Call register(name, function) for each expression filter; pure functions only."""


@hookspec
def event_received(event: dict[str, Any]) -> None:
    """An event was stored. Sync or async; an exception is logged and stops nobody."""


@hookspec
def attempt_finished(attempt: dict[str, Any]) -> None:
    """An attempt ended: run_id, pipeline, step, number, status, error, seconds, usage. Sync or async."""


@hookspec
def run_finished(run: dict[str, Any]) -> None:
    """A run ended: id, pipeline, version, status, error, seconds. Sync or async."""
