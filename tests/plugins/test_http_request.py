"""http.request against a real service."""

import asyncio
import base64
import gzip
import time
from email.utils import formatdate
from typing import Any

import msgspec
import pytest

from engine.plugin import Fail, Retry, StepError
from engine.testing import run_step
from tests.plugins.service import Downstream


async def request(downstream: Downstream, path: str = "/x", **with_: Any) -> Any:
    """The step's output."""
    return (await run_step("http.request", {"url": downstream.url + path, **with_})).output


async def test_get_returns_status_headers_and_parsed_body(downstream: Downstream) -> None:
    """A GET returns what came, JSON parsed."""
    downstream.answer(200, {"n": 1}, headers={"X-Thing": "yes"})
    output = await request(downstream)
    assert (output["status"], output["body"], output["headers"]["x-thing"]) == (200, {"n": 1}, "yes")
    assert output["url"] == f"{downstream.url}/x"
    assert output["elapsed_ms"] >= 0
    assert downstream.asked[0].method == "GET"
    assert downstream.asked[0].headers["user-agent"].startswith("hookwright/")
    assert "idempotency-key" not in downstream.asked[0].headers


@pytest.mark.parametrize(
    ("with_", "content_type", "body"),
    [
        ({"json": {"a": [1, None, "ü"]}}, "application/json", '{"a":[1,null,"ü"]}'.encode()),
        ({"json": None}, "application/json", b"null"),
        ({"form": {"a": "1 2", "b": [1, True], "c": None}}, "application/x-www-form-urlencoded", b"a=1+2&b=1&b=true"),
        ({"body": "grüß"}, "text/plain; charset=utf-8", "grüß".encode()),
        ({"body": "<a/>", "headers": {"Content-Type": "text/xml"}}, "text/xml", b"<a/>"),
    ],
)
async def test_bodies_are_sent_as_written(
    downstream: Downstream, with_: dict[str, Any], content_type: str, body: bytes
) -> None:
    """json, form and body each arrive in their own form; a header of the author's wins."""
    await request(downstream, method="POST", **with_)
    assert (downstream.asked[0].headers["content-type"], downstream.asked[0].body) == (content_type, body)


async def test_query_is_added_to_the_url(downstream: Downstream) -> None:
    """Parameters join those in the URL; lists repeat the name, null is left out."""
    await request(downstream, "/x?a=0", query={"b": ["1", "ü&"], "c": True, "d": None})
    assert downstream.asked[0].query == {"a": ["0"], "b": ["1", "ü&"], "c": ["true"]}


@pytest.mark.parametrize(
    ("method", "with_", "expected"),
    [
        ("POST", {}, "run-1/step"),
        ("PATCH", {}, "run-1/step"),
        ("PUT", {}, None),  # idempotent by itself
        ("DELETE", {}, None),
        ("POST", {"idempotency_header": False}, None),
        ("POST", {"headers": {"Idempotency-Key": "mine"}}, "mine"),
    ],
)
async def test_idempotency_key_goes_with_post_and_patch(
    downstream: Downstream, method: str, with_: dict[str, Any], expected: str | None
) -> None:
    """The key goes with methods that need it, and can be left out or replaced."""
    await run_step("http.request", {"url": downstream.url, "method": method, **with_}, idempotency_key="run-1/step")
    assert downstream.asked[0].headers.get("idempotency-key") == expected


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"bearer": "abc"}, "authorization", "Bearer abc"),
        (
            {"basic": {"username": "ü", "password": "p:w"}},
            "authorization",
            "Basic " + base64.b64encode("ü:p:w".encode()).decode(),
        ),
        ({"header": {"name": "X-Api-Key", "value": "k"}}, "x-api-key", "k"),
    ],
)
async def test_credentials_become_headers(
    downstream: Downstream, auth: dict[str, Any], header: str, value: str
) -> None:
    """Each kind of credentials arrives in its header."""
    await request(downstream, auth=auth)
    assert downstream.asked[0].headers[header] == value


