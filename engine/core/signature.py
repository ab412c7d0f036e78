"""How deliveries prove who sent them: the rules of the usual schemes, without I/O and without a clock.

Every comparison is in constant time and tries every active secret. Whatever bytes a stranger sends, the outcome is
"verified" or BadSignature, whose text names the fault but neither a secret nor the signature that was expected.
The time of a check is the delivery's `received_at`.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from engine.core.event import Delivery
from engine.core.ids import uuid7
from engine.errors import BadSignature, ConfigurationError

TOLERANCE = 300.0  # seconds a timestamp may differ from our clock; what Stripe, Slack and Standard Webhooks advise
MOST_SIGNATURES = 16  # in one header; more is an attempt to keep us busy
ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")
ENCODINGS = ("hex", "base64", "base64url")
HOLE = re.compile(r"\{(body|timestamp|id)\}")
DIGITS = re.compile(r"[0-9]{1,14}")
MILLISECONDS = 100_000_000_000  # a larger number of seconds would be after the year 5000
PUBLIC_KEY, PRIVATE_KEY, SHARED_KEY = "whpk_", "whsk_", "whsec_"  # Standard Webhooks, section "Signature scheme"


class HmacRule(msgspec.Struct, frozen=True):
    """An HMAC in a header. `signed` is what the HMAC covers, with {body}, {timestamp} and {id} as holes."""

    header: str
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    signed: str = "{body}"
    timestamp_header: str = ""
    id_header: str = ""
    tolerance: float = TOLERANCE


GITHUB = HmacRule(header="X-Hub-Signature-256", prefix="sha256=")
SHOPIFY = HmacRule(header="X-Shopify-Hmac-Sha256", encoding="base64")
SLACK = HmacRule(
    header="X-Slack-Signature",
    prefix="v0=",
    signed="v0:{timestamp}:{body}",
    timestamp_header="X-Slack-Request-Timestamp",
)


# HMAC over a template


def verify_hmac(delivery: Delivery, rule: HmacRule, secrets: Sequence[str]) -> None:
    """Check the signature header against every secret, and the timestamp if the rule has one."""
    given = _header(delivery, rule.header)
    if not given.startswith(rule.prefix):
        raise BadSignature(f"the {rule.header} header does not start with {rule.prefix}")
    timestamp = _header(delivery, rule.timestamp_header) if rule.timestamp_header else ""
    if timestamp:
        _check_age(_moment(timestamp, rule.timestamp_header), delivery.received_at, rule.tolerance)
    message = _fill(rule.signed, delivery.body, timestamp, _header(delivery, rule.id_header) if rule.id_header else "")
    expected = [_encode(hmac.digest(_bytes(secret), message, rule.algorithm), rule.encoding) for secret in secrets]
    signature = _bytes(given[len(rule.prefix) :])
    if rule.encoding == "base64url":
        signature = signature.rstrip(b"=")
    if not _any_equal([signature], expected):
        raise BadSignature("the signature does not match")


def sign_hmac(body: bytes, headers: Mapping[str, str], rule: HmacRule, secret: str, now: float) -> dict[str, str]:
    """The headers that make verify_hmac pass. An id that `headers` (lower-case names) have already is kept."""
    added: dict[str, str] = {}
    timestamp, identifier = "", ""
    if rule.timestamp_header:
        timestamp = added[rule.timestamp_header] = str(int(now))
    if rule.id_header:
        identifier = added[rule.id_header] = headers.get(rule.id_header.lower()) or str(uuid7())
    digest = hmac.digest(_bytes(secret), _fill(rule.signed, body, timestamp, identifier), rule.algorithm)
    added[rule.header] = rule.prefix + _encode(digest, rule.encoding).decode()
    return added


@lru_cache(maxsize=256)
def _parts(template: str) -> tuple[str, ...]:
    """Texts and the names of holes, alternating, beginning with a text."""
    return tuple(HOLE.split(template))


def _fill(template: str, body: bytes, timestamp: str, identifier: str) -> bytes:
    """One pass: what is filled in is never read as a template."""
    if template == "{body}":
        return body
    values = {"body": body, "timestamp": _bytes(timestamp), "id": _bytes(identifier)}
    parts = _parts(template)
    return b"".join(values[part] if index % 2 else part.encode() for index, part in enumerate(parts))


def _encode(digest: bytes, encoding: str) -> bytes:
    if encoding == "hex":
        return digest.hex().encode()
    if encoding == "base64url":  # with or without padding: both are usual
        return base64.urlsafe_b64encode(digest).rstrip(b"=")
    return base64.b64encode(digest)


# Stripe: https://docs.stripe.com/webhooks#verify-manually


def verify_stripe(delivery: Delivery, secrets: Sequence[str], tolerance: float = TOLERANCE) -> None:
    """Check `Stripe-Signature: t=...,v1=...`; several v1 stand there while a secret is rolled."""
    timestamp, signatures = "", []
    for item in _header(delivery, "Stripe-Signature").split(","):
        name, _, value = item.partition("=")
        if name == "t":
            timestamp = value
        elif name == "v1":
            signatures.append(_bytes(value))
    if not DIGITS.fullmatch(timestamp):
        raise BadSignature("the Stripe-Signature header has no timestamp (t=)")
    if not signatures:
        raise BadSignature("the Stripe-Signature header has no v1 signature")
    _check_age(float(timestamp), delivery.received_at, tolerance)
    message = b"%s.%s" % (timestamp.encode(), delivery.body)
    if not _any_equal(signatures, [_hex(secret, message) for secret in secrets]):
        raise BadSignature("the signature does not match")


def sign_stripe(body: bytes, secret: str, now: float) -> dict[str, str]:
    """The header that makes verify_stripe pass."""
    timestamp = str(int(now))
    signature = _hex(secret, b"%s.%s" % (timestamp.encode(), body)).decode()
    return {"Stripe-Signature": f"t={timestamp},v1={signature}"}


def _hex(secret: str, message: bytes) -> bytes:
    return hmac.digest(_bytes(secret), message, "sha256").hex().encode()


# Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md


class StandardKeys(msgspec.Struct, frozen=True):
    """Secrets made ready: bytes for v1 (HMAC-SHA256), public keys for v1a (Ed25519)."""

    shared: tuple[bytes, ...]
    public: tuple[Ed25519PublicKey, ...]


def verify_standard(delivery: Delivery, secrets: Sequence[str], tolerance: float = TOLERANCE) -> None:
    """Check webhook-id, webhook-timestamp and webhook-signature (or svix-*, their older names).

    ConfigurationError if a secret of ours is not one; see standard_keys.
    """
    prefix = _standard_prefix(delivery)
    identifier, timestamp = _header(delivery, f"{prefix}-id"), _header(delivery, f"{prefix}-timestamp")
    signatures = _header(delivery, f"{prefix}-signature").split(" ")
    if not DIGITS.fullmatch(timestamp):
        raise BadSignature(f"the {prefix}-timestamp header is not a number of seconds")
    if len(signatures) > MOST_SIGNATURES:
        raise BadSignature(f"the {prefix}-signature header has more than {MOST_SIGNATURES} signatures")
    _check_age(float(timestamp), delivery.received_at, tolerance)
    message = b"%s.%s.%s" % (_bytes(identifier), timestamp.encode(), delivery.body)
    keys = standard_keys(tuple(secrets))
    v1, v1a = _versions(signatures)
    expected = [base64.b64encode(hmac.digest(key, message, "sha256")) for key in keys.shared]
    matched = _any_equal(v1, expected)
    for public in keys.public:
        for signature in v1a:
            matched |= _is_ed25519(public, signature, message)
    if not matched:
        raise BadSignature("the signature does not match")


def standard_id(delivery: Delivery) -> str | None:
    """The id that verify_standard has checked, and no other: an unsigned one would open the door to repeats."""
    return delivery.header(f"{_standard_prefix(delivery)}-id") or None


def sign_standard(body: bytes, headers: Mapping[str, str], secret: str, now: float) -> dict[str, str]:
    """The headers that make verify_standard pass. ConfigurationError for a public key, which cannot sign."""
    identifier = headers.get("webhook-id") or f"msg_{uuid7().hex}"
    timestamp = str(int(now))
    message = b"%s.%s.%s" % (_bytes(identifier), timestamp.encode(), body)
    if secret.startswith(PUBLIC_KEY):
        raise ConfigurationError("a public key (whpk_) verifies deliveries, it cannot sign a sample")
    if secret.startswith(PRIVATE_KEY):
        key = Ed25519PrivateKey.from_private_bytes(_key(secret)[:32])
        signature = "v1a," + base64.b64encode(key.sign(message)).decode()
    else:
        shared = standard_keys((secret,)).shared[0]
        signature = "v1," + base64.b64encode(hmac.digest(shared, message, "sha256")).decode()
    return {"webhook-id": identifier, "webhook-timestamp": timestamp, "webhook-signature": signature}


def _standard_prefix(delivery: Delivery) -> str:
    return "svix" if "svix-signature" in delivery.headers and "webhook-signature" not in delivery.headers else "webhook"


@lru_cache(maxsize=256)
def standard_keys(secrets: tuple[str, ...]) -> StandardKeys:
    """whsec_ + base64 is a shared key, whpk_ + base64 a public one, whsk_ + base64 a private one; else plain text.

    Plain text that is base64 counts as both, since libraries disagree. ConfigurationError if a prefixed one is not
    what it says.
    """
    shared: list[bytes] = []
    public: list[Ed25519PublicKey] = []
    for secret in secrets:
        if secret.startswith(PUBLIC_KEY):
            public.append(_ed25519(secret))
        elif secret.startswith(PRIVATE_KEY):
            public.append(Ed25519PrivateKey.from_private_bytes(_key(secret)[:32]).public_key())
        elif secret.startswith(SHARED_KEY):
            shared.append(_key(secret))
        else:
            shared.append(_bytes(secret))
            if (decoded := _base64(secret)) is not None:
                shared.append(decoded)
    return StandardKeys(tuple(shared), tuple(public))


def _key(secret: str) -> bytes:
    prefix, _, rest = secret.partition("_")
    decoded = _base64(rest)
    if not decoded:
        raise ConfigurationError(f"after {prefix}_ a secret is base64, and this one is not")
    if prefix + "_" == PRIVATE_KEY and len(decoded) not in (32, 64):
        raise ConfigurationError("a private key (whsk_) has 32 or 64 bytes")
    return decoded


def _ed25519(secret: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(_key(secret))
    except ValueError:
        raise ConfigurationError("a public key (whpk_) has 32 bytes") from None


def _is_ed25519(public: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        public.verify(base64.b64decode(signature, validate=True), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _versions(signatures: Iterable[str]) -> tuple[list[bytes], list[bytes]]:
    """The v1 and the v1a signatures; versions nobody knows are ignored, as the specification asks for."""
    found: dict[str, list[bytes]] = {"v1": [], "v1a": []}
    for item in signatures:
        version, _, value = item.partition(",")
        if version in found:
            found[version].append(_bytes(value))
    return found["v1"], found["v1a"]


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


# Secrets that are sent as they are


def verify_bearer(delivery: Delivery, tokens: Sequence[str]) -> None:
    """Check `Authorization: Bearer TOKEN`."""
    given = _authorization(delivery, "Bearer")
    if not _any_equal([_wire(given)], _charsets(tokens)):
        raise BadSignature("the bearer token does not match", challenge=_challenge("Bearer"))


def verify_basic(delivery: Delivery, username: str, passwords: Sequence[str]) -> None:
    """Check `Authorization: Basic ...` (RFC 7617), written in UTF-8 or Latin-1."""
    given = _authorization(delivery, "Basic")
    expected = [base64.b64encode(pair) for pair in _charsets([f"{username}:{password}" for password in passwords])]
    if not _any_equal([_bytes(given)], expected):
        raise BadSignature("username or password does not match", challenge=_challenge("Basic"))


def sign_basic(username: str, password: str) -> dict[str, str]:
    """The header that makes verify_basic pass."""
    return {"Authorization": "Basic " + base64.b64encode(_bytes(f"{username}:{password}")).decode()}


def verify_token(delivery: Delivery, header: str, tokens: Sequence[str]) -> None:
    """Check a header that holds nothing but the secret, like GitLab's X-Gitlab-Token."""
    if not _any_equal([_wire(_header(delivery, header))], _charsets(tokens)):
        raise BadSignature(f"the {header} header does not match")


