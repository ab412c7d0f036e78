"""/hooks/...: the raw body with a limit, handed over to flow.receive; answers in JSON.

A bare ASGI application, since an ordinary Litestar route costs as much as all the rest of accepting a delivery.
"""

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
import structlog
from litestar.types import ASGIApp, Receive, Scope, Send
from prometheus_client import Counter

from engine import metrics
from engine.core.event import Delivery
from engine.errors import (
    BadRequest,
    BadSignature,
    HookwrightError,
    NotFound,
    TooLarge,
    TooSlow,
    Unavailable,
    WrongMethod,
)
from engine.flow.receive import Received, find_endpoint, receive
from engine.runtime import Runtime
from engine.web.problems import MEDIA_TYPE, problem_for

PATIENCE = 30.0  # seconds until the whole body has arrived
LONGEST_PATH = 200  # characters of an unknown path in a log line
REASONS: dict[type[HookwrightError], str] = {
    BadSignature: "signature",
    NotFound: "unknown_path",
    WrongMethod: "method",
    TooLarge: "too_large",
    TooSlow: "slow",
    BadRequest: "bad_request",
    Unavailable: "unavailable",
}

log = structlog.get_logger("hooks")
encoder = msgspec.json.Encoder()


class StartedRun(msgspec.Struct, frozen=True):
    """A run that a delivery started."""

    id: UUID
    pipeline: str
    status_url: str


class Accepted(msgspec.Struct, frozen=True):
    """The answer to a delivery."""

    event_id: UUID
    runs: list[StartedRun]
    duplicate: bool


class Disconnected(Exception):
    """The sender went away."""


class Answer(msgspec.Struct, frozen=True):
    """What is sent back."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = {}


def create_hooks_handler(runtime: Runtime, *, patience: float = PATIENCE) -> ASGIApp:
    """The application to mount at /hooks. patience: seconds a sender has for its body."""
    runs_url = f"{runtime.settings.url}/api/v1/runs/"

    async def hooks(scope: Scope, receive_message: Receive, send: Send) -> None:
        started = time.perf_counter()
        path, method = scope["path"].strip("/"), scope["method"]  # type: ignore[typeddict-item]
        facts: dict[str, Any] = {"path": path[:LONGEST_PATH]}
        try:
            check_address(scope)
            endpoint, path_params = find_endpoint(runtime, method, path)
            headers = read_headers(scope["headers"])
            limit = endpoint.max_body or runtime.settings.max_body
            async with asyncio.timeout(patience):
                body = await read_body(headers.get("content-length"), receive_message, limit)
            facts["bytes"] = len(body)
            delivery = Delivery(
                method=method,
                path=path,
                query=scope["query_string"].decode("latin-1"),
                headers=headers,
                body=body,
                received_at=datetime.now(UTC),
                path_params=path_params,
            )
            received = await receive(runtime, endpoint, delivery)
            answer = accept(received, runs_url)
            _tell_accepted(received, facts, started)
        except Disconnected:
            metrics.REFUSED.labels("disconnected").inc()
            log.info("delivery.refused", **facts, reason="disconnected", ms=_ms(started))
            return
        except TimeoutError:
            answer = refuse(TooSlow(f"the body did not arrive within {patience:g} s"), facts, started)
        except HookwrightError as error:
            answer = refuse(error, facts, started)
        except Exception as error:  # whatever it is, the sender gets an answer and we get the traceback
            log.exception("delivery.failed", **facts, ms=_ms(started))
            answer = refuse(error, facts, started)
        await respond(send, answer)

    return hooks


def check_address(scope: Scope) -> None:
    """NotFound for /hooksome, which Litestar's mount takes for a part of /hooks."""
    if not scope["path"].startswith("/"):
        raise NotFound("there is nothing at this address")


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """By name, in lower case as ASGI has them; repeated headers joined."""
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in raw:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def read_body(content_length: str | None, receive_message: Receive, limit: int) -> bytes:
    """The whole body. TooLarge as soon as it is known to be; Disconnected if the sender went away before its end."""
    if content_length is not None and content_length.isdecimal() and _exceeds(content_length, limit):
        raise TooLarge(f"the body may have {limit:,} bytes")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive_message()
        if message["type"] != "http.request":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise TooLarge(f"the body may have {limit:,} bytes")
        if not message.get("more_body", False):
            return part if not parts else b"".join([*parts, part])
        parts.append(part)


def accept(received: Received, runs_url: str) -> Answer:
    """202 for a new event, 200 for a repeat; or what the sender's own rules ask for."""
    if received.reply is not None:
        return Answer(received.reply.status, received.reply.body, received.reply.content_type)
    assert received.event_id is not None
    runs = [StartedRun(run_id, pipeline, f"{runs_url}{run_id}") for run_id, pipeline in received.runs]
    body = encoder.encode(Accepted(received.event_id, runs, received.duplicate))
    return Answer(200 if received.duplicate else 202, body)


def refuse(error: Exception, facts: dict[str, Any], started: float) -> Answer:
    """The problem as an answer, counted and logged."""
    problem, headers = problem_for(error, instance=f"/hooks/{facts['path']}")
    if isinstance(error, BadSignature):  # an API token is not what is missing here
        headers["WWW-Authenticate"] = error.challenge
    reason = REASONS.get(type(error), "error") if isinstance(error, HookwrightError) else "error"
    metrics.REFUSED.labels(reason).inc()
    log.info("delivery.refused", **facts, reason=reason, why=problem.detail, status=problem.status, ms=_ms(started))
    return Answer(problem.status, encoder.encode(problem), MEDIA_TYPE, headers)


async def respond(send: Send, answer: Answer) -> None:
    """Send it in one piece."""
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        *((name.lower().encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def _tell_accepted(received: Received, facts: dict[str, Any], started: float) -> None:
    if received.event_id is None:
        log.info("delivery.answered", **facts, source=received.source, reason="handshake", ms=_ms(started))
        return
    _counter(received.source, received.duplicate).inc()
    log.info(
        "delivery.accepted",
        **facts,
        source=received.source,
        type=received.type,
        event_id=str(received.event_id),
        runs=len(received.runs),
        duplicate=received.duplicate,
        ms=_ms(started),
    )


@cache
def _counter(source: str, duplicate: bool) -> Counter:
    return (metrics.DUPLICATES if duplicate else metrics.RECEIVED).labels(source)


def _exceeds(content_length: str, limit: int) -> bool:
    return len(content_length) > 15 or int(content_length) > limit


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
