"""The one HTTP client of a process: httpx's API over aiohttp's connections, with the address check in between."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from functools import lru_cache
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
UNUSUAL = ("cookies", "data", "files", "json", "params")  # arguments that httpx itself shall deal with
MAX_REDIRECTS = 10
HARMLESS = frozenset(  # request headers that may go to another origin
    (
        "accept",
        "accept-encoding",
        "accept-language",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    )
)
BODIED = ("PATCH", "POST", "PUT")  # methods that state a length even if there is no body


class ResponseTooLarge(Fail):
    """The other side sent more than we are willing to hold."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the response is larger than {limit:,} bytes; reading stopped", type="response_too_large")


class Client(httpx.AsyncClient):
    """httpx.AsyncClient with a short way for the usual request.

    httpx spends more time on merging, cookies and redirects than the connection takes; where none of these is asked
    for, build_request() and send() leave them out. Everything else goes httpx's own way.
    """

    def __init__(self, transport: "CheckedTransport", *, timeout: httpx.Timeout, headers: dict[str, str]) -> None:
        super().__init__(
            transport=transport,
            timeout=timeout,
            headers=headers,
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # runs must not see each other's sessions
        )
        self._checked = transport
        self._usual_timeout = timeout.as_dict()
        self._usual_headers = {name: (name, value) for name, value in self.headers.items()}

    def build_request(
        self, method: str, url: httpx.URL | str, *, content: Any = None, headers: Any = None, **rest: Any
    ) -> httpx.Request:
        """As httpx.AsyncClient.build_request()."""
        if isinstance(url, str):
            url = parse_url(url)
        usual = (content is None or isinstance(content, bytes)) and (headers is None or type(headers) is dict)
        if not usual or not url.host or any(rest.get(name) for name in UNUSUAL):
            return super().build_request(method, url, content=content, headers=headers, **rest)
        method = method.upper()
        lines = dict(self._usual_headers)
        for name, value in (headers or {}).items():
            lines[name.lower()] = (name, value)
        if "host" not in lines:
            lines["host"] = ("Host", url.netloc.decode("ascii"))
        if content or method in BODIED:
            lines["content-length"] = ("Content-Length", str(len(content or b"")))
        timeout = rest.get("timeout", httpx.USE_CLIENT_DEFAULT)
        wait = self._usual_timeout if timeout is httpx.USE_CLIENT_DEFAULT else httpx.Timeout(timeout).as_dict()
        request = httpx.Request(
            method,
            url,
            headers=list(lines.values()),
            stream=httpx.ByteStream(content or b""),
            extensions={"timeout": wait, **(rest.get("extensions") or {})},
        )
        request.read()
        return request

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """As httpx.AsyncClient.send()."""
        if follow_redirects is True:
            return await self._follow(request, stream=stream, auth=auth)
        plain = auth is None or (auth is httpx.USE_CLIENT_DEFAULT and not request.url.userinfo)
        if not plain or self.is_closed or any(self.event_hooks.values()):
            return await super().send(request, stream=stream, auth=auth, follow_redirects=False)
        started = time.perf_counter()
        response = await self._checked.handle_async_request(request)
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        response.elapsed = timedelta(seconds=time.perf_counter() - started)
        return response

    async def _follow(self, request: httpx.Request, *, stream: bool, auth: Any) -> httpx.Response:
        """Go where redirects point. Another origin gets none of the headers that may hold a key.

        httpx itself takes away `Authorization` only.
        """
        history: list[httpx.Response] = []
        while True:
            response = await super().send(request, stream=stream, auth=auth, follow_redirects=False)
            response.history = list(history)
            following = response.next_request
            if following is None:
                return response
            await response.aclose()
            if len(history) >= MAX_REDIRECTS:
                raise httpx.TooManyRedirects(f"more than {MAX_REDIRECTS} redirects", request=request)
            if not _same_origin(request.url, following.url):
                for name in [name for name in following.headers if name not in HARMLESS]:
                    del following.headers[name]
            history.append(response)
            request, auth = following, None


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


def create_client(
    allow_hosts: Iterable[str] = (), *, timeout: httpx.Timeout = TIMEOUT, verify: ssl.SSLContext | None = None
) -> httpx.AsyncClient:
    """The client that steps get. One per process; close it. ConfigurationError for a malformed allow_hosts entry.

    No redirects unless asked for, no cookies kept, no proxies or credentials from the environment. Responses are read
    up to MAX_RESPONSE bytes. Requests to addresses that are not public raise BlockedAddress.
    """
    headers = {"user-agent": USER_AGENT, "accept-encoding": "gzip, deflate"}
    return Client(CheckedTransport(AddressRules(allow_hosts), verify=verify), timeout=timeout, headers=headers)


@lru_cache(maxsize=1024)
def parse_url(text: str) -> httpx.URL:
    """The URL, parsed once: httpx takes as long for it as for sending a request. httpx.InvalidURL if it is none."""
    return httpx.URL(text)


@lru_cache(maxsize=1024)
def _target(url: httpx.URL) -> yarl.URL:
    """The same URL for aiohttp, not encoded again."""
    if url.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol(f"{url.scheme or 'a URL without scheme'} is not http or https")
    if "%" in url.host:
        raise httpx.UnsupportedProtocol(f"{url.host!r} is not the name of a host")
    return yarl.URL(str(url.copy_with(fragment=None)), encoded=True)


def _same_origin(first: httpx.URL, second: httpx.URL) -> bool:
    """Same scheme, host and port, or the step from http to https on their usual ports."""
    upgrade = first.scheme == "http" and second.scheme == "https" and first.port is None and second.port is None
    return first.host == second.host and (upgrade or (first.scheme, first.port) == (second.scheme, second.port))


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
