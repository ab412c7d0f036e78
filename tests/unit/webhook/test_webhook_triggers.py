"""The webhook triggers: samples verify, ids and types are found, and odd deliveries do no harm."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from engine.core.catalog import TriggerType, WebhookRules
from engine.core.event import Delivery
from engine.errors import BadSignature
from engine.plugin.host import load_catalog

CATALOG = load_catalog().catalog
SECRET = "whsec_" + "c2VjcmV0" * 4
SIGNED = ["github", "stripe", "slack", "shopify", "gitlab", "standard"]
SAMPLES = Path(__file__).parents[3] / "plugins" / "webhook" / "samples"
ODD_BODIES = [b"", b"\x00", b"\xff\xfe", b"[]", b"null", b'"x"', b"{", b'{"action": 7}', b"[" * 100_000, b"payload=%7B"]


def trigger(provider: str) -> tuple[TriggerType, WebhookRules]:
    found = CATALOG.triggers[f"{provider}.webhook" if provider != "webhook" else provider]
    assert found.webhook is not None
    return found, found.webhook


def configure(provider: str, **fields: Any) -> Any:
    return msgspec.convert({"secret": SECRET} | fields, trigger(provider)[0].config)


def deliver(headers: dict[str, str], body: bytes) -> Delivery:
    lower = {name.lower(): value for name, value in headers.items()}
    return Delivery(method="POST", path="p", query="", headers=lower, body=body, received_at=datetime.now(UTC))


def all_samples() -> Iterator[Any]:
    for provider in SIGNED:
        for event_type in trigger(provider)[1].samples:
            yield pytest.param(provider, event_type, id=f"{provider}-{event_type}")


@pytest.mark.parametrize(("provider", "event_type"), list(all_samples()))
def test_samples_are_accepted_as_what_they_say(provider: str, event_type: str) -> None:
    """A signed sample verifies, has the type it is listed under, and a new id each time."""
    _, rules = trigger(provider)
    config = configure(provider)
    ids = []
    assert rules.sample is not None
    for _ in range(2):
        headers, body = rules.sample(event_type) or pytest.fail("no sample")
        delivery = deliver(headers | rules.sign(body, headers, config, time.time()), body)
        rules.verify(delivery, config)
        assert rules.event_type(delivery, config) == event_type
        ids.append(rules.delivery_id(delivery, config))
    assert ids[0] != ids[1]
    assert all(ids)


def test_every_sample_file_is_used() -> None:
    """No file lies about that no sample is made of."""
    files = set(SAMPLES.glob("*/*"))
    assert len(files) == sum(len(trigger(provider)[1].samples) for provider in SIGNED)
    for provider in SIGNED:
        assert f"`{provider}/" in (SAMPLES / "NOTICE.md").read_text() or provider in ("slack", "standard")


@pytest.mark.parametrize("provider", SIGNED)
def test_unknown_samples(provider: str) -> None:
    """A type without a sample is None."""
    sample = trigger(provider)[1].sample
    assert sample is not None
    assert sample("no/such.thing") is None


@pytest.mark.parametrize("provider", SIGNED)
@pytest.mark.parametrize("body", ODD_BODIES, ids=lambda body: repr(body[:12]))
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", ""])
def test_odd_bodies_do_no_harm(provider: str, body: bytes, content_type: str) -> None:
    """Once it is signed, any body has a type; nothing raises."""
    _, rules = trigger(provider)
    config = configure(provider)
    headers = {"content-type": content_type} | rules.sign(body, {}, config, time.time())
    delivery = deliver(headers, body)
    rules.verify(delivery, config)
    assert rules.event_type(delivery, config)
    rules.delivery_id(delivery, config)
    if rules.handshake is not None:
        assert rules.handshake(delivery, config) is None


@pytest.mark.parametrize("provider", SIGNED)
def test_unsigned_deliveries_are_refused(provider: str) -> None:
    """Without or with another secret's signature nobody gets in; rolled secrets both do."""
    _, rules = trigger(provider)
    other = "whsec_" + "b3RoZXIh" * 4
    with pytest.raises(BadSignature):
        rules.verify(deliver({}, b"{}"), configure(provider))
    signed = deliver(rules.sign(b"{}", {}, configure(provider, secret=other), time.time()), b"{}")
    with pytest.raises(BadSignature):
        rules.verify(signed, configure(provider))
    rules.verify(signed, configure(provider, secret=[SECRET, other]))


