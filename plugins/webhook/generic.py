"""The `webhook` trigger: any sender, with the signature scheme that `auth:` names."""

from typing import Annotated, Any

from msgspec import Meta

from engine.plugin import Delivery, Scheme, StepConfig, TriggerKind, WebhookRules, resolve_auth, signature
from plugins.webhook.receiver import Receiver, wants
from plugins.webhook.schemes import TokenConfig

DEFAULT_TYPE = "webhook"


class HeaderName(StepConfig, frozen=True):
    """Where something stands in a delivery."""

    header: Annotated[str, Meta(min_length=1, description="Name of the header.", examples=["X-Event-Id"])]


class WebhookConfig(Receiver, frozen=True, kw_only=True):
    """Receive deliveries of any sender.

    Example:
        uses: webhook
        with:
          path: orders
          auth:
            hmac:
              secret: ${{ secrets.SHOP_SECRET }}
              header: X-Signature
    """

    auth: Annotated[
        dict[str, Any] | str,
        Meta(
            description="How the sender proves who it is: hmac, standard, bearer, basic, token or a plugin's, with its "
            "settings; or the word none, which lets everybody in.",
            extra={"secret": True},
        ),
    ]
    delivery_id: Annotated[
        HeaderName | None,
        Meta(description="Header with the sender's id of a delivery: a repeat is answered, not run again."),
    ] = None
    type: Annotated[HeaderName | None, Meta(description="Header with the type of event; without it: `webhook`.")] = None
    body_schema: Annotated[
        dict[str, Any] | None,
        Meta(description="JSON Schema of the body: a delivery that does not fit is answered 400 and starts nothing."),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.auth, str) and self.auth != "none":
            raise ValueError(f"`auth` is a map like {self.auth}: {{...}}, or the word none, which lets everybody in")
        _scheme(self)


def verify(delivery: Delivery, config: WebhookConfig) -> None:
    """Ask the scheme."""
    if found := _scheme(config):
        scheme, settings = found
        scheme.verify(delivery, settings)


def delivery_id(delivery: Delivery, config: WebhookConfig) -> str | None:
    """From the header that is configured; Standard Webhooks have one of their own."""
    if config.delivery_id is not None:
        return delivery.header(config.delivery_id.header.lower()) or None
    if "standard" in config.auth:
        return signature.standard_id(delivery)
    return None


def event_type(delivery: Delivery, config: WebhookConfig) -> str:
    """From the header that is configured."""
    return (delivery.header(config.type.header.lower()) if config.type is not None else "") or DEFAULT_TYPE


def credentials(config: WebhookConfig) -> tuple[str, ...]:
    """The header of the `token` scheme, whatever its name."""
    found = _scheme(config)
    return (found[1].header.lower(),) if found and isinstance(found[1], TokenConfig) else ()


def sign(body: bytes, headers: dict[str, str], config: WebhookConfig, now: float) -> dict[str, str]:
    """Headers of the scheme."""
    found = _scheme(config)
    return found[0].sign(body, headers, found[1], now) if found else {}


def register_all(register: Any) -> None:
    """The `webhook` trigger."""
    rules = WebhookRules(
        verify=verify,
        delivery_id=delivery_id,
        event_type=event_type,
        wants=wants,
        credentials=credentials,
        sign=sign,
    )
    register("webhook", config=WebhookConfig, kind=TriggerKind.WEBHOOK, source="webhook", webhook=rules)


def _scheme(config: WebhookConfig) -> tuple[Scheme, Any] | None:
    return None if isinstance(config.auth, str) else resolve_auth(config.auth)
