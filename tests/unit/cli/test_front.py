"""What uvicorn serves before the application is there."""

from typing import Any

import msgspec
import pytest

from engine.cli.server import Front


async def ask(front: Front, path: str) -> tuple[int, dict[bytes, bytes], Any]:
    """Status, headers and decoded body of one GET."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await front({"type": "http", "path": path, "method": "GET"}, None, send)
    return sent[0]["status"], dict(sent[0]["headers"]), msgspec.json.decode(sent[1]["body"])


@pytest.mark.parametrize("path", ["/", "/hooks/github", "/readyz", "/api/v1/runs"])
async def test_not_yet(path: str) -> None:
    """503 as a problem document, with Retry-After."""
    status, headers, body = await ask(Front(), path)
    assert (status, headers[b"retry-after"], headers[b"content-type"]) == (503, b"2", b"application/problem+json")
    assert body["status"] == 503


async def test_alive() -> None:
    """The process is alive, though not ready."""
    assert (await ask(Front(), "/healthz"))[0] == 200


async def test_then_the_application_answers() -> None:
    """From the moment it is there, everything goes to it."""
    front = Front()
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    front.app = app
    await front({"type": "http", "path": "/x"}, None, None)
    assert seen == ["/x"]