@pytest.mark.parametrize(
    ("status", "type_", "error"),
    [
        (400, "http.400", Fail),
        (401, "http.401", Fail),
        (404, "http.404", Fail),
        (408, "timeout", Retry),
        (425, "server_error", Retry),
        (429, "rate_limited", Retry),
        (500, "server_error", Retry),
        (503, "server_error", Retry),
        (304, "http.304", Fail),
    ],
)
async def test_statuses_become_errors(downstream: Downstream, status: int, type_: str, error: type[StepError]) -> None:
    """Every status outside 2xx has its error, with what the service said."""
    downstream.answer(status, {"why": "because"} if status != 304 else None)
    with pytest.raises(error) as caught:
        await request(downstream)
    assert caught.value.type == type_
    assert caught.value.data["status"] == status
    if status != 304:
        assert caught.value.data["body"] == {"why": "because"}
        assert f"answered {status}" in caught.value.message
        assert "because" in caught.value.message


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("7", 7, 7), ("0", 0, 0), ("a date in an hour", 3500, 3600), ("999999999", 86400, 86400)],
)
async def test_retry_after_is_read_as_seconds_or_date(
    downstream: Downstream, text: str, low: float, high: float
) -> None:
    """Retry-After is honoured in both its forms, up to a day."""
    if text == "a date in an hour":
        text = formatdate(time.time() + 3600, usegmt=True)
    downstream.answer(429, headers={"Retry-After": text})
    with pytest.raises(Retry) as caught:
        await request(downstream)
    assert caught.value.after is not None
    assert low <= caught.value.after <= high


@pytest.mark.parametrize("text", ["soon", "nan", "-5", "Mon, 99 Foo"])
async def test_nonsense_in_retry_after_does_no_harm(downstream: Downstream, text: str) -> None:
    """A Retry-After nobody can read counts as none."""
    downstream.answer(503, headers={"Retry-After": text})
    with pytest.raises(Retry) as caught:
        await request(downstream)
    assert not caught.value.after


async def test_expected_statuses_are_results(downstream: Downstream) -> None:
    """With `expect`, exactly those statuses are a success."""
    downstream.answer(404, {"gone": True})
    output = await request(downstream, expect=[200, 404])
    assert (output["status"], output["body"]) == (404, {"gone": True})
    downstream.answer(201, {})
    with pytest.raises(Fail) as caught:
        await request(downstream, expect=[200])
    assert caught.value.type == "http.201"


async def test_redirects_are_errors_unless_followed(downstream: Downstream) -> None:
    """A 3xx says where it points; with follow_redirects the end of the way is returned."""
    downstream.answer(302, headers={"Location": "/there"})
    with pytest.raises(Fail) as caught:
        await request(downstream)
    assert caught.value.type == "http.302"
    assert "/there" in caught.value.message
    assert "follow_redirects" in caught.value.message
    downstream.answer(302, headers={"Location": "/there"})
    output = await request(downstream, follow_redirects=True)
    assert output["url"] == f"{downstream.url}/there"


async def test_redirect_loops_end(downstream: Downstream) -> None:
    """A service that sends us in circles is given up."""
    for _ in range(30):
        downstream.answer(302, headers={"Location": "/x"})
    with pytest.raises(Fail) as caught:
        await request(downstream, follow_redirects=True)
    assert caught.value.type == "redirects"


async def test_credentials_stay_with_their_host(downstream: Downstream) -> None:
    """A redirect to another origin carries no credentials of ours, whatever their header is called."""
    other = f"http://localhost:{downstream.port}/other"
    for auth in ({"bearer": "abc"}, {"header": {"name": "X-Api-Key", "value": "abc"}}):
        downstream.asked.clear()
        downstream.answer(302, headers={"Location": other})
        await request(downstream, auth=auth, follow_redirects=True)
        assert "abc" in str(downstream.asked[0].headers)
        assert "abc" not in str(downstream.asked[1].headers)


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/problem+json; charset=utf-8", b"[1]", [1]),
        ("application/json", b"{broken", "{broken"),
        ("application/json", b"", None),
        ("text/html; charset=iso-8859-1", "grüß".encode("latin-1"), "grüß"),
        ("application/octet-stream", b"\xff\x00\x01", base64.b64encode(b"\xff\x00\x01").decode()),
        ("application/octet-stream", b"plain", "plain"),
        ("", b"", None),
    ],
)
async def test_auto_reads_the_body_by_its_type(
    downstream: Downstream, content_type: str, body: bytes, expected: Any
) -> None:
    """JSON is parsed, text is text, anything else base64; nothing raises."""
    downstream.answer(200, body, headers={"content-type": content_type} if content_type else {})
    assert (await request(downstream))["body"] == expected


