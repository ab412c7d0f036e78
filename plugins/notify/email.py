"""The step `notify.email`, over SMTP."""

import base64
import binascii
import hashlib
import re
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, getaddresses
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from engine.plugin import Duration, Fail, Retry, StepConfig, StepContext, StepError, parse_duration
from plugins.notify.smtp_url import SmtpServer, parse_smtp_url

MAX_ATTACHMENTS = 10_000_000  # bytes of all together
MAX_RECIPIENTS = 100
CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
ADDRESS = re.compile(r"[^@\s<>,;\"\x00-\x1f]+@[^@\s<>,;\"\x00-\x1f]+")

Addresses = str | Annotated[list[str], Meta(max_length=MAX_RECIPIENTS)]


class Attachment(StepConfig, frozen=True):
    """One small file."""

    filename: Annotated[str, Meta(description="Its name.", examples=["report.csv"])]
    content: Annotated[str | None, Meta(description="Its content as text.")] = None
    base64: Annotated[str | None, Meta(description="Its content in base64, for anything that is not text.")] = None
    content_type: Annotated[
        str, Meta(description="Its type.", examples=["text/csv"], pattern=r"^[\w.+-]+/[\w.+-]+$")
    ] = "application/octet-stream"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.content is None) == (self.base64 is None):
            raise ValueError("an attachment has either `content` or `base64`")


class EmailConfig(StepConfig, frozen=True):
    """Send a mail through the configured SMTP server (HOOKWRIGHT_SMTP_URL).

    Example:

        uses: notify.email
        with:
          from: Hookwright <bot@example.com>
          to: [ops@example.com]
          subject: "Order ${{ event.body.order.id }} failed"
          text: "See ${{ run.url }}"
    """

    to: Annotated[Addresses, Meta(description="Whom to.", examples=["ops@example.com", ["Ann <ann@example.com>"]])]
    subject: Annotated[str, Meta(description="Subject; line breaks become spaces.", max_length=500)]
    text: Annotated[str | None, Meta(description="The message as plain text.")] = None
    html: Annotated[str | None, Meta(description="The message as HTML; give `text` as well if you can.")] = None
    from_: Annotated[
        str | None,
        Meta(description="Sender. Default: HOOKWRIGHT_SMTP_FROM.", examples=["Hookwright <bot@example.com>"]),
    ] = field(default=None, name="from")
    cc: Annotated[Addresses, Meta(description="Who gets a copy.")] = field(default_factory=list)
    bcc: Annotated[Addresses, Meta(description="Who gets a copy unseen.")] = field(default_factory=list)
    reply_to: Annotated[str | None, Meta(description="Where answers go.")] = None
    attachments: Annotated[list[Attachment], Meta(description="Small files, 10 MB together.")] = field(
        default_factory=list
    )
    timeout: Annotated[Duration, Meta(description="How long to wait for the mail server.")] = "30s"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text is None and self.html is None:
            raise ValueError("there is nothing to send: `text` or `html` is needed")
        for name in ("to", "cc", "bcc", "reply_to", "from_"):
            for address in _listed(getattr(self, name)):
                try:
                    parse_address(address)
                except ValueError as error:
                    raise ValueError(f"`{name.rstrip('_')}`: {error}") from None
        if not _listed(self.to):
            raise ValueError("`to`: at least one address is needed")


class Mailed(msgspec.Struct, frozen=True):
    """The server took it."""

    message_id: Annotated[str, Meta(description="The mail's Message-ID, the same for every attempt.")]
    accepted: Annotated[list[str], Meta(description="Addresses the server took the mail for.")]
    refused: Annotated[dict[str, str], Meta(description="Addresses it did not take it for, with its reason.")]


async def send_email(config: EmailConfig, context: StepContext) -> Mailed:
    """Send it once. A repeat has the same Message-ID, by which receivers can recognise it.

    Errors: `network`, `timeout`, `smtp.450` and other 4xx may be tried again; `smtp.550` and other 5xx, `auth`,
    `configuration`, `invalid_input` are final.
    """
    server = parse_smtp_url(context.options.get("smtp.url", ""))
    sender = config.from_ or context.options.get("smtp.from")
    if not sender:
        raise Fail("no sender is known: set `from`, or HOOKWRIGHT_SMTP_FROM", type="configuration")
    try:
        message = build_message(config, sender, context.idempotency_key)
    except ValueError as error:
        raise Fail(str(error), type="invalid_input") from None
    addresses = [*_listed(config.to), *_listed(config.cc), *_listed(config.bcc)]
    recipients = list(dict.fromkeys(parse_address(address).addr_spec for address in addresses))
    refused = await _deliver(server, message, parse_address(sender).addr_spec, recipients, config, context)
    accepted = [address for address in recipients if address not in refused]
    return Mailed(message_id=str(message["Message-ID"]), accepted=accepted, refused=refused)


