"""The HTTP client of a process: what it refuses, what it limits, what it forgets."""

import asyncio
import datetime
import gzip
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.core.address import BlockedAddress
from engine.http_client import ResponseTooLarge, create_client
from engine.plugin import Fail
from engine.testing import run_step
from tests.plugins.service import Downstream


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client that may reach 127.0.0.1, and no other private address."""
    async with create_client(["127.0.0.1"]) as made:
        yield made


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "LOCALHOST",
    ],
)
async def test_this_machine_is_out_of_reach_in_every_spelling(downstream: Downstream, host: str) -> None:
    """Loopback is refused by address and by name, and nothing arrives there."""
    async with create_client() as client:
        with pytest.raises(BlockedAddress) as caught:
            await client.get(f"http://{host}:{downstream.port}/")
    assert "HOOKWRIGHT_ALLOW_HOSTS=" in caught.value.message
    assert downstream.asked == []


async def test_octal_addresses_get_nowhere(downstream: Downstream) -> None:
    """httpx itself takes 0177.0.0.1 for no address at all."""
    with pytest.raises(Fail) as caught:
        await run_step("http.request", {"url": f"http://0177.0.0.1:{downstream.port}/"}, allow_hosts=[])
    assert caught.value.type == "invalid_input"
    assert downstream.asked == []


async def test_a_blocked_step_says_how_to_allow_it(downstream: Downstream) -> None:
    """The author reads which address it was and which setting lets it pass."""
    with pytest.raises(Fail) as caught:
        await run_step("http.request", {"url": downstream.url}, allow_hosts=[])
    assert caught.value.type == "blocked_address"
    assert f"HOOKWRIGHT_ALLOW_HOSTS=127.0.0.1:{downstream.port}" in caught.value.message
    await run_step("http.request", {"url": downstream.url}, allow_hosts=[f"127.0.0.1:{downstream.port}"])


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]:{port}/"]
)
async def test_every_hop_of_a_redirect_is_checked(downstream: Downstream, target: str) -> None:
    """A service we may reach cannot send us to one we may not."""
    downstream.answer(302, headers={"Location": target.format(port=downstream.port)})
    async with create_client([f"127.0.0.1:{downstream.port}"]) as client:
        with pytest.raises(BlockedAddress):
            await client.get(downstream.url, follow_redirects=True)
    assert len(downstream.asked) == 1


async def test_an_allowed_name_may_be_private(downstream: Downstream) -> None:
    """A name on the list is resolved and reached, wherever it is."""
    async with create_client([f"localhost:{downstream.port}"]) as client:
        response = await client.get(f"http://localhost:{downstream.port}/")
        assert response.status_code == 200
        with pytest.raises(BlockedAddress):
            await client.get(downstream.url)  # the list has the name, not the address


@pytest.mark.parametrize("compressed", [False, True])
async def test_large_responses_are_not_read_to_the_end(
    client: httpx.AsyncClient, downstream: Downstream, compressed: bool
) -> None:
    """Reading stops at the limit, which counts what comes out of the decompression."""
    body = b"x" * 3_000_000
    headers = {"content-encoding": "gzip"} if compressed else {}
    downstream.answer(200, gzip.compress(body) if compressed else body, headers=headers)
    with pytest.raises(ResponseTooLarge) as caught:
        await client.get(downstream.url, extensions={"max_response": 1_000_000})
    assert "1,000,000" in caught.value.message
    downstream.answer(200, gzip.compress(body) if compressed else body, headers=headers)
    assert len((await client.get(downstream.url)).content) == len(body)


async def test_more_than_ten_megabytes_are_refused_by_default(downstream: Downstream) -> None:
    """A step cannot be made to swallow a file by accident."""
    downstream.answer(200, b"x" * 10_000_001)
    with pytest.raises(Fail) as caught:
        await run_step("http.request", {"url": downstream.url})
    assert caught.value.type == "response_too_large"


async def test_cookies_are_not_kept(client: httpx.AsyncClient, downstream: Downstream) -> None:
    """One run's session is not another's, on the short way and on httpx's own."""
    for follow in (False, True):
        downstream.answer(200, {}, headers={"Set-Cookie": "session=secret; Path=/"})
        await client.get(downstream.url, follow_redirects=follow)
    await client.get(downstream.url)
    await client.get(downstream.url, follow_redirects=True)
    assert all("cookie" not in asked.headers for asked in downstream.asked)


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch, downstream: Downstream) -> None:
    """Proxies and .netrc of the process are not used."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with create_client(["127.0.0.1"]) as client:
        assert (await client.get(downstream.url)).status_code == 200


async def test_httpx_itself_is_what_plugins_see(client: httpx.AsyncClient, downstream: Downstream) -> None:
    """The ways of httpx all work: json, data, params, auth, streaming, HEAD, a prebuilt request."""
    await client.post(downstream.url, json={"a": 1}, params={"q": "1"}, auth=("u", "p"))
    await client.post(downstream.url, data={"a": "1"})
    await client.put(downstream.url, content=_pieces())
    await client.send(client.build_request("DELETE", downstream.url, headers=[("x-a", "1")]))
    first, second, third, fourth = downstream.asked
    assert (first.json, first.query, first.headers["authorization"]) == ({"a": 1}, {"q": ["1"]}, "Basic dTpw")
    assert second.body == b"a=1"
    assert third.body == b"onetwo"
    assert (fourth.method, fourth.headers["x-a"]) == ("DELETE", "1")
    async with client.stream("GET", downstream.url) as response:
        assert [part async for part in response.aiter_lines()] == ['{"ok":true}']
    response = await client.head(downstream.url)
    assert (response.status_code, response.content, response.is_success) == (200, b"", True)
    assert response.elapsed > datetime.timedelta(0)
    downstream.answer(404)
    response = await client.get(downstream.url)
    with pytest.raises(httpx.HTTPStatusError):
        response.raise_for_status()


async def _pieces() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


async def test_a_cancelled_request_gives_its_connection_back(client: httpx.AsyncClient, downstream: Downstream) -> None:
    """Cancelling ends the wait at once, closes the connection, and the client goes on working."""
    downstream.answer(hold=True)
    task = asyncio.create_task(client.get(downstream.url))
    await asyncio.wait_for(downstream.arrived.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(downstream.left.wait(), 5)
    assert (await client.get(downstream.url)).status_code == 200


async def test_a_closed_client_says_so() -> None:
    """Using it after the end is an error, not a new connection."""
    client = create_client()
    await client.aclose()
    with pytest.raises(RuntimeError):
        await client.get("http://example.com/")


async def test_certificates_are_checked(tmp_path: Path) -> None:
    """A certificate nobody trusts is refused; with its authority known, the same server is reached."""
    certificate = _certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(_greet, "127.0.0.1", 0, ssl=context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
    async with server:
        async with create_client(["localhost"]) as client:
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await client.get(url)
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with create_client(["localhost"], verify=trusting) as client:
            assert (await client.get(url)).text == "hi"


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def _certificate(directory: Path) -> Path:
    """A self-signed certificate for localhost, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "localhost.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file
