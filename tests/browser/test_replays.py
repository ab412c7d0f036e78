"""Dry runs and versions in a real Chromium."""

import pytest
from playwright.async_api import expect

from engine.flow.deploy import deploy_files
from engine.runtime import Runtime
from tests.browser.conftest import DESKTOP, PHONE, Visitor
from tests.browser.test_dashboard import CONTRAST, WIDER
from tests.integration.web.conftest import GREET
from tests.integration.web.seed import SCRIPT
from tests.integration.web.test_api_replays import receive

pytestmark = pytest.mark.browser


async def test_from_an_event_to_its_dry_run(visitor: Visitor, runtime: Runtime) -> None:
    """The page says what would differ, on every screen, and hostile texts stay texts."""
    event_id = await receive(runtime)
    (runtime.settings.pipelines / "greet.yaml").write_text(GREET.replace("Hello,", SCRIPT * 3))
    await deploy_files(runtime)
    page = await visitor.open(f"/events/{event_id}")
    await page.click("text=Replay")
    await page.click("text=Dry run")
    await expect(page.locator(".difference .badge").first).to_have_text("differs")
    await expect(page.locator(".difference")).to_contain_text("Hello, world")
    await expect(page.locator(".difference")).to_contain_text(SCRIPT)
    for size in (PHONE, DESKTOP):
        await page.set_viewport_size(size)
        assert await page.evaluate(WIDER) == []
    assert await page.evaluate(CONTRAST) == []
    assert await page.locator("main script").count() == 0
    assert len(await runtime.store.runs_of_event(event_id)) == 1
    await page.click("text=Start")
    await expect(page.locator("h1")).to_have_text("greet")
    assert len(await runtime.store.runs_of_event(event_id)) == 2
    assert visitor.complaints == []


async def test_from_a_pipeline_to_its_last_version(visitor: Visitor, runtime: Runtime) -> None:
    """History, difference, rollback."""
    (runtime.settings.pipelines / "greet.yaml").write_text(GREET.replace("Hello,", SCRIPT))
    await deploy_files(runtime)
    page = await visitor.open("/pipelines/greet")
    await page.click("text=History")
    await page.click("text=Diff")
    await expect(page.locator(".diff .add")).to_contain_text(SCRIPT)
    for size in (PHONE, DESKTOP):
        await page.set_viewport_size(size)
        assert await page.evaluate(WIDER) == []
    assert await page.evaluate(CONTRAST) == []
    await page.go_back()
    for size in (PHONE, DESKTOP):
        await page.set_viewport_size(size)
        assert await page.evaluate(WIDER) == []
    await page.click("text=Roll back to this")
    await expect(page.locator(".note-box")).to_contain_text("Rolled back.")
    assert visitor.complaints == []
