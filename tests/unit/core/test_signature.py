"""Signature schemes: the providers' own vectors, and what each refuses."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.core.event import Delivery
from engine.core.signature import (
    GITHUB,
    SHOPIFY,
    SLACK,
    HmacRule,
    sign_basic,
    sign_hmac,
    sign_standard,
    sign_stripe,
    standard_id,
    standard_keys,
    verify_basic,
    verify_bearer,
    verify_hmac,
    verify_standard,
    verify_stripe,
    verify_token,
)
from engine.errors import BadSignature, ConfigurationError

VECTORS = json.loads((Path(__file__).parents[2] / "fixtures" / "signatures.json").read_text())
NOW = 1_790_000_000.0


def deliver(headers: dict[str, str], body: bytes = b"{}", now: float = NOW) -> Delivery:
    return Delivery(
        method="POST",
        path="test",
        query="",
        headers={name.lower(): value for name, value in headers.items()},
        body=body,
        received_at=datetime.fromtimestamp(now, UTC),
    )


def verify_vector(vector: dict[str, Any], delivery: Delivery, secret: str) -> None:
    match vector["scheme"]:
        case "github-sha256":
            verify_hmac(delivery, GITHUB, [secret])
        case "shopify":
            verify_hmac(delivery, SHOPIFY, [secret])
        case "slack-v0":
            verify_hmac(delivery, SLACK, [secret])
        case "standard-webhooks":
            verify_standard(delivery, [secret], vector["tolerance_s"])
        case other:
            pytest.fail(f"no rule for {other}")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_published_vectors(vector: dict[str, Any]) -> None:
    """What the providers' documentation and SDKs call valid is accepted, and nothing near it."""
    body = vector["body"]["utf8"].encode()
    headers = dict(vector["headers"])
    delivery = deliver(headers, body, vector.get("now", NOW))

    assert vector["expect"] == "valid"
    verify_vector(vector, delivery, vector["secret"])

    with pytest.raises(BadSignature):
        verify_vector(vector, deliver(headers, body + b" ", vector.get("now", NOW)), vector["secret"])
    if not vector["secret"].startswith("whpk_"):
        with pytest.raises(BadSignature):
            verify_vector(vector, delivery, "another secret")


def test_standard_webhooks_agrees_with_its_reference_library() -> None:
    """What we sign, the reference library accepts, and the other way round."""
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    reference = standardwebhooks.Webhook(secret)
    now = datetime.now(UTC)

    headers = sign_standard(b'{"a": 1}', {"webhook-id": "msg_1"}, secret, now.timestamp())
    assert reference.verify('{"a": 1}', headers) == {"a": 1}

    theirs = {"webhook-id": "msg_2", "webhook-timestamp": str(int(now.timestamp()))}
    theirs["webhook-signature"] = reference.sign("msg_2", now, '{"a": 1}')
    verify_standard(deliver(theirs, b'{"a": 1}', now.timestamp()), [secret])


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "no X-Hub-Signature-256 header"),
        ({"X-Hub-Signature-256": ""}, "no X-Hub-Signature-256 header"),
        ({"X-Hub-Signature-256": "sha1=abc"}, "the X-Hub-Signature-256 header does not start with sha256="),
        ({"X-Hub-Signature-256": "sha256="}, "the signature does not match"),
        ({"X-Hub-Signature-256": "sha256=" + "0" * 64}, "the signature does not match"),
        ({"X-Hub-Signature-256": "sha256=é\x00ÿ"}, "the signature does not match"),
        ({"X-Hub-Signature-256": "sha256=\ud800"}, "the signature does not match"),
    ],
)
def test_messages_of_hmac(headers: dict[str, str], message: str) -> None:
    """The message names the fault."""
    with pytest.raises(BadSignature) as caught:
        verify_hmac(deliver(headers), GITHUB, ["secret"])
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (900, "the timestamp is 900 s old, allowed are 300 s"),
        (-900, "the timestamp is 900 s in the future, allowed are 300 s"),
        (301, "the timestamp is 301 s old, allowed are 300 s"),
        (300, None),
        (-300, None),
    ],
)
def test_age_of_the_timestamp(offset: int, message: str | None) -> None:
    """Too old and too early are refused, in all schemes alike."""
    signed = {
        verify_stripe: sign_stripe(b"{}", "secret", NOW - offset),
        verify_standard: sign_standard(b"{}", {}, "secret", NOW - offset),
        lambda delivery, secrets: verify_hmac(delivery, SLACK, secrets): sign_hmac(
            b"{}", {}, SLACK, "secret", NOW - offset
        ),
    }
    for verify, headers in signed.items():
        if message is None:
            verify(deliver(headers), ["secret"])
        else:
            with pytest.raises(BadSignature, match=message):
                verify(deliver(headers), ["secret"])


