"""What plugins import: everything they may use, and nothing else."""

from engine.core.catalog import Effect, HandshakeReply, Scheme, Signed, TriggerKind, WebhookRules
from engine.core.duration import parse_duration
from engine.core.event import Delivery, parse_body
from engine.errors import BadRequest, BadSignature
from engine.plugin.api import (
    Cache,
    Documents,
    Duration,
    Fail,
    Retry,
    SecretText,
    StepConfig,
    StepContext,
    StepError,
    Stop,
    WholeConfig,
)
from engine.plugin.calls import raise_for_status, retry_after, send_request, translate
from engine.plugin.hooks import hookimpl

__all__ = [
    "BadRequest",
    "BadSignature",
    "Cache",
    "Delivery",
    "Documents",
    "Duration",
    "Effect",
    "Fail",
    "HandshakeReply",
    "Retry",
    "Scheme",
    "SecretText",
    "Signed",
    "StepConfig",
    "StepContext",
    "StepError",
    "Stop",
    "TriggerKind",
    "WebhookRules",
    "WholeConfig",
    "hookimpl",
    "parse_body",
    "parse_duration",
    "raise_for_status",
    "retry_after",
    "send_request",
    "translate",
]
