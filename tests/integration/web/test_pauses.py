"""Pause and resume, in the API and with the buttons."""

import httpx
import pytest

from tests.integration.web.seed import Seed


async def test_pause_and_resume_by_the_api(api: httpx.AsyncClient, seed: Seed) -> None:
    """Putting it twice changes nothing; what is not paused cannot be resumed."""
    put = await api.put("/api/v1/pauses/queue/gpu", json={"reason": "the driver <b>"})
    assert put.status_code == 200
    assert (put.json()["kind"], put.json()["name"], put.json()["by"]) == ("queue", "gpu", "test")
    assert (await api.put("/api/v1/pauses/queue/gpu")).json() == put.json()
    assert (await api.get("/api/v1/pauses")).json() == [put.json()]
    assert (await api.delete("/api/v1/pauses/queue/gpu")).status_code == 204
    assert (await api.delete("/api/v1/pauses/queue/gpu")).status_code == 404
    assert (await api.get("/api/v1/pauses")).json() == []
    actions = [item["action"] for item in (await api.get("/api/v1/audit")).json()["items"]]
    assert actions == ["queue.resume", "queue.pause"]


@pytest.mark.parametrize(
    ("path", "status", "part"),
    [("step/x", 400, "kind"), ("pipeline/nobody", 404, "there is no pipeline nobody"), ("source/x", 404, "github")],
)
async def test_what_cannot_be_paused(api: httpx.AsyncClient, path: str, status: int, part: str) -> None:
    """The answer says what there is."""
    answer = await api.put(f"/api/v1/pauses/{path}")
    assert answer.status_code == status
    assert part in answer.text


async def test_a_banner_and_its_button(browser: httpx.AsyncClient, api: httpx.AsyncClient) -> None:
    """The first page says what is paused; the text of the reason is text."""
    await api.put("/api/v1/pauses/queue/gpu", json={"reason": "the driver <b>"})
    page = (await browser.get("/")).text
    assert "The queue <strong>gpu</strong> is paused by test" in page
    assert "the driver &lt;b&gt;" in page
    answer = await browser.post("/pauses/queue/gpu/resume")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "is paused" not in (await browser.get("/")).text


async def test_the_button_of_a_pipeline(browser: httpx.AsyncClient, api: httpx.AsyncClient) -> None:
    """It is there for what runs, and another one afterwards."""
    name = (await api.get("/api/v1/pipelines")).json()["items"][0]["id"]
    assert f'action="/pipelines/{name}/pause"' in (await browser.get(f"/pipelines/{name}")).text
    assert (await browser.post(f"/pipelines/{name}/pause")).headers["location"] == f"/pipelines/{name}"
    page = (await browser.get(f"/pipelines/{name}")).text
    assert f"The pipeline <strong>{name}</strong> is paused by session of test" in page
    assert f'action="/pipelines/{name}/pause"' not in page
    answer = await browser.post(f"/pauses/pipeline/{name}/resume", data={"back": "pipeline"})
    assert answer.headers["location"] == f"/pipelines/{name}"
    assert f'action="/pipelines/{name}/pause"' in (await browser.get(f"/pipelines/{name}")).text
