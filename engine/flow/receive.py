"""Receive a delivery: who listens, is it genuine, then one commit and the bell."""

import re
from collections.abc import Callable
from functools import lru_cache
from uuid import UUID

import msgspec

from engine.core.catalog import HandshakeReply
from engine.core.event import Delivery, Event, parse_body
from engine.core.ids import uuid7
from engine.errors import BadRequest, NotFound, WrongMethod
from engine.flow.record import record_event
from engine.pipeline.deployment import Endpoint
from engine.runtime import Runtime

MASK = "***"
HOP_BY_HOP = frozenset({  # about the connection, not about the delivery: RFC 9110, section 7.6.1
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
CREDENTIAL = re.compile(r"auth(orization)?(-|$)|cookie|token|secret|passw|api-?key|credential|session")


class Received(msgspec.Struct, frozen=True):
    """What became of a delivery. event_id None: a handshake, nothing was stored. `reply` replaces the usual answer."""

    source: str
    event_id: UUID | None = None
    type: str = ""
    runs: list[tuple[UUID, str]] = []
    duplicate: bool = False
    reply: HandshakeReply | None = None


def find_endpoint(runtime: Runtime, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    """Who listens to this path, and the path's parameters. NotFound or WrongMethod."""
    found = runtime.deployments.current.find(path)
    if found is None:
        raise NotFound("nobody listens to this path")
    if method not in found[0].methods:
        raise WrongMethod(f"this path takes {', '.join(found[0].methods)}", allowed=tuple(found[0].methods))
    return found


async def receive(runtime: Runtime, endpoint: Endpoint, delivery: Delivery) -> Received:
    """Verify the delivery, store the event with its decisions and runs in one commit, ring the runs.

    BadSignature, BadRequest: nothing was stored. Unavailable: it is not known whether it was; the sender tries
    again, and the delivery id makes that harmless.
    """
    kind, config = endpoint.bindings[0].type, endpoint.bindings[0].config  # the same in all bindings of a path
    rules = kind.webhook
    assert rules is not None
    rules.verify(delivery, config)
    if rules.handshake is not None and (reply := rules.handshake(delivery, config)) is not None:
        return Received(kind.source, reply=reply)
    check_body(endpoint, delivery)
    secret = rules.credentials(config) if rules.credentials is not None else ()
    headers, query = stored(delivery, secret, runtime.secrets.redact_text)
    event = Event(
        id=uuid7(),
        source=kind.source,
        type=rules.event_type(delivery, config),
        received_at=delivery.received_at,
        method=delivery.method,
        path=delivery.path,
        query=query,
        headers=headers,
        path_params=delivery.path_params,
        body=delivery.body,
        delivery_id=rules.delivery_id(delivery, config),
    )
    recorded = await record_event(runtime, event, endpoint.bindings, dedup_scope=f"hook:{delivery.path}")
    return Received(
        kind.source,
        event_id=recorded.event_id,
        type=event.type,
        runs=recorded.runs,
        duplicate=recorded.duplicate,
        reply=rules.answer(delivery, config) if rules.answer is not None else None,
    )


def check_body(endpoint: Endpoint, delivery: Delivery) -> None:
    """BadRequest unless the body fits the `body_schema` of who listens there."""
    if endpoint.check_body is None:
        return
    problems = endpoint.check_body(parse_body(delivery.header("content-type"), delivery.body))
    if problems:
        raise BadRequest(f"the body does not fit: {'; '.join(problems)}")


def stored(
    delivery: Delivery, credentials: tuple[str, ...], redact: Callable[[str], str]
) -> tuple[dict[str, str], str]:
    """Headers and query as they are kept: without hop-by-hop headers, without credentials and known secrets."""
    headers = {
        name: MASK if is_credential(name) or name in credentials else value
        for name, value in delivery.headers.items()
        if name not in HOP_BY_HOP
    }
    text = "\n".join((*headers.values(), delivery.query))
    if redact(text) == text:
        return headers, delivery.query
    return {name: redact(value) for name, value in headers.items()}, redact(delivery.query)


@lru_cache(maxsize=1024)
def is_credential(name: str) -> bool:
    """Whether a header of this lower-case name is likely to hold a secret."""
    return CREDENTIAL.search(name) is not None
