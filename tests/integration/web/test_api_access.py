"""Who may use the API, and how errors look."""

import httpx
import pytest

from engine.runtime import Runtime
from tests.integration.web.conftest import ORIGIN, connect_to

PROBLEM = "application/problem+json"


@pytest.mark.parametrize("path", ["/api/v1/runs", "/api/v1/events", "/api/v1/pipelines", "/live"])
async def test_without_a_token_everything_is_refused(anonymous: httpx.AsyncClient, path: str) -> None:
    """No token: 401 that says how to come in."""
    answer = await anonymous.get(path)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["www-authenticate"] == 'Bearer realm="hookwright"'
    assert answer.json()["title"] == "Unauthorized"


@pytest.mark.parametrize("header", ["Bearer hw_wrong", "Bearer ", "Basic aHc6aHc=", "Bearer " + "x" * 5000, "hw_wrong"])
async def test_a_wrong_token_is_refused(anonymous: httpx.AsyncClient, header: str) -> None:
    """Unknown, empty, overlong and misplaced tokens get the same answer."""
    answer = await anonymous.get("/api/v1/runs", headers={"Authorization": header})
    assert answer.status_code == 401


async def test_a_session_token_is_no_api_token(runtime: Runtime, anonymous: httpx.AsyncClient) -> None:
    """A stolen cookie value cannot be used as a bearer token, nor a sign-in code."""
    for kind in ("session", "login"):
        token = await runtime.store.create_api_key("x", kind)
        answer = await anonymous.get("/api/v1/runs", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


async def test_the_api_opens_to_a_signed_in_browser(browser: httpx.AsyncClient) -> None:
    """Our own pages may call the API with their cookie."""
    assert (await browser.get("/api/v1/runs")).status_code == 200


async def test_another_site_cannot_use_the_cookie(browser: httpx.AsyncClient) -> None:
    """An unsafe call from another origin, or from nowhere, is refused."""
    url = "/api/v1/pipelines/greet/runs"
    evil = await browser.post(url, json={}, headers={"Origin": "https://evil.example"})
    fetched = await browser.post(url, json={}, headers={"Sec-Fetch-Site": "cross-site"})
    browser.headers.pop("Origin")
    silent = await browser.post(url, json={})
    assert [evil.status_code, fetched.status_code, silent.status_code] == [403, 403, 403]


async def test_a_revoked_session_ends_at_once(app: object, token: str, runtime: Runtime) -> None:
    """Signing out ends the session in this process without delay."""
    async with connect_to(app, headers={"Origin": ORIGIN}) as client:  # type: ignore[arg-type]
        await client.post("/login", data={"token": token})
        cookie = client.cookies["hookwright_session"]
        await client.post("/logout")
        client.cookies.set("hookwright_session", cookie)
        assert (await client.get("/api/v1/runs")).status_code == 401


async def test_unknown_addresses_are_problems(api: httpx.AsyncClient) -> None:
    """404 and 405 are problem+json below /api."""
    missing = await api.get("/api/v1/nothing")
    wrong = await api.delete("/api/v1/runs")
    assert (missing.status_code, missing.headers["content-type"]) == (404, PROBLEM)
    assert (wrong.status_code, wrong.headers["content-type"]) == (405, PROBLEM)
    assert missing.json()["instance"] == "/api/v1/nothing"


async def test_every_answer_has_the_security_headers(api: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    """Errors and unknown addresses included."""
    for answer in [await api.get("/api/v1/runs"), await anonymous.get("/nowhere"), await anonymous.get("/login")]:
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"


async def test_health_needs_no_token(anonymous: httpx.AsyncClient) -> None:
    """Probes come in without a key."""
    alive = await anonymous.get("/healthz")
    ready = await anonymous.get("/readyz")
    assert alive.json() == {"status": "ok"}
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "postgresql": "ok", "redis": "ok"})


async def test_metrics_tell_what_is_open(anonymous: httpx.AsyncClient, seed: "object") -> None:
    """Prometheus text with requests by route and runs by status."""
    await anonymous.get("/api/v1/runs/123")
    await seed.run()  # type: ignore[attr-defined]
    text = (await anonymous.get("/metrics")).text
    assert 'hookwright_requests_total{method="GET",route="/api/v1/runs/{run_id}",status="401"}' in text
    assert 'hookwright_runs{status="queued"} 1.0' in text
    assert 'hookwright_up{dependency="redis"} 1.0' in text
