"""Shopify: https://shopify.dev/docs/apps/build/webhooks"""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta

from engine.plugin import Delivery, TriggerKind, WebhookRules, signature
from plugins.webhook.receiver import SignedReceiver, secrets_of, wants
from plugins.webhook.sample import load_sample

SAMPLES = ("orders/create", "app_subscriptions/update", "collections/delete")


class ShopifyConfig(SignedReceiver, frozen=True, kw_only=True):
    """Receive Shopify's events.

    Example:
        uses: shopify.webhook
        with:
          secret: ${{ secrets.SHOPIFY_CLIENT_SECRET }}
          events: [orders/create, products]
    """

    path: Annotated[str, Meta(description="Path below /hooks/.")] = "shopify"


def verify(delivery: Delivery, config: ShopifyConfig) -> None:
    """X-Shopify-Hmac-Sha256 over the raw body."""
    signature.verify_hmac(delivery, signature.SHOPIFY, secrets_of(config.secret))


def delivery_id(delivery: Delivery, _config: ShopifyConfig) -> str | None:
    """X-Shopify-Event-Id with its topic, since one action of a merchant causes several topics; or the webhook's id."""
    if event := delivery.header("x-shopify-event-id"):
        return f"{delivery.header('x-shopify-topic')}:{event}"
    return delivery.header("x-shopify-webhook-id") or None


def event_type(delivery: Delivery, _config: ShopifyConfig) -> str:
    """The topic: `orders/create`."""
    return delivery.header("x-shopify-topic") or "webhook"


def sign(body: bytes, headers: dict[str, str], config: ShopifyConfig, now: float) -> dict[str, str]:
    """The signature header."""
    return signature.sign_hmac(body, headers, signature.SHOPIFY, secrets_of(config.secret)[0], now)


def sample(event_type: str) -> tuple[dict[str, str], bytes] | None:
    """A delivery as Shopify sends it, with new ids."""
    if event_type not in SAMPLES:
        return None
    headers = {
        "content-type": "application/json",
        "user-agent": "Shopify-Captain-Hook",
        "x-shopify-topic": event_type,
        "x-shopify-shop-domain": "hookwright-demo.myshopify.com",
        "x-shopify-api-version": "2026-10",
        "x-shopify-triggered-at": datetime.now(UTC).isoformat(),
        "x-shopify-webhook-id": str(uuid.uuid4()),
        "x-shopify-event-id": str(uuid.uuid4()),
        "x-shopify-test": "true",
    }
    return headers, load_sample("shopify", f"{event_type.replace('/', '.')}.json")


def register_all(register: Any) -> None:
    """The `shopify.webhook` trigger."""
    rules = WebhookRules(
        verify=verify,
        delivery_id=delivery_id,
        event_type=event_type,
        wants=wants,
        sign=sign,
        sample=sample,
        samples=SAMPLES,
    )
    register("shopify.webhook", config=ShopifyConfig, kind=TriggerKind.WEBHOOK, source="shopify", webhook=rules)
