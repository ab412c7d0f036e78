"""Sample deliveries, signed with the configured secret so that the receiver accepts them."""

import os
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.cli.exits import WrongUsage
from engine.errors import ConfigurationError
from engine.settings import Settings


@dataclass(frozen=True)
class Sample:
    """One request to /hooks/{path}."""

    path: str
    provider: str
    event: str
    headers: dict[str, str]
    body: bytes

    def curl(self, url: str, body_file: str) -> str:
        """The same as a curl command; the body stands in a file."""
        parts = [f"curl {shlex.quote(f'{url}/hooks/{self.path}')}"]
        parts += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in self.headers.items()]
        return " \\\n  ".join([*parts, f"--data-binary @{shlex.quote(body_file)}"])


def load_bindings(settings: Settings) -> list[tuple[str, Any]]:
    """(path, Binding) of every webhook trigger of the pipeline files, ready to sign with."""
    from engine.cli.check import find_root, read_files
    from engine.pipeline.deployment import deploy
    from engine.plugin.host import load_catalog
    from engine.runtime import open_secrets

    if not settings.pipelines.is_dir():
        raise ConfigurationError(f"there is no directory {settings.pipelines}: name it with HOOKWRIGHT_PIPELINES")
    report = read_files([settings.pipelines])
    secrets = open_secrets(settings)
    deployment = deploy(report.pipelines, load_catalog().catalog, secrets=secrets.get, env=os.environ)
    find_root(settings.pipelines)
    return [(endpoint.path, binding) for endpoint in deployment.endpoints for binding in endpoint.bindings]


def make_sample(
    bindings: list[tuple[str, Any]],
    provider: str,
    event: str,
    *,
    path: str | None = None,
    body: bytes | None = None,
    content_type: str | None = None,
) -> Sample:
    """A delivery of this provider and event for the first trigger that wants it. WrongUsage says what there is."""
    mine = [(where, binding) for where, binding in bindings if provider in _names(binding)]
    if not mine:
        raise WrongUsage(_nobody(bindings, provider))
    if path is not None:
        mine = [(where, binding) for where, binding in mine if where == path.strip("/").removeprefix("hooks/")]
        if not mine:
            raise WrongUsage(f"no trigger of {provider} listens on /hooks/{path.strip('/')}")
    where, binding = next(
        ((where, binding) for where, binding in mine if not event or binding.type.webhook.wants(event, binding.config)),
        mine[0],
    )
    rules = binding.type.webhook
    if not event:
        event = rules.samples[0] if rules.samples else ""
    found = rules.sample(event) if rules.sample is not None else None
    if found is None and body is None and rules.samples:
        raise WrongUsage(f"there is no sample of {event} from {provider}: {', '.join(rules.samples)}; or give --file")
    headers, content = found or ({"content-type": "application/json"}, b'{"hello": "world"}')
    headers = {name.lower(): value for name, value in headers.items()}
    if body is not None:
        content = body
    if content_type is not None:
        headers["content-type"] = content_type
    signed = rules.sign(content, headers, binding.config, time.time())
    headers |= {name.lower(): value for name, value in signed.items()}
    return Sample(where, provider, event, headers, content)


def first_sample(bindings: list[tuple[str, Any]]) -> Sample | None:
    """A delivery worth trying: of a provider with samples if there is one, GitHub before others."""
    wanted = sorted(bindings, key=lambda item: ("github" not in _names(item[1]), not item[1].type.webhook.samples))
    for _, binding in wanted:
        rules = binding.type.webhook
        event = next((name for name in rules.samples if rules.wants(name, binding.config)), "")
        if event or not rules.samples:
            return make_sample(bindings, _shortest(binding), event)
    return None


def _names(binding: Any) -> Iterator[str]:
    """What a provider may be called: its source, its trigger type, the pipeline or the trigger that listens."""
    yield from (binding.type.source, binding.type.name, binding.pipeline.id, binding.trigger.id)


def _shortest(binding: Any) -> str:
    return str(binding.type.source or binding.type.name)


def _nobody(bindings: list[tuple[str, Any]], provider: str) -> str:
    names = sorted({_shortest(binding) for _, binding in bindings})
    there = f"there are triggers of {', '.join(names)}" if names else "no pipeline has a webhook trigger that works"
    return f"no trigger listens to {provider}: {there} (`hookwright check --secrets` shows what is wrong)"
