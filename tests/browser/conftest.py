"""A real Chromium, and the dashboard on a real socket.

Set HOOKWRIGHT_REQUIRE_BROWSER=1 to fail instead of skip where no Chromium is installed.
"""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from litestar import Litestar
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.integration.web.conftest import app, runtime, seed, token  # noqa: F401 - fixtures
from tests.integration.web.serving import serve

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
DESKTOP = {"width": 1200, "height": 900}
PHONE = {"width": 375, "height": 740}


def find_chromium() -> str:
    """Where Chromium is. Skips the test, or fails it, if it is nowhere."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    reason = f"NO CHROMIUM: none of {', '.join(NAMES)} is on PATH, so the dashboard is NOT tested in a browser"
    if os.environ.get("HOOKWRIGHT_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    path = find_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest.fixture
async def url(app: Litestar) -> AsyncIterator[str]:  # noqa: F811
    async with serve(app) as address:
        yield address


class Visitor:
    """A signed-in person, and whatever their browser complained about."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on("dialog", self._refuse)

    async def _refuse(self, dialog: object) -> None:
        self.complaints.append(f"a dialog opened: {dialog}")
        await dialog.dismiss()  # type: ignore[attr-defined]

    async def open(self, path: str) -> Page:
        await self.page.goto(self.url + path)
        return self.page

    async def sign_in(self, token: str) -> None:  # noqa: F811
        await self.open("/login")
        await self.page.fill("#token", token)
        await self.page.click("text=Sign in >> nth=-1")
        await self.page.wait_for_url(f"{self.url}/")


async def visit(chromium: Browser, url: str, token: str, **options: object) -> Visitor:  # noqa: F811
    """A new person at their browser."""
    context = await chromium.new_context(**({"viewport": DESKTOP} | options))  # type: ignore[arg-type]
    context.set_default_timeout(10_000)  # milliseconds
    visitor = Visitor(context, await context.new_page(), url)
    await visitor.sign_in(token)
    return visitor


@pytest.fixture
async def visitor(chromium: Browser, url: str, token: str) -> AsyncIterator[Visitor]:  # noqa: F811
    """At a desk. Complaints of the browser fail the test."""
    person = await visit(chromium, url, token)
    yield person
    await person.context.close()
    assert person.complaints == []