@pytest.mark.parametrize(
    ("events", "event_type", "expected"),
    [
        (["issues.opened"], "issues.opened", True),
        (["issues.opened"], "issues.closed", False),
        (["issues"], "issues.opened", True),
        (["issues"], "issues", True),
        (["issues"], "issues_x", False),
        (["issues.*"], "issues.opened", True),
        (["*.opened"], "pull_request.opened", True),
        (["orders"], "orders/create", True),
        (["customer.subscription.*"], "customer.created", False),
        (["*"], "anything", True),
        (["push", "issues"], "push", True),
    ],
)
def test_wanted_events(events: list[str], event_type: str, expected: bool) -> None:
    """`events` names types, what stands before their dots and slashes, or patterns."""
    assert trigger("stripe")[1].wants(event_type, configure("stripe", events=events)) is expected


def test_a_ping_of_github_starts_nothing_unless_asked_for() -> None:
    """GitHub says hello when a webhook is set up; that is stored, and wanted only by name."""
    _, rules = trigger("github")
    assert not rules.wants("ping", configure("github"))
    assert rules.wants("ping", configure("github", events=["ping"]))


def test_github_sends_forms_too() -> None:
    """With the content type that GitHub's form preselects, the action is found as well."""
    _, rules = trigger("github")
    body = urlencode({"payload": json.dumps({"action": "opened"})}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded", "x-github-event": "issues"}
    assert rules.event_type(deliver(headers, body), configure("github")) == "issues.opened"


def test_slack_handshake() -> None:
    """The challenge is given back as plain text."""
    _, rules = trigger("slack")
    assert rules.handshake is not None
    body = b'{"token": "x", "challenge": "3eZbrw1a", "type": "url_verification"}'
    reply = rules.handshake(deliver({"content-type": "application/json"}, body), configure("slack"))
    assert reply is not None
    assert (reply.status, reply.body) == (200, b"3eZbrw1a")


def test_slack_shows_nothing_to_whoever_pressed_the_button() -> None:
    """Commands and interactions are answered with an empty 200, events in the usual way."""
    _, rules = trigger("slack")
    assert rules.answer is not None
    assert rules.sample is not None
    for event_type, expected in (("command.triage", b""), ("block_actions", b""), ("message", None)):
        headers, body = rules.sample(event_type) or pytest.fail("no sample")
        reply = rules.answer(deliver(headers, body), configure("slack"))
        assert (reply.body if reply else None) == expected


def test_shopify_tells_topics_of_one_action_apart() -> None:
    """Two topics may share an event id; both count. Without an event id the webhook's id counts."""
    _, rules = trigger("shopify")
    ids = {
        rules.delivery_id(deliver({"x-shopify-event-id": "e1", "x-shopify-topic": topic}, b""), configure("shopify"))
        for topic in ("orders/create", "orders/paid")
    }
    assert len(ids) == 2
    assert rules.delivery_id(deliver({"x-shopify-webhook-id": "w1"}, b""), configure("shopify")) == "w1"


def test_gitlab_prefers_the_id_that_only_retries_share() -> None:
    """X-Gitlab-Event-UUID is shared by all webhooks that one webhook causes."""
    _, rules = trigger("gitlab")
    headers = {"x-gitlab-event-uuid": "u1", "idempotency-key": "k1"}
    assert rules.delivery_id(deliver(headers, b"{}"), configure("gitlab")) == "k1"
    del headers["idempotency-key"]
    assert rules.delivery_id(deliver(headers, b"{}"), configure("gitlab")) == "u1"
    assert rules.event_type(deliver({"x-gitlab-event": "Push Hook"}, b"?"), configure("gitlab")) == "push"


AUTHS: list[dict[str, Any]] = [
    {"hmac": {"secret": "s3cret", "header": "X-Sig"}},
    {"hmac": {"secret": ["s1", "s2"], "header": "X-Sig", "signed": "{timestamp}.{id}.{body}",
              "timestamp_header": "X-Time", "id_header": "X-Id", "algorithm": "sha512", "encoding": "base64url"}},
    {"standard": {"secret": SECRET}},
    {"bearer": {"token": "tok"}},
    {"bearer": "tok"},
    {"standard": "plain secret of the sender"},
    {"basic": {"user": "ada", "password": "pw"}},
    {"basic": {"username": "ada", "password": "pw"}},
    {"token": {"header": "X-Api-Key", "secret": "k"}},
]  # fmt: skip


@pytest.mark.parametrize("auth", AUTHS, ids=lambda auth: next(iter(auth)))
def test_schemes_of_the_webhook_trigger(auth: dict[str, Any]) -> None:
    """What each scheme signs it accepts; a stranger is refused."""
    kind, rules = trigger("webhook")
    config = msgspec.convert({"path": "p", "auth": auth}, kind.config)
    headers = rules.sign(b"body", {}, config, time.time())
    rules.verify(deliver(headers, b"body"), config)
    with pytest.raises(BadSignature):
        rules.verify(deliver({}, b"body"), config)
    shown = repr(config)
    assert "s3cret" not in shown
    assert "tok" not in shown.replace("token", "")


def test_no_auth_at_all() -> None:
    """The word none lets everybody in; leaving `auth` out is an error."""
    kind, rules = trigger("webhook")
    config = msgspec.convert({"path": "p", "auth": "none"}, kind.config)
    rules.verify(deliver({}, b""), config)
    assert rules.sign(b"", {}, config, 0.0) == {}
    with pytest.raises(msgspec.ValidationError, match="auth"):
        msgspec.convert({"path": "p"}, kind.config)


def test_where_the_webhook_trigger_finds_id_and_type() -> None:
    """In the headers that are configured; Standard Webhooks have an id of their own."""
    kind, rules = trigger("webhook")
    config = msgspec.convert(
        {"path": "p", "auth": "none", "delivery_id": {"header": "X-Id"}, "type": {"header": "X-Type"}}, kind.config
    )
    delivery = deliver({"X-Id": "7", "X-Type": "order.paid", "webhook-id": "no"}, b"")
    assert (rules.delivery_id(delivery, config), rules.event_type(delivery, config)) == ("7", "order.paid")
    plain = msgspec.convert({"path": "p", "auth": "none"}, kind.config)
    assert (rules.delivery_id(delivery, plain), rules.event_type(delivery, plain)) == (None, "webhook")
    standard = msgspec.convert({"path": "p", "auth": {"standard": {"secret": "x"}}}, kind.config)
    assert rules.delivery_id(delivery, standard) == "no"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": ""}, "`path` is made of"),
        ({"path": "a//b"}, "`path` is made of"),
        ({"path": "../up"}, "`path` is made of"),
        ({"path": "a b"}, "`path` is made of"),
        ({"path": "{Name}"}, "`path` is made of"),
        ({"methods": []}, "`methods` is a list"),
        ({"methods": ["FETCH"]}, "`methods` is a list"),
        ({"events": []}, "`events` is empty"),
        ({"max_body": "1 parsec"}, "is not a size"),
        ({"max_body": -1}, "at most"),
        ({"max_body": "999MB"}, "at most"),
        ({"auth": "hmac"}, "`auth` is a map like hmac: {...}, or the word none"),
        ({"auth": {"hmac": "secret"}}, "`auth.hmac`: Expected `object`"),
        ({"auth": {}}, "`auth` names one scheme"),
        ({"auth": {"hmac": {}, "bearer": {}}}, "`auth` names one scheme"),
        ({"auth": {"hmca": {}}}, "there is no signature scheme `hmca`: did you mean `hmac`"),
        ({"auth": {"hmac": {"secret": "x"}}}, "`auth.hmac`: .*`header`"),
        ({"auth": {"hmac": {"secret": "", "header": "X"}}}, "`secret` is empty"),
        ({"auth": {"hmac": {"secret": [], "header": "X"}}}, "`secret` is empty"),
        ({"auth": {"hmac": {"secret": ["a", ""], "header": "X"}}}, "`secret` is empty"),
        ({"auth": {"hmac": {"secret": "x", "header": "X", "signed": "{timestamp}"}}}, "`signed` needs {body}"),
        ({"auth": {"hmac": {"secret": "x", "header": "X", "signed": "{timestamp}.{body}"}}}, "`timestamp_header`"),
        ({"auth": {"hmac": {"secret": "x", "header": "X", "id_header": "I"}}}, "`id_header`"),
        ({"auth": {"hmac": {"secret": "x", "header": "X", "tolerance": "soon"}}}, "tolerance"),
        ({"auth": {"hmac": {"secret": "x", "header": "X", "algorithm": "md5"}}}, "md5"),
        ({"auth": {"standard": {"secret": "whsec_?"}}}, "base64"),
        ({"auth": {"bearer": {"token": ""}}}, "`token` is empty"),
        ({"auth": {"bearer": ""}}, "`token` is empty"),
        ({"auth": {"basic": {"password": "x"}}}, "basic needs `user`"),
        ({"auth": {"hmac": {"header": "x"}}}, "hmac needs one of `secret` and `secret_ref`"),
        ({"auth": {"basic": {"username": "a:b", "password": "x"}}}, "username"),
    ],
)
def test_configurations_that_are_wrong(fields: dict[str, Any], message: str) -> None:
    """The author is told what is wrong."""
    kind, _ = trigger("webhook")
    with pytest.raises(msgspec.ValidationError, match=message.replace("{", r"\{")):
        msgspec.convert({"path": "p", "auth": "none"} | fields, kind.config)


