"""What plugins have registered: step types, trigger types, signature schemes, filters. Filled once at start."""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from engine.core.event import Delivery


class Effect(StrEnum):
    """What a step type does to the world; retries, dry runs and checkpoints follow from it."""

    PURE = "pure"  # same result every time, touches nothing
    IDEMPOTENT = "idempotent"  # doing it twice is as good as once
    EFFECT = "effect"  # doing it twice can be seen


class StepType(msgspec.Struct, frozen=True):
    """One `uses:` name. `function(config, context)` is async and returns JSON-plain data or a Struct.

    result_of(with): what follows for the output from `with:` as it is written: JSON Schemas of some of its fields.
    """

    name: str
    function: Callable[[Any, Any], Awaitable[Any]]
    config: type[msgspec.Struct]
    effect: Effect
    result: Any = Any  # type of the output, where the plugin declares one
    result_of: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    timeout: float | None = None  # seconds; None: the engine's default of 5 min
    whole: bool = False  # `with` may be anything; the config gets it as its one field `value`
    summary: str = ""  # first line of the config's docstring
    plugin: str = ""
    version: str = ""


class TriggerKind(StrEnum):
    """What starts the run."""

    WEBHOOK = "webhook"  # a delivery on /hooks/{path}
    SCHEDULE = "schedule"  # the clock
    EVENT = "event"  # an `emit` step


class HandshakeReply(msgspec.Struct, frozen=True):
    """An immediate answer to a sender's URL verification; no event is stored."""

    body: bytes
    content_type: str = "text/plain"
    status: int = 200


class Scheme(msgspec.Struct, frozen=True):
    """A way to sign a delivery. Registered under a name that `webhook` triggers use in `auth:`.

    verify(delivery, config): returns None, or raises engine.errors.BadSignature whose text says why (never the secret).
    sign(body, headers, config, now): the headers to add so that verify passes; now is Unix seconds.
    short: the field that a bare text stands for: `bearer: TEXT` means `bearer: {token: TEXT}`.
    """

    name: str
    config: type[msgspec.Struct]
    verify: Callable[[Delivery, Any], None]
    sign: Callable[[bytes, dict[str, str], Any, float], dict[str, str]]
    summary: str = ""
    short: str = ""

    def settings(self, written: Any) -> Any:
        """The settings as a map, whichever way they are written."""
        return {self.short: written} if self.short and isinstance(written, str | list) else written


class WebhookRules(msgspec.Struct, frozen=True):
    """How a webhook trigger type reads a delivery. All functions are pure and get the validated config last.

    verify(delivery, config): raise BadSignature or return.
    delivery_id(delivery, config): the sender's id for this delivery, used for dedup, or None.
    event_type(delivery, config): e.g. `issues.opened`; called after verify.
    wants(event_type, config): whether the trigger's `events` list includes it.
    handshake(delivery, config): an immediate answer, or None; called after verify.
    answer(delivery, config): what the sender gets once the event is stored, where it does not take a 202 with JSON.
    credentials(config): lower-case names of headers that hold a secret as it is; they are stored masked.
    sign(body, headers, config, now): headers of a sample delivery so that verify passes.
    sample(event_type): (headers, body) of a realistic delivery, or None if there is no such sample.
    payload(event_type): the JSON Schema of `event.body` for this event type, or for all that begin so; None: unknown.
    """

    verify: Callable[[Delivery, Any], None]
    delivery_id: Callable[[Delivery, Any], str | None]
    event_type: Callable[[Delivery, Any], str]
    wants: Callable[[str, Any], bool]
    sign: Callable[[bytes, dict[str, str], Any, float], dict[str, str]]
    handshake: Callable[[Delivery, Any], HandshakeReply | None] | None = None
    answer: Callable[[Delivery, Any], HandshakeReply | None] | None = None
    credentials: Callable[[Any], tuple[str, ...]] | None = None
    sample: Callable[[str], tuple[dict[str, str], bytes] | None] | None = None
    payload: Callable[[str], dict[str, Any] | None] | None = None
    samples: tuple[str, ...] = ()  # event types that sample() knows


class TriggerType(msgspec.Struct, frozen=True):
    """One `uses:` name of a trigger. Webhook configs have `path: str`, `max_body: int` and `methods: list[str]`."""

    name: str
    kind: TriggerKind
    config: type[msgspec.Struct]
    source: str = ""  # `event.source`, e.g. "github"
    webhook: WebhookRules | None = None
    summary: str = ""
    plugin: str = ""
    version: str = ""


class Catalog(msgspec.Struct):
    """Everything that is installed, by name."""

    steps: dict[str, StepType] = {}
    triggers: dict[str, TriggerType] = {}
    schemes: dict[str, Scheme] = {}
    filters: dict[str, Callable[..., Any]] = {}
