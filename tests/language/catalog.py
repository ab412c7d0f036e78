"""The catalog of the example pipelines: everything that is installed, and the types of plugin.py."""

from functools import cache
from pathlib import Path

import msgspec

from engine.core.catalog import Catalog
from engine.plugin.host import load_catalog
from tests.language import plugin

ROOT = Path(__file__).parent  # a repository: project.yaml, pipelines/, tests/, prompts/, mail/
FILES = sorted((ROOT / "pipelines").glob("*.yaml"))


@cache
def make_catalog() -> Catalog:
    """Built once; nobody changes it."""
    installed = load_catalog(extra=[plugin]).catalog
    steps = dict(installed.steps)
    for name, (config, result) in plugin.REPLACED.items():
        real = steps[name]
        steps[name] = msgspec.structs.replace(real, config=config, result=result or real.result)
    return msgspec.structs.replace(installed, steps=steps)
