"""Replays through the API: of one event, of a run, of many, and dry runs of all."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from engine.core.event import Event
from engine.core.ids import uuid7
from engine.flow.advance import advance
from engine.flow.deploy import deploy_files
from engine.flow.execution import Hold
from engine.flow.record import record_event
from engine.runtime import Runtime
from tests.integration.web.conftest import GREET

SINCE = (datetime.now(UTC) - timedelta(days=1)).isoformat()


async def receive(runtime: Runtime, name: str = "Ada", kind: str = "greeting.sent") -> UUID:
    """A delivery to /hooks/greet, and its runs carried out."""
    body, headers = msgspec.json.encode({"name": name}), {"content-type": "application/json"}
    event = Event(uuid7(), "webhook", kind, datetime.now(UTC), path="greet", headers=headers, body=body)
    found = runtime.deployments.current.find("greet")
    assert found is not None
    ingested = await record_event(runtime, event, found[0].bindings, dedup_scope="t")
    worker = await runtime.store.register_worker("worker", "test", 1)
    for run in await runtime.store.claim([run_id for run_id, _ in ingested.runs], worker, 10):
        await advance(runtime, run, Hold())
    return event.id


async def change(runtime: Runtime) -> None:
    """Another version of the pipeline."""
    (runtime.settings.pipelines / "greet.yaml").write_text(GREET.replace("Hello,", "Good day,"))
    await deploy_files(runtime)


async def test_a_dry_run_shows_what_differs(api: httpx.AsyncClient, runtime: Runtime) -> None:
    """Nothing is started; the answer has both values."""
    event_id = await receive(runtime)
    await change(runtime)
    answer = await api.post(f"/api/v1/events/{event_id}/replay", json={"dry_run": True})
    assert answer.status_code == 200
    (found,) = answer.json()["differences"]
    assert (found["same"], found["before"], found["after"]) == (False, "succeeded", "succeeded")
    (step,) = found["steps"]
    change_ = {"path": "output.value", "before": "Hello, world", "after": "Good day, world", "only": None}
    assert change_ in step["changes"]
    runs = (await api.get(f"/api/v1/events/{event_id}")).json()["runs"]
    assert len(runs) == 1
    old = runs[0]["version"][:8]
    answer = await api.post(f"/api/v1/events/{event_id}/replay", json={"dry_run": True, "version": old})
    assert [item["same"] for item in answer.json()["differences"]] == [True]


async def test_a_run_is_replayed_with_its_event(api: httpx.AsyncClient, runtime: Runtime) -> None:
    """The new run names the one it repeats; who did it is kept."""
    event_id = await receive(runtime)
    old = (await api.get(f"/api/v1/events/{event_id}")).json()["runs"][0]["id"]
    plan = (await api.post(f"/api/v1/runs/{old}/replay", json={"plan": True})).json()
    assert [item["replay_of"] for item in plan["planned"]] == [old]
    assert plan["runs"] == plan["effects"] == []
    answer = await api.post(f"/api/v1/runs/{old}/replay", json={"from": "greet"})
    assert answer.status_code == 202
    new = answer.json()["runs"][0]["id"]
    assert (await api.get(f"/api/v1/runs/{new}")).json()["replay_of"] == old
    trail = (await api.get("/api/v1/audit", params={"run": new})).json()["items"]
    assert [(item["by"], item["action"], item["detail"]["from"]) for item in trail] == [
        ("test", "event.replay", "greet")
    ]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"version": "abcd"}, 404, "there is no version abcd"),
        ({"version": "xyz!"}, 400, "hexadecimal"),
        ({"from": "nobody"}, 404, "has no step `nobody`"),
        ({"pipeline": "strict"}, 404, "no trigger of pipeline strict"),
        ({"form": "greet"}, 400, ""),
    ],
)
async def test_what_cannot_be_replayed_says_why(
    api: httpx.AsyncClient, runtime: Runtime, body: dict[str, Any], status: int, text: str
) -> None:
    """A problem document, and nothing is started."""
    event_id = await receive(runtime)
    answer = await api.post(f"/api/v1/events/{event_id}/replay", json=body)
    assert answer.status_code == status
    assert text in answer.text
    assert len((await api.get(f"/api/v1/events/{event_id}")).json()["runs"]) == 1


async def test_a_conflict_names_every_difference(api: httpx.AsyncClient, runtime: Runtime) -> None:
    """409, with one error for each step that has changed."""
    text = GREET + "  - {id: more, uses: value, with: 1}\n"
    (runtime.settings.pipelines / "greet.yaml").write_text(text)
    await deploy_files(runtime)
    event_id = await receive(runtime)
    (runtime.settings.pipelines / "greet.yaml").write_text(text.replace("Hello,", "Good day,"))
    await deploy_files(runtime)
    answer = await api.post(f"/api/v1/events/{event_id}/replay", json={"from": "more"})
    assert answer.status_code == 409
    assert answer.json()["errors"] == [{"name": "greet", "message": "it has changed: with"}]


async def pages(api: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    """All pages of a replay of many."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        answer = await api.post("/api/v1/replays", json={"since": SINCE, "cursor": cursor, "limit": 2, **body})
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        cursor = found[-1]["next"]
        if cursor is None:
            return found


