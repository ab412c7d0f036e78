"""Events in the API."""

import httpx

from engine.core.ids import uuid7
from tests.integration.web.seed import SCRIPT, Seed, decision


async def test_an_event_explains_its_decisions(api: httpx.AsyncClient, seed: Seed) -> None:
    """Which triggers were tried, which condition failed with which value, and the runs that were started."""
    event = await seed.event(
        decisions=[
            decision("triage", matched=True),
            decision(
                "bots",
                reason="condition_false",
                condition="event.body.sender.type == 'Bot'",
                values={"event.body.sender.type": "User"},
            ),
        ],
        runs=[seed.new_run("triage")],
        delivery_id="d-1",
    )
    shown = (await api.get(f"/api/v1/events/{event.id}")).json()
    assert shown["headers"]["content-type"] == "application/json"
    assert (shown["matched"], shown["decided"], shown["delivery_id"]) == (1, 2, "d-1")
    assert [run["pipeline"] for run in shown["runs"]] == ["triage"]
    assert shown["decisions"][1]["detail"]["values"] == {"event.body.sender.type": "User"}
    assert shown["decisions"][1]["sentence"] == (
        "bots/github.webhook did not match: `event.body.sender.type == 'Bot'` was false; "
        '`event.body.sender.type` = `"User"`.'
    )


async def test_events_are_listed_with_what_was_decided(api: httpx.AsyncClient, seed: Seed) -> None:
    """Counts of triggers, and the reason where nothing matched."""
    await seed.event("push", decisions=[decision(reason="event_type")])
    await seed.event("issues.opened", decisions=[decision(matched=True)])
    await seed.event("star.created")
    page = (await api.get("/api/v1/events")).json()
    assert [(item["type"], item["matched"], item["decided"], item["reason"]) for item in page["items"]] == [
        ("star.created", 0, 0, None),
        ("issues.opened", 1, 1, None),
        ("push", 0, 1, "event_type"),
    ]
    only = (await api.get("/api/v1/events", params={"type": "push", "source": "github", "path": "github"})).json()
    assert [item["type"] for item in only["items"]] == ["push"]


async def test_the_body_comes_back_byte_for_byte(api: httpx.AsyncClient, seed: Seed) -> None:
    """As a download that no browser would execute, whatever the sender called it."""
    body = bytes(range(256)) + SCRIPT.encode()
    event = await seed.event(body=body, content_type="text/html")
    answer = await api.get(f"/api/v1/events/{event.id}/body")
    assert answer.content == body
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == f'attachment; filename="event-{event.id}.bin"'
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_json_body_keeps_its_type(api: httpx.AsyncClient, seed: Seed) -> None:
    """JSON is harmless, so it may say what it is."""
    event = await seed.event(content_type="application/json; charset=utf-8")
    answer = await api.get(f"/api/v1/events/{event.id}/body")
    assert answer.headers["content-type"] == "application/json"


async def test_unknown_events_are_404(api: httpx.AsyncClient) -> None:
    """For every way to ask."""
    url = f"/api/v1/events/{uuid7()}"
    answers = [await api.get(url), await api.get(f"{url}/body"), await api.post(f"{url}/replay")]
    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_replay_starts_a_run_of_the_pipelines_in_force(api: httpx.AsyncClient, seed: Seed) -> None:
    """The stored event is matched again."""
    event = await seed.event("", source="webhook", path="greet", body=b'{"name": "Ada"}')
    answer = await api.post(f"/api/v1/events/{event.id}/replay", json={"pipeline": "greet"})
    assert answer.status_code == 202, answer.text
    (run,) = answer.json()["runs"]
    assert run["pipeline"] == "greet"
    assert (await api.get(run["status_url"])).json()["pipeline"] == "greet"
