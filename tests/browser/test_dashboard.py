"""The dashboard in a real Chromium."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Browser, expect

from engine.core.run import RunStatus
from engine.runtime import Runtime
from engine.store import RunUpdate
from tests.browser.conftest import PHONE, Visitor, visit
from tests.integration.web.seed import SCRIPT, Seed, attempt, decision

pytestmark = pytest.mark.browser

CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
WIDER = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("main *")]
    .filter((node) => node.getBoundingClientRect().right > innerWidth && !node.closest("pre, .chart-box"))
    .map((node) => node.outerHTML.slice(0, 200))"""  # what makes the page scroll sideways
LONG = "a-very-long-name-without-any-space-in-it-" * 4


async def fill(seed: Seed) -> dict[str, str]:
    """Rows of every kind, long and hostile texts among them; the pages that show them, by name."""
    labels = {"repo": "acme/web", LONG: LONG, SCRIPT: SCRIPT}
    done = await seed.succeeded(labels=labels, inputs={"long": LONG * 10, "html": SCRIPT})
    failed = await seed.failed(LONG, message=f"{SCRIPT} {LONG}", labels=labels)
    waiting = await seed.waiting()
    running = await seed.running(labels=labels)
    event = await seed.event(
        "issues.opened",
        body=b'{"title": "' + LONG.encode() * 5 + b'", "html": "' + SCRIPT.encode() + b'"}',
        decisions=[
            decision(matched=True),
            decision(LONG, reason="condition_false", condition=f"event.{LONG} == 1", values={f"event.{LONG}": LONG}),
        ],
        runs=[seed.new_run()],
        delivery_id=LONG,
    )
    return {
        "overview": "/",
        "runs": "/runs",
        "done": f"/runs/{done}",
        "failed": f"/runs/{failed}",
        "waiting": f"/runs/{waiting}",
        "running": f"/runs/{running.id}",
        "events": "/events",
        "event": f"/events/{event.id}",
        "pipelines": "/pipelines",
        "pipeline": "/pipelines/greet",
        "missing": "/nothing",
    }


def changed(runtime: Runtime, run_id: UUID) -> None:
    runtime.queue.changed(run_id, "triage", "running")


async def test_a_sign_in_link_leads_to_the_overview(chromium: Browser, url: str, runtime: Runtime) -> None:
    """One click on what `hookwright up` prints, and signing out again."""
    code = await runtime.store.create_api_key("up", "login", datetime.now(UTC) + timedelta(minutes=1))
    context = await chromium.new_context()
    page = await context.new_page()
    await page.goto(f"{url}/login?code={code}")
    await page.wait_for_url(f"{url}/")
    assert await page.title() == "Overview · Hookwright"
    await page.click("text=Sign out")
    await page.wait_for_url(f"{url}/login")
    await context.close()


async def test_a_new_run_appears_without_a_reload(visitor: Visitor, seed: Seed, runtime: Runtime) -> None:
    """The list of runs is live."""
    page = await visitor.open("/runs")
    await expect(page.locator("text=No run yet")).to_be_visible()
    await page.evaluate("window.sameDocument = true")
    async with page.expect_response("**/runs"):
        run_id = await seed.run("triage")
        changed(runtime, run_id)
    await expect(page.locator(f'a[href="/runs/{run_id}"]')).to_be_visible()
    assert await page.evaluate("window.sameDocument")


async def test_a_run_is_followed_to_its_end(visitor: Visitor, seed: Seed, runtime: Runtime) -> None:
    """Status, steps and outputs arrive; what the reader opened stays open."""
    claimed = await seed.running()
    page = await visitor.open(f"/runs/{claimed.id}")
    await expect(page.locator(".head .badge")).to_have_text("running")
    await page.click("#step-fetch summary")
    await seed.write(
        claimed,
        attempt("fetch", 1, 0, 900, output={"found": 3}),
        update=RunUpdate(status=RunStatus.SUCCEEDED, outputs=b'{"answer": 42}'),
    )
    changed(runtime, claimed.id)
    await expect(page.locator(".head .badge")).to_have_text("succeeded")
    await expect(page.locator("section[aria-labelledby=data] details[open] pre")).to_contain_text("42")
    await expect(page.locator("#step-fetch details[open] pre").first).to_be_visible()
    await expect(page.locator("text=Cancel")).to_have_count(0)


async def test_a_pipeline_is_started_from_its_form(visitor: Visitor) -> None:
    """With the keyboard alone; a wrong value comes back with a message."""
    page = await visitor.open("/pipelines/strict")
    await page.focus("#in-amount")
    await page.keyboard.type("many")
    await page.keyboard.press("Enter")
    await expect(page.locator(".wrong")).to_contain_text("not a number")
    await page.fill("#in-amount", "3")
    visitor.complaints.clear()  # Chromium reports the 422 as an error
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/runs/*")
    await expect(page.locator(".head .badge")).to_have_text("queued")
    await page.click("text=Cancel")
    await expect(page.locator(".head .badge")).to_have_text("cancelled")


async def test_hostile_payloads_are_inert(visitor: Visitor, seed: Seed) -> None:
    """No script runs, no dialog opens, the policy is never even asked."""
    for name, path in (await fill(seed)).items():
        page = await visitor.open(path)
        assert await page.evaluate("document.querySelectorAll('script:not([src])').length") == 0, name
        if name == "missing":
            visitor.complaints.clear()  # Chromium reports the 404
        assert visitor.complaints == [], name


async def test_a_phone_never_scrolls_sideways(chromium: Browser, url: str, token: str, seed: Seed) -> None:
    """375 pixels are enough for every page, long words included."""
    person = await visit(chromium, url, token, viewport=PHONE, has_touch=True)
    for name, path in (await fill(seed)).items():
        page = await person.open(path)
        await page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
        assert await page.evaluate(WIDER) == [], name
    await person.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_texts_can_be_read(chromium: Browser, url: str, token: str, seed: Seed, scheme: Any) -> None:
    """Contrast of every text is at least WCAG AA, by day and by night."""
    person = await visit(chromium, url, token, color_scheme=scheme)
    for name, path in (await fill(seed)).items():
        page = await person.open(path)
        assert await page.evaluate(CONTRAST) == [], name
    await person.context.close()


async def test_the_api_page_works_under_the_policy(visitor: Visitor) -> None:
    """Swagger UI draws the operations, and a call with the session's cookie succeeds."""
    page = await visitor.open("/schema")
    await page.click("text=List runs")
    await page.click("text=Try it out")
    await page.click("button.execute")
    await expect(page.locator(".responses-table .response .response-col_status").first).to_contain_text("200")
