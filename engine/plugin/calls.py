"""Calling other services from a step: one request, its failures in the engine's words."""

import asyncio
import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import httpx
import msgspec
import stamina

from engine.core.failure import Fail, Retry

EXCERPT = 2000  # characters of an unwelcome response that are kept in `error.data`
LONGEST_WAIT = 86400.0  # seconds; a Retry-After beyond it is taken for a mistake
RETRYABLE = {408: "timeout", 425: "server_error", 429: "rate_limited"}  # besides 5xx
CONNECTS = stamina.AsyncRetryingCaller(attempts=3, timeout=5.0, wait_initial=0.1, wait_max=1.0, wait_jitter=0.1)


async def send_request(
    client: httpx.AsyncClient,
    method: str,
    url: httpx.URL | str,
    *,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float,  # noqa: ASYNC109 - it becomes an error of our own
    follow_redirects: bool = False,
    label: str | None = None,
) -> httpx.Response:
    """One request with its body read, whatever its status. A connection that cannot be made is tried three times.

    timeout: seconds for all of it. label: what messages call the other side where its URL
    is a secret; None: method and URL without query. Raises Retry (`timeout`, `network`) or
    Fail (`invalid_input`, `blocked_address`, `response_too_large`, `redirects`).
    """
    try:
        request = client.build_request(method, url, content=content, headers=dict(headers or {}), timeout=timeout)
    except (httpx.InvalidURL, UnicodeError, ValueError, TypeError) as error:
        raise Fail(f"this is no request one can send: {error}", type="invalid_input") from None
    if not request.url.host:
        raise Fail(f"{label or repr(str(url))} is not a URL: write https://host/path", type="invalid_input")
    try:
        async with asyncio.timeout(timeout):
            try:
                return await client.send(request, follow_redirects=follow_redirects)
            except httpx.ConnectError:  # nothing was sent: safe for any method
                return await CONNECTS(httpx.ConnectError, client.send, request, follow_redirects=follow_redirects)
    except TimeoutError:
        where = label or f"{method} {shown(request.url)}"
        raise Retry(f"{where}: no complete answer within {timeout:g} s", type="timeout") from None
    except httpx.HTTPError as error:
        raise translate(error, where=label or f"{method} {shown(request.url)}", timeout=timeout) from error


def translate(error: httpx.HTTPError, *, where: str, timeout: float) -> Fail | Retry:
    """The engine's error for an exception of httpx."""
    text = str(error) or type(error).__name__
    match error:
        case httpx.ConnectTimeout():
            return Retry(f"{where}: no connection within {timeout:g} s", type="timeout")
        case httpx.TimeoutException():
            return Retry(f"{where}: no answer within {timeout:g} s", type="timeout")
        case httpx.TooManyRedirects():
            return Fail(f"{where}: {text}", type="redirects")
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            return Fail(f"{where}: {text}", type="invalid_input")
        case httpx.DecodingError():
            return Fail(f"{where}: the body is not compressed as the header says: {text}", type="invalid_response")
        case _:
            return Retry(f"{where}: {text}", type="network")


def raise_for_status(response: httpx.Response, *, hint: str = "") -> NoReturn:
    """Raise for a status that was not wanted: `rate_limited`, `server_error`, `timeout`, or `http.404` and the like."""
    status = response.status_code
    where = f"{response.request.method} {shown(response.request.url)}"
    excerpt = response.text[:EXCERPT]
    line = " ".join(excerpt.split())[:200]
    message = f"{where} answered {status} {response.reason_phrase}".rstrip() + (f": {line}" if line else "")
    data = {"status": status, "headers": dict(response.headers), "body": _excerpt(response, excerpt)}
    if status >= 500 or status in RETRYABLE:
        after = retry_after(response.headers)
        raise Retry(message + hint, type=RETRYABLE.get(status, "server_error"), after=after, data=data)
    raise Fail(message + hint, type=f"http.{status}", data=data)


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Seconds that a Retry-After header asks to wait, as number or as HTTP date (RFC 9110 10.2.3); None without one."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - (time.time() if now is None else now)
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else None


def shown(url: httpx.URL) -> str:
    """The URL for messages: without credentials and without its query, which may hold a token."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _excerpt(response: httpx.Response, text: str) -> Any:
    if len(response.content) <= EXCERPT and "json" in response.headers.get("content-type", ""):
        try:
            return msgspec.json.decode(response.content)
        except msgspec.DecodeError:
            return text
    return text
