"""GitHub: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""

import uuid
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta

from engine.plugin import Delivery, TriggerKind, WebhookRules, signature
from plugins.webhook.payload import github_payload
from plugins.webhook.receiver import SignedReceiver, secrets_of, wants
from plugins.webhook.sample import load_sample

PING = "ping"  # GitHub's hello when a webhook is set up
SAMPLES = (
    "issues.opened",
    "issue_comment.created",
    "pull_request.opened",
    "push",
    "check_run.completed",
    "workflow_run.completed",
    "release.published",
    "star.created",
    PING,
)


class GithubConfig(SignedReceiver, frozen=True, kw_only=True):
    """Receive GitHub's events.

    Example:
        uses: github.webhook
        with:
          secret: ${{ secrets.GITHUB_WEBHOOK_SECRET }}
          events: [issues.opened, pull_request]
    """

    path: Annotated[str, Meta(description="Path below /hooks/.")] = "github"


class Payload(msgspec.Struct):
    """The part of a payload that names what happened."""

    action: str | None = None


decoder = msgspec.json.Decoder(Payload)


def verify(delivery: Delivery, config: GithubConfig) -> None:
    """X-Hub-Signature-256 over the raw body."""
    signature.verify_hmac(delivery, signature.GITHUB, secrets_of(config.secret))


def delivery_id(delivery: Delivery, _config: GithubConfig) -> str | None:
    """X-GitHub-Delivery, which stays the same when a delivery is sent again."""
    return delivery.header("x-github-delivery") or None


def event_type(delivery: Delivery, _config: GithubConfig) -> str:
    """The event and its action: `issues.opened`; events without an action by name: `push`."""
    event = delivery.header("x-github-event") or "webhook"
    action = _action(delivery)
    return f"{event}.{action}" if action else event


def is_wanted(event_type: str, config: GithubConfig) -> bool:
    """A ping starts a run only if `events` names it."""
    return PING in config.events if event_type == PING else wants(event_type, config)


def sign(body: bytes, headers: dict[str, str], config: GithubConfig, now: float) -> dict[str, str]:
    """The signature header."""
    return signature.sign_hmac(body, headers, signature.GITHUB, secrets_of(config.secret)[0], now)


def sample(event_type: str) -> tuple[dict[str, str], bytes] | None:
    """A delivery as GitHub sends it, with a new id."""
    if event_type not in SAMPLES:
        return None
    headers = {
        "content-type": "application/json",
        "user-agent": "GitHub-Hookshot/044aadd",
        "x-github-event": event_type.partition(".")[0],
        "x-github-delivery": str(uuid.uuid4()),
    }
    return headers, load_sample("github", f"{event_type}.json")


def register_all(register: Any) -> None:
    """The `github.webhook` trigger."""
    rules = WebhookRules(
        verify=verify,
        delivery_id=delivery_id,
        event_type=event_type,
        wants=is_wanted,
        sign=sign,
        sample=sample,
        payload=github_payload,
        samples=SAMPLES,
    )
    register("github.webhook", config=GithubConfig, kind=TriggerKind.WEBHOOK, source="github", webhook=rules)


def _action(delivery: Delivery) -> str | None:
    body = delivery.body
    if delivery.header("content-type").startswith("application/x-www-form-urlencoded"):
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=None)
        body = fields.get("payload", [""])[0].encode()
    try:
        return decoder.decode(body).action
    except (msgspec.DecodeError, RecursionError):
        return None
