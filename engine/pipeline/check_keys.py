"""The keys of the grammar: those there are, those that come later, and the words of other tools for them."""

from collections.abc import Mapping
from typing import Any

from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.marks import Path
from engine.pipeline.source import Source

Spec = tuple[tuple[str, ...], tuple[str, ...], Mapping[str, str]]  # keys, keys of later, words of other tools

PIPELINE: Spec = (
    (
        "id",
        "name",
        "description",
        "labels",
        "enabled",
        "triggers",
        "inputs",
        "vars",
        "timeout",
        "steps",
        "on_error",
        "finally",
        "outputs",
    ),
    ("concurrency", "rate_limit", "defaults"),
    {
        "needs": "steps run from top to bottom; a pipeline has no `needs`",
        "on": "write `triggers:`",
        "trigger": "write `triggers:`",
        "when": "write `triggers:` with an `if:` in each",
        "schedule": "write `triggers:` with `uses: schedule`",
        "cron": "write `triggers:` with `uses: schedule`",
        "webhook": "write `triggers:` with `uses: webhook`",
        "tasks": "write `steps:`",
        "jobs": "write `steps:`; one file is one pipeline",
        "stages": "write `steps:`",
        "actions": "write `steps:`",
        "nodes": "write `steps:`",
        "variables": "write `vars:`",
        "env": "environment variables are allowed in project.yaml",
        "params": "write `inputs:`",
        "parameters": "write `inputs:`",
        "secrets": "use `secrets.NAME` inside `with:`; they are not declared",
        "errors": "write `on_error:`",
        "on_failure": "write `on_error:`",
        "catch": "write `on_error:`",
        "always": "write `finally:`",
        "tags": "write `labels:`",
        "title": "write `name:`",
        "version": "versions are made from the content; remove it",
        "namespace": "remove it: `id` alone names the pipeline",
        "retry": "`retry` belongs to a step",
        "retries": "`retry` belongs to a step",
        "disabled": "write `enabled: false`",
    },
)
TRIGGER: Spec = (
    ("id", "uses", "with", "if", "inputs"),
    ("dedup", "debounce", "batch", "respond", "rate_limit", "concurrency"),
    {
        "type": "write `uses:`",
        "when": "write `if:`",
        "condition": "write `if:`",
        "filter": "write `if:`",
        "cron": "write it inside `with:`",
        "path": "write it inside `with:`",
        "secret": "write it inside `with:`",
        "events": "write it inside `with:`",
        "auth": "write it inside `with:`",
        "config": "write `with:`",
        "params": "write `inputs:`",
    },
)
STEP: Spec = (
    ("id", "name", "uses", "with", "if", "retry", "timeout", "on_error", "output", "cache", "idempotency_key"),
    (
        "for_each",
        "parallel",
        "switch",
        "wait",
        "steps",
        "repeat",
        "compensate",
        "sensitive",
        "queue",
        "concurrency",
        "rate_limit",
    ),
    {
        "needs": "steps run from top to bottom; remove it",
        "depends_on": "steps run from top to bottom; remove it",
        "when": "write `if:`",
        "condition": "write `if:`",
        "unless": "write `if: not (...)`",
        "retries": "write `retry: 3`",
        "max_retries": "write `retry: 3`",
        "attempts": "write `retry: 3`",
        "action": "write `uses:`",
        "type": "write `uses:`",
        "run": "write `uses:` and `with:`; there is no shell step",
        "script": "write `uses:` and `with:`; there is no shell step",
        "shell": "write `uses:` and `with:`; there is no shell step",
        "args": "write `with:`",
        "params": "write `with:`",
        "parameters": "write `with:`",
        "inputs": "write `with:`",
        "input": "write `with:`",
        "config": "write `with:`",
        "outputs": "write `output:`",
        "register": "give the step an `id`; its result is `steps.ID.output`",
        "env": "write `with:` and use `env.NAME` in it",
        "vars": "variables belong to the pipeline",
        "secrets": "use `secrets.NAME` inside `with:`",
        "continue_on_error": "write `on_error: continue`",
        "ignore_errors": "write `on_error: continue`",
        "allow_failure": "write `on_error: continue`",
        "catch": "write `on_error:`",
        "on_failure": "write `on_error:`",
        "timeout_minutes": "write `timeout: 10m`",
        "timeout_seconds": "write `timeout: 30s`",
        "loop": "loops (`for_each`) are not supported yet",
        "with_items": "loops (`for_each`) are not supported yet",
        "foreach": "loops (`for_each`) are not supported yet",
        "next": "steps run from top to bottom",
        "goto": "steps run from top to bottom",
        "description": "write `name:`, or a comment",
    },
)
RETRY: Spec = (
    ("attempts", "delay", "factor", "max_delay", "max_elapsed", "jitter", "errors", "when"),
    (),
    {
        "max": "write `attempts:`, the first included",
        "count": "write `attempts:`, the first included",
        "limit": "write `attempts:`, the first included",
        "max_attempts": "write `attempts:`, the first included",
        "max_retries": "write `attempts:`, the first included",
        "interval": "write `delay:`",
        "wait": "write `delay:`",
        "backoff": "write `delay:` and `factor:`",
        "multiplier": "write `factor:`",
        "on": "write `errors:`",
        "if": "write `when:`",
        "timeout": "write `max_elapsed:`",
    },
)


def check_keys(source: Source, path: Path, value: Mapping[str, Any], spec: Spec, what: str) -> None:
    """Note every key that does not belong here. Keys that begin with `x-` are the author's own."""
    keys, later, foreign = spec
    for key in value:
        if key in keys or key.startswith("x-"):
            continue
        where = (*path, key)
        if key in later:
            source.error("E102", where, f"`{key}` is not supported yet", key=True)
            continue
        hint = foreign.get(key.replace("-", "_"), "") or did_you_mean(key, keys, f"it has: {', '.join(keys)}")
        source.error("E101", where, f"{what} has no key `{key}`", hint, key=True)
