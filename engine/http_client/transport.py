"""httpx requests over aiohttp's connections: names resolved and checked, bodies read up to a limit."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from engine.core.address import AddressRules, parse_address
from engine.core.failure import Fail

MAX_CONNECTIONS = 500
KEEPALIVE = 15.0  # seconds; below the 60 to 75 after which usual servers close
DNS_TTL = 30  # seconds a resolved and checked address is used
MAX_RESPONSE = 10_000_000  # bytes after decompression, unless the request says otherwise


class ResponseTooLarge(Fail):
    """The other side sent more than we are willing to hold."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the response is larger than {limit:,} bytes; reading stopped", type="response_too_large")


class LimitedResponse(httpx.Response):
    """A response whose body is read up to a limit: request.extensions["max_response"] or MAX_RESPONSE."""

    async def aread(self) -> bytes:
        """The whole body. ResponseTooLarge beyond the limit; the connection is closed then."""
        if not hasattr(self, "_content"):
            limit = self.request.extensions.get("max_response", MAX_RESPONSE)
            size, parts = 0, []
            async for part in self._parts():
                size += len(part)
                if size > limit:
                    await self.aclose()
                    raise ResponseTooLarge(limit)
                parts.append(part)
            self._content = b"".join(parts)
        return self._content

    async def _parts(self) -> AsyncIterator[bytes]:
        if self.is_stream_consumed or self.is_closed or "content-encoding" in self.headers:
            async for part in self.aiter_bytes():
                yield part
            return
        self.is_stream_consumed = True  # as aiter_raw() does, without its chunking
        assert isinstance(self.stream, httpx.AsyncByteStream)
        async for part in self.stream:
            yield part
        await self.aclose()


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
        target = _target(request.url)
        self._rules.check_literal(target.raw_host or "", target.port or 0)
        session = self._session or self._open()
        try:
            content: Any = request.content or None
        except httpx.RequestNotRead:
            content = request.stream
        wait = request.extensions.get("timeout") or {}
        try:
            response = await session.request(
                request.method,
                target,
                headers=[
                    (name.decode("ascii"), value.decode("latin-1"))
                    for name, value in request.headers.raw
                    if name.lower() != b"transfer-encoding"  # aiohttp sets it
                ],
                data=content,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=wait.get("pool"), sock_connect=wait.get("connect"), sock_read=wait.get("read")
                ),
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
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
        content = self._response.content
        try:
            while part := await content.readany():
                yield part
        except (aiohttp.ClientError, OSError) as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        if self._response.content.is_eof():
            self._response.release()
        else:
            self._response.close()  # the rest is not worth reading


@lru_cache(maxsize=1024)
def _target(url: httpx.URL) -> yarl.URL:
    """The same URL for aiohttp, not encoded again."""
    if url.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol(f"{url.scheme or 'a URL without scheme'} is not http or https")
    if "%" in url.host:
        raise httpx.UnsupportedProtocol(f"{url.host!r} is not the name of a host")
    return yarl.URL(str(url.copy_with(fragment=None)), encoded=True)


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
        case ValueError():  # a line break in a header
            return httpx.LocalProtocolError(text)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientResponseError():
            return httpx.RemoteProtocolError(text)
        case _:
            return httpx.ReadError(text)
