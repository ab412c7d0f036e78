"""Receive a delivery: route, verify, shake hands, record, ring. 2xx only after the commit."""

import time
from uuid import UUID

import msgspec

from engine import metrics
from engine.core.catalog import HandshakeReply
from engine.core.event import Delivery, Event
from engine.core.ids import uuid7
from engine.errors import BadSignature, HookwrightError, NotFound, RefusedDelivery
from engine.flow.record import record_event
from engine.pipeline.deployment import Endpoint
from engine.runtime import Runtime

HIDDEN = frozenset({"authorization", "cookie", "proxy-authorization", "x-gitlab-token", "x-api-key"})
DROPPED = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})  # hop-by-hop
MASK = "***"


class Received(msgspec.Struct, frozen=True):
    """What the sender is told. A duplicate names the first one's event and runs."""

    event_id: UUID
    runs: list[tuple[UUID, str]]  # id, pipeline
    duplicate: bool


class WrongMethod(RefusedDelivery):
    """This hook does not take that method."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"this hook takes {', '.join(allowed)}")
        self.allowed = allowed


def find_endpoint(runtime: Runtime, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    """Where a path leads. NotFound or WrongMethod, before a byte of the body is read."""
    found = runtime.deployments.current.find(path)
    if found is None:
        metrics.REFUSED.labels("unknown_path").inc()
        raise NotFound(f"no pipeline listens on /hooks/{path}")
    endpoint, _ = found
    if method not in endpoint.methods:
        metrics.REFUSED.labels("method").inc()
        raise WrongMethod(tuple(endpoint.methods))
    return found


async def receive(runtime: Runtime, endpoint: Endpoint, delivery: Delivery) -> Received | HandshakeReply:
    """Verify and record one delivery. BadSignature, BadRequest, or Unavailable if it could not be recorded."""
    began = time.perf_counter()
    first = endpoint.bindings[0]
    rules = first.type.webhook
    assert rules is not None
    try:
        rules.verify(delivery, first.config)
        reply = rules.handshake(delivery, first.config) if rules.handshake is not None else None
        if reply is not None:
            runtime.log.info("handshake.answered", path=delivery.path, source=first.type.source)
            return reply
        event = Event(
            id=uuid7(),
            source=first.type.source,
            type=rules.event_type(delivery, first.config),
            received_at=delivery.received_at,
            method=delivery.method,
            path=delivery.path,
            query=delivery.query,
            headers=kept_headers(delivery.headers, first.config),
            path_params=delivery.path_params,
            body=delivery.body,
            delivery_id=rules.delivery_id(delivery, first.config),
        )
    except HookwrightError as error:
        reason = "signature" if isinstance(error, BadSignature) else "malformed"
        metrics.REFUSED.labels(reason).inc()
        runtime.log.info(
            "delivery.refused",
            path=delivery.path,
            source=first.type.source,
            reason=str(error),
            bytes=len(delivery.body),
        )
        raise
    ingested = await record_event(runtime, event, endpoint.bindings, dedup_scope=f"hook:{delivery.path}")
    assert ingested.event_id is not None
    (metrics.DUPLICATES if ingested.duplicate else metrics.RECEIVED).labels(event.source).inc()
    runtime.log.info(
        "delivery.accepted",
        path=delivery.path,
        source=event.source,
        type=event.type,
        bytes=len(delivery.body),
        event_id=str(ingested.event_id),
        runs=len(ingested.runs),
        duplicate=ingested.duplicate,
        took_ms=round((time.perf_counter() - began) * 1000, 2),
    )
    return Received(ingested.event_id, ingested.runs, ingested.duplicate)


def kept_headers(headers: dict[str, str], config: object) -> dict[str, str]:
    """Headers as they are stored: credentials masked, hop-by-hop ones left out."""
    hidden = HIDDEN | set(getattr(config, "credential_headers", ()))
    return {name: MASK if name in hidden else value for name, value in headers.items() if name not in DROPPED}
