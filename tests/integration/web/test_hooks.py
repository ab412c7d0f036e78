"""Deliveries from the first byte to the answer and the rows, in process."""

import asyncio
import json
import os
import random
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from engine.core.event import view
from engine.embedded import Databases, start_databases
from engine.store import RunFilter, migrate
from engine.web.app import create_app
from tests.integration.web.receiving import SECRETS, Site, open_site

ODD_BODIES = {
    "empty": b"",
    "nul": b'{"a": "\x00"}',
    "escaped nul": b'{"a": "\\u0000"}',
    "not utf-8": b"\xff\xfe{}",
    "lone surrogate": b'{"a": "\\ud800"}',
    "nan": b'{"a": NaN, "b": Infinity}',
    "duplicate keys": b'{"a": 1, "a": 2}',
    "huge integer": b'{"a": ' + b"9" * 400 + b"}",
    "large integer": b'{"a": 18446744073709551616}',
    "huge float": b'{"a": 1e999}',
    "deep": b"[" * 9_000 + b"]" * 9_000,
    "unclosed": b'{"a": [',
    "scalar": b"7",
    "bom": b"\xef\xbb\xbf{}",
    "proto": b'{"__proto__": {"a": 1}, "": null}',
    "template": b'{"a": "${{ secrets.TOKEN }} {{ 7*7 }}"}',
    "binary": bytes(range(256)),
}


@pytest.fixture
async def site(tmp_path: Path, database_url: str, redis_url: str) -> AsyncIterator[Site]:
    async with open_site(tmp_path, database_url, redis_url) as opened:
        yield opened


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(site) as opened:
        yield opened


def connect(site: Site) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(site.runtime)), base_url="http://test")


async def test_a_signed_delivery_is_stored_and_starts_runs(site: Site, client: httpx.AsyncClient) -> None:
    """202 with the event's id and the runs; event, decisions and runs are in the tables, and the bell has rung."""
    headers, body = site.sign("github", "issues.opened")
    answer = await client.post("/hooks/github", headers=headers, content=body)

    assert answer.status_code == 202, answer.text
    told = answer.json()
    (run,) = told["runs"]
    assert run["pipeline"] == "triage"
    assert run["status_url"] == f"http://127.0.0.1:8000/api/v1/runs/{run['id']}"
    assert told["duplicate"] is False

    event = await site.event(answer)
    assert event.body == body
    assert (event.source, event.type, event.method, event.path) == ("github", "issues.opened", "POST", "github")
    assert event.delivery_id == headers["x-github-delivery"]

    (row,), _ = await site.runtime.store.list_runs(RunFilter())
    assert (str(row.id), row.pipeline, row.status, row.event_id) == (run["id"], "triage", "queued", event.id)
    assert row.labels == {"repository": "Codertocat/Hello-World"}
    async with asyncio.timeout(10):
        while await site.runtime.queue.depth() != 1:
            await asyncio.sleep(0.01)


async def test_every_trigger_of_a_path_is_decided(site: Site, client: httpx.AsyncClient) -> None:
    """Each pipeline that listens says why it did or did not start; one that fails disturbs nobody."""
    headers, body = site.sign("github", "issues.opened")
    answer = await client.post("/hooks/github", headers=headers, content=body)
    decisions = await site.decisions(answer)

    assert {name: decision.reason for name, decision in decisions.items()} == {
        "triage": "matched",
        "pulls": "event_type",
        "broken": "condition_error",
        "off": "disabled",
    }
    assert "event.body.no" in decisions["broken"].detail["error"]


async def test_a_condition_that_is_false(site: Site, client: httpx.AsyncClient) -> None:
    """The decision names the value that decided."""
    body = json.dumps({"action": "opened", "sender": {"type": "Bot"}, "issue": {"number": 1}}).encode()
    headers, _ = site.sign("github", body=body)
    answer = await client.post("/hooks/github", headers=headers | {"x-github-event": "issues"}, content=body)

    assert answer.status_code == 202
    assert answer.json()["runs"] == []
    decision = (await site.decisions(answer))["triage"]
    assert decision.reason == "condition_false"
    assert decision.detail["values"]["event.body.sender.type"] == "Bot"