async def test_other_readings_can_be_asked_for(downstream: Downstream) -> None:
    """text, base64 and json read the body their way, whatever its type."""
    for wanted, expected in (
        ("text", '{"a":1}'),
        ("base64", base64.b64encode(b'{"a":1}').decode()),
        ("json", {"a": 1}),
    ):
        downstream.answer(200, b'{"a":1}', headers={"content-type": "text/plain"})
        assert (await request(downstream, response=wanted))["body"] == expected
    downstream.answer(200, "<html>", headers={"content-type": "text/html"})
    with pytest.raises(Fail) as caught:
        await request(downstream, response="json")
    assert caught.value.type == "invalid_response"
    assert "<html>" in caught.value.message


async def test_compressed_answers_are_unpacked(downstream: Downstream) -> None:
    """gzip is asked for and understood."""
    downstream.answer(
        200, gzip.compress(b'{"a": 1}'), headers={"content-encoding": "gzip", "content-type": "application/json"}
    )
    assert (await request(downstream))["body"] == {"a": 1}


async def test_a_cut_connection_is_a_network_error(downstream: Downstream) -> None:
    """A reset and a body that ends too early are worth another attempt."""
    downstream.answer(reset=True)
    with pytest.raises(Retry) as caught:
        await request(downstream, method="POST", json={})
    assert caught.value.type == "network"
    downstream.answer(200, {"a": 1}, short=100)
    with pytest.raises(Retry) as caught:
        await request(downstream)
    assert caught.value.type == "network"


async def test_nobody_listening_is_a_network_error(unused_tcp_port: int) -> None:
    """A refused connection is tried a few times and then a network error."""
    with pytest.raises(Retry) as caught:
        await run_step("http.request", {"url": f"http://127.0.0.1:{unused_tcp_port}/"})
    assert caught.value.type == "network"


async def test_an_answer_that_drips_is_a_timeout(downstream: Downstream) -> None:
    """The limit is for the whole answer, not for each part of it."""
    downstream.answer(200, "x" * 100, drip=True)
    with pytest.raises(Retry) as caught:
        await request(downstream, timeout="200ms")
    assert caught.value.type == "timeout"
    await asyncio.wait_for(downstream.left.wait(), 5)


async def test_silence_is_a_timeout(downstream: Downstream) -> None:
    """No answer within `timeout` is worth another attempt, and the connection is closed."""
    downstream.answer(hold=True)
    with pytest.raises(Retry) as caught:
        await request(downstream, timeout="50ms")
    assert caught.value.type == "timeout"
    assert "0.05 s" in caught.value.message


@pytest.mark.parametrize(
    ("url", "type_"),
    [
        ("not a url", "invalid_input"),
        ("/relative", "invalid_input"),
        ("ftp://example.com/", "invalid_input"),
        ("http://", "invalid_input"),
        ("http://[::1", "invalid_input"),
        ("http://exa mple.com/", "invalid_input"),
        ("", "invalid_input"),
        ("file:///etc/passwd", "invalid_input"),
    ],
)
async def test_what_is_no_url_is_refused(url: str, type_: str) -> None:
    """A wrong URL fails at once with its own error type."""
    with pytest.raises(Fail) as caught:
        await run_step("http.request", {"url": url})
    assert caught.value.type == type_


async def test_headers_cannot_smuggle(downstream: Downstream) -> None:
    """A line break in a header is an error, not a second header; so is what no header can hold."""
    for value in ("a\r\nX-Evil: 1", "a\nb", "ü€"):
        with pytest.raises(Fail) as caught:
            await request(downstream, headers={"X-A": value})
        assert caught.value.type == "invalid_input"
    with pytest.raises(Fail):
        await request(downstream, headers={"X A": "b"})
    assert all("x-evil" not in asked.headers for asked in downstream.asked)


@pytest.mark.parametrize(
    ("with_", "message"),
    [
        ({}, "missing required field `url`"),
        ({"url": "http://x", "json": 1, "body": "x"}, "one body at a time"),
        ({"url": "http://x", "timeout": "5"}, "`timeout`: '5' is not a duration"),
        ({"url": "http://x", "auth": {}}, "exactly one of"),
        ({"url": "http://x", "auth": {"bearer": "a", "basic": {"username": "b"}}}, "exactly one of"),
        ({"url": "http://x", "methdo": "GET"}, "unknown field `methdo`"),
        ({"url": "http://x", "method": "get"}, "Invalid enum value 'get'"),
        ({"url": 5}, "Expected `str`"),
        ({"url": "http://x", "expect": [99]}, "at `$.expect[0]`"),
    ],
)
async def test_wrong_config_is_named(with_: dict[str, Any], message: str) -> None:
    """What is wrong in `with` is said in words."""
    with pytest.raises(msgspec.ValidationError) as caught:
        await run_step("http.request", with_)
    assert message in str(caught.value)
