"""The pages for replays and versions."""

import httpx
import pytest

from engine.flow.deploy import deploy_files
from engine.runtime import Runtime
from tests.integration.web.conftest import GREET
from tests.integration.web.test_api_replays import change, receive

HOSTILE = "<script>alert(1)</script>"


async def test_the_replay_page_asks_before_it_starts(browser: httpx.AsyncClient, runtime: Runtime) -> None:
    """It names what would start; the button leads to the new run."""
    event_id = await receive(runtime)
    page = await browser.get(f"/events/{event_id}")
    assert f'href="/events/{event_id}/replay"' in page.text
    page = await browser.get(f"/events/{event_id}/replay")
    assert page.status_code == 200
    assert "No step does anything to the world." in page.text
    answer = await browser.post(f"/events/{event_id}/replay", data={"pipeline": "greet"})
    assert answer.status_code == 303
    new = answer.headers["location"]
    assert "/runs/" in new
    page = await browser.get(f"{new}/replay")
    assert "repeats" in page.text
    again = await browser.post(f"{new}/replay", data={"reuse_keys": "yes"})
    assert again.status_code == 303


async def test_steps_that_were_taken_over_are_marked(browser: httpx.AsyncClient, runtime: Runtime) -> None:
    """They took place before the run, and are not in its timeline."""
    (runtime.settings.pipelines / "greet.yaml").write_text(GREET + "  - {id: more, uses: value, with: 1}\n")
    await deploy_files(runtime)
    event_id = await receive(runtime)
    answer = await browser.post(f"/events/{event_id}/replay", data={"step": "more"})
    page = await browser.get(answer.headers["location"])
    assert page.text.count("taken over") == 1
    assert 'id="timeline"' not in page.text


async def test_a_dry_run_is_shown_and_starts_nothing(browser: httpx.AsyncClient, runtime: Runtime) -> None:
    """Values of then and now, by step."""
    event_id = await receive(runtime)
    await change(runtime)
    page = await browser.get(f"/events/{event_id}/replay", params={"dry": "yes", "pipeline": "greet"})
    assert page.status_code == 200
    for text in ("output.value", "Hello, world", "Good day, world", "differs", "Nothing was started."):
        assert text in page.text
    runs = await runtime.store.runs_of_event(event_id)
    assert len(runs) == 1
    old = runs[0].version
    assert f'<option value="{old}">' in page.text
    page = await browser.get(f"/runs/{runs[0].id}/replay", params={"dry": "yes", "version": old})
    assert "the same" in page.text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"version": "beef"}, "no version beef"),
        ({"step": "nobody"}, "has no step `nobody`"),
        ({"pipeline": HOSTILE}, "no trigger of pipeline"),
    ],
)
async def test_a_mistake_is_told_on_the_page(
    browser: httpx.AsyncClient, runtime: Runtime, data: dict[str, str], text: str
) -> None:
    """With what was chosen still there."""
    event_id = await receive(runtime)
    page = await browser.post(f"/events/{event_id}/replay", data=data)
    assert page.status_code == 422
    assert text in page.text
    assert HOSTILE not in page.text
    assert len(await runtime.store.runs_of_event(event_id)) == 1
    assert (await browser.get("/events/01990000-0000-7000-8000-000000000000/replay")).status_code == 404


async def test_versions_have_a_history_a_diff_and_a_way_back(browser: httpx.AsyncClient, runtime: Runtime) -> None:
    """The buttons lead from one to the other, and texts stay texts."""
    old = runtime.deployments.current.pipelines["greet"].version
    (runtime.settings.pipelines / "greet.yaml").write_text(GREET.replace("Hello,", HOSTILE))
    await deploy_files(runtime)
    new = runtime.deployments.current.pipelines["greet"].version
    assert 'href="/pipelines/greet/history"' in (await browser.get("/pipelines/greet")).text
    page = await browser.get("/pipelines/greet/history")
    assert "in force" in page.text
    assert f"before={old}&amp;after={new}" in page.text
    page = await browser.get("/pipelines/greet/diff", params={"before": old, "after": new})
    assert '<span class="del">' in page.text
    assert "&lt;script&gt;" in page.text
    assert HOSTILE not in page.text
    answer = await browser.post("/pipelines/greet/rollback", data={"to": old})
    assert answer.headers["location"] == "/pipelines/greet/history"
    assert runtime.deployments.current.pipelines["greet"].version == old
    assert "Rolled back." in (await browser.get("/pipelines/greet/history")).text
    assert (await browser.get("/pipelines/nobody/history")).status_code == 404
    assert (await browser.get("/pipelines/greet/diff", params={"before": "x"})).status_code == 400
