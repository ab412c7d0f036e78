"""What plugins import: everything they may use, and nothing else."""

from engine.core.catalog import Effect, HandshakeReply, Scheme, Signed, TriggerKind, WebhookRules
from engine.core.duration import parse_duration
from engine.core.event import Delivery, parse_body
from engine.errors import BadRequest, BadSignature
from engine.plugin.api import Cache, Documents, Fail, Retry, StepConfig, StepContext, StepError, Stop
from engine.plugin.hooks import hookimpl

__all__ = [
    "BadRequest",
    "BadSignature",
    "Cache",
    "Delivery",
    "Documents",
    "Effect",
    "Fail",
    "HandshakeReply",
    "Retry",
    "Scheme",
    "Signed",
    "StepConfig",
    "StepContext",
    "StepError",
    "Stop",
    "TriggerKind",
    "WebhookRules",
    "hookimpl",
    "parse_body",
    "parse_duration",
]
