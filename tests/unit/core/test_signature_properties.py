"""Signature schemes against anything at all."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.core import signature
from engine.core.event import Delivery
from engine.core.signature import HmacRule
from engine.errors import BadSignature

NOW = 1_790_000_000.0
TEMPLATED = HmacRule(
    header="X-Sig", encoding="base64", signed="{id}.{timestamp}.{body}", timestamp_header="X-Time", id_header="X-Id"
)


class Scheme(NamedTuple):
    """One way to sign, as both sides see it."""

    name: str
    verify: Callable[[Delivery, list[str]], None]
    sign: Callable[[bytes, str], dict[str, str]]
    covers_body: bool = True


SCHEMES = [
    Scheme(
        "github",
        lambda delivery, secrets: signature.verify_hmac(delivery, signature.GITHUB, secrets),
        lambda body, secret: signature.sign_hmac(body, {}, signature.GITHUB, secret, NOW),
    ),
    Scheme(
        "templated",
        lambda delivery, secrets: signature.verify_hmac(delivery, TEMPLATED, secrets),
        lambda body, secret: signature.sign_hmac(body, {}, TEMPLATED, secret, NOW),
    ),
    Scheme("stripe", signature.verify_stripe, lambda body, secret: signature.sign_stripe(body, secret, NOW)),
    Scheme("standard", signature.verify_standard, lambda body, secret: signature.sign_standard(body, {}, secret, NOW)),
    Scheme(
        "bearer",
        signature.verify_bearer,
        lambda _body, secret: {"Authorization": f"Bearer {secret}"},
        covers_body=False,
    ),
    Scheme(
        "basic",
        lambda delivery, secrets: signature.verify_basic(delivery, "ada", secrets),
        lambda _body, secret: signature.sign_basic("ada", secret),
        covers_body=False,
    ),
    Scheme(
        "token",
        lambda delivery, secrets: signature.verify_token(delivery, "X-Token", secrets),
        lambda _body, secret: {"X-Token": secret},
        covers_body=False,
    ),
]
NAMES = [
    "x-hub-signature-256", "x-sig", "x-time", "x-id", "stripe-signature", "webhook-id", "webhook-timestamp",
    "webhook-signature", "svix-id", "svix-timestamp", "svix-signature", "authorization", "x-token",
]  # fmt: skip
anything = st.text(st.characters(), max_size=60)
likely = st.sampled_from([
    "t=1790000000,v1=", "t=", "v1,", "v1a,AAAA", "1790000000", "sha256=", "Bearer ", "Basic ", "Basic YWRhOg==", ",",
])  # fmt: skip
values = st.lists(anything | likely, max_size=4).map("".join)
secrets = st.text(st.characters(), min_size=1, max_size=40).filter(lambda text: not text.startswith("wh"))


def deliver(headers: dict[str, str], body: bytes) -> Delivery:
    lower = {name.lower(): value for name, value in headers.items()}
    return Delivery(
        method="POST", path="p", query="", headers=lower, body=body, received_at=datetime.fromtimestamp(NOW, UTC)
    )


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
@given(headers=st.dictionaries(st.sampled_from(NAMES), values), body=st.binary(max_size=200), secret=secrets)
@settings(max_examples=200, deadline=None)
def test_strangers_are_refused_and_nothing_else_happens(
    scheme: Scheme, headers: dict[str, str], body: bytes, secret: str
) -> None:
    """Random headers and bodies raise BadSignature, never another exception."""
    assume(secret not in "".join(headers.values()))
    with pytest.raises(BadSignature):
        scheme.verify(deliver(headers, body), [secret])


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
@given(body=st.binary(max_size=300), secret=secrets)
@settings(max_examples=100, deadline=None)
def test_what_is_signed_verifies(scheme: Scheme, body: bytes, secret: str) -> None:
    """Signing, then verifying with the same secret among others, always passes."""
    scheme.verify(deliver(scheme.sign(body, secret), body), ["another", secret])


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme.covers_body], ids=lambda scheme: scheme.name)
@given(body=st.binary(min_size=1, max_size=300), place=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_a_changed_body_is_refused(scheme: Scheme, body: bytes, place: int, bit: int) -> None:
    """One flipped bit of the body is enough."""
    headers = scheme.sign(body, "secret")
    changed = bytearray(body)
    changed[place % len(body)] ^= 1 << bit
    with pytest.raises(BadSignature):
        scheme.verify(deliver(headers, bytes(changed)), ["secret"])


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme.covers_body], ids=lambda scheme: scheme.name)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7), which=st.integers(0, 10))
@settings(max_examples=200, deadline=None)
def test_a_changed_header_is_refused(scheme: Scheme, place: int, bit: int, which: int) -> None:
    """One flipped bit of any of the scheme's headers is enough."""
    headers = scheme.sign(b'{"a":1}', "secret")
    name = sorted(headers)[which % len(headers)]
    raw = bytearray(headers[name].encode())
    raw[place % len(raw)] ^= 1 << bit
    with pytest.raises(BadSignature):
        scheme.verify(deliver(headers | {name: raw.decode("latin-1")}, b'{"a":1}'), ["secret"])