def build_message(config: EmailConfig, sender: str, idempotency_key: str) -> EmailMessage:
    """The mail. Its Message-ID follows from the idempotency key, so a repeat can be recognised."""
    message = EmailMessage(policy=SMTP)
    message["From"] = origin = parse_address(sender)
    message["To"] = [parse_address(address) for address in _listed(config.to)]
    if config.cc:
        message["Cc"] = [parse_address(address) for address in _listed(config.cc)]
    if config.reply_to:
        message["Reply-To"] = parse_address(config.reply_to)
    message["Subject"] = CONTROL.sub(" ", config.subject).strip()
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{hashlib.sha256(idempotency_key.encode()).hexdigest()[:40]}@{origin.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    if config.text is not None:
        message.set_content(config.text)
        if config.html is not None:
            message.add_alternative(config.html, subtype="html")
    else:
        message.set_content(config.html, subtype="html")
    size = 0
    for attachment in config.attachments:
        data = _content(attachment)
        size += len(data)
        if size > MAX_ATTACHMENTS:
            raise ValueError(f"the attachments are larger than {MAX_ATTACHMENTS:,} bytes together")
        kind, _, subtype = attachment.content_type.partition("/")
        name = CONTROL.sub(" ", attachment.filename)
        message.add_attachment(data, maintype=kind, subtype=subtype, filename=name)
    return message


def parse_address(text: str) -> Address:
    """`ann@example.com` or `Ann <ann@example.com>`. ValueError if it is not one address."""
    found = getaddresses([text])
    name, address = found[0] if len(found) == 1 else ("", "")
    if CONTROL.search(text) or not ADDRESS.fullmatch(address):
        raise ValueError(f"{text[:200]!r} is not one mail address: write ann@example.com or Ann <ann@example.com>")
    local, _, domain = address.rpartition("@")
    return Address(name, username=local, domain=domain)


async def _deliver(
    server: SmtpServer,
    message: EmailMessage,
    sender: str,
    recipients: list[str],
    config: EmailConfig,
    context: StepContext,
) -> dict[str, str]:
    """Hand the mail over; the recipients that were refused while others were not."""
    import aiosmtplib

    try:
        refused, _ = await aiosmtplib.send(
            message,
            sender=sender,
            recipients=recipients,
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.tls,
            start_tls=server.start_tls,
            timeout=min(parse_duration(config.timeout), context.timeout),
        )
    except aiosmtplib.SMTPException as error:
        raise _translated(error, server) from error
    except OSError as error:
        raise Retry(f"{server}: {error}", type="network") from error
    return {address: f"{reply.code} {reply.message}" for address, reply in refused.items()}


def _translated(error: Any, server: SmtpServer) -> StepError:
    import aiosmtplib

    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            first = error.recipients[0]
            text = "; ".join(f"{one.recipient}: {one.code} {one.message}" for one in error.recipients)
            return _reply(first.code, f"{server} refused every recipient: {text}")
        case aiosmtplib.SMTPAuthenticationError():
            return Fail(f"{server} refused the user name or password: {error.message}", type="auth")
        case aiosmtplib.SMTPResponseException():
            return _reply(error.code, f"{server} answered {error.code} {error.message}")
        case aiosmtplib.SMTPTimeoutError():
            return Retry(f"{server}: {error}", type="timeout")
        case aiosmtplib.SMTPNotSupported():
            return Fail(f"{server}: {error}", type="configuration")
        case _:
            return Retry(f"{server}: {error}", type="network")


def _reply(code: int, message: str) -> StepError:
    return Retry(message, type=f"smtp.{code}") if 400 <= code < 500 else Fail(message, type=f"smtp.{code}")


def _content(attachment: Attachment) -> bytes:
    if attachment.content is not None:
        return attachment.content.encode()
    try:
        return base64.b64decode(attachment.base64 or "", validate=True)
    except binascii.Error:
        raise ValueError(f"attachment {attachment.filename!r}: `base64` is not base64") from None


def _listed(addresses: str | list[str] | None) -> list[str]:
    if addresses is None:
        return []
    return [addresses] if isinstance(addresses, str) else addresses
