"""Signed links: opening one decides nothing, the button decides once, and nobody makes one but us."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from litestar import Litestar

from engine.flow.cancel import cancel_run
from engine.runtime import Runtime
from tests.integration.web.asking import Asker
from tests.integration.web.conftest import ORIGIN, connect_to

OWN = {"Origin": ORIGIN}


async def test_opening_a_link_decides_nothing(anonymous: httpx.AsyncClient, asker: Asker) -> None:
    """It shows the question, the run, the form and a button, escaped; however often, whatever opens it."""
    row = await asker.ask()
    links = await asker.links(row)
    for name in ("approve_url", "reject_url", "approve_url"):
        for headers in ({}, {"User-Agent": "Slackbot-LinkExpanding 1.0"}, {"Sec-Fetch-Site": "cross-site"}):
            page = await anonymous.get(links[name], headers=headers)
            assert page.status_code == 200
    assert "Pay &lt;b&gt;ada&lt;/b&gt; 5 &amp; more?" in page.text
    assert "Why &lt;i&gt;so&lt;/i&gt;" in page.text
    assert "asking" in page.text
    assert re.findall(r'name="(in\.\w+|comment)"', page.text) == [
        "in.note", "in.amount", "in.share", "in.sure", "in.account", "comment",
    ]  # fmt: skip
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-robots-tag"] == "noindex"
    assert (await anonymous.head(links["approve_url"])).status_code == 405
    assert await asker.state(row) == "open"


async def test_the_button_decides(anonymous: httpx.AsyncClient, asker: Asker, runtime: Runtime) -> None:
    """With what was filled in; the run goes on."""
    row = await asker.ask()
    links = await asker.links(row)
    form = {"in.note": "ok <i>", "in.amount": "7", "in.share": "0.25", "in.sure": "true", "in.account": "petty"}
    page = await anonymous.post(links["approve_url"], data=form, headers=OWN)
    assert page.status_code == 200
    assert "Approved by somebody with the link" in page.text
    found = await runtime.store.get_approval(row.id)
    assert found is not None
    assert (found.state, found.decided_by, found.via) == ("approved", "somebody with the link", "link")
    assert found.answers == b'{"note":"ok <i>","amount":7,"share":0.25,"sure":true,"account":"petty"}'
    assert await asker.turn(row.run_id)


async def test_a_second_use_says_who_decided_and_changes_nothing(
    anonymous: httpx.AsyncClient, asker: Asker, runtime: Runtime
) -> None:
    """Of the same link or the other one, before and after the run went on."""
    row = await asker.ask()
    links = await asker.links(row)
    assert (await anonymous.post(links["reject_url"], headers=OWN)).status_code == 200
    first = await runtime.store.get_approval(row.id)
    for _ in range(2):
        for name in ("approve_url", "reject_url"):
            for page in (await anonymous.post(links[name], headers=OWN), await anonymous.get(links[name])):
                assert page.status_code == 409
                assert "This was rejected already: by somebody with the link at 2" in page.text
        now = await runtime.store.get_approval(row.id)
        assert now is not None
        assert first is not None
        assert (now.decided_at, now.approved, now.answers) == (first.decided_at, first.approved, first.answers)
        await asker.turn(row.run_id)


async def test_of_both_links_at_once_one_wins(anonymous: httpx.AsyncClient, asker: Asker) -> None:
    """Exactly one page says that it decided."""
    row = await asker.ask()
    links = await asker.links(row)
    names = ["approve_url", "reject_url"] * 4
    pages = await asyncio.gather(*(anonymous.post(links[name], headers=OWN) for name in names))
    assert sorted(page.status_code for page in pages) == [200] + [409] * 7


def forge(link: str, row: Any, other: Any) -> list[str]:
    """What somebody might try."""
    path, _, query = link.partition("?")
    until, _, signature = query.partition("&signature=")
    return [
        path,
        f"{path}?{until}",
        f"{path}?{until}&signature=",
        f"{path}?{until}&signature={signature[:-1]}",
        f"{path}?{until}&signature={'A' * len(signature)}",
        f"{path}?{until}&signature={'x' * 5000}",
        f"{path}?{until}&signature=%ff%00",
        f"{path}?{until}0&signature={signature}",
        f"{path}?until=x&signature={signature}",
        f"{path}?signature={signature}",
        link.replace("/approve?", "/reject?"),
        link.replace(str(row.id), str(other.id)),
        link.replace(str(row.id), "nothing"),
        link.replace(str(row.id), str(row.id).upper()),
    ]


async def test_a_forged_link_is_refused(anonymous: httpx.AsyncClient, asker: Asker) -> None:
    """Whatever was changed: 403, a page that says so, and nothing else happens."""
    row, other = await asker.ask(), await asker.ask()
    links = await asker.links(row)
    for forged in forge(links["approve_url"], row, other):
        for page in (await anonymous.get(forged), await anonymous.post(forged, headers=OWN)):
            assert page.status_code == 403, forged
            assert "This link is not one of ours" in page.text
    assert [await asker.state(item) for item in (row, other)] == ["open", "open"]


async def test_a_link_ends_with_its_question(anonymous: httpx.AsyncClient, asker: Asker, runtime: Runtime) -> None:
    """410 after its time, 409 when the run has ended."""
    late, cancelled = await asker.ask(), await asker.ask()
    links, others = await asker.links(late), await asker.links(cancelled)
    await asker.expire(late)
    await cancel_run(runtime, cancelled.run_id)
    for link, status, words in (
        (links["approve_url"], 410, "Silence is no consent"),
        (others["approve_url"], 409, "was cancelled"),
    ):
        for page in (await anonymous.post(link, headers=OWN), await anonymous.get(link)):
            assert page.status_code == status
            assert words in page.text
            assert "<form" not in page.text
    assert not await asker.turn(late.run_id)


async def test_the_links_survive_other_processes(app: Litestar, asker: Asker, runtime: Runtime) -> None:
    """The key is the installation's."""
    row = await asker.ask()
    links = await asker.links(row)
    runtime.store._signing_keys.clear()
    async with connect_to(app) as client:
        assert (await client.get(links["approve_url"])).status_code == 200
    assert await asker.links(row) == links


