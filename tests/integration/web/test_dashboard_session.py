"""Signing in and out of the dashboard."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from litestar import Litestar

from engine.runtime import Runtime
from engine.web.dashboard.login import own_path
from tests.integration.web.conftest import ORIGIN, connect_to


async def test_pages_ask_to_sign_in_and_lead_back(anonymous: httpx.AsyncClient, token: str) -> None:
    """Who follows a link to a run signs in and sees it."""
    away = await anonymous.get("/runs?status=failed")
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=%2Fruns%3Fstatus%3Dfailed")
    form = await anonymous.get(away.headers["location"])
    assert 'name="next" value="/runs?status=failed"' in form.text
    back = await anonymous.post(
        "/login", data={"token": f" {token}\n", "next": "/runs?status=failed"}, headers={"Origin": ORIGIN}
    )
    assert (back.status_code, back.headers["location"]) == (303, "/runs?status=failed")


async def test_the_cookie_is_locked_down(anonymous: httpx.AsyncClient, token: str) -> None:
    """HttpOnly, SameSite=Strict, and not the API token itself."""
    answer = await anonymous.post("/login", data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie  # plain http here
    assert token not in cookie


async def test_a_wrong_token_stays_outside(anonymous: httpx.AsyncClient) -> None:
    """The form comes back with a message."""
    for wrong in ("hw_wrong", "", "\x00", "ü" * 100):
        answer = await anonymous.post("/login", data={"token": wrong}, headers={"Origin": ORIGIN})
        assert answer.status_code == 403
        assert "unknown or has expired" in answer.text


async def test_another_site_cannot_sign_a_browser_in(anonymous: httpx.AsyncClient, token: str) -> None:
    """Login forgery is refused."""
    answer = await anonymous.post("/login", data={"token": token}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_a_sign_in_link_works_once(app: Litestar, runtime: Runtime) -> None:
    """The code of `hookwright up`'s link is used up by the first visit."""
    code = await runtime.store.create_api_key("up", "login", datetime.now(UTC) + timedelta(minutes=10))
    async with connect_to(app) as first, connect_to(app) as second:
        welcome = await first.get(f"/login?code={code}")
        assert (welcome.status_code, welcome.headers["refresh"]) == (200, "0; url=/")
        assert (await first.get("/")).status_code == 200
        assert (await second.get(f"/login?code={code}")).status_code == 403
        assert (await second.get("/")).status_code == 303


async def test_an_expired_session_is_over(app: Litestar, runtime: Runtime) -> None:
    """Also if its cookie is still there."""
    old = await runtime.store.create_api_key("old", "session", datetime.now(UTC) - timedelta(seconds=1))
    async with connect_to(app, cookies={"hookwright_session": old}) as client:
        assert (await client.get("/runs")).status_code == 303


async def test_signing_out_forgets_the_session(browser: httpx.AsyncClient) -> None:
    """The cookie goes, and would not help any more."""
    answer = await browser.post("/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert (await browser.get("/")).status_code == 303


async def test_htmx_is_sent_to_the_sign_in_page_as_a_whole(anonymous: httpx.AsyncClient) -> None:
    """An expired session must not put the sign-in form into a part of the page."""
    answer = await anonymous.get("/runs", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "/\nx"]
)
def test_next_never_leads_elsewhere(target: str) -> None:
    """Only paths on this server."""
    assert own_path(target) == "/"