def test_what_is_configured_is_tidied_up() -> None:
    """Slashes around the path go, methods are upper case, sizes are bytes."""
    kind, _ = trigger("webhook")
    config = msgspec.convert(
        {"path": "/orders/{shop}/", "methods": ["post", "put"], "max_body": "2MB", "auth": "none"}, kind.config
    )
    assert (config.path, config.methods, config.max_body) == ("orders/{shop}", ["POST", "PUT"], 2_000_000)


@pytest.mark.parametrize("name", [name for name, kind in CATALOG.triggers.items() if kind.webhook])
def test_every_receiver_has_what_the_engine_reads(name: str) -> None:
    """path, methods, max_body; a summary; descriptions on all fields; a schema for editors."""
    kind = CATALOG.triggers[name]
    assert kind.summary
    assert {"path", "methods", "max_body", "events"} <= set(kind.config.__struct_fields__)
    schema = msgspec.json.schema(kind.config)
    properties = next(iter(schema["$defs"].values()))["properties"] if "$defs" in schema else schema["properties"]
    for field, described in properties.items():
        assert "description" in described or "anyOf" in described, field


def test_schemes_of_other_plugins() -> None:
    """A scheme that another plugin registers can be named in `auth`, like ours."""
    from engine.plugin import BadSignature, StepConfig, hookimpl

    class PinConfig(StepConfig, frozen=True):
        """A pin."""

        pin: str

    def verify(delivery: Delivery, config: PinConfig) -> None:
        if delivery.header("x-pin") != config.pin:
            raise BadSignature("wrong pin")

    class Plugin:
        @hookimpl
        def register_schemes(self, register: Any) -> None:
            register("pin", config=PinConfig, verify=verify, sign=lambda *_: {"X-Pin": "1234"})

    catalog = load_catalog(extra=[Plugin()]).catalog
    kind = catalog.triggers["webhook"]
    assert kind.webhook is not None
    config = msgspec.convert({"path": "p", "auth": {"pin": {"pin": "1234"}}}, kind.config)
    kind.webhook.verify(deliver(kind.webhook.sign(b"", {}, config, 0.0), b""), config)
    with pytest.raises(BadSignature, match="wrong pin"):
        kind.webhook.verify(deliver({}, b""), config)
