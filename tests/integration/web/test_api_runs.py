"""Runs in the API."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import msgspec
import pytest

from engine.core.ids import uuid7
from engine.store import IngestRecord
from tests.integration.web.seed import Seed


async def test_a_run_shows_every_attempt(api: httpx.AsyncClient, seed: Seed) -> None:
    """Inputs, outputs, errors, timings and usage of each try, as they were stored."""
    run_id = await seed.succeeded(inputs={"issue": 7, "wide": 12345678901234567890, "text": "\u0000"})
    run = (await api.get(f"/api/v1/runs/{run_id}")).json()
    assert run["inputs"] == {"issue": 7, "wide": 12345678901234567890, "text": "\u0000"}
    assert (run["status"], run["outputs"], run["waiting"]) == ("succeeded", {"label": "bug"}, None)
    first, second, last = run["attempts"]
    assert (first["step"], first["number"], first["status"]) == ("classify", 1, "failed")
    assert first["error"]["type"] == "rate_limited"
    assert second["usage"]["input_tokens"] == 1200
    assert second["output"]["text"] == "${{ secrets.TOKEN }}"
    assert second["input"]["key"] == {"$secret": "API_KEY"}
    assert last["seconds"] == pytest.approx(0.18)


async def test_a_batched_run_names_its_events(api: httpx.AsyncClient, seed: Seed) -> None:
    """In order; each event leads back to the run."""
    events = [(await seed.event()).id for _ in range(3)]
    run = msgspec.structs.replace(seed.new_run("triage"), batched=True, events=tuple(events))
    await seed.store.ingest(IngestRecord(runs=[run]))
    assert (await api.get(f"/api/v1/runs/{run.id}")).json()["events"] == [str(event_id) for event_id in events]
    for event_id in events:
        assert [one["id"] for one in (await api.get(f"/api/v1/events/{event_id}")).json()["runs"]] == [str(run.id)]


async def test_runs_are_listed_newest_first_page_by_page(api: httpx.AsyncClient, seed: Seed) -> None:
    """Each run appears once; the last page has no cursor."""
    made = sorted([str(await seed.run()) for _ in range(5)])
    seen: list[str] = []
    cursor = None
    while True:
        page = (await api.get("/api/v1/runs", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_filters_all_hold(api: httpx.AsyncClient, seed: Seed) -> None:
    """pipeline, status, label (repeated), event, since and until."""
    event = await seed.event(runs=[seed.new_run("triage", labels={"repo": "acme/web", "kind": "bug"})])
    other = await seed.failed("sync", labels={"repo": "acme/web"})

    async def found(**params: object) -> list[str]:
        answer = await api.get("/api/v1/runs", params=params)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        return [item["pipeline"] for item in answer.json()["items"]]

    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert await found(pipeline="sync") == ["sync"]
    assert await found(status="failed") == ["sync"]
    assert await found(label="repo:acme/web") == ["sync", "triage"]
    assert await found(label=["repo:acme/web", "kind:bug"]) == ["triage"]
    assert await found(event=str(event.id)) == ["triage"]
    assert await found(since=later) == []
    assert await found(until=later, pipeline="triage", status="queued") == ["triage"]
    assert isinstance(other, UUID)


async def test_a_run_says_why_it_waits(api: httpx.AsyncClient, seed: Seed) -> None:
    """Queued since, waiting for a retry, held by a worker."""
    queued = await seed.run()
    later = await seed.run(due_at=datetime.now(UTC) + timedelta(hours=1))
    waiting = await seed.waiting()
    running = await seed.running()

    async def why(run_id: UUID) -> str:
        return str((await api.get(f"/api/v1/runs/{run_id}")).json()["waiting"])

    assert (await why(queued)).startswith("queued since 2")
    assert (await why(later)).startswith("starts at 2")
    assert (await why(waiting)).startswith("waits for attempt 2 of step fetch: due 2")
    assert (await why(running.id)).startswith("held by worker ")


async def test_cancelling_is_accepted_once(api: httpx.AsyncClient, seed: Seed) -> None:
    """202 for an open run, 409 for one that has ended, 404 for an unknown one."""
    run_id = await seed.run()
    accepted = await api.post(f"/api/v1/runs/{run_id}/cancel")
    again = await api.post(f"/api/v1/runs/{run_id}/cancel")
    unknown = await api.post(f"/api/v1/runs/{uuid7()}/cancel")
    assert (accepted.status_code, accepted.json()) == (202, {"id": str(run_id), "status": "cancelled"})
    assert (again.status_code, unknown.status_code) == (409, 404)
    assert (await api.get(f"/api/v1/runs/{run_id}")).json()["status"] == "cancelled"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=9999999999999999999999", "limit"),
        ("limit=ten", "limit"),
        ("status=happy", "status"),
        ("cursor=abc", "cursor"),
        ("cursor=%00", "cursor"),
        ("since=yesterday", "since"),
        ("since=2026-01-01T00:00:00", "since"),  # no offset
        ("until=0001-01-01T00:00:00%2B14:00", "until"),  # before year 1 in UTC
        ("until=9999-12-31T23:59:59-14:00", "until"),
        ("label=nocolon", "label"),
        ("label=:x", "label"),
        ("label=a:1&label=a:2", "label"),
        ("label=a:%00", "label"),
        ("pipeline=%00", "pipeline"),
        ("pipeline=" + "x" * 5000, "pipeline"),
        ("event=nope", "event"),
    ],
)
async def test_bad_parameters_are_named(api: httpx.AsyncClient, query: str, name: str) -> None:
    """400 and the parameter's name."""
    answer = await api.get(f"/api/v1/runs?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [item["name"] for item in answer.json()["errors"]] == [name]


async def test_an_unknown_run_is_404_and_a_malformed_id_400(api: httpx.AsyncClient) -> None:
    """They are different mistakes."""
    assert (await api.get(f"/api/v1/runs/{uuid7()}")).status_code == 404
    malformed = await api.get("/api/v1/runs/not-a-uuid")
    assert (malformed.status_code, malformed.json()["errors"][0]["name"]) == (400, "run_id")
