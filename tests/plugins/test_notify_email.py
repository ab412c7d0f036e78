"""notify.email over a real SMTP server."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from engine.plugin import Fail, Retry
from engine.testing import StepResult, run_step
from plugins.notify.smtp_url import parse_smtp_url


class Mailbox:
    """Takes mail; refuses recipients whose address says so."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """550 and 450 for addresses that begin so."""
        if address.startswith(("550", "450")):
            return f"{address[:3]} no, not {address}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep it."""
        self.envelopes.append(envelope)
        return "250 taken"

    def last(self) -> EmailMessage:
        """The last mail, parsed."""
        content = self.envelopes[-1].content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        return message


class Server:
    """A running SMTP server and its mailbox."""

    def __init__(self, listener: asyncio.Server, box: Mailbox) -> None:
        self.box = box
        self.port = listener.sockets[0].getsockname()[1]
        self.options = {"smtp.url": f"smtp://127.0.0.1:{self.port}", "smtp.from": "Bot <bot@example.com>"}

    async def send(self, **with_: Any) -> StepResult:
        """One attempt."""
        with_ = {"to": "ann@example.com", "subject": "Hi", "text": "Hello", **with_}
        return await run_step("notify.email", with_, options=self.options)


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Server]:
    """An SMTP server with these settings of aiosmtpd."""
    box, loop = Mailbox(), asyncio.get_running_loop()
    listener = await loop.create_server(lambda: SMTP(box, hostname="mail.test", **settings), "127.0.0.1", 0)
    async with listener:
        yield Server(listener, box)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Without login."""
    async with serving() as running:
        yield running


async def test_a_mail_arrives(server: Server) -> None:
    """Sender, recipients, subject and text arrive; bcc is in the envelope and not in the mail."""
    result = await server.send(
        to=["Ann Ü <ann@example.com>", "bob@example.com"],
        cc="carl@example.com",
        bcc=["dora@example.com", "ann@example.com"],
        reply_to="help@example.com",
        subject="Grüße",
        text="Schöne Grüße\n",
    )
    everyone = ["ann@example.com", "bob@example.com", "carl@example.com", "dora@example.com"]
    assert result.output["accepted"] == everyone
    assert result.output["refused"] == {}
    envelope, message = server.box.envelopes[0], server.box.last()
    assert (envelope.mail_from, envelope.rcpt_tos) == ("bot@example.com", everyone)
    assert message["From"] == "Bot <bot@example.com>"
    assert message["To"] == "Ann Ü <ann@example.com>, bob@example.com"
    assert (message["Cc"], message["Bcc"], message["Reply-To"]) == ("carl@example.com", None, "help@example.com")
    assert message["Subject"] == "Grüße"
    assert message["Message-ID"] == result.output["message_id"]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().splitlines() == ["Schöne Grüße"]


async def test_html_and_attachments(server: Server) -> None:
    """Text and HTML are alternatives; attachments keep name, type and bytes."""
    await server.send(
        html="<b>Hello</b>",
        attachments=[
            {"filename": "täble.csv", "content": "a,b\n", "content_type": "text/csv"},
            {"filename": "x.bin", "base64": "/wA="},
        ],
    )
    message = server.box.last()
    body = message.get_body(("html",))
    assert body is not None
    assert "<b>Hello</b>" in body.get_content()
    first, second = message.iter_attachments()
    assert (first.get_filename(), first.get_content_type()) == ("täble.csv", "text/csv")
    assert second.get_content() == b"\xff\x00"


async def test_html_alone(server: Server) -> None:
    """Text may be left out."""
    await run_step("notify.email", {"to": "a@b.example", "subject": "x", "html": "<i>x</i>"}, options=server.options)
    assert server.box.last().get_content_type() == "text/html"


async def test_a_repeat_has_the_same_message_id(server: Server) -> None:
    """So the receiver can recognise it; another step's mail has another."""
    ids = []
    for key in ("a", "a", "b"):
        with_ = {"to": "a@b.example", "subject": "x", "text": "x"}
        result = await run_step("notify.email", with_, options=server.options, idempotency_key=key)
        ids.append(result.output["message_id"])
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@example.com>")


async def test_headers_cannot_be_injected(server: Server) -> None:
    """Line breaks in a subject become spaces; an address with one is refused; names are quoted."""
    await server.send(subject="Hi\r\nBcc: evil@example.com", to='"Ann, Bob" <ann@example.com>')
    assert server.box.last()["Subject"] == "Hi Bcc: evil@example.com"
    assert server.box.last()["Bcc"] is None
    assert server.box.envelopes[0].rcpt_tos == ["ann@example.com"]
    for address in (
        "a@b.example\r\nBcc: evil@example.com",
        "a@b.example, evil@example.com",
        "no address",
        "",
        "a@b@c d",
    ):
        for field in ("to", "cc", "bcc", "from", "reply_to"):
            with pytest.raises(msgspec.ValidationError, match=f"`{field}`"):
                await server.send(**{field: address})
    assert len(server.box.envelopes) == 1


async def test_some_recipients_refused(server: Server) -> None:
    """The mail goes to the others; who was refused, and why, is in the output."""
    result = await server.send(to=["ann@example.com", "550-bob@example.com"])
    assert result.output["accepted"] == ["ann@example.com"]
    assert result.output["refused"] == {"550-bob@example.com": "550 no, not 550-bob@example.com"}


