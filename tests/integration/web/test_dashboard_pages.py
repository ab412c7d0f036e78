"""The pages: what they show, and that nothing in them is executed."""

import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from engine.core.ids import uuid7
from engine.runtime import Runtime
from engine.web.dashboard.pages import STATIC
from tests.integration.web.seed import SCRIPT, Seed, decision


class Executable(HTMLParser):
    """Finds what a browser would execute or load from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        inline = any(name == "style" or name.startswith(("on", "hx-on")) for name in values)
        foreign = any(not values.get(name, "/").startswith("/") for name in ("src", "action", "hx-get", "formaction"))
        if inline or foreign or tag in ("style", "iframe", "object") or (tag == "script" and "src" not in values):
            self.found.append(self.get_starttag_text() or tag)


async def shown(browser: httpx.AsyncClient, path: str) -> str:
    answer = await browser.get(path)
    assert answer.status_code == 200, (path, answer.text)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


@pytest.mark.parametrize("path", ["/", "/runs", "/events", "/pipelines", "/pipelines/greet", "/pipelines/strict"])
async def test_an_empty_installation_says_what_to_do_next(browser: httpx.AsyncClient, path: str) -> None:
    """Every page works without a single row."""
    text = await shown(browser, path)
    assert "<title>" in text
    if path in ("/", "/runs", "/events"):
        assert "hookwright send github issues.opened" in text


async def test_hostile_text_is_inert_on_every_page(browser: httpx.AsyncClient, seed: Seed) -> None:
    """Payloads, labels, types, errors and decisions are text; there are no inline scripts or styles at all."""
    hostile = {SCRIPT: f'"><img src=x onerror=alert(1)>{SCRIPT}', "exp": "${{ secrets.X }} {{ 7 * 7 }}"}
    failed = await seed.failed(SCRIPT, message=f"{SCRIPT} {{{{ 7 * 7 }}}}", labels=hostile, inputs=hostile)
    done = await seed.succeeded("triage", labels=hostile, inputs=hostile)
    event = await seed.event(
        SCRIPT,
        source=SCRIPT,
        path=SCRIPT,
        body=SCRIPT.encode(),
        content_type=SCRIPT,
        delivery_id=SCRIPT,
        decisions=[
            decision(SCRIPT, reason="condition_error", condition=SCRIPT, error=SCRIPT, values={SCRIPT: SCRIPT}),
            decision(SCRIPT, reason=SCRIPT),
        ],
    )
    pages = ["/", "/runs", "/events", f"/runs/{failed}", f"/runs/{done}", f"/events/{event.id}", "/pipelines/greet"]
    pages += [f"/runs?pipeline={SCRIPT}&label={SCRIPT}:x", f"/events?type={SCRIPT}"]
    for path in pages:
        text = await shown(browser, path)
        assert Executable(text).found == [], path
    assert "{{ 7 * 7 }}" in await shown(browser, f"/runs/{failed}")


async def test_a_run_shows_steps_attempts_and_tokens(browser: httpx.AsyncClient, seed: Seed) -> None:
    """Timeline, both attempts, usage, outputs."""
    text = await shown(browser, f"/runs/{await seed.succeeded()}")
    assert text.count('<rect class="f-') == 3
    assert "2 attempts" in text
    assert "1\u2009200 in, 34 out" in text
    assert "&#34;label&#34;: &#34;bug&#34;" in text
    assert "/cancel" not in text


async def test_an_open_run_can_be_cancelled_from_its_page(browser: httpx.AsyncClient, seed: Seed) -> None:
    """The button posts, and the page says so: a worker ends the run. Pressing it again does no harm."""
    run_id = await seed.waiting()
    text = await shown(browser, f"/runs/{run_id}")
    assert "Attempt 1 of step `fetch` failed" in text, text
    for _ in range(2):
        answer = await browser.post(f"/runs/{run_id}/cancel")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run_id}")
    assert "Cancelling…" in await shown(browser, f"/runs/{run_id}")


async def test_decisions_are_sentences(browser: httpx.AsyncClient, seed: Seed) -> None:
    """Condition and value, as the operator needs them."""
    event = await seed.event(
        decisions=[
            decision(
                "triage",
                reason="condition_false",
                condition="event.body.sender.type != 'Bot'",
                values={"event.body.sender.type": "Bot"},
            )
        ]
    )
    text = await shown(browser, f"/events/{event.id}")
    assert "triage/github.webhook did not match: <code>event.body.sender.type != &#39;Bot&#39;</code> was false" in text
    assert "<code>event.body.sender.type</code> = <code>&#34;Bot&#34;</code>" in text


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b'{"a":[1,2]}', "application/json", "  &#34;a&#34;: [\n"),
        (b"plain <b>", "text/plain", "plain &lt;b&gt;"),
        (b"\x00\x01\xffA", "application/octet-stream", "00000000  00 01 ff 41"),
        (b"{broken", "application/json", "not valid JSON"),
        (b"[" * 5000, "application/json", "[[[["),
        (b"", "", "The body is empty."),
        (
            b'{"big": 123456789012345678901234567890, "nul": "\\u0000"}',
            "application/json",
            "123456789012345678901234567890",
        ),
    ],
)
async def test_bodies_are_readable(
    browser: httpx.AsyncClient, seed: Seed, body: bytes, content_type: str, expected: str
) -> None:
    """JSON over several lines, text as it is, bytes in hexadecimal."""
    event = await seed.event(body=body, content_type=content_type)
    assert expected in await shown(browser, f"/events/{event.id}")


async def test_lists_page_with_a_cursor(browser: httpx.AsyncClient, seed: Seed) -> None:
    """Older leads on, Newest leads back."""
    for _ in range(51):
        await seed.run()
    first = await shown(browser, "/runs?pipeline=triage")
    older = re.search(r'href="(/runs\?[^"]*cursor=[^"]*)" rel="next"', first)
    assert older is not None
    second = await shown(browser, older[1].replace("&amp;", "&"))
    assert second.count('class="badge queued"') == 1
    assert 'href="/runs?pipeline=triage">Newest' in second


@pytest.mark.parametrize("query", ["status=odd", "label=x", "label=a:%00", "pipeline=%00"])
async def test_a_wrong_filter_is_explained_on_the_page(browser: httpx.AsyncClient, query: str) -> None:
    """The page stays, and says what is wrong."""
    assert 'role="alert"' in await shown(browser, f"/runs?{query}")


async def test_the_start_form_starts_a_run(browser: httpx.AsyncClient) -> None:
    """Fields come from the inputs' schemas; numbers and JSON are read as such."""
    form = await shown(browser, "/pipelines/greet")
    assert 'name="in.tone"' in form
    assert "<option selected>warm</option>" in form
    values = {"in.name": "Ada", "in.times": "3", "in.tone": "cold", "in.extra": '{"a": 1}'}
    answer = await browser.post("/pipelines/greet/start", data=values)
    assert answer.status_code == 303, answer.text
    run = (await browser.get(f"/api/v1{answer.headers['location']}")).json()
    assert run["inputs"] == {"name": "Ada", "times": 3, "tone": "cold", "extra": {"a": 1}}


