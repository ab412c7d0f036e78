"""The one HTTP client of a process: httpx's API, made short, with the address check in its transport."""

import ssl
import time
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from engine import __version__
from engine.core.address import AddressRules
from engine.http_client.transport import MAX_RESPONSE, CheckedTransport, ResponseTooLarge

__all__ = ["MAX_RESPONSE", "ResponseTooLarge", "create_client", "parse_url"]

TIMEOUT = httpx.Timeout(30.0, connect=10.0, pool=30.0)  # seconds; the step's own timeout is above these
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


def create_client(
    allow_hosts: Iterable[str] = (), *, timeout: httpx.Timeout = TIMEOUT, verify: ssl.SSLContext | None = None
) -> httpx.AsyncClient:
    """The client that steps get. One per process; close it. ConfigurationError for a malformed allow_hosts entry.

    No redirects unless asked for, no cookies kept, no proxies or credentials from the environment. Responses are read
    up to MAX_RESPONSE bytes. Requests to addresses that are not public raise BlockedAddress.
    """
    headers = {"user-agent": USER_AGENT, "accept-encoding": "gzip, deflate"}
    return Client(CheckedTransport(AddressRules(allow_hosts), verify=verify), timeout=timeout, headers=headers)


class Client(httpx.AsyncClient):
    """httpx.AsyncClient with a short way for the usual request.

    httpx spends more time on merging, cookies and redirects than the connection takes; where none of these is asked
    for, build_request() and send() leave them out. Everything else goes httpx's own way.
    """

    def __init__(self, transport: CheckedTransport, *, timeout: httpx.Timeout, headers: dict[str, str]) -> None:
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


@lru_cache(maxsize=1024)
def parse_url(text: str) -> httpx.URL:
    """The URL, parsed once: httpx takes as long for it as for sending a request. httpx.InvalidURL if it is none."""
    return httpx.URL(text)


def _same_origin(first: httpx.URL, second: httpx.URL) -> bool:
    """Same scheme, host and port, or the step from http to https on their usual ports."""
    upgrade = first.scheme == "http" and second.scheme == "https" and first.port is None and second.port is None
    return first.host == second.host and (upgrade or (first.scheme, first.port) == (second.scheme, second.port))