async def test_inputs_that_do_not_fit(site: Site, client: httpx.AsyncClient) -> None:
    """A trigger whose inputs are refused starts nothing, and the sender is not blamed."""
    body = json.dumps({"action": "opened", "sender": {"type": "User"}, "issue": {"number": "seven"}}).encode()
    headers, _ = site.sign("github", body=body)
    answer = await client.post("/hooks/github", headers=headers | {"x-github-event": "issues"}, content=body)

    assert answer.status_code == 202
    assert (await site.decisions(answer))["triage"].reason == "invalid_inputs"


async def test_a_repeat_gets_the_first_ones_answer(site: Site, client: httpx.AsyncClient) -> None:
    """200 with the same event and runs; nothing is stored twice, however many come at once."""
    headers, body = site.sign("github", "issues.opened")
    answers = await asyncio.gather(
        *(client.post("/hooks/github", headers=headers, content=body) for _ in range(12)),
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [202]
    assert len({answer.json()["event_id"] for answer in answers}) == 1
    assert len({json.dumps(answer.json()["runs"]) for answer in answers}) == 1
    assert [answer.json()["duplicate"] for answer in answers if answer.status_code == 200] == [True] * 11
    assert len(await site.events()) == 1
    assert len((await site.runtime.store.list_runs(RunFilter()))[0]) == 1


async def test_the_same_id_on_another_path_is_another_delivery(site: Site, client: httpx.AsyncClient) -> None:
    """Dedup is a path's own business."""
    first = await client.post("/hooks/open/a", headers={"X-Id": "7"}, content=b"{}")
    second = await client.post("/hooks/open/b", headers={"X-Id": "7"}, content=b"{}")
    assert (first.status_code, second.status_code) == (202, 202)


async def test_deliveries_without_an_id_all_count(site: Site, client: httpx.AsyncClient) -> None:
    """Nothing is guessed to be a repeat."""
    for _ in range(2):
        assert (await client.post("/hooks/open/a", content=b"{}")).status_code == 202
    assert len(await site.events()) == 2


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"X-Hub-Signature-256": "sha256=" + "0" * 64}, "the signature does not match"),
        ({"X-Hub-Signature-256": ""}, "no X-Hub-Signature-256 header"),
        ({"X-Hub-Signature-256": b"\xff\x00\xfe".replace(b"\x00", b"")}, "does not start with sha256="),
    ],
)
async def test_a_bad_signature_leaves_nothing_behind(
    site: Site, client: httpx.AsyncClient, changed: dict[str, Any], why: str
) -> None:
    """401 as a problem that says why, a log line, and no row."""
    headers, body = site.sign("github", "issues.opened")
    with structlog.testing.capture_logs() as lines:
        answer = await client.post("/hooks/github", headers=[*(headers | changed).items()], content=body)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert why in answer.json()["detail"]
    assert answer.headers["www-authenticate"]
    assert await site.events() == []
    (line,) = [line for line in lines if line["event"] == "delivery.refused"]
    assert (line["path"], line["reason"], line["status"], line["log_level"]) == ("github", "signature", 401, "info")
    assert SECRETS["HOOKWRIGHT_SECRET_GITHUB"] not in str(lines)


async def test_one_line_for_an_accepted_delivery(site: Site, client: httpx.AsyncClient) -> None:
    """It has the facts and neither payload nor secret."""
    headers, body = site.sign("github", "issues.opened")
    with structlog.testing.capture_logs() as lines:
        answer = await client.post("/hooks/github", headers=headers, content=body)
    (line,) = [line for line in lines if line["event"].startswith("delivery.")]
    assert line.pop("ms") > 0
    assert line == {
        "event": "delivery.accepted",
        "log_level": "info",
        "path": "github",
        "bytes": len(body),
        "source": "github",
        "type": "issues.opened",
        "event_id": answer.json()["event_id"],
        "runs": 1,
        "duplicate": False,
    }


