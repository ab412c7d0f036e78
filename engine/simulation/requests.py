"""A request as a sender would make it: signed, verified, checked, and the event it becomes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from engine.core.event import Delivery, Event, view
from engine.core.ids import uuid7
from engine.errors import BadSignature, HookwrightError
from engine.pipeline.deployment import Binding
from engine.pipeline.inputs import make_validator
from engine.simulation.setting import Setting
from engine.simulation.triggers import Mistake

LARGEST = 1_000_000  # bytes of a body where the trigger leaves it open


class Refused(HookwrightError):
    """The request does not become an event."""

    def __init__(self, type: str, message: str, status: int) -> None:
        super().__init__(message)
        self.type = type
        self.status = status


def receive(setting: Setting, bindings: list[Binding]) -> tuple[Binding, dict[str, Any], dict[str, Any] | None]:
    """The trigger, the event, and the answer of a handshake. Refused says why it is none."""
    raw = setting.data["raw"] or {}
    path = str(raw.get("path", getattr(bindings[0].config, "path", "") if bindings else "")).strip("/")
    binding, params = _find(bindings, path)
    rules = binding.type.webhook
    assert rules is not None
    delivery = _delivery(raw, path, params, setting.now)
    if raw.get("sign"):
        signed = rules.sign(delivery.body, dict(delivery.headers), binding.config, setting.now.timestamp())
        headers = {**delivery.headers, **{name.lower(): value for name, value in signed.items()}}
        delivery = msgspec.structs.replace(delivery, headers=headers)
    methods = [method.upper() for method in binding.config.methods]
    if delivery.method not in methods:
        raise Refused("method", f"this path takes {', '.join(methods)}", 405)
    if len(delivery.body) > (int(binding.config.max_body) or LARGEST):
        raise Refused("too_large", f"the body has {len(delivery.body):,} bytes", 413)
    try:
        rules.verify(delivery, binding.config)
    except BadSignature as error:
        raise Refused("auth", str(error), 401) from None
    if rules.handshake is not None and (reply := rules.handshake(delivery, binding.config)) is not None:
        body = reply.body.decode(errors="replace")
        return binding, {}, {"status": reply.status, "headers": {"content-type": reply.content_type}, "body": body}
    event = Event(
        id=uuid7(),
        source=binding.type.source,
        type=rules.event_type(delivery, binding.config),
        received_at=setting.now,
        method=delivery.method,
        path=path,
        query=delivery.query,
        headers=delivery.headers,
        path_params=params,
        body=delivery.body,
    )
    found = view(event) | {"id": rules.delivery_id(delivery, binding.config) or "evt-1"}
    schema = getattr(binding.config, "body_schema", None)
    if schema is not None and (problems := make_validator(schema)(found["body"])):
        raise Refused("invalid_body", f"the body does not fit: {'; '.join(problems)}", 400)
    return binding, found, None


def delivery_of(event: Mapping[str, Any], at: datetime) -> Delivery:
    """The request that could have been this event."""
    raw = {"headers": event.get("headers") or {}, "body": event.get("body"), "query": event.get("query")}
    return _delivery(raw, "", {}, at)


def _find(bindings: list[Binding], path: str) -> tuple[Binding, dict[str, str]]:
    for binding in bindings:
        pattern, parts = str(binding.config.path).strip("/").split("/"), path.split("/")
        if len(pattern) == len(parts):
            params = {
                one[1:-1]: other
                for one, other in zip(pattern, parts, strict=True)
                if one.startswith("{") and one.endswith("}")
            }
            if all(one == other or one[1:-1] in params for one, other in zip(pattern, parts, strict=True)):
                return binding, params
    raise Mistake(f"no trigger of the pipeline listens to `/hooks/{path}`")


def _delivery(raw: Mapping[str, Any], path: str, params: dict[str, str], at: datetime) -> Delivery:
    headers = {str(name).lower(): str(value) for name, value in (raw.get("headers") or {}).items()}
    body = raw.get("body")
    if body is None:
        content = b""
    elif isinstance(body, str):
        content = body.encode()
    else:
        content = msgspec.json.encode(body)
        headers.setdefault("content-type", "application/json")
    query = raw.get("query") or ""
    return Delivery(
        method=str(raw.get("method", "POST")).upper(),
        path=path,
        query=urlencode(query) if isinstance(query, dict) else str(query),
        headers=headers,
        body=content,
        received_at=at,
        path_params=params,
    )
