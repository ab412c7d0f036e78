"""Senders that follow Standard Webhooks (Svix, Clerk, OpenAI, ...): https://www.standardwebhooks.com"""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.plugin import Delivery, Duration, TriggerKind, WebhookRules, parse_duration, signature
from plugins.webhook.receiver import SignedReceiver, secrets_of, wants
from plugins.webhook.sample import load_sample, refresh
from plugins.webhook.schemes import check_standard

SAMPLES = ("contact.created",)


class StandardWebhookConfig(SignedReceiver, frozen=True, kw_only=True):
    """Receive events of any sender that follows Standard Webhooks.

    The type of event is the payload's `type`.

    Example:
        uses: standard.webhook
        with:
          path: clerk
          secret: ${{ secrets.CLERK_SECRET }}
          events: [user.created]
    """

    path: Annotated[str, Meta(description="Path below /hooks/.")] = "standard"
    tolerance: Annotated[Duration, Meta(description="How far the timestamp may be from our clock.")] = "5m"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_standard(self.secret)


class Payload(msgspec.Struct):
    """The part of a payload that names what happened."""

    type: str = ""


decoder = msgspec.json.Decoder(Payload)


def verify(delivery: Delivery, config: StandardWebhookConfig) -> None:
    """webhook-signature over id, time and body."""
    signature.verify_standard(delivery, secrets_of(config.secret), parse_duration(config.tolerance))


def delivery_id(delivery: Delivery, _config: StandardWebhookConfig) -> str | None:
    """webhook-id, which is signed and the same in each retry."""
    return signature.standard_id(delivery)


def event_type(delivery: Delivery, _config: StandardWebhookConfig) -> str:
    """The payload's `type`."""
    try:
        return decoder.decode(delivery.body).type or "webhook"
    except (msgspec.DecodeError, RecursionError):
        return "webhook"


def sign(body: bytes, headers: dict[str, str], config: StandardWebhookConfig, now: float) -> dict[str, str]:
    """The three headers."""
    return signature.sign_standard(body, headers, secrets_of(config.secret)[0], now)


def sample(event_type: str) -> tuple[dict[str, str], bytes] | None:
    """A delivery with the time of now; its id comes with the signature."""
    if event_type not in SAMPLES:
        return None
    moment = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    body = refresh(load_sample("standard", f"{event_type}.json"), lambda item: item.update(timestamp=moment))
    return {"content-type": "application/json"}, body


def register_all(register: Any) -> None:
    """The `standard.webhook` trigger."""
    rules = WebhookRules(
        verify=verify,
        delivery_id=delivery_id,
        event_type=event_type,
        wants=wants,
        sign=sign,
        sample=sample,
        samples=SAMPLES,
    )
    register(
        "standard.webhook", config=StandardWebhookConfig, kind=TriggerKind.WEBHOOK, source="standard", webhook=rules
    )