@pytest.mark.parametrize(
    "path", ["nobody", "", "github/more", "open", "open/a/b", "../hooks/nobody", "%00", "x" * 5000]
)
async def test_unknown_paths(client: httpx.AsyncClient, path: str) -> None:
    """404 as a problem."""
    answer = await client.post(f"/hooks/{path}", content=b"{}")
    assert answer.status_code == 404
    assert answer.json()["status"] == 404


async def test_a_path_that_only_begins_like_ours(client: httpx.AsyncClient) -> None:
    """/hooksgithub is not /hooks/github."""
    assert (await client.post("/hooksgithub", content=b"{}")).status_code == 404


async def test_wrong_methods(client: httpx.AsyncClient) -> None:
    """405 with what is allowed."""
    for method in ("GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND"):
        answer = await client.request(method, "/hooks/open/a")
        assert answer.status_code == 405, method
        assert answer.headers["allow"] == "POST, PUT"
    assert (await client.put("/hooks/open/a", content=b"{}")).status_code == 202


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
async def test_odd_bodies_are_stored_as_they_came(site: Site, client: httpx.AsyncClient, content_type: str) -> None:
    """202, byte for byte, and the event can be looked at."""
    for name, body in ODD_BODIES.items():
        answer = await client.post("/hooks/open/a", headers={"content-type": content_type}, content=body)
        assert answer.status_code == 202, name
        event = await site.event(answer)
        assert event.body == body, name
        view(event)
        (decision,) = (await site.decisions(answer)).values()
        assert decision.reason in ("matched", "invalid_inputs"), name


async def test_random_bodies(site: Site, client: httpx.AsyncClient) -> None:
    """Whatever comes, it is stored, or refused as too large; never an error of ours."""
    dice = random.Random(7)
    kinds = ["application/json", "multipart/form-data; boundary=x", "multipart/form-data", "", "text/html", "x/\"';"]
    for _ in range(150):
        body = dice.randbytes(dice.choice([0, 1, 30, 900]))
        if dice.random() < 0.5:
            body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + body + b"\r\n--x--"
        answer = await client.post("/hooks/open/a", headers={"content-type": dice.choice(kinds)}, content=body)
        assert answer.status_code == 202
        assert (await site.event(answer)).body == body


async def test_path_parameters_and_query(site: Site, client: httpx.AsyncClient) -> None:
    """They are part of the event."""
    answer = await client.post("/hooks/open/acme%20co?tag=a&tag=b&secret=partner-token-1", content=b"{}")
    event = await site.event(answer)
    assert event.path_params == {"tenant": "acme co"}
    assert view(event)["query"] == {"tag": ["a", "b"], "secret": "***"}


async def test_credentials_are_not_stored(site: Site, client: httpx.AsyncClient) -> None:
    """Headers that hold a secret, by their name, by the trigger's settings or by their value, are masked."""
    headers = {
        "Authorization": "Bearer abc",
        "Cookie": "session=abc",
        "X-Gitlab-Token": "abc",
        "X-Api-Key": "abc",
        "X-Partner": SECRETS["HOOKWRIGHT_SECRET_TOKEN"],
        "X-Echo": f"see {SECRETS['HOOKWRIGHT_SECRET_GITHUB']}!",
        "Connection": "keep-alive",
        "X-Request-Id": "r1",
    }
    answer = await client.post("/hooks/partner", headers=headers, content=b"{}")
    assert answer.status_code == 202
    stored = (await site.event(answer)).headers
    for name in ("authorization", "cookie", "x-gitlab-token", "x-api-key", "x-partner"):
        assert stored[name] == "***"
    assert stored["x-echo"] == "see ***!"
    assert stored["x-request-id"] == "r1"
    assert "connection" not in stored