async def test_many_are_replayed_oldest_first_and_none_twice(api: httpx.AsyncClient, runtime: Runtime) -> None:
    """Page by page; the same pages with the same key start nothing."""
    ids = [str(await receive(runtime, name)) for name in ("a", "b", "nobody", "c", "d")]
    other = await receive(runtime, kind="other_thing")
    wanted = {"type": "greeting.*", "key": "k1"}
    found = await pages(api, **wanted)
    assert [item["event_id"] for page in found for item in page["items"]] == ids
    assert [len(item["runs"]) for page in found for item in page["items"]] == [1, 1, 0, 1, 1]
    assert "was false" in found[1]["items"][0]["reason"]
    again = await pages(api, **wanted)
    assert [item["runs"] for page in again for item in page["items"]] == [
        item["runs"] for page in found for item in page["items"]
    ]
    assert len((await api.get("/api/v1/runs", params={"limit": 100})).json()["items"]) == 5 + 4
    assert len((await api.get(f"/api/v1/events/{other}")).json()["runs"]) == 1


async def test_a_type_is_a_glob_and_nothing_else(api: httpx.AsyncClient, runtime: Runtime) -> None:
    """`_` and `%` are letters."""
    await receive(runtime, kind="a_b")
    await receive(runtime, kind="axb")
    for pattern, count in (("a_b", 1), ("a_?", 1), ("a?b", 2), ("a*", 2), ("%", 0), ("%*", 0)):
        found = await pages(api, type=pattern, dry_run=True)
        assert sum(len(page["items"]) for page in found) == count, pattern


async def test_a_dry_run_of_many_counts(api: httpx.AsyncClient, runtime: Runtime) -> None:
    """The same, differing, and the first of those."""
    for name in ("a", "b", "nobody"):
        await receive(runtime, name)
    (page,) = await pages(api, dry_run=True, limit=10)
    assert (page["same"], page["differ"], page["differences"]) == (2, 0, [])
    assert [bool(item["reason"]) for item in page["items"]] == [False, False, True]
    await change(runtime)
    (page,) = await pages(api, dry_run=True, limit=10)
    assert (page["same"], page["differ"], len(page["differences"])) == (0, 2, 2)


async def test_a_plan_counts_events_and_effects(api: httpx.AsyncClient, runtime: Runtime) -> None:
    """Up to a moment that it names, so that what comes later is left out."""
    (runtime.settings.pipelines / "caller.yaml").write_text(
        "id: caller\ntriggers: [{uses: webhook, with: {path: x, auth: none}}]\n"
        "steps: [{id: out, uses: http.request, with: {url: 'https://x.example'}}]\n"
    )
    await deploy_files(runtime)
    await receive(runtime)
    plan = (await api.post("/api/v1/replays/plan", json={"since": SINCE})).json()
    assert plan["events"] == 1
    assert [(item["pipeline"], item["step"], item["uses"]) for item in plan["effects"]] == [
        ("caller", "out", "http.request")
    ]
    await receive(runtime)
    (page,) = await pages(api, until=plan["until"], limit=10)
    assert len(page["items"]) == 1
