"""The signature schemes that a `webhook` trigger may name in `auth:`."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

from msgspec import Meta

from engine.plugin import BadSignature, ConfigurationError, Delivery, Duration, StepConfig, parse_duration, signature
from plugins.webhook.receiver import Secrets, check_secrets, secrets_of

Tolerance = Annotated[Duration, Meta(description="How far a timestamp may be from our clock.")]
Secret = Annotated[Secrets, Meta(description="The secret, or a list of all that are in use.")]


class HmacConfig(StepConfig, frozen=True):
    """An HMAC of the body in a header.

    Example:
        hmac:
          secret: ${{ secrets.LINEAR_SECRET }}
          header: Linear-Signature
    """

    header: Annotated[str, Meta(min_length=1, description="Header that holds the signature.", examples=["X-Signature"])]
    secret: Annotated[Secrets | None, Meta(description="The secret, or a list of all that are in use.")] = None
    secret_ref: Annotated[
        str,
        Meta(
            description="Instead of `secret`: the secret's name, with {names} of the path, looked up each time.",
            examples=["tenants/{tenant}/webhook"],
        ),
    ] = ""
    algorithm: Annotated[Literal["sha1", "sha256", "sha384", "sha512"], Meta(description="Hash of the HMAC.")] = (
        "sha256"
    )
    encoding: Annotated[Literal["hex", "base64", "base64url"], Meta(description="How the HMAC is written.")] = "hex"
    prefix: Annotated[str, Meta(description="Text before the signature in the header.", examples=["sha256="])] = ""
    signed: Annotated[
        str, Meta(description="What is signed, with {body}, {timestamp} and {id}.", examples=["{timestamp}.{body}"])
    ] = "{body}"
    timestamp_header: Annotated[str, Meta(description="Header with the time: seconds, ms or RFC 3339.")] = ""
    id_header: Annotated[str, Meta(description="Header with the delivery's id, where that is signed too.")] = ""
    tolerance: Tolerance = "5m"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.secret is None) == (not self.secret_ref):
            raise ValueError("hmac needs one of `secret` and `secret_ref`")
        if self.secret is not None:
            check_secrets(self.secret)
        if "{body}" not in self.signed:
            raise ValueError("`signed` needs {body}: else anybody could change the body")
        for hole, header in (("timestamp", "timestamp_header"), ("id", "id_header")):
            if (f"{{{hole}}}" in self.signed) != bool(getattr(self, header)):
                raise ValueError(f"`{header}` and {{{hole}}} in `signed` belong together")


class StandardConfig(StepConfig, frozen=True):
    """Standard Webhooks: webhook-id, webhook-timestamp and webhook-signature.

    Example:
        standard:
          secret: ${{ secrets.INBOX_SECRET }}
    """

    secret: Annotated[Secrets, Meta(description="whsec_... or plain text, whpk_... (Ed25519 public key), or a list.")]
    tolerance: Tolerance = "5m"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_standard(self.secret)


class BearerConfig(StepConfig, frozen=True):
    """A token in the Authorization header.

    Example:
        bearer: ${{ secrets.PARTNER_TOKEN }}
    """

    token: Annotated[Secrets, Meta(description="The token, or a list of all that are in use.")]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_secrets(self.token, "token")


class BasicConfig(StepConfig, frozen=True):
    """User name and password, as browsers and old systems send them.

    Example:
        basic:
          user: shop
          password: ${{ secrets.SHOP_PASSWORD }}
    """

    password: Annotated[Secrets, Meta(description="The password, or a list of all that are in use.")]
    user: Annotated[str, Meta(description="User name; without a colon.", pattern="^[^:]*$")] = ""
    username: Annotated[str, Meta(description="The same as `user`.", pattern="^[^:]*$")] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.user) == bool(self.username):
            raise ValueError("basic needs `user`")
        check_secrets(self.password, "password")


class TokenConfig(StepConfig, frozen=True):
    """A header that holds nothing but the secret.

    Example:
        token:
          header: X-Api-Key
          secret: ${{ secrets.METER_KEY }}
    """

    header: Annotated[str, Meta(min_length=1, description="Name of the header.", examples=["X-Api-Key"])]
    secret: Secret

    def __post_init__(self) -> None:
        super().__post_init__()
        check_secrets(self.secret)


def register_all(register: Any) -> None:
    """Every scheme of this module."""
    register("hmac", config=HmacConfig, verify=verify_hmac, sign=sign_hmac)
    register("standard", config=StandardConfig, verify=verify_standard, sign=sign_standard, short="secret")
    register("bearer", config=BearerConfig, verify=verify_bearer, sign=sign_bearer, short="token")
    register("basic", config=BasicConfig, verify=verify_basic, sign=sign_basic)
    register("token", config=TokenConfig, verify=verify_token, sign=sign_token)


def verify_hmac(delivery: Delivery, config: HmacConfig) -> None:
    """Raise BadSignature unless the HMAC is right."""
    signature.verify_hmac(delivery, _rule(config), _secrets(config))


def sign_hmac(body: bytes, headers: dict[str, str], config: HmacConfig, now: float) -> dict[str, str]:
    """Headers with a right HMAC."""
    return signature.sign_hmac(body, headers, _rule(config), _secrets(config)[0], now)


def verify_standard(delivery: Delivery, config: StandardConfig) -> None:
    """Raise BadSignature unless it is signed as Standard Webhooks asks for."""
    signature.verify_standard(delivery, secrets_of(config.secret), _seconds(config.tolerance))


def sign_standard(body: bytes, headers: dict[str, str], config: StandardConfig, now: float) -> dict[str, str]:
    """Headers as Standard Webhooks asks for."""
    return signature.sign_standard(body, headers, secrets_of(config.secret)[0], now)


def verify_bearer(delivery: Delivery, config: BearerConfig) -> None:
    """Raise BadSignature unless the token is right."""
    signature.verify_bearer(delivery, secrets_of(config.token))


def sign_bearer(_body: bytes, _headers: dict[str, str], config: BearerConfig, _now: float) -> dict[str, str]:
    """The Authorization header."""
    return {"Authorization": f"Bearer {secrets_of(config.token)[0]}"}


def verify_basic(delivery: Delivery, config: BasicConfig) -> None:
    """Raise BadSignature unless user name and password are right."""
    signature.verify_basic(delivery, config.user or config.username, secrets_of(config.password))


def sign_basic(_body: bytes, _headers: dict[str, str], config: BasicConfig, _now: float) -> dict[str, str]:
    """The Authorization header."""
    return signature.sign_basic(config.user or config.username, secrets_of(config.password)[0])


def verify_token(delivery: Delivery, config: TokenConfig) -> None:
    """Raise BadSignature unless the header holds the secret."""
    signature.verify_token(delivery, config.header, secrets_of(config.secret))


def sign_token(_body: bytes, _headers: dict[str, str], config: TokenConfig, _now: float) -> dict[str, str]:
    """The header with the secret."""
    return {config.header: secrets_of(config.secret)[0]}


def check_standard(secret: str | list[str]) -> None:
    """ValueError if a secret is empty or not what its prefix says."""
    check_secrets(secret)
    try:
        signature.standard_keys(tuple(secrets_of(secret)))
    except ConfigurationError as error:
        raise ValueError(f"`secret`: {error}") from None


def _secrets(config: HmacConfig) -> Sequence[str]:
    if config.secret is None:
        raise BadSignature("`secret_ref` is not looked up by this version")
    return secrets_of(config.secret)


def _rule(config: HmacConfig) -> signature.HmacRule:
    return signature.HmacRule(
        header=config.header,
        algorithm=config.algorithm,
        encoding=config.encoding,
        prefix=config.prefix,
        signed=config.signed,
        timestamp_header=config.timestamp_header,
        id_header=config.id_header,
        tolerance=_seconds(config.tolerance),
    )


@lru_cache(maxsize=64)
def _seconds(duration: str) -> float:
    return parse_duration(duration)