@pytest.mark.parametrize(("code", "error"), [("550", Fail), ("450", Retry)])
async def test_all_recipients_refused(server: Server, code: str, error: type[Exception]) -> None:
    """5xx is for good, 4xx for now."""
    with pytest.raises(error) as caught:
        await server.send(to=f"{code}-x@example.com")
    assert caught.value.type == f"smtp.{code}"  # type: ignore[attr-defined]
    assert server.box.envelopes == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_login() -> None:
    """User and password of the URL are used; wrong ones are an `auth` error that does not show them."""

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"us/er", b"p@ss:1")
        return AuthResult(success=good, handled=False)

    async with serving(authenticator=check, auth_required=True, auth_require_tls=False) as server:
        server.options["smtp.url"] = f"smtp://us%2Fer:p%40ss%3A1@127.0.0.1:{server.port}"
        await server.send()
        assert len(server.box.envelopes) == 1
        server.options["smtp.url"] = f"smtp://us%2Fer:wr0ng@127.0.0.1:{server.port}"
        with pytest.raises(Fail) as caught:
            await server.send()
        assert caught.value.type == "auth"
        assert "wr0ng" not in caught.value.message


async def test_no_server_is_a_network_error(unused_tcp_port: int) -> None:
    """A refused connection may be tried again."""
    options = {"smtp.url": f"smtp://127.0.0.1:{unused_tcp_port}", "smtp.from": "a@b.example"}
    with pytest.raises(Retry) as caught:
        await run_step("notify.email", {"to": "a@b.example", "subject": "x", "text": "x"}, options=options)
    assert caught.value.type == "network"


async def test_a_silent_server_is_a_timeout() -> None:
    """A server that accepts and says nothing does not hold the step."""
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    options = {"smtp.url": f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}", "smtp.from": "a@b.example"}
    with_ = {"to": "a@b.example", "subject": "x", "text": "x", "timeout": "100ms"}
    async with server:
        with pytest.raises(Retry) as caught:
            await run_step("notify.email", with_, options=options)
        await asyncio.wait_for(gone.wait(), 5)
    assert caught.value.type == "timeout"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "HOOKWRIGHT_SMTP_URL"),
        ({"smtp.url": "mail.example.com"}, "HOOKWRIGHT_SMTP_URL"),
        ({"smtp.url": "smtp://127.0.0.1:25"}, "HOOKWRIGHT_SMTP_FROM"),
    ],
)
async def test_missing_settings_are_named(options: dict[str, str], word: str) -> None:
    """The message says which setting is missing or wrong."""
    with pytest.raises(Fail, match=word) as caught:
        await run_step("notify.email", {"to": "a@b.example", "subject": "x", "text": "x"}, options=options)
    assert caught.value.type == "configuration"


@pytest.mark.parametrize(
    ("url", "port", "tls", "start_tls"),
    [
        ("smtp://mail.example.com", 25, False, None),  # TLS if the server offers it
        ("smtp://u:p@mail.example.com", 587, False, True),  # a password goes over TLS only
        ("smtp://u:p@localhost:2525", 2525, False, None),
        ("smtp://u:p@mail.example.com?starttls=never", 587, False, False),
        ("smtp://mail.example.com:26?starttls=required", 26, False, True),
        ("smtps://u:p@mail.example.com", 465, True, False),
    ],
)
def test_how_the_server_is_reached(url: str, port: int, tls: bool, start_tls: bool | None) -> None:
    """Port and encryption follow from the URL."""
    server = parse_smtp_url(url)
    assert (server.port, server.tls, server.start_tls) == (port, tls, start_tls)
    assert repr(server) == f"SmtpServer({server.host}:{port})"


@pytest.mark.parametrize(
    "url", ["http://x", "smtp://", "smtp://h:port", "smtp://h?starttls=maybe", "smtp://u:s3cret@h:99999"]
)
def test_wrong_urls_are_refused_without_showing_them(url: str) -> None:
    """The message shows how it is written, not what was written."""
    with pytest.raises(Fail) as caught:
        parse_smtp_url(url)
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("with_", "message"),
    [
        ({"text": None}, "nothing to send"),
        ({"to": []}, "at least one address"),
        ({"attachments": [{"filename": "a"}]}, "either `content` or `base64`"),
        ({"attachments": [{"filename": "a", "content": "", "content_type": "x\r\ny/z"}]}, "content_type"),
        ({"to": ["a@b.example"] * 101}, "length <= 100"),
    ],
)
async def test_wrong_config_is_named(server: Server, with_: dict[str, Any], message: str) -> None:
    """What is wrong in `with` is said."""
    with pytest.raises(msgspec.ValidationError, match=message):
        await server.send(**with_)


async def test_bad_attachments_are_named(server: Server) -> None:
    """Broken base64 and too many bytes are the author's to mend."""
    with pytest.raises(Fail, match="not base64"):
        await server.send(attachments=[{"filename": "a", "base64": "?"}])
    with pytest.raises(Fail, match="10,000,000"):
        await server.send(attachments=[{"filename": "a", "content": "x" * 6_000_000}] * 2)
