"""GitLab: https://docs.gitlab.com/user/project/integrations/webhooks/"""

import uuid
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.plugin import Delivery, TriggerKind, WebhookRules, signature
from plugins.webhook.receiver import SignedReceiver, secrets_of, wants
from plugins.webhook.sample import load_sample

TOKEN = "X-Gitlab-Token"
SAMPLES = {  # type of event -> X-Gitlab-Event
    "push": "Push Hook",
    "merge_request.open": "Merge Request Hook",
    "note": "Note Hook",
    "build": "Job Hook",
}


class GitlabConfig(SignedReceiver, frozen=True, kw_only=True):
    """Receive GitLab's events.

    Example:
        uses: gitlab.webhook
        with:
          secret: ${{ secrets.GITLAB_TOKEN }}
          events: [merge_request, push]
    """

    path: Annotated[str, Meta(description="Path below /hooks/.")] = "gitlab"


class Attributes(msgspec.Struct):
    """What happened to the object."""

    action: str | None = None


class Payload(msgspec.Struct):
    """The part of a payload that names what happened."""

    object_kind: str = ""
    event_name: str = ""
    object_attributes: Attributes | None = None


decoder = msgspec.json.Decoder(Payload)


def verify(delivery: Delivery, config: GitlabConfig) -> None:
    """X-Gitlab-Token is the secret itself."""
    signature.verify_token(delivery, TOKEN, secrets_of(config.secret))


def delivery_id(delivery: Delivery, _config: GitlabConfig) -> str | None:
    """Idempotency-Key (GitLab 17.4 and newer), which retries share; else X-Gitlab-Event-UUID.

    The second one is the same for all webhooks that a webhook causes, so it is only the next best.
    """
    return delivery.header("idempotency-key") or delivery.header("x-gitlab-event-uuid") or None


def event_type(delivery: Delivery, _config: GitlabConfig) -> str:
    """The object's kind and action: `merge_request.open`, `push`."""
    try:
        payload = decoder.decode(delivery.body)
    except (msgspec.DecodeError, RecursionError):
        payload = Payload()
    kind = payload.object_kind or payload.event_name
    if not kind:
        return delivery.header("x-gitlab-event").removesuffix(" Hook").lower().replace(" ", "_") or "webhook"
    action = payload.object_attributes.action if payload.object_attributes else None
    return f"{kind}.{action}" if action else kind


def sign(_body: bytes, _headers: dict[str, str], config: GitlabConfig, _now: float) -> dict[str, str]:
    """The token header."""
    return {TOKEN: secrets_of(config.secret)[0]}


def sample(event_type: str) -> tuple[dict[str, str], bytes] | None:
    """A delivery as GitLab sends it, with new ids."""
    if event_type not in SAMPLES:
        return None
    headers = {
        "content-type": "application/json",
        "user-agent": "GitLab/18.6.0",
        "x-gitlab-event": SAMPLES[event_type],
        "x-gitlab-event-uuid": str(uuid.uuid4()),
        "x-gitlab-webhook-uuid": str(uuid.uuid4()),
        "x-gitlab-instance": "https://gitlab.example.com",
        "idempotency-key": str(uuid.uuid4()),
    }
    return headers, load_sample("gitlab", f"{event_type}.json")


def register_all(register: Any) -> None:
    """The `gitlab.webhook` trigger."""
    rules = WebhookRules(
        verify=verify,
        delivery_id=delivery_id,
        event_type=event_type,
        wants=wants,
        sign=sign,
        sample=sample,
        samples=tuple(SAMPLES),
    )
    register("gitlab.webhook", config=GitlabConfig, kind=TriggerKind.WEBHOOK, source="gitlab", webhook=rules)
