"""Floor: a Litestar route that only checks the signature. Prints its port. Argument: the secret."""

import hashlib
import hmac
import sys
from typing import Any

import uvicorn
from litestar import Litestar, Request, Response, post

from engine.cli.listening import BACKLOG, listen


def create_app(secret: bytes) -> Litestar:
    """One route, POST /hooks/bench."""

    @post("/hooks/bench", status_code=202)
    async def receive(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
        body = await request.body()
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, request.headers.get("x-hub-signature-256", "")):
            return Response({"status": "refused"}, status_code=401)
        return Response({"status": "accepted"}, status_code=202)

    return Litestar([receive], openapi_config=None, logging_config=None)


def main() -> None:
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        create_app(sys.argv[1].encode()),
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        backlog=BACKLOG,
    )
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
