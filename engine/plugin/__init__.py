"""What plugins import: everything they may use, and nothing else."""

from engine.core import cron, signature
from engine.core.catalog import Effect, HandshakeReply, Scheme, TriggerKind, WebhookRules
from engine.core.duration import parse_duration
from engine.core.event import Delivery, parse_body
from engine.errors import BadRequest, BadSignature, ConfigurationError
from engine.plugin.api import (
    Cache,
    Documents,
    Duration,
    Fail,
    Retry,
    Runs,
    SecretText,
    StartedRun,
    StepConfig,
    StepContext,
    StepError,
    Stop,
    WholeConfig,
)
from engine.plugin.calls import raise_for_status, retry_after, send_request, translate
from engine.plugin.hooks import hookimpl
from engine.plugin.schemes import resolve_auth, scheme_names

__all__ = [
    "BadRequest",
    "BadSignature",
    "Cache",
    "ConfigurationError",
    "Delivery",
    "Documents",
    "Duration",
    "Effect",
    "Fail",
    "HandshakeReply",
    "Retry",
    "Runs",
    "Scheme",
    "SecretText",
    "StartedRun",
    "StepConfig",
    "StepContext",
    "StepError",
    "Stop",
    "TriggerKind",
    "WebhookRules",
    "WholeConfig",
    "cron",
    "hookimpl",
    "parse_body",
    "parse_duration",
    "raise_for_status",
    "resolve_auth",
    "retry_after",
    "scheme_names",
    "send_request",
    "signature",
    "translate",
]
