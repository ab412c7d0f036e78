"""Whatever a stranger sends to any of the webhook triggers, it is refused, and nothing else happens."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.event import Delivery
from engine.errors import BadSignature
from engine.plugin.host import load_catalog

CATALOG = load_catalog().catalog
NOW = datetime(2026, 11, 1, tzinfo=UTC)
SECRET = "whsec_" + "c2VjcmV0" * 4
CONFIGS: list[tuple[str, dict[str, Any]]] = [
    ("github.webhook", {"secret": [SECRET, "older"]}),
    ("gitlab.webhook", {"secret": SECRET}),
    ("shopify.webhook", {"secret": SECRET}),
    ("slack.webhook", {"secret": SECRET}),
    ("standard.webhook", {"secret": SECRET}),
    ("stripe.webhook", {"secret": SECRET}),
    ("webhook", {"path": "p", "auth": {"basic": {"username": "ada", "password": SECRET}}}),
    ("webhook", {"path": "p", "auth": {"bearer": {"token": SECRET}}}),
    ("webhook", {"path": "p", "auth": {"token": {"header": "X-Gitlab-Token", "secret": SECRET}}}),
]
NAMES = [
    "authorization", "content-type", "idempotency-key", "stripe-signature", "webhook-id", "webhook-signature",
    "webhook-timestamp", "x-github-event", "x-gitlab-event", "x-gitlab-token", "x-hub-signature-256",
    "x-shopify-hmac-sha256", "x-shopify-topic", "x-slack-request-timestamp", "x-slack-signature",
]  # fmt: skip
FIELDS = ["action", "challenge", "event", "event_id", "event_name", "id", "object_attributes", "object_kind", "type"]

texts = st.sampled_from([
    "application/json", "application/x-www-form-urlencoded", "t=1793491200,v1=é", "v0=", "v1,é v1a,ü", "1793491200",
    "url_verification", "event_callback",
]) | st.text(max_size=30)  # fmt: skip
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)
bodies = st.one_of(
    st.binary(max_size=60),
    trees.map(lambda tree: json.dumps(tree).encode()),
    trees.map(lambda tree: urlencode({"payload": json.dumps(tree)}).encode()),
    st.text(max_size=20).map(lambda text: urlencode({"command": text}).encode()),
)


@pytest.mark.parametrize(
    ("name", "fields"), CONFIGS, ids=[f"{name}-{index}" for index, (name, _) in enumerate(CONFIGS)]
)
@given(headers=st.dictionaries(st.sampled_from(NAMES), texts, max_size=8), body=bodies)
@settings(max_examples=150, deadline=None)
def test_strangers_are_refused(name: str, fields: dict[str, Any], headers: dict[str, str], body: bytes) -> None:
    """Verification raises BadSignature; a type and an id are found in whatever a partner may sign, without an error."""
    kind = CATALOG.triggers[name]
    rules, config = kind.webhook, msgspec.convert(fields, kind.config)
    assert rules is not None
    delivery = Delivery(method="POST", path="p", query="", headers=headers, body=body, received_at=NOW)
    with pytest.raises(BadSignature):
        rules.verify(delivery, config)
    event_type = rules.event_type(delivery, config)
    assert event_type
    rules.wants(event_type, config)
    assert rules.delivery_id(delivery, config) != ""
    for answer in (rules.handshake, rules.answer):
        if answer is not None:
            answer(delivery, config)