def _authorization(delivery: Delivery, kind: str) -> str:
    """What follows the kind. Some clients only send it when they have been asked to."""
    value = delivery.header("authorization")
    if not value:
        raise BadSignature("no Authorization header", challenge=_challenge(kind))
    scheme, _, given = value.partition(" ")
    if scheme.lower() != kind.lower():
        raise BadSignature(f"the Authorization header is not of the kind {kind}", challenge=_challenge(kind))
    return given


def _challenge(kind: str) -> str:
    return f'{kind} realm="hookwright"'


# What all of them share


def _header(delivery: Delivery, name: str) -> str:
    value = delivery.headers.get(name.lower())
    if not value:
        raise BadSignature(f"no {name} header")
    return value


def _any_equal(given: Iterable[bytes], expected: Sequence[bytes]) -> bool:
    """Whether any pair is equal; takes the same time wherever it is."""
    matched = False
    for one in given:
        for other in expected:
            matched |= hmac.compare_digest(one, other)
    return matched


def _bytes(text: str) -> bytes:
    """Never raises, and never makes two texts equal."""
    return text.encode("utf-8", "surrogatepass")


def _wire(value: str) -> bytes:
    """A header's bytes as they came: servers read them as Latin-1, whatever the sender meant."""
    return value.encode("latin-1") if all(ord(letter) < 256 for letter in value) else _bytes(value)


def _charsets(secrets: Iterable[str]) -> list[bytes]:
    """Each secret as a sender may write it in a header: UTF-8 or Latin-1."""
    return [form for secret in secrets for form in (_bytes(secret), _wire(secret))]


def _moment(text: str, header: str) -> float:
    """Unix seconds of a timestamp that a sender wrote as seconds, milliseconds or RFC 3339."""
    if DIGITS.fullmatch(text):
        number = int(text)
        return number / 1000 if number >= MILLISECONDS else float(number)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadSignature(f"the {header} header is not a time") from None


def _check_age(moment: float, now: datetime, tolerance: float) -> None:
    age = now.timestamp() - moment
    if abs(age) > tolerance:
        where = "old" if age > 0 else "in the future"
        raise BadSignature(f"the timestamp is {abs(age):.0f} s {where}, allowed are {tolerance:.0f} s")