async def test_slack_asks_whether_we_are_there(site: Site, client: httpx.AsyncClient) -> None:
    """The challenge is answered only if it is signed, and leaves no event."""
    body = b'{"type": "url_verification", "challenge": "c-1"}'
    headers, _ = site.sign("slack", body=body)
    answer = await client.post("/hooks/slack", headers=headers, content=body)
    assert (answer.status_code, answer.text) == (200, "c-1")

    refused = await client.post("/hooks/slack", headers=headers | {"X-Slack-Signature": "v0=0"}, content=body)
    assert refused.status_code == 401
    assert await site.events() == []


async def test_slash_commands_get_an_empty_200(site: Site, client: httpx.AsyncClient) -> None:
    """Slack would show any body to the person who typed the command."""
    headers, body = site.sign("slack", "command.triage")
    answer = await client.post("/hooks/slack", headers=headers, content=body)
    assert (answer.status_code, answer.content) == (200, b"")
    (event,) = await site.events()
    assert (event.type, view(event)["body"]["text"]) == ("command.triage", "the printer is out of toner")


async def test_standard_webhooks(site: Site, client: httpx.AsyncClient) -> None:
    """The id that was signed counts for dedup."""
    headers, body = site.sign("inbox", body=b'{"type": "a"}')
    first = await client.post("/hooks/inbox", headers=headers, content=body)
    again = await client.post("/hooks/inbox", headers=headers, content=body)
    assert (first.status_code, again.status_code) == (202, 200)
    assert (await site.event(first)).delivery_id == headers["webhook-id"]


async def test_a_body_that_is_too_large(site: Site, client: httpx.AsyncClient) -> None:
    """413 from the trigger's own limit; one byte less is fine."""
    assert (await client.post("/hooks/open/a", content=b"x" * 20_000)).status_code == 202
    answer = await client.post("/hooks/open/a", content=b"x" * 20_001)
    assert answer.status_code == 413
    assert answer.json()["detail"] == "the body may have 20,000 bytes"
    assert len(await site.events()) == 1


async def test_redis_is_away(tmp_path: Path, database_url: str) -> None:
    """The delivery is accepted all the same: upkeep rings later."""
    async with open_site(tmp_path, database_url, "redis://127.0.0.1:1/0") as site, connect(site) as client:
        headers, body = site.sign("github", "issues.opened")
        with structlog.testing.capture_logs() as lines:
            answer = await client.post("/hooks/github", headers=headers, content=body)
            async with asyncio.timeout(10):
                while not any(line["event"] == "ring.failed" for line in lines):
                    await asyncio.sleep(0.01)
        assert answer.status_code == 202
        assert len(await site.events()) == 1


@pytest.fixture
def own_server() -> Iterator[Databases]:
    """A PostgreSQL of its own, to be killed."""
    directory = Path(tempfile.mkdtemp(prefix="hookwright-test-"))
    databases = start_databases(directory, valkey=False)
    yield databases
    databases.stop()
    shutil.rmtree(directory)


async def test_postgresql_is_away(tmp_path: Path, own_server: Databases, redis_url: str) -> None:
    """503 with Retry-After while it is away, then as before; what is sent again counts once."""
    await migrate(own_server.database_url)
    async with open_site(tmp_path, own_server.database_url, redis_url) as site, connect(site) as client:
        headers, body = site.sign("github", "issues.opened")
        os.kill(own_server.pids["PostgreSQL"], signal.SIGKILL)
        answer = await client.post("/hooks/github", headers=headers, content=body)
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["content-type"] == "application/problem+json"

        async with asyncio.timeout(60):
            while (answer := await client.post("/hooks/github", headers=headers, content=body)).status_code == 503:
                own_server.revive()
        assert answer.status_code == 202
        again = await client.post("/hooks/github", headers=headers, content=body)
        assert (again.status_code, again.json()["event_id"]) == (200, answer.json()["event_id"])
        assert len(await site.events()) == 1
