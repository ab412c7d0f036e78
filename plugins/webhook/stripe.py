"""Stripe: https://docs.stripe.com/webhooks"""

import time
import uuid
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.plugin import Delivery, Duration, TriggerKind, WebhookRules, parse_duration, signature
from plugins.webhook.payload import stripe_payload
from plugins.webhook.receiver import SignedReceiver, secrets_of, wants
from plugins.webhook.sample import load_sample, refresh

SAMPLES = ("checkout.session.completed", "customer.created", "customer.updated", "customer.subscription.created")


class StripeConfig(SignedReceiver, frozen=True, kw_only=True):
    """Receive Stripe's events.

    Example:
        uses: stripe.webhook
        with:
          secret: ${{ secrets.STRIPE_ENDPOINT_SECRET }}
          events: [checkout.session.completed, customer.subscription.*]
    """

    path: Annotated[str, Meta(description="Path below /hooks/.")] = "stripe"
    tolerance: Annotated[Duration, Meta(description="How far the timestamp may be from our clock.")] = "5m"


class Payload(msgspec.Struct):
    """The part of an event that names it."""

    id: str = ""
    type: str = ""


decoder = msgspec.json.Decoder(Payload)


def verify(delivery: Delivery, config: StripeConfig) -> None:
    """Stripe-Signature over time and body."""
    signature.verify_stripe(delivery, secrets_of(config.secret), parse_duration(config.tolerance))


def delivery_id(delivery: Delivery, _config: StripeConfig) -> str | None:
    """The event's id, evt_..., which stays the same when Stripe tries again."""
    return _payload(delivery).id or None


def event_type(delivery: Delivery, _config: StripeConfig) -> str:
    """The event's type."""
    return _payload(delivery).type or "webhook"


def sign(body: bytes, _headers: dict[str, str], config: StripeConfig, now: float) -> dict[str, str]:
    """The signature header."""
    return signature.sign_stripe(body, secrets_of(config.secret)[0], now)


def sample(event_type: str) -> tuple[dict[str, str], bytes] | None:
    """An event as Stripe sends it, with a new id and the time of now."""
    if event_type not in SAMPLES:
        return None

    def change(event: dict[str, Any]) -> None:
        event["id"] = f"evt_1{uuid.uuid4().hex[:23]}"
        event["created"] = int(time.time())

    headers = {
        "content-type": "application/json; charset=utf-8",
        "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "accept": "*/*; q=0.5, application/xml",
    }
    return headers, refresh(load_sample("stripe", f"{event_type}.json"), change)


def register_all(register: Any) -> None:
    """The `stripe.webhook` trigger."""
    rules = WebhookRules(
        verify=verify,
        delivery_id=delivery_id,
        event_type=event_type,
        wants=wants,
        sign=sign,
        sample=sample,
        payload=stripe_payload,
        samples=SAMPLES,
    )
    register("stripe.webhook", config=StripeConfig, kind=TriggerKind.WEBHOOK, source="stripe", webhook=rules)


def _payload(delivery: Delivery) -> Payload:
    try:
        return decoder.decode(delivery.body)
    except (msgspec.DecodeError, RecursionError):
        return Payload()
