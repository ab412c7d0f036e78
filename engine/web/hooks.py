"""POST /hooks/{path}: reads the body within its limit and answers. Bare ASGI, since every webhook pays for it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from litestar.types import Receive, Scope, Send

from engine.core.catalog import HandshakeReply
from engine.core.event import Delivery
from engine.errors import BadRequest, TooLarge
from engine.flow.receive import Received, WrongMethod, find_endpoint, receive
from engine.runtime import Runtime
from engine.web.problems import MEDIA_TYPE, Problem, problem_for

READ = 30.0  # seconds a sender may take to send its body
PREFIX = "/hooks/"
JSON = b"application/json"

log = structlog.get_logger("web")


class Gone(Exception):
    """The sender hung up before its body was complete."""


def create_hooks_handler(runtime: Runtime) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The ASGI application for everything below /hooks/."""
    base = f"{runtime.settings.url}/api/v1/runs/"

    async def handle(scope: Scope, receive_: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(PREFIX).strip("/")
        try:
            endpoint, parameters = find_endpoint(runtime, scope["method"], path)  # type: ignore[typeddict-item]
            headers = read_headers(scope["headers"])
            body = await read_body(receive_, headers, endpoint.max_body)
            delivery = Delivery(
                method=scope["method"],  # type: ignore[typeddict-item]
                path=path,
                query=scope["query_string"].decode("latin-1"),
                headers=headers,
                body=body,
                received_at=datetime.now(UTC),
                path_params=parameters,
            )
            answer = await receive(runtime, endpoint, delivery)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender gets an answer
            await refuse(send, error, instance=scope["path"])
            return
        if isinstance(answer, HandshakeReply):
            await respond(send, answer.status, answer.body, answer.content_type.encode())
            return
        await respond(send, 200 if answer.duplicate else 202, encode(answer, base), JSON)

    return handle


def encode(answer: Received, base: str) -> bytes:
    """The answer's body."""
    return msgspec.json.encode({
        "event_id": answer.event_id,
        "runs": [{"id": run, "pipeline": name, "status_url": f"{base}{run}"} for run, name in answer.runs],
        "duplicate": answer.duplicate,
    })  # fmt: skip


def read_headers(raw: Any) -> dict[str, str]:
    """Lower-case names; a header sent twice is joined with a comma (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def read_body(receive_: Receive, headers: dict[str, str], most: int) -> bytes:
    """The whole body. TooLarge as soon as it is known to be, Gone if the sender hangs up, BadRequest if it dawdles."""
    declared = headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 15 or int(declared) > most):
        raise TooLarge(f"the body has {declared} bytes, {most} are allowed")
    chunks, size, more = [], 0, True
    try:
        async with asyncio.timeout(READ):
            while more:
                message: Any = await receive_()
                if message["type"] == "http.disconnect":
                    raise Gone
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > most:
                    raise TooLarge(f"the body has more than {most} bytes")
                chunks.append(chunk)
                more = message.get("more_body", False)
    except TimeoutError:
        raise BadRequest(f"the body did not arrive within {READ:g} s") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def refuse(send: Send, error: Exception, *, instance: str) -> None:
    """Any error as a problem. What nobody expected is logged and tells nothing."""
    if isinstance(error, WrongMethod):
        problem = Problem(title="Method Not Allowed", status=405, detail=str(error), instance=instance)
        headers = {"Allow": ", ".join(error.allowed)}
    else:
        problem, headers = problem_for(error, instance=instance)
        if problem.status == 500:
            log.error("delivery.failed", path=instance, exc_info=error)
        if problem.status == 401:
            headers.pop("WWW-Authenticate", None)
    if problem.status == 413:
        headers["Connection"] = "close"  # the rest of the body is not read
    await respond(send, problem.status, msgspec.json.encode(problem), MEDIA_TYPE.encode(), headers)


async def respond(
    send: Send, status: int, body: bytes, content_type: bytes, headers: dict[str, str] | None = None
) -> None:
    """Send one whole response."""
    raw = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    raw += [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})
