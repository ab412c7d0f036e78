"""A stand-in for an AI provider, for development and tests: OpenAI's interface, no intelligence behind it.

It answers the same to the same question, by keywords, and every answer says that it comes from here: the header
`x-hookwright-dev-ai: 1`, a model named `dev-ai/...`, and the text itself.
"""

import hashlib
import math
import re
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from engine.dev_ai.answers import answer_schema, summarise

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LABEL = "[dev-ai stand-in, not a real model]"
MAX_BODY = 5_000_000  # bytes
DIMENSIONS = 256
MODELS = ("dev-ai/small", "dev-ai/embedding")
WORD = re.compile(r"\w+")


class Refusal(Exception):
    """A request that is answered with an error, in OpenAI's form."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def create_dev_ai_app() -> App:
    """The ASGI application: /v1/chat/completions, /v1/embeddings, /v1/models."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        try:
            status, body = 200, await _route(scope, receive)
        except Refusal as refusal:
            error = {"message": f"{LABEL} {refusal.message}", "type": "invalid_request_error"}
            status, body = refusal.status, {"error": error}
        content = msgspec.json.encode(body)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"x-hookwright-dev-ai", b"1"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return app


async def serve(listener: socket.socket) -> None:
    """Serve on this listening socket until the process is told to stop."""
    import uvicorn

    config = uvicorn.Config(create_dev_ai_app(), log_level="warning", access_log=False, lifespan="off")
    await uvicorn.Server(config).serve(sockets=[listener])


def complete(request: dict[str, Any]) -> dict[str, Any]:
    """A chat completion. Refusal if the request is not one."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal(400, "`messages` must be a list with at least one message")
    if request.get("stream"):
        raise Refusal(400, "streaming is not supported by the stand-in")
    said = [_content(message) for message in messages]
    question = next(
        (text for message, text in zip(reversed(messages), reversed(said), strict=True) if _is_user(message)), said[-1]
    )
    schema = _schema(request.get("response_format"))
    if schema is None:
        text = f"{LABEL} You said: {summarise(question)}"
    else:
        text = msgspec.json.encode(answer_schema(schema, question)).decode()
    before, after = sum(_tokens(text) for text in said), _tokens(text)
    return {
        "id": f"chatcmpl-dev-{hashlib.sha256(question.encode()).hexdigest()[:16]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": f"dev-ai/{request.get('model') or 'small'}",
        "system_fingerprint": LABEL,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, "refusal": None}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": before, "completion_tokens": after, "total_tokens": before + after},
    }


def embed(request: dict[str, Any]) -> dict[str, Any]:
    """Embeddings: words hashed into a vector of length one, so texts that share words are near each other."""
    given = request.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refusal(400, "`input` must be a text or a list of texts")
    size = request.get("dimensions", DIMENSIONS)
    if not isinstance(size, int) or not 1 <= size <= 4096:
        raise Refusal(400, "`dimensions` must be a number from 1 to 4096")
    tokens = sum(_tokens(text) for text in texts)
    return {
        "object": "list",
        "model": f"dev-ai/{request.get('model') or 'embedding'}",
        "data": [
            {"object": "embedding", "index": index, "embedding": _vector(text, size)}
            for index, text in enumerate(texts)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


async def _route(scope: Scope, receive: Receive) -> dict[str, Any]:
    place = scope["method"], scope["path"].rstrip("/")
    if place == ("GET", "/v1/models"):
        return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "dev-ai"} for name in MODELS]}
    answer = {("POST", "/v1/chat/completions"): complete, ("POST", "/v1/embeddings"): embed}.get(place)
    if answer is None:
        raise Refusal(404, f"there is no {place[0]} {place[1] or '/'} here")
    body, more = b"", True
    while more and len(body) <= MAX_BODY:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if len(body) > MAX_BODY:
        raise Refusal(413, f"the request is larger than {MAX_BODY:,} bytes")
    try:
        request = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "the request is not JSON") from None
    if not isinstance(request, dict):
        raise Refusal(400, "the request is not a JSON object")
    return answer(request)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _is_user(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "user"


def _content(message: Any) -> str:
    if not isinstance(message, dict):
        raise Refusal(400, "every message is an object with `role` and `content`")
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _schema(response_format: Any) -> dict[str, Any] | None:
    if not isinstance(response_format, dict):
        return None
    if response_format.get("type") == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    shape = response_format.get("json_schema")
    schema = shape.get("schema") if isinstance(shape, dict) else None
    return schema if isinstance(schema, dict) else None


def _tokens(text: str) -> int:
    """About what a tokenizer would count."""
    return max(1, len(text) // 4)


def _vector(text: str, size: int) -> list[float]:
    vector = [0.0] * size
    for word in WORD.findall(text.lower()) or [""]:
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        vector[int.from_bytes(digest[:4], "big") % size] += 1.0 if digest[4] & 1 else -1.0
    length = math.sqrt(sum(number * number for number in vector)) or 1.0
    return [number / length for number in vector]
