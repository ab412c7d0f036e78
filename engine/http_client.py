"""The one HTTP client of a process: httpx's API over aiohttp's connections, with the address check in between."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import aiohttp
import httpx
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from engine import __version__
from engine.core.address import AddressRules, parse_address
from engine.core.failure import Fail

TIMEOUT = httpx.Timeout(30.0, connect=10.0, pool=30.0)  # seconds; the step's own timeout is above these
MAX_CONNECTIONS = 500
KEEPALIVE = 15.0  # seconds; below the 60 to 75 after which usual servers close
DNS_TTL = 30  # seconds a resolved and checked address is used
MAX_RESPONSE = 10_000_000  # bytes after decompression, unless the request says otherwise
USER_AGENT = f"hookwright/{__version__}"
CHUNK = 65536


class ResponseTooLarge(Fail):
    """The other side sent more than we are willing to hold."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the response is larger than {limit:,} bytes; reading stopped", type="response_too_large")


class LimitedResponse(httpx.Response):
    """A response whose body is read up to a limit: request.extensions["max_response"] or MAX_RESPONSE."""

    async def aread(self) -> bytes:
        """The whole body. ResponseTooLarge beyond the limit; the connection is closed then."""
        if not hasattr(self, "_content"):
            limit, size, parts = self.request.extensions.get("max_response", MAX_RESPONSE), 0, []
            async for part in self.aiter_bytes():
                size += len(part)
                if size > limit:
                    await self.aclose()
                    raise ResponseTooLarge(limit)
                parts.append(part)
            self._content = b"".join(parts)
        return self._content


class CheckedResolver(AbstractResolver):
    """Resolves names and refuses addresses that are not allowed: what is checked is what is connected to."""

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        results: list[ResolveResult] = []
        for kind, _, proto, _, target in found:
            address = parse_address(str(target[0]))
            if address is None:
                continue
            self._rules.check(host, port, address)  # one bad address condemns the name
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(address),
                    port=port,
                    family=kind,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        return results

    async def close(self) -> None:
        """Nothing to release."""


class CheckedTransport(httpx.AsyncBaseTransport):
    """httpx requests over one aiohttp session, which is made at the first request."""

    def __init__(self, rules: AddressRules, *, verify: ssl.SSLContext | None = None) -> None:
        self._rules = rules
        self._verify = verify
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"{url.scheme or 'a URL without scheme'} is not http or https")
        self._rules.check_literal(url.host, url.port or (443 if url.scheme == "https" else 80))
        session = self._session or self._open()
        wait: dict[str, float | None] = request.extensions.get("timeout", {})
        try:
            content: Any = request.content
        except httpx.RequestNotRead:
            content = request.stream
        try:
            response = await session.request(
                request.method,
                yarl.URL(str(url), encoded=True),
                headers=[
                    (name.decode("ascii"), value.decode("latin-1"))
                    for name, value in request.headers.raw
                    if name.lower() != b"transfer-encoding"  # aiohttp's business
                ],
                data=content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=wait.get("pool"), sock_connect=wait.get("connect"), sock_read=wait.get("read")
                ),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translated(error) from error
        return LimitedResponse(
            response.status,
            headers=response.raw_headers,
            stream=ResponseStream(response),
            request=request,
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": (response.reason or "").encode("latin-1", "replace"),
            },
        )

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS,
            keepalive_timeout=KEEPALIVE,
            ttl_dns_cache=DNS_TTL,
            resolver=CheckedResolver(self._rules),
            ssl=self._verify or httpx.create_ssl_context(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        return self._session


class ResponseStream(httpx.AsyncByteStream):
    """The body as aiohttp receives it."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._response.content.iter_chunked(CHUNK):
                yield part
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        if self._response.content.is_eof():
            self._response.release()
        else:
            self._response.close()  # the rest is not worth reading


def create_client(
    allow_hosts: Iterable[str] = (), *, timeout: httpx.Timeout = TIMEOUT, verify: ssl.SSLContext | None = None
) -> httpx.AsyncClient:
    """The client that steps get. One per process; close it. ConfigurationError for a malformed allow_hosts entry.

    No redirects unless asked for, no cookies kept, no proxies or credentials from the environment. Responses are read
    up to MAX_RESPONSE bytes. Requests to addresses that are not public raise BlockedAddress.
    """
    return httpx.AsyncClient(
        transport=CheckedTransport(AddressRules(allow_hosts), verify=verify),
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": USER_AGENT, "accept-encoding": "gzip, deflate"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    )


def _translated(error: BaseException) -> httpx.TransportError:
    """aiohttp's exception in httpx's words."""
    text = str(error) or type(error).__name__
    match error:
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout(text)
        case TimeoutError():
            return httpx.ReadTimeout(text)
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(text)
        case aiohttp.InvalidURL():
            return httpx.UnsupportedProtocol(text)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientResponseError():
            return httpx.RemoteProtocolError(text)
        case _:
            return httpx.ReadError(text)
