"""What the documentation and the docstrings show works as shown."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from engine.core.catalog import TriggerKind
from engine.plugin.host import load_catalog
from engine.plugin.reference import example_of
from engine.plugin.schemes import resolve_auth

CATALOG = load_catalog().catalog
PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()


def load(text: str) -> Any:
    """The YAML, with a text in place of each expression."""
    return yaml.safe_load(re.sub(r"\$\{\{.*?\}\}", "some-secret", textwrap.dedent(text)))


def examples() -> Iterator[Any]:
    """Every trigger and every `auth` that is shown."""
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)):
        yield pytest.param(load(block), id=f"page-{number}")
    for name, kind in CATALOG.triggers.items():
        example = example_of(kind.config)
        yield pytest.param({"triggers": [load(example)] if example else []}, id=name)
    for name, scheme in CATALOG.schemes.items():
        yield pytest.param({"auth": load(example_of(scheme.config) or "")}, id=name)


@pytest.mark.parametrize("shown", list(examples()))
def test_examples_are_valid(shown: dict[str, Any]) -> None:
    """Each example has a known type, and its `with` is accepted."""
    triggers = shown.get("triggers", [])
    assert triggers or {"auth", "secret"} & set(shown)
    for trigger in triggers:
        msgspec.convert(trigger["with"], CATALOG.triggers[trigger["uses"]].config)
    if "auth" in shown:
        resolve_auth(shown["auth"])


@pytest.mark.parametrize("name", sorted(CATALOG.triggers))
def test_the_page_has_every_trigger(name: str) -> None:
    """Each trigger type, its fields and its samples stand on the page."""
    kind = CATALOG.triggers[name]
    assert f"`{name}`" in PAGE
    for field in kind.config.__struct_fields__:
        assert f"`{field}`" in PAGE, f"{name}: {field} is missing"
    if kind.kind == TriggerKind.WEBHOOK and kind.webhook is not None:
        for sample in kind.webhook.samples:
            assert f"`{sample}`" in PAGE, f"{name}: the sample {sample} is missing"


@pytest.mark.parametrize("name", sorted(CATALOG.schemes))
def test_the_page_has_every_scheme(name: str) -> None:
    """Each scheme of `auth` and its settings stand on the page."""
    assert f"| `{name}` |" in PAGE
    for field in CATALOG.schemes[name].config.__struct_fields__:
        assert f"`{field}`" in PAGE, f"{name}: {field} is missing"
