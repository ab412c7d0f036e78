"""The webhooks that are sent: GitHub-signed, about 1 KB, each with a delivery id of its own."""

import hashlib
import hmac
import json
import time
import uuid

PAD = "x" * 700


class Deliveries:
    """Builds whole HTTP requests."""

    def __init__(self, path: str, secret: str) -> None:
        self._path = path
        self._secret = secret.encode()
        self._prefix = uuid.uuid4().hex[:20]
        self.built = 0
        self._before, self._after = self._request(self._body())

    def build(self) -> bytes:
        """The next delivery. Its body carries the time it was built, for the downstream sink."""
        self.built += 1
        before, after = self._request(self._body())
        return before + self._id() + after

    def build_fast(self) -> bytes:
        """The next delivery with the first one's body and signature: costs the client next to nothing."""
        self.built += 1
        return self._before + self._id() + self._after

    def _id(self) -> bytes:
        return f"{self._prefix}-{self.built:09d}".encode()

    def _body(self) -> bytes:
        return json.dumps({
            "id": f"evt_{self._prefix}_{self.built}",
            "t": time.time_ns(),
            "n": self.built,
            "action": "opened",
            "repository": {"full_name": "octo/hello", "private": False},
            "sender": {"login": "octocat", "id": 583231},
            "title": f"issue number {self.built}",
            "pad": PAD,
        }).encode()  # fmt: skip

    def _request(self, body: bytes) -> tuple[bytes, bytes]:
        """What comes before and after the delivery id."""
        signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        before = (
            f"POST {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GitHub-Hookshot/bench\r\n"
            f"Accept: */*\r\nContent-Type: application/json\r\nX-GitHub-Event: issues\r\n"
            f"X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {len(body)}\r\nX-GitHub-Delivery: "
        )
        return before.encode(), b"\r\n\r\n" + body
