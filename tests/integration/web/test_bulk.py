"""Many runs at once, over HTTP, on the pages, and from the command line."""

import asyncio
import json
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar

from engine.cli.app import run as run_command
from tests.integration.web.seed import Seed
from tests.integration.web.serving import serve


async def bulk(api: httpx.AsyncClient, action: str, filter: dict[str, Any], **more: Any) -> Any:
    answer = await api.post("/api/v1/runs/bulk", json={"action": action, "filter": filter} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def through(api: httpx.AsyncClient, action: str, filter: dict[str, Any], **more: Any) -> list[Any]:
    """All pages."""
    pages, cursor = [], None
    while True:
        page = await bulk(api, action, filter, **more, **({"cursor": cursor} if cursor else {}))
        pages.append(page)
        cursor = page["next"]
        if cursor is None:
            return pages


async def status_of(api: httpx.AsyncClient, run_id: UUID) -> str:
    return str((await api.get(f"/api/v1/runs/{run_id}")).json()["status"])


async def test_runs_are_cancelled_page_by_page(api: httpx.AsyncClient, seed: Seed) -> None:
    """All that are open and match, whatever they wait for; each once, and each leaves its trace."""
    queued = [await seed.run("sync") for _ in range(5)]
    waiting = [await seed.waiting("sync") for _ in range(2)]
    other, done = await seed.run("other"), await seed.succeeded("sync")
    assert (await bulk(api, "cancel", {"pipeline": "sync"}, count=True))["matching"] == 7
    pages = await through(api, "cancel", {"pipeline": "sync"}, limit=2)
    assert sum(page["done"] for page in pages) == 7
    assert [item for page in pages for item in page["refused"]] == []
    assert [await status_of(api, run_id) for run_id in queued] == ["cancelled"] * 5
    # what waited has begun: a worker ends it
    assert [await status_of(api, run_id) for run_id in waiting] == ["queued"] * 2
    assert (await status_of(api, other), await status_of(api, done)) == ("queued", "succeeded")
    trail = (await api.get("/api/v1/audit", params={"action": "run.cancel"})).json()["items"]
    assert {item["run_id"] for item in trail} == {str(run_id) for run_id in (*queued, *waiting)}
    [whole] = (await api.get("/api/v1/audit", params={"action": "runs.cancel"})).json()["items"]
    assert whole["detail"] == {"filter": {"pipeline": "sync"}, "latest": False}


async def test_what_cannot_be_retried_is_named(api: httpx.AsyncClient, seed: Seed) -> None:
    """The others go on; these runs have a version that was never deployed."""
    failed = await seed.failed("sync", labels={"team": "core"})
    pages = await through(api, "retry", {"labels": {"team": "core"}})
    assert [item["id"] for page in pages for item in page["refused"]] == [str(failed)]
    assert "cannot be loaded" in pages[0]["refused"][0]["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"action": "cancel", "filter": {}}, "at least one condition"),
        ({"action": "cancel", "filter": {"status": "failed"}}, "cancel is for runs that are queued, waiting, running"),
        ({"action": "delete", "filter": {"pipeline": "x"}}, "delete"),
        ({"action": "retry", "filter": {"pipeline": "x"}, "cursor": "queued:"}, "another filter"),
        ({"action": "retry", "filter": {"pipeline": "x"}, "cursor": "nonsense"}, "hand back"),
    ],
)
async def test_what_makes_no_sense_is_refused(api: httpx.AsyncClient, body: dict[str, Any], message: str) -> None:
    """With a word about what is wrong; nothing is done."""
    answer = await api.post("/api/v1/runs/bulk", json=body)
    assert (answer.status_code, message in answer.text) == (400, True), answer.text


async def test_the_page_asks_before_it_acts(browser: httpx.AsyncClient, api: httpx.AsyncClient, seed: Seed) -> None:
    """The list offers it once it is filtered; the next page says how many; then it is done."""
    runs = [await seed.run("sync") for _ in range(3)]
    assert "/runs/bulk" not in (await browser.get("/runs")).text
    assert "/runs/bulk?action=cancel&amp;pipeline=sync" in (await browser.get("/runs?pipeline=sync")).text
    page = (await browser.get("/runs/bulk?action=cancel&pipeline=sync")).text
    assert "<strong>3</strong> runs" in page
    assert await status_of(api, runs[0]) == "queued"
    answer = await browser.post("/runs/bulk", data={"action": "cancel", "pipeline": "sync"})
    assert "3 done" in answer.text
    assert [await status_of(api, run_id) for run_id in runs] == ["cancelled"] * 3
    assert (await browser.post("/runs/bulk", data={"action": "cancel"})).status_code == 400


async def test_the_command_asks_or_wants_yes(
    app: Litestar, api: httpx.AsyncClient, token: str, seed: Seed, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal nothing is done unless it is told so."""
    runs = [await seed.run("sync") for _ in range(60)]
    async with serve(app) as url:
        words = ["runs", "cancel", "--pipeline", "sync", "--url", url, "--token", token]
        assert await asyncio.to_thread(run_command, words) == 2
        assert "this would cancel 60 runs: add --yes" in capsys.readouterr().err
        assert await status_of(api, runs[0]) == "queued"
        assert await asyncio.to_thread(run_command, [*words, "--yes", "--json"]) == 0
        told = capsys.readouterr().out  # the log of the server, which is in this process, stands above
        assert json.loads(told[told.index("{\n") :]) == {
            "action": "cancel", "matching": 60, "done": 60, "refused": [],
        }  # fmt: skip
        assert await asyncio.to_thread(run_command, [*words, "--yes"]) == 0
        assert capsys.readouterr().out.endswith("No run matches.\n")
        assert await asyncio.to_thread(run_command, [*words[:2], "x", *words[2:]]) == 2
        assert "not both" in capsys.readouterr().err
