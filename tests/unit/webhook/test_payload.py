"""The tables of payload fields know what the recorded deliveries contain."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from plugins.webhook.github import SAMPLES
from plugins.webhook.github import sample as github_sample
from plugins.webhook.payload import github_payload, slack_payload, stripe_payload
from plugins.webhook.stripe import SAMPLES as STRIPE_SAMPLES
from plugins.webhook.stripe import sample as stripe_sample

FOLDER = Path(__file__).parents[3] / "plugins" / "webhook" / "payloads"


def unknown(value: Any, schema: dict[str, Any], where: str = "body") -> list[str]:
    """Fields of the value that the schema does not name."""
    if isinstance(value, list):
        return [found for item in value for found in unknown(item, schema.get("items", {}), f"{where}[]")]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    fields = schema["properties"]
    missing = [f"{where}.{name}" for name in value if name not in fields]
    return missing + [
        found for name in value if name in fields for found in unknown(value[name], fields[name], f"{where}.{name}")
    ]


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "ping"])
def test_every_field_of_a_github_delivery_is_known(name: str) -> None:
    """And its kind fits."""
    found = github_sample(name)
    schema = github_payload(name)
    assert found is not None
    assert schema is not None
    body = json.loads(found[1])
    assert unknown(body, schema) == []
    jsonschema.validate(body, schema)


@pytest.mark.parametrize("name", STRIPE_SAMPLES)
def test_every_field_of_a_stripe_event_is_known(name: str) -> None:
    """And its kind fits."""
    found = stripe_sample(name)
    schema = stripe_payload(name)
    assert found is not None
    assert schema is not None
    body = json.loads(found[1])
    assert unknown(body, schema) == []
    jsonschema.validate(body, schema)


def test_an_event_without_its_action_has_the_fields_of_all_actions() -> None:
    """`issues` is what `issues.opened` and `issues.labeled` have together."""
    schema = github_payload("issues")
    assert schema is not None
    assert {"action", "issue", "label", "changes", "assignee", "repository", "sender"} <= schema["properties"].keys()
    assert schema["properties"]["issue"]["properties"]["user"]["properties"]["login"]["type"] == "string"


def test_what_nobody_sends_is_unknown() -> None:
    """No guess for events that are not in the table."""
    assert github_payload("isues.opened") is None
    assert stripe_payload("unheard.of") is None


def test_slack_names_the_envelope_and_the_event() -> None:
    """Both levels."""
    schema = slack_payload("app_mention")
    assert schema is not None
    assert "team_id" in schema["properties"]
    assert "thread_ts" in schema["properties"]["event"]["properties"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_the_tables_name_nothing_that_is_not_there(path: Path) -> None:
    """Every reference has a definition, every kind is one of JSON's."""
    table = json.loads(path.read_text())

    def visit(kind: Any) -> None:
        if isinstance(kind, dict):
            for name, field in kind.items():
                assert name != "?" or field is True
                if name != "?":
                    visit(field)
        elif isinstance(kind, list):
            visit(kind[0])
        else:
            name = kind.removesuffix("?")
            known = ("string", "integer", "number", "boolean", "object", "array", "null", "any")
            assert name[1:] in table["defs"] if name.startswith("@") else name in known, kind

    for definition in table["defs"].values():
        visit(definition)
    for kind in [*table.get("events", {}).values(), table.get("event", {})]:
        visit(kind)
