"""The console in a real Chromium."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import PHONE, Visitor, visit
from tests.browser.test_dashboard import CONTRAST, LONG, WIDER
from tests.integration.web.seed import SCRIPT, Seed

pytestmark = pytest.mark.browser

IMAGE = "<img src=x onerror=alert(1)>"


async def test_the_answer_follows_the_typing(visitor: Visitor, seed: Seed) -> None:
    """Value, type and paths appear without a reload; a mistake has a caret; focus and text stay where they are."""
    event = await seed.event(body=b'{"title": "Crash"}')
    page = await visitor.open(f"/events/{event.id}")
    await page.click("text=Try an expression")
    await page.evaluate("window.sameDocument = true")
    await page.locator("#expression").press_sequentially("event.body.title | upper")
    await expect(page.locator(".answer pre")).to_have_text("CRASH")
    await expect(page.locator(".badge.succeeded")).to_have_text("text, 5 characters")
    await expect(page.locator(".answer .kv")).to_contain_text("event.body.title")
    await page.fill("#expression", "event.body.titel")
    await expect(page.locator(".answer pre.wrong")).to_contain_text("^" * 16)
    await expect(page.locator(".answer")).to_contain_text("did you mean title?")
    await expect(page.locator("#expression")).to_be_focused()
    assert await page.input_value("#expression") == "event.body.titel"
    assert await page.evaluate("window.sameDocument")


async def test_another_event_is_chosen(visitor: Visitor, seed: Seed) -> None:
    """The answer and the event shown change with the choice."""
    older = await seed.event("older", body=b'{"n": "first"}')
    await seed.event("newer", body=b'{"n": "second"}')
    page = await visitor.open("/console")
    await page.fill("#expression", "event.body.n")
    await expect(page.locator(".answer pre")).to_have_text("second")
    await page.select_option("#event", str(older.id))
    await expect(page.locator(".answer pre")).to_have_text("first")
    await expect(page.locator("section[aria-labelledby=data] pre")).to_contain_text("older")


async def test_hostile_texts_stay_texts(visitor: Visitor, seed: Seed) -> None:
    """In what is typed, in the payload, in messages: no script, no image, no dialog, no word from the policy."""
    await seed.event(body=b'{"html": "' + (SCRIPT + IMAGE).encode() + b'"}')
    page = await visitor.open("/console")
    for typed, shown in (("event.body.html", SCRIPT + IMAGE), (f"'{IMAGE}' ~ event.body.html", IMAGE), (IMAGE, IMAGE)):
        await page.fill("#expression", typed)
        await expect(page.locator(".answer pre").first).to_contain_text(shown)
        assert await page.locator("main img, main script").count() == 0
    assert visitor.complaints == []


async def test_it_works_without_scripts(chromium: Browser, url: str, token: str, seed: Seed) -> None:
    """The button sends the form."""
    person = await visit(chromium, url, token, java_script_enabled=False)
    await seed.event(body=b'{"n": 7}')
    page = await person.open("/console")
    await page.fill("#expression", "event.body.n")
    await page.click("text=Evaluate")
    await expect(page.locator(".answer pre")).to_have_text("7")
    await person.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("expression", ["event.body", f"event.body['{LONG}']", "event.body | keys", "1 +", ""])
async def test_it_can_be_read_everywhere(
    chromium: Browser, url: str, token: str, seed: Seed, scheme: Any, expression: str
) -> None:
    """On a phone nothing scrolls sideways; by day and by night texts have contrast."""
    await seed.event(LONG, body=b'{"' + LONG.encode() + b'": "' + LONG.encode() * 5 + b'"}')
    person = await visit(chromium, url, token, viewport=PHONE, has_touch=True, color_scheme=scheme)
    page = await person.open("/console")
    await page.fill("#expression", expression)
    await page.click("text=Evaluate")
    if expression:
        await expect(page.locator(".answer > pre, .answer p").first).to_be_visible()
    assert await page.evaluate(WIDER) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # the navigation fits as well
    assert await page.evaluate(CONTRAST) == []
    await person.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_picture_of_a_pipeline_can_be_read(chromium: Browser, url: str, token: str, scheme: Any) -> None:
    """On a phone it scrolls in its own box; a click on a step leads to its line."""
    person = await visit(chromium, url, token, viewport=PHONE, has_touch=True, color_scheme=scheme)
    page = await person.open("/pipelines/greet")
    assert await page.evaluate(WIDER) == []
    assert await page.evaluate(CONTRAST) == []
    await page.click(".graph a")
    assert page.url.endswith("#L14")
    assert person.complaints == []
    await person.context.close()