def test_several_active_secrets() -> None:
    """Each secret in use is accepted, whichever place it has."""
    for secret in ("old", "new"):
        verify_hmac(deliver(sign_hmac(b"{}", {}, GITHUB, secret, NOW)), GITHUB, ["old", "new"])
        verify_stripe(deliver(sign_stripe(b"{}", secret, NOW)), ["old", "new"])
        verify_standard(deliver(sign_standard(b"{}", {}, secret, NOW)), ["old", "new"])
        verify_bearer(deliver({"Authorization": f"Bearer {secret}"}), ["old", "new"])
        verify_basic(deliver(sign_basic("ada", secret)), "ada", ["old", "new"])
        verify_token(deliver({"X-Key": secret}), "X-Key", ["old", "new"])


def test_several_signatures_in_one_header() -> None:
    """While a secret is rolled, senders sign with both; one that fits is enough."""
    timestamp, _, good = sign_stripe(b"{}", "new", NOW)["Stripe-Signature"].partition(",")
    verify_stripe(deliver({"Stripe-Signature": f"{timestamp},v1={'0' * 64},{good},v0=abc"}), ["new"])

    headers = sign_standard(b"{}", {}, "new", NOW)
    headers["webhook-signature"] = f"v1,AAAA v2,unknown {headers['webhook-signature']}"
    verify_standard(deliver(headers), ["new"])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "no Stripe-Signature header"),
        ("v1=abc", r"has no timestamp \(t=\)"),
        ("t=,v1=abc", r"has no timestamp \(t=\)"),
        ("t=-1,v1=abc", r"has no timestamp \(t=\)"),
        ("t=" + "9" * 5000 + ",v1=abc", r"has no timestamp \(t=\)"),
        ("t=١٢٣,v1=abc", r"has no timestamp \(t=\)"),
        (f"t={NOW:.0f}", "has no v1 signature"),
        (f"t={NOW:.0f},v0=abc", "has no v1 signature"),
        (f"t={NOW:.0f},v1=", "does not match"),
        (f"t={NOW:.0f},v1==,=,,", "does not match"),
    ],
)
def test_malformed_stripe_headers(header: str, message: str) -> None:
    """Whatever stands in Stripe-Signature, the outcome is BadSignature."""
    with pytest.raises(BadSignature, match=message):
        verify_stripe(deliver({"Stripe-Signature": header}), ["secret"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"webhook-id": ""}, "no webhook-id header"),
        ({"webhook-timestamp": ""}, "no webhook-timestamp header"),
        ({"webhook-signature": ""}, "no webhook-signature header"),
        ({"webhook-timestamp": "soon"}, "is not a number of seconds"),
        ({"webhook-timestamp": "1e9"}, "is not a number of seconds"),
        ({"webhook-signature": "v1"}, "does not match"),
        ({"webhook-signature": "v1,"}, "does not match"),
        ({"webhook-signature": "v1a,@@@ v1a,AAAA"}, "does not match"),
        ({"webhook-signature": "v1,\udfff"}, "does not match"),
        ({"webhook-signature": "v1,A " * 17}, "has more than 16 signatures"),
        ({"webhook-id": "msg_2"}, "does not match"),
    ],
)
def test_malformed_standard_headers(changed: dict[str, str], message: str) -> None:
    """Whatever stands in the three headers, the outcome is BadSignature."""
    private = "whsk_" + base64.b64encode(b"p" * 32).decode()
    headers = sign_standard(b"{}", {"webhook-id": "msg_1"}, "secret", NOW) | changed
    with pytest.raises(BadSignature, match=message):
        verify_standard(deliver(headers), ["secret", private])


