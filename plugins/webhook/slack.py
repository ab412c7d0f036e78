"""Slack: events, slash commands, shortcuts, buttons: https://docs.slack.dev/authentication/verifying-requests-from-slack"""

import time
import uuid
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import Meta

from engine.plugin import Delivery, HandshakeReply, TriggerKind, WebhookRules, signature
from plugins.webhook.payload import slack_payload
from plugins.webhook.receiver import SignedReceiver, secrets_of, wants
from plugins.webhook.sample import load_sample, refresh

FORM = "application/x-www-form-urlencoded"
EVENTS = ("app_mention", "message", "reaction_added")
COMMAND = "command.triage"
INTERACTION = "block_actions"
SAMPLES = (*EVENTS, COMMAND, INTERACTION)


class SlackConfig(SignedReceiver, frozen=True, kw_only=True):
    """Receive what a Slack app is told: events, slash commands, buttons.

    A slash command `/deploy` is of type `command.deploy`; an interaction has Slack's own type, like `block_actions`.

    Example:
        uses: slack.webhook
        with:
          secret: ${{ secrets.SLACK_SIGNING_SECRET }}
          events: [app_mention, command.deploy]
    """

    path: Annotated[str, Meta(description="Path below /hooks/.")] = "slack"


class Inner(msgspec.Struct):
    """The event inside a delivery of the Events API."""

    type: str = ""


class Payload(msgspec.Struct):
    """The parts of a delivery, of whatever kind, that say what it is."""

    type: str = ""
    event_id: str = ""
    challenge: str = ""
    trigger_id: str = ""
    event: Inner | None = None


decoder = msgspec.json.Decoder(Payload)


def verify(delivery: Delivery, config: SlackConfig) -> None:
    """X-Slack-Signature over time and body."""
    signature.verify_hmac(delivery, signature.SLACK, secrets_of(config.secret))


def handshake(delivery: Delivery, _config: SlackConfig) -> HandshakeReply | None:
    """Slack's question whether this address is ours. It is signed like everything else."""
    payload = _payload(delivery)
    if payload.type == "url_verification" and payload.challenge:
        return HandshakeReply(payload.challenge.encode("utf-8", "replace"))
    return None


def delivery_id(delivery: Delivery, _config: SlackConfig) -> str | None:
    """event_id, the same in each of Slack's retries; commands and interactions have a trigger_id."""
    payload = _payload(delivery)
    return payload.event_id or payload.trigger_id or None


def event_type(delivery: Delivery, _config: SlackConfig) -> str:
    """The inner event's type, the command's name, or the interaction's type."""
    payload = _payload(delivery)
    if payload.type == "event_callback" and payload.event is not None:
        return payload.event.type or payload.type
    return payload.type or "webhook"


def answer(delivery: Delivery, _config: SlackConfig) -> HandshakeReply | None:
    """Commands and interactions want 200; a body would be shown to the person who caused it."""
    return HandshakeReply(b"") if delivery.header("content-type").startswith(FORM) else None


def sign(body: bytes, headers: dict[str, str], config: SlackConfig, now: float) -> dict[str, str]:
    """The signature headers."""
    return signature.sign_hmac(body, headers, signature.SLACK, secrets_of(config.secret)[0], now)


def sample(event_type: str) -> tuple[dict[str, str], bytes] | None:
    """A delivery as Slack sends it, with new ids and the time of now."""
    trigger_id = f"{time.time_ns() // 1000}.{uuid.uuid4().int % 10**10}.{uuid.uuid4().hex}"
    headers = {"content-type": FORM, "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)"}
    if event_type == COMMAND:
        fields = dict(parse_qsl(load_sample("slack", "command.triage.form").decode().strip(), keep_blank_values=True))
        return headers, urlencode(fields | {"trigger_id": trigger_id}).encode()
    if event_type == INTERACTION:
        content = refresh(load_sample("slack", "block_actions.json"), lambda item: item.update(trigger_id=trigger_id))
        return headers, urlencode({"payload": content}).encode()
    if event_type not in EVENTS:
        return None

    def change(content: dict[str, Any]) -> None:
        content["event_id"] = f"Ev{uuid.uuid4().hex[:9].upper()}"
        content["event_time"] = int(time.time())

    return headers | {"content-type": "application/json"}, refresh(load_sample("slack", f"{event_type}.json"), change)


def register_all(register: Any) -> None:
    """The `slack.webhook` trigger."""
    rules = WebhookRules(
        verify=verify,
        delivery_id=delivery_id,
        event_type=event_type,
        wants=wants,
        handshake=handshake,
        answer=answer,
        sign=sign,
        sample=sample,
        payload=slack_payload,
        samples=SAMPLES,
    )
    register("slack.webhook", config=SlackConfig, kind=TriggerKind.WEBHOOK, source="slack", webhook=rules)


def _payload(delivery: Delivery) -> Payload:
    body = delivery.body
    if delivery.header("content-type").startswith(FORM):
        fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        if "command" in fields:
            return Payload(f"command.{fields['command'].lstrip('/')}", trigger_id=fields.get("trigger_id", ""))
        body = fields.get("payload", "").encode()
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return Payload()
