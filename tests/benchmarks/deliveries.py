"""The webhooks that are sent: GitHub-signed, about 1 KB, each with a delivery id of its own."""

import hashlib
import hmac
import json
import time
import uuid

PAD = "x" * 700


class Deliveries:
    """Builds whole HTTP requests. The body carries the time it was built, for the downstream sink."""

    def __init__(self, path: str, secret: str) -> None:
        self._path = path
        self._secret = secret.encode()
        self._prefix = uuid.uuid4().hex[:20]
        self.built = 0

    def build(self) -> bytes:
        """The next delivery."""
        self.built += 1
        body = json.dumps({
            "id": f"evt_{self._prefix}_{self.built}",
            "t": time.time_ns(),
            "n": self.built,
            "action": "opened",
            "repository": {"full_name": "octo/hello", "private": False},
            "sender": {"login": "octocat", "id": 583231},
            "title": f"issue number {self.built}",
            "pad": PAD,
        }).encode()  # fmt: skip
        signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GitHub-Hookshot/bench\r\n"
            f"Accept: */*\r\nContent-Type: application/json\r\nX-GitHub-Event: issues\r\n"
            f"X-GitHub-Delivery: {self._prefix}-{self.built:09d}\r\nX-Hub-Signature-256: sha256={signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body