async def test_the_start_form_comes_back_with_what_is_wrong(browser: httpx.AsyncClient) -> None:
    """The message stands at its field, and what was typed is kept."""
    unreadable = await browser.post("/pipelines/strict/start", data={"in.amount": "three"})
    missing = await browser.post("/pipelines/strict/start", data={})
    assert (unreadable.status_code, missing.status_code) == (422, 422)
    assert "is not a number" in unreadable.text
    assert 'value="three"' in unreadable.text
    assert 'class="wrong"' in missing.text


async def test_broken_files_are_shown(browser: httpx.AsyncClient, runtime: Runtime) -> None:
    """On the pipelines' page and on the overview, with file and line."""
    from engine.flow.deploy import deploy_files

    Path(runtime.settings.pipelines, "broken.yaml").write_text("id: broken\nsteps:\n  - uses: no.such.step\n")
    await deploy_files(runtime)
    for path in ("/", "/pipelines"):
        assert "broken.yaml:3:" in await shown(browser, path)


async def test_unknown_things_have_a_page(browser: httpx.AsyncClient) -> None:
    """404 in style, also for malformed ids."""
    for path in ("/nothing", f"/runs/{uuid7()}", f"/events/{uuid7()}", "/pipelines/none"):
        answer = await browser.get(path)
        assert answer.status_code == 404
        assert "<title>Not Found · Hookwright</title>" in answer.text
    assert (await browser.get("/runs/123")).status_code == 400


def test_bundled_files_are_what_the_notice_says() -> None:
    """Name, version and checksum of every bundled file."""
    import hashlib

    notice = (STATIC / "NOTICE.md").read_text()
    for file in (STATIC / "vendor").glob("*.*s"):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in notice, file.name


LOOP = """\
id: loop
inputs: {rows: any}
steps:
  - id: enrich
    for_each: {items: "${{ inputs.rows }}", key: "${{ item }}", on_item_error: continue}
    steps:
      - {id: company, uses: value, with: "${{ item }}"}
      - {if: item == 7, uses: fail, with: {message: bad row}}
  - {id: page, uses: "pipeline:strict", with: {amount: 1}}
"""


async def test_a_run_with_loops_and_calls_is_shown(browser: httpx.AsyncClient, runtime: Runtime) -> None:
    """Items and steps of called pipelines have their keys and types; of very many, those that failed are shown."""
    from engine.flow.advance import advance
    from engine.flow.deploy import deploy_files
    from engine.flow.execution import Hold
    from engine.flow.start import start_run

    (runtime.settings.pipelines / "loop.yaml").write_text(LOOP)
    await deploy_files(runtime)
    run_id = (await start_run(runtime, "loop", {"rows": ["a b/<c>", *range(1000)]})).run_id
    worker = await runtime.store.register_worker("worker", "test", 1)
    for run in await runtime.store.claim([run_id], worker, 1):
        await advance(runtime, run, Hold())
    response = await browser.get(f"/runs/{run_id}")
    assert response.status_code == 200
    text = response.text
    assert "enrich[a%20b%2F%3Cc%3E]/company" in text
    assert "enrich[7]/enrich.steps[1]" in text
    assert "page/keep" in text
    assert "1 items failed" in text or "1 item failed" in text
    assert "more are not shown" in text
    assert "enrich[999]/company" not in text
    detail = (await browser.get(f"/api/v1/runs/{run_id}")).json()
    assert len(detail["attempts"]) > 2000
