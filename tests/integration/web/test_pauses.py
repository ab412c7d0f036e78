"""Pause and resume, in the API and with the buttons."""

import asyncio

import httpx
import pytest
from litestar import Litestar

from engine.cli.app import run
from tests.integration.web.seed import Seed
from tests.integration.web.serving import serve


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


async def test_the_commands(app: Litestar, token: str, capsys: pytest.CaptureFixture[str]) -> None:
    """pause, paused and resume; what is not paused cannot be resumed."""
    async with serve(app) as url:

        async def call(*arguments: str) -> tuple[int, str, str]:
            code = await asyncio.to_thread(run, [*arguments, "--url", url, "--token", token])
            told = capsys.readouterr()
            lines = [line for line in told.out.splitlines(keepends=True) if "audit.recorded" not in line]
            return code, "".join(lines), told.err  # without the server's log

        assert (await call("paused"))[:2] == (0, "Nothing is paused.\n")
        code, out, _ = await call("pause", "queue", "gpu", "--reason", "it is hot")
        assert (code, out) == (0, "The queue gpu is paused: 0 s ago, by test.\n")
        code, out, _ = await call("paused")
        assert out.splitlines()[1].split() == ["queue", "gpu", "0", "s", "ago", "test", "it", "is", "hot"]
        assert (await call("resume", "queue", "gpu"))[:2] == (0, "The queue gpu goes on.\n")
        code, out, error = await call("resume", "queue", "gpu")
        assert (code, out) == (1, "")
        assert "The queue gpu is not paused." in error
        assert (await call("pause", "step", "x"))[0] == 2