def test_standard_secrets_of_every_kind() -> None:
    """whsec_ with and without padding, plain text, plain base64, and Ed25519 keys."""
    raw = b"a secret of some length!"
    encoded = base64.b64encode(raw).decode()
    signed = sign_standard(b"{}", {}, "whsec_" + encoded, NOW)
    for secret in ("whsec_" + encoded, "whsec_" + encoded.rstrip("="), encoded):
        verify_standard(deliver(signed), [secret])
    verify_standard(deliver(sign_standard(b"{}", {}, "plain text!", NOW)), ["plain text!"])

    key = Ed25519PrivateKey.generate()
    private = "whsk_" + base64.b64encode(key.private_bytes_raw() + key.public_key().public_bytes_raw()).decode()
    public = "whpk_" + base64.b64encode(key.public_key().public_bytes_raw()).decode()
    headers = sign_standard(b"{}", {}, private, NOW)
    assert headers["webhook-signature"].startswith("v1a,")
    verify_standard(deliver(headers), [public])
    verify_standard(deliver(headers), [private])
    with pytest.raises(BadSignature):
        verify_standard(deliver(headers, b"{ }"), [public])


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64!", "whpk_AAAA", "whsk_AAAA", "whpk_", "whsk_é"])
def test_secrets_that_are_not_what_they_say(secret: str) -> None:
    """A broken secret of ours is our mistake, not the sender's, and is not repeated in the message."""
    with pytest.raises(ConfigurationError) as caught:
        standard_keys((secret,))
    assert secret not in str(caught.value) or secret in ("whsec_", "whpk_", "whsk_")


def test_a_public_key_cannot_sign() -> None:
    """Samples need a key that signs."""
    with pytest.raises(ConfigurationError, match="cannot sign"):
        sign_standard(b"{}", {}, "whpk_" + base64.b64encode(b"p" * 32).decode(), NOW)


def test_svix_headers() -> None:
    """The older names count too; the id is the one that was signed, not an unsigned one beside it."""
    headers = sign_standard(b"{}", {"webhook-id": "msg_1"}, "secret", NOW)
    svix = {name.replace("webhook-", "svix-"): value for name, value in headers.items()}
    delivery = deliver(svix | {"webhook-id": "made-up"})
    verify_standard(delivery, ["secret"])
    assert standard_id(delivery) == "msg_1"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
def test_every_algorithm_and_encoding(algorithm: str, encoding: str) -> None:
    """What one side signs the other verifies; base64url is accepted with and without padding."""
    rule = HmacRule(header="X-Sig", algorithm=algorithm, encoding=encoding, prefix="p:")
    headers = sign_hmac(b"body", {}, rule, "secret", NOW)
    verify_hmac(deliver(headers, b"body"), rule, ["secret"])
    if encoding == "base64url":
        padded = headers["X-Sig"] + "=" * (-len(headers["X-Sig"][2:]) % 4)
        verify_hmac(deliver({"X-Sig": padded}, b"body"), rule, ["secret"])


@pytest.mark.parametrize(
    "written",
    [
        "1790000000",
        "1790000000123",  # milliseconds
        "2026-09-21T14:13:20Z",
        "2026-09-21T16:13:20.5+02:00",
        "2026-09-21T14:13:20",  # without a zone: UTC
    ],
)
def test_timestamps_as_senders_write_them(written: str) -> None:
    """Seconds, milliseconds and RFC 3339."""
    rule = HmacRule(header="X-Sig", signed="{id}.{timestamp}.{body}", timestamp_header="X-Time", id_header="X-Id")
    assert datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC) == datetime.fromtimestamp(NOW, UTC)
    plain = HmacRule(header="X-Sig", signed="7." + written + ".{body}")
    headers = sign_hmac(b"x", {}, plain, "secret", NOW) | {"X-Time": written, "X-Id": "7"}
    verify_hmac(deliver(headers, b"x"), rule, ["secret"])


