"""Trying expressions on stored events: the API's operation, the command that uses it, and the page."""

import asyncio
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from litestar import Litestar

from engine.cli.app import run
from engine.core.ids import uuid7
from engine.pipeline.evaluation import LONGEST
from tests.integration.web.conftest import connect_to
from tests.integration.web.seed import SCRIPT, Seed
from tests.integration.web.serving import serve
from tests.integration.web.test_dashboard_pages import Executable, shown

URL = "/api/v1/expressions/evaluate"


async def ask(client: httpx.AsyncClient, expression: str, **more: Any) -> dict[str, Any]:
    answer = await client.post(URL, json={"expression": expression, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_an_expression_is_evaluated(api: httpx.AsyncClient, seed: Seed) -> None:
    """On the event as pipelines see it, with inputs; the paths come with their values."""
    event = await seed.event(body=b'{"n": 7, "list": [1, 2]}')
    found = await ask(api, "event.body.n + inputs.m", event_id=str(event.id), inputs={"m": 1})
    assert (found["value"], found["kind"], found["type"]) == (8, "a number", "a whole number")
    assert found["values"] == {"event.body.n": 7, "inputs.m": 1}
    found = await ask(api, "${{ event.type }}: ${{ event.body.list | length }}", event_id=str(event.id))
    assert found["value"] == "issues.opened: 2"


async def test_a_mistake_is_an_answer(api: httpx.AsyncClient, seed: Seed) -> None:
    """With its place; status 200, because the request was right."""
    event = await seed.event(body=b'{"title": "x"}')
    error = (await ask(api, "event.body.titel", event_id=str(event.id)))["error"]
    assert (error["code"], error["column"], error["length"]) == ("E221", 1, 16)
    assert "did you mean `title`?" in error["help"]
    assert (await ask(api, "secrets.TOKEN"))["error"]["message"] == "secrets cannot be used here"
    assert (await ask(api, "event.body"))["error"]["code"] == "E206"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"expression": "1", "event_id": str(uuid7())}, 404),
        ({"expression": "1", "event_id": "x"}, 400),
        ({"expression": ""}, 400),
        ({"expression": "x" * (LONGEST + 1)}, 400),
        ({"expression": "1", "inputs": []}, 400),
        ({"expression": "1", "secrets": {}}, 400),
        ({}, 400),
    ],
)
async def test_wrong_requests_are_problems(api: httpx.AsyncClient, body: dict[str, Any], status: int) -> None:
    """application/problem+json, as everywhere."""
    answer = await api.post(URL, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_command_asks_the_api(
    app: Litestar, token: str, seed: Seed, capsys: pytest.CaptureFixture[str]
) -> None:
    """`hookwright eval --event ID` shows what the API says."""
    event = await seed.event(body=b'{"n": 7}')
    async with serve(app) as url:
        where = ["--event", str(event.id), "--url", url, "--token", token]
        assert await asyncio.to_thread(run, ["eval", "event.body.n + inputs.m", "--inputs", '{"m": 1}', *where]) == 0
        assert capsys.readouterr().out == "8\n"
        assert await asyncio.to_thread(run, ["eval", "event.body.m", *where]) == 1
        assert "1 | event.body.m\n  | ^^^^^^^^^^^^\n" in capsys.readouterr().err
        missing = ["eval", "1", "--event", str(uuid7()), "--url", url, "--token", token]
        assert await asyncio.to_thread(run, missing) == 1
        assert "There is no event" in capsys.readouterr().err


async def test_nobody_may_ask_without_a_key(anonymous: httpx.AsyncClient, seed: Seed) -> None:
    """As for reading events; the page leads to the sign-in."""
    event = await seed.event()
    assert (await anonymous.post(URL, json={"expression": "1", "event_id": str(event.id)})).status_code == 401
    assert (await anonymous.get("/console")).headers["location"].startswith("/login")
    assert (await anonymous.post("/console", data={"expression": "1"})).status_code in (303, 401)


async def test_another_site_cannot_ask(app: Any, browser: httpx.AsyncClient) -> None:
    """A form of another page is refused, though the cookie is there."""
    async with connect_to(app, headers={"Origin": "https://evil.example"}, cookies=browser.cookies) as stranger:
        answer = await stranger.post("/console", data={"expression": "1"})
    assert answer.status_code == 403


async def test_heavy_work_is_refused(api: httpx.AsyncClient, seed: Seed) -> None:
    """The expression's own limits hold; the server goes on answering."""
    event = await seed.event(body=b"[" + b"1," * 20_000 + b"1]")
    heavy = "event.body | map(a => event.body | map(b => event.body | length))"
    assert (await ask(api, heavy, event_id=str(event.id)))["error"]["code"] == "E222"


async def test_the_page_shows_value_type_and_paths(browser: httpx.AsyncClient, seed: Seed) -> None:
    """For the newest event if none is named; an address can carry an expression."""
    event = await seed.event(body=b'{"n": 7}')
    page = await shown(browser, "/console")
    assert f'value="{event.id}" selected' in page
    page = await shown(browser, "/console?" + urlencode({"event": event.id, "expression": "event.body.n * 6"}))
    assert "a whole number" in page
    assert "42" in page
    answer = await browser.post("/console", data={"expression": "event.body.m", "event": str(event.id)})
    assert "<code>event.body.m</code> is not there" in answer.text
    assert "^^^^^^^^^^^^" in answer.text


async def test_an_older_event_is_chosen_by_its_id(browser: httpx.AsyncClient, seed: Seed) -> None:
    """The id wins over the list; a wrong one is explained on the page."""
    older = await seed.event("older", body=b'{"n": "first"}')
    newer = await seed.event("newer")
    data = {"expression": "event.type", "event": str(newer.id), "id": f" {older.id} "}
    assert "older" in (await browser.post("/console", data=data)).text.partition('id="tried"')[2]
    for wrong, message in (("x'", "x&#39; is not an event&#39;s id."), (str(uuid7()), "There is no event")):
        assert message in (await browser.post("/console", data=data | {"id": wrong})).text


async def test_an_empty_installation_has_a_console(browser: httpx.AsyncClient) -> None:
    """Literals work, and a sample is suggested."""
    assert "hookwright send" in await shown(browser, "/console")
    assert "3" in (await browser.post("/console", data={"expression": "1 + 2"})).text


async def test_an_event_leads_to_the_console(browser: httpx.AsyncClient, seed: Seed) -> None:
    """A button on its page."""
    event = await seed.event()
    assert f'href="/console?event={event.id}"' in await shown(browser, f"/events/{event.id}")


@pytest.mark.parametrize("expression", [SCRIPT, f"'{SCRIPT}'", "event.body.html", f"event.body['{SCRIPT}']", "event"])
async def test_hostile_texts_are_inert(browser: httpx.AsyncClient, seed: Seed, expression: str) -> None:
    """In what is typed, in values, in messages and in the event."""
    event = await seed.event(body=b'{"html": "' + SCRIPT.encode() + b'"}')
    page = (await browser.post("/console", data={"expression": expression, "event": str(event.id)})).text
    assert SCRIPT not in page
    assert Executable(page).found == []


@pytest.mark.parametrize("body", [b'{"n": 123456789012345678901234567890}', b"\xff\x00", b"[" * 900 + b"]" * 900, b""])
async def test_odd_bodies_are_shown(browser: httpx.AsyncClient, seed: Seed, body: bytes) -> None:
    """No payload breaks the page."""
    event = await seed.event(body=body)
    data = {"expression": "event.body", "event": str(event.id)}
    assert (await browser.post("/console", data=data)).status_code == 200