async def test_answers_that_do_not_fit_come_back(anonymous: httpx.AsyncClient, asker: Asker) -> None:
    """With what was typed and a message beside each field."""
    row = await asker.ask()
    link = (await asker.links(row))["approve_url"]
    page = await anonymous.post(link, data={"in.amount": "many", "in.note": "<kept>"}, headers=OWN)
    assert page.status_code == 422
    assert "is not a number" in page.text
    assert 'value="&lt;kept&gt;"' in page.text
    page = await anonymous.post(link, data={"in.amount": "0", "in.account": "other"}, headers=OWN)
    assert page.status_code == 422
    assert "0 is less than the minimum of 1" in page.text
    assert "is not one of" in page.text
    page = await anonymous.post(link, data={"comment": "x" * 3000}, headers=OWN)
    assert "may have 2,000 characters" in page.text
    assert await asker.state(row) == "open"


async def test_where_it_matters_who_decides_the_person_signs_in(
    anonymous: httpx.AsyncClient, browser: httpx.AsyncClient, asker: Asker, runtime: Runtime
) -> None:
    """The link alone is not enough; who comes back signed in is known by the name of the token."""
    row = await asker.ask("plain", approvers=["group:finance"])
    link = (await asker.links(row))["approve_url"]
    assert (await anonymous.get(link)).status_code == 200
    away = await anonymous.post(link, headers=OWN)
    assert away.status_code == 303
    assert away.headers["location"].startswith("/login?next=%2Fapprovals%2F")
    form = await anonymous.get(away.headers["location"])
    assert link.replace("&", "&amp;") in form.text
    assert await asker.state(row) == "open"
    page = await browser.post(link)
    assert "Approved by test" in page.text
    found = await runtime.store.get_approval(row.id)
    assert found is not None
    assert (found.decided_by, found.via) == ("test", "link")


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ({"approvers": ["ann"]}, "test may not decide this: not among the approvers."),
        ({"approvers": ["test"], "exclude": ["TEST "]}, "test may not decide this: excluded."),
        ({"approvers": ["group:board"]}, "`groups:` of project.yaml does not have: group:board."),
    ],
)
async def test_who_may_not_decide_is_refused(
    browser: httpx.AsyncClient, asker: Asker, people: dict[str, Any], words: str
) -> None:
    """By the link and on the dashboard."""
    row = await asker.ask("plain", **people)
    page = await browser.post((await asker.links(row))["approve_url"])
    assert (page.status_code, words in page.text) == (403, True)
    page = await browser.post(f"/approvals/{row.id}/decision", data={"decision": "approve"})
    assert (page.status_code, words in page.text) == (403, True)
    assert words in (await browser.get(f"/approvals/{row.id}")).text
    assert await asker.state(row) == "open"


async def test_other_sites_cannot_press_the_button(browser: httpx.AsyncClient, asker: Asker) -> None:
    """Not even if they know the link: it would be the signed-in person who decides."""
    row = await asker.ask("plain")
    link = (await asker.links(row))["approve_url"]
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        for path in (link, f"/approvals/{row.id}/decision"):
            page = await browser.post(path, headers=headers, data={"decision": "approve"})
            assert page.status_code == 403
    assert await asker.state(row) == "open"


async def test_the_dashboard_lists_and_decides(
    browser: httpx.AsyncClient, anonymous: httpx.AsyncClient, asker: Asker, runtime: Runtime
) -> None:
    """Buttons where there is no form, the form on a page of its own; also on the run's page."""
    plain, asking = await asker.ask("plain"), await asker.ask()
    for path in ("/approvals", f"/approvals/{plain.id}"):
        assert (await anonymous.get(path)).status_code == 303
    listed = (await browser.get("/approvals")).text
    assert f'action="/approvals/{plain.id}/decision?back=/approvals"' in listed
    assert f'action="/approvals/{asking.id}' not in listed
    assert "Pay &lt;b&gt;ada&lt;/b&gt;" in listed
    assert f'href="/approvals/{asking.id}"' in (await browser.get(f"/runs/{asking.run_id}")).text
    page = await browser.get(f"/approvals/{asking.id}")
    assert page.text.count('name="decision"') == 2
    wrong = await browser.post(f"/approvals/{asking.id}/decision", data={"decision": "approve", "in.amount": "0"})
    assert wrong.status_code == 422
    done = await browser.post(
        f"/approvals/{asking.id}/decision?back=//evil.example", data={"decision": "approve", "in.amount": "9"}
    )
    assert (done.status_code, done.headers["location"]) == (303, "/")
    again = await browser.post(f"/approvals/{asking.id}/decision", data={"decision": "reject"})
    assert again.status_code == 409
    assert "This was approved already: by test" in again.text
    back = await browser.post(f"/approvals/{plain.id}/decision?back=/approvals", data={"decision": "reject"})
    assert back.headers["location"] == "/approvals"
    assert "Nobody is asked anything" in (await browser.get("/approvals")).text
    assert (await browser.post(f"/approvals/{plain.id}/decision", data={})).status_code == 400
    found = await runtime.store.get_approval(asking.id)
    assert found is not None
    assert (found.decided_by, found.via) == ("test", "dashboard")
    assert "approval.approve" in (await browser.get(f"/runs/{asking.run_id}")).text