@pytest.mark.parametrize("written", ["yesterday", "9999999999999999", "-5", "0x10", "{body}", "2026-13-01T00:00:00Z"])
def test_timestamps_that_are_none(written: str) -> None:
    """They are refused as such."""
    with pytest.raises(BadSignature, match="the X-Slack-Request-Timestamp header is not a time"):
        verify_hmac(deliver({"X-Slack-Signature": "v0=1", "X-Slack-Request-Timestamp": written}), SLACK, ["secret"])


def test_what_is_filled_in_is_not_a_template() -> None:
    """A body or an id with {timestamp} in it is signed as it is."""
    rule = HmacRule(header="X-Sig", signed="{id}|{body}|{timestamp}", timestamp_header="X-Time", id_header="X-Id")
    headers = sign_hmac(b"{timestamp}", {"x-id": "{body}"}, rule, "secret", NOW)
    assert headers["X-Id"] == "{body}"
    verify_hmac(deliver(headers, b"{timestamp}"), rule, ["secret"])
    with pytest.raises(BadSignature):
        verify_hmac(deliver(headers, str(int(NOW)).encode()), rule, ["secret"])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "no Authorization header"),
        ("Basic abc", "is not of the kind Bearer"),
        ("Bearer", "the bearer token does not match"),
        ("Bearer  secret", "the bearer token does not match"),
        ("Bearer secre", "the bearer token does not match"),
        ("Bearer secret ", "the bearer token does not match"),
    ],
)
def test_bearer_tokens_that_are_wrong(value: str, message: str) -> None:
    """Nothing but the token itself is the token."""
    with pytest.raises(BadSignature, match=message):
        verify_bearer(deliver({"Authorization": value}), ["secret"])


@pytest.mark.parametrize(
    "value",
    ["Basic", "Basic ====", "Basic YWRhOg==", "Basic YWRhOndyb25n", "Basic \ud800", "Bearer x", "Basic YWRhOnDDpHNz "],
)
def test_basic_credentials_that_are_wrong(value: str) -> None:
    """They are refused, whatever they are."""
    with pytest.raises(BadSignature):
        verify_basic(deliver({"Authorization": value}), "ada", ["päss"])


def test_basic_credentials_in_both_charsets() -> None:
    """Clients write umlauts as UTF-8 or as Latin-1."""
    for charset in ("utf-8", "latin-1"):
        value = base64.b64encode("ada:päss".encode(charset)).decode()
        verify_basic(deliver({"Authorization": f"basic {value}"}), "ada", ["päss"])


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_tokens_with_umlauts_in_both_charsets(charset: str) -> None:
    """Servers hand headers over as Latin-1, whatever the sender meant; the token is found in either case."""
    arrived = "schlüssel".encode(charset).decode("latin-1")
    verify_token(deliver({"X-Key": arrived}), "X-Key", ["schlüssel"])
    verify_bearer(deliver({"Authorization": f"Bearer {arrived}"}), ["schlüssel"])
    with pytest.raises(BadSignature):
        verify_token(deliver({"X-Key": arrived + "e"}), "X-Key", ["schlüssel"])


def test_letters_outside_latin_1_are_not_question_marks() -> None:
    """A password that Latin-1 cannot write has one spelling, not a guessable second one."""
    verify_basic(deliver(sign_basic("ada", "日本語")), "ada", ["日本語"])
    with pytest.raises(BadSignature):
        verify_basic(deliver(sign_basic("ada", "???")), "ada", ["日本語"])


def test_messages_hold_neither_secret_nor_expected_signature() -> None:
    """What a stranger is told helps nobody to get in."""
    secret = "correct-horse-battery"
    expected = sign_hmac(b"{}", {}, GITHUB, secret, NOW)["X-Hub-Signature-256"]
    with pytest.raises(BadSignature) as caught:
        verify_hmac(deliver({"X-Hub-Signature-256": "sha256=no"}), GITHUB, [secret])
    assert secret not in str(caught.value)
    assert expected[7:] not in str(caught.value)


def test_the_clock_is_the_time_of_receipt() -> None:
    """No other clock is asked: what was received in 1970 may be signed in 1970."""
    verify_stripe(deliver(sign_stripe(b"{}", "secret", 100.0), now=100.0), ["secret"])
