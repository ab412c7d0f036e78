"""Approving in a real Chromium: by a link, and on the dashboard."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from engine.runtime import Runtime
from tests.browser.conftest import PHONE, Visitor, visit
from tests.browser.test_dashboard import CONTRAST, LONG, WIDER
from tests.integration.web.asking import Asker
from tests.integration.web.conftest import asker  # noqa: F401 - a fixture
from tests.integration.web.seed import SCRIPT

pytestmark = pytest.mark.browser


async def test_a_link_shows_the_question_and_its_button_approves(
    chromium: Browser,
    url: str,
    asker: Asker,  # noqa: F811
    runtime: Runtime,
) -> None:
    """Nobody is signed in; the form is filled in, a mistake is shown beside its field; a reload decides nothing."""
    row = await asker.ask(who=SCRIPT)
    links = await asker.links(row)
    context = await chromium.new_context(java_script_enabled=False)  # nothing but a form is needed
    page = await context.new_page()
    await page.goto(url + links["approve_url"])
    await expect(page.locator("h1")).to_have_text(f"Pay <b>{SCRIPT}</b> 5 & more?")
    assert await asker.state(row) == "open"
    await page.fill("#in-note", "fine")
    await page.fill("#in-amount", "0")
    await page.select_option("#in-account", "petty")
    await page.click("button:has-text('Approve')")
    await expect(page.locator(".wrong")).to_contain_text("0 is less than the minimum of 1")
    assert await page.input_value("#in-note") == "fine"
    await page.fill("#in-amount", "8")
    await page.click("button:has-text('Approve')")
    await expect(page.locator("[role=status]")).to_have_text(
        "Approved by somebody with the link. You can close this page."
    )
    await page.goto(url + links["reject_url"])
    await expect(page.locator("[role=alert]")).to_contain_text("This was approved already: by somebody with the link")
    assert await page.locator("main form").count() == 0
    await context.close()
    assert await asker.turn(row.run_id)
    run = await runtime.store.get_run(row.run_id)
    assert run is not None
    assert run.status == "succeeded"


async def test_who_is_not_signed_in_is_asked_to_and_comes_back(
    chromium: Browser,
    url: str,
    token: str,
    asker: Asker,  # noqa: F811
) -> None:
    """Where there are approvers the button leads through the sign-in and back to the question."""
    row = await asker.ask("plain", approvers=["group:finance"])
    context = await chromium.new_context()
    page = await context.new_page()
    await page.goto(url + (await asker.links(row))["approve_url"])
    await page.click("button:has-text('Approve')")
    await page.fill("#token", token)
    await page.click("text=Sign in >> nth=-1")
    await expect(page.locator("h1")).to_have_text("Go on?")
    assert await asker.state(row) == "open"
    await page.click("button:has-text('Approve')")
    await expect(page.locator("[role=status]")).to_contain_text("Approved by test.")
    await context.close()


async def test_the_dashboard_decides(visitor: Visitor, asker: Asker) -> None:  # noqa: F811
    """In the list, on the run's page, and with a form."""
    first, second, third = await asker.ask("plain"), await asker.ask("plain"), await asker.ask()
    page = await visitor.open("/approvals")
    await page.click(f"form[action*='{first.id}'] >> text=Approve")
    await expect(page.locator(f"form[action*='{first.id}']")).to_have_count(0)
    await visitor.open(f"/runs/{second.run_id}")
    await page.click("text=Reject")
    await page.wait_for_url(f"**/runs/{second.run_id}")
    await visitor.open("/approvals")
    await page.click("text=Decide")
    await page.fill("#comment", "after a look")
    await page.click("button:has-text('Approve')")
    await expect(page.locator("main")).to_contain_text("This was approved already: by test")
    assert [await asker.state(row) for row in (first, second, third)] == ["approved", "rejected", "approved"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_everywhere(
    chromium: Browser,
    url: str,
    token: str,
    asker: Asker,  # noqa: F811
    scheme: Any,
) -> None:
    """On a phone nothing scrolls sideways; by day and by night texts have contrast."""
    row, plain = await asker.ask(who=LONG), await asker.ask("plain", approvers=["test", LONG])
    person = await visit(chromium, url, token, viewport=PHONE, has_touch=True, color_scheme=scheme)
    links = await asker.links(row)
    for path in (
        "/approvals",
        f"/approvals/{row.id}",
        f"/approvals/{plain.id}",
        *links.values(),
        f"/runs/{row.run_id}",
    ):
        page = await person.open(path)
        assert await page.evaluate(WIDER) == [], path
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert await page.evaluate(CONTRAST) == [], path
    await person.context.close()
    assert person.complaints == []
