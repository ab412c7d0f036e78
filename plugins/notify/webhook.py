"""The step `notify.webhook`: a delivery signed as Standard Webhooks asks (standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import re
import time
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from engine.plugin import (
    Duration,
    SecretText,
    StepConfig,
    StepContext,
    parse_duration,
    raise_for_status,
    send_request,
)

PREFIX = "whsec_"
SAFE_ID = re.compile(r"[A-Za-z0-9_/:-]{1,200}")  # the id is signed as id.timestamp.body, so it has no dot
OURS = frozenset({"content-type", "webhook-id", "webhook-timestamp", "webhook-signature"})


class WebhookConfig(StepConfig, frozen=True):
    """Post a signed webhook to another system, by the Standard Webhooks specification.

    `webhook-id` is the same for every attempt, so the receiver can drop repeats.

    Example:

        uses: notify.webhook
        with:
          url: https://example.com/hooks/orders
          secret: ${{ secrets.ORDERS_SIGNING_KEY }}
          payload:
            type: order.paid
            data: ${{ event.body.order }}
    """

    url: Annotated[str, Meta(description="Where to.", examples=["https://example.com/hooks/orders"])]
    payload: Annotated[Any, Meta(description="Body, sent as JSON.", examples=[{"type": "order.paid", "data": {}}])]
    secret: Annotated[
        SecretText | list[SecretText],
        Meta(
            description="Signing key, whsec_ and base64; several while a key is being changed.",
            examples=["${{ secrets.ORDERS_SIGNING_KEY }}"],
            extra={"secret": True},
        ),
    ]
    headers: Annotated[dict[str, str], Meta(description="More headers; masked in logs.", extra={"secret": True})] = (
        field(default_factory=dict)
    )
    timeout: Annotated[Duration, Meta(description="How long to wait for the receiver.")] = "15s"

    def __post_init__(self) -> None:
        super().__post_init__()
        for secret in self.secrets:
            signing_key(secret)
        if not self.secrets:
            raise ValueError("`secret`: at least one key is needed")
        if taken := OURS.intersection(name.lower() for name in self.headers):
            raise ValueError(f"`headers`: {', '.join(sorted(taken))} is set by the step itself")

    @property
    def secrets(self) -> list[str]:
        """All signing keys."""
        return [self.secret] if isinstance(self.secret, str) else list(self.secret)


class Delivered(msgspec.Struct, frozen=True):
    """The receiver took it."""

    id: Annotated[str, Meta(description="The `webhook-id` that was sent.")]
    status: Annotated[int, Meta(description="The receiver's HTTP status.")]


async def deliver(config: WebhookConfig, context: StepContext) -> Delivered:
    """Deliver it. Any answer but 2xx is an error.

    Errors: `rate_limited`, `server_error`, `timeout`, `network` are tried again; `http.410` and the like,
    `blocked_address`, `invalid_input` are not.
    """
    body = msgspec.json.encode(config.payload)
    key = context.idempotency_key
    message_id = key if SAFE_ID.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()[:40]
    stamp = str(int(time.time()))
    signatures = " ".join(sign(secret, message_id, stamp, body) for secret in config.secrets)
    headers = {
        **config.headers,
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": signatures,
    }
    wait = min(parse_duration(config.timeout), context.timeout)
    response = await send_request(context.http, "POST", config.url, content=body, headers=headers, timeout=wait)
    if not response.is_success:
        raise_for_status(response)
    return Delivered(id=message_id, status=response.status_code)


def sign(secret: str, message_id: str, stamp: str, body: bytes) -> str:
    """One `v1,` signature over id, time stamp and body."""
    digest = hmac.new(signing_key(secret), f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def signing_key(secret: str) -> bytes:
    """The key's bytes. ValueError (without the secret in it) if it is not base64."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError("`secret` is not a Standard Webhooks key: `whsec_` followed by base64")
    return key
