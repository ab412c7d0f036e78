"""The mail server's URL: `smtp://user:pass@host:587`, `smtps://host`."""

from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from engine.plugin import Fail

EXAMPLE = "smtp://user:password@mail.example.com:587, or smtps://... for TLS from the start"
STARTTLS = {"auto": None, "required": True, "never": False}
LOCAL = ("localhost", "127.0.0.1", "::1")


class SmtpServer(msgspec.Struct, frozen=True):
    """Where and how to hand mail over."""

    host: str
    port: int
    tls: bool  # from the first byte
    start_tls: bool | None  # None: if the server offers it
    username: str | None = None
    password: str | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"SmtpServer({self})"


def parse_smtp_url(text: str) -> SmtpServer:
    """The server. Fail `configuration` if there is none or the URL is wrong; the password is never in the message.

    A password is sent over TLS only, unless the server is this machine or the URL says `?starttls=never`.
    """
    if not text:
        raise Fail(f"no mail server is configured: set HOOKWRIGHT_SMTP_URL, such as {EXAMPLE}", type="configuration")
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if not host or url.scheme not in ("smtp", "smtps"):
        raise Fail(f"HOOKWRIGHT_SMTP_URL is not an SMTP URL: write {EXAMPLE}", type="configuration")
    word = parse_qs(url.query).get("starttls", [""])[0]
    if word and word not in STARTTLS:
        raise Fail("HOOKWRIGHT_SMTP_URL: starttls is auto, required or never", type="configuration")
    tls = url.scheme == "smtps"
    default = True if url.username and host not in LOCAL else None
    return SmtpServer(
        host=host,
        port=port or (465 if tls else 587 if url.username else 25),
        tls=tls,
        start_tls=False if tls else STARTTLS[word] if word else default,
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
    )
