"""What of a delivery is kept."""

from datetime import UTC, datetime

import pytest

from engine.core.event import Delivery
from engine.flow.receive import is_credential, stored


def deliver(headers: dict[str, str], query: str = "") -> Delivery:
    return Delivery("POST", "p", query, headers, b"", datetime.now(UTC))


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "proxy-authorization", "cookie", "set-cookie", "x-gitlab-token", "x-api-key", "apikey",
        "x-amz-security-token", "x-hook-secret", "x-password", "x-session-id", "x-shopify-access-token",
        "x-auth", "x-auth-key",
    ],
)  # fmt: skip
def test_headers_that_hold_a_credential(name: str) -> None:
    """Their names give them away."""
    assert is_credential(name)


@pytest.mark.parametrize(
    "name",
    [
        "x-hub-signature-256", "stripe-signature", "webhook-id", "idempotency-key", "content-type", "user-agent",
        "x-github-delivery", "x-author", "x-authority", "x-slack-request-timestamp",
    ],
)  # fmt: skip
def test_headers_that_do_not(name: str) -> None:
    """Authors need them."""
    assert not is_credential(name)


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    """In the value of any header, and in the query."""

    def redact(text: str) -> str:
        return text.replace("s3cret", "***")

    headers, query = stored(deliver({"x-note": "my s3cret", "x-other": "1"}, "key=s3cret"), (), redact)
    assert headers == {"x-note": "my ***", "x-other": "1"}
    assert query == "key=***"


def test_headers_of_the_connection_are_left_out() -> None:
    """They say nothing about the delivery."""
    headers, _ = stored(deliver({"connection": "close", "te": "trailers", "x-a": "1"}), ("x-a",), str)
    assert headers == {"x-a": "***"}
