"""Approvals in the API: list, look, decide once."""

import asyncio

import httpx
import pytest
from litestar import Litestar

from engine.flow.cancel import cancel_run
from engine.runtime import Runtime
from tests.integration.web.asking import Asker
from tests.integration.web.conftest import connect_to

APPROVALS = "/api/v1/approvals"


async def test_open_approvals_are_listed_by_pages(api: httpx.AsyncClient, asker: Asker) -> None:
    """Newest first; decided ones are not among them."""
    rows = [await asker.ask() for _ in range(3)]
    page = (await api.get(APPROVALS, params={"limit": 2})).json()
    assert [item["id"] for item in page["items"]] == [str(rows[2].id), str(rows[1].id)]
    rest = (await api.get(APPROVALS, params={"limit": 2, "cursor": page["next"]})).json()
    assert ([item["id"] for item in rest["items"]], rest["next"]) == ([str(rows[0].id)], None)
    await api.post(f"{APPROVALS}/{rows[1].id}/decision", json={"approved": True})
    left = (await api.get(APPROVALS, params={"pipeline": "asking"})).json()["items"]
    assert [item["id"] for item in left] == [str(rows[2].id), str(rows[0].id)]
    assert (await api.get(APPROVALS, params={"pipeline": "other"})).json()["items"] == []


async def test_a_decision_is_recorded_and_lets_the_run_go_on(
    api: httpx.AsyncClient, asker: Asker, runtime: Runtime
) -> None:
    """By the token's name; answers with defaults."""
    row = await asker.ask()
    answer = await api.post(
        f"{APPROVALS}/{row.id}/decision",
        json={"approved": True, "form": {"amount": 7}, "comment": "fine"},
    )
    assert answer.status_code == 200
    found = (await api.get(f"{APPROVALS}/{row.id}")).json()
    assert answer.json() == found
    assert (found["state"], found["by"], found["via"], found["comment"]) == ("approved", "test", "api", "fine")
    assert found["answers"] == {"note": "", "amount": 7, "share": 0.5, "sure": False, "account": "main"}
    assert await asker.turn(row.run_id)
    run = await runtime.store.get_run(row.run_id)
    assert run is not None
    assert run.status == "succeeded"
    (entry,) = (await api.get("/api/v1/audit", params={"action": "approval.approve"})).json()["items"]
    assert (entry["by"], entry["target"], entry["run_id"]) == ("test", "asking", str(row.run_id))
    assert entry["detail"] == {"approval": str(row.id), "step": "ask", "via": "api", "comment": "fine"}


async def test_the_second_decision_is_told_the_first(api: httpx.AsyncClient, asker: Asker) -> None:
    """Who, what and when; nothing changes."""
    row = await asker.ask()
    answers = await asyncio.gather(
        *(api.post(f"{APPROVALS}/{row.id}/decision", json={"approved": number == 0}) for number in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    late = next(answer.json() for answer in answers if answer.status_code == 409)
    assert late["detail"].startswith("This was ")
    assert "already: by test at 2" in late["detail"]
    assert late["detail"].endswith("UTC, in the API.")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"approved": True, "form": {"amount": 0}}, ["amount"]),
        ({"approved": True, "form": {"account": "other", "sure": "yes"}}, ["sure", "account"]),
        ({"approved": True, "form": {"x": 1}}, ["x"]),
        ({"approved": "yes"}, ["approved"]),
        ({}, ["approved"]),
        ({"approved": True, "more": 1}, None),
    ],
)
async def test_what_does_not_fit_is_named(
    api: httpx.AsyncClient, asker: Asker, body: dict[str, object], names: list[str] | None
) -> None:
    """400, and the question stays open."""
    row = await asker.ask()
    answer = await api.post(f"{APPROVALS}/{row.id}/decision", json=body)
    assert answer.status_code == 400, answer.text
    if names is not None:
        assert [item["name"] for item in answer.json()["errors"]] == names or answer.json()["detail"]
    assert await asker.state(row) == "open"


async def test_who_may_not_is_refused(app: Litestar, asker: Asker, runtime: Runtime) -> None:
    """403 with the reason; a member of the group may."""
    row = await asker.ask("plain", approvers=["group:finance"])
    other = await runtime.store.create_api_key("eve", "token")
    async with connect_to(app, headers={"Authorization": f"Bearer {other}"}) as eve:
        answer = await eve.post(f"{APPROVALS}/{row.id}/decision", json={"approved": True})
    assert (answer.status_code, answer.json()["detail"]) == (403, "eve may not decide this: not among the approvers.")
    assert await asker.state(row) == "open"


async def test_the_excluded_may_not(api: httpx.AsyncClient, asker: Asker) -> None:
    """Nobody approves their own request."""
    row = await asker.ask("plain", approvers=["group:finance"], exclude=["Test"])
    answer = await api.post(f"{APPROVALS}/{row.id}/decision", json={"approved": True})
    assert (answer.status_code, answer.json()["detail"]) == (403, "test may not decide this: excluded.")


async def test_too_late(api: httpx.AsyncClient, asker: Asker, runtime: Runtime) -> None:
    """410 after its time, 409 after the end of the run, 404 for what never was."""
    late, cancelled = await asker.ask(), await asker.ask()
    await asker.expire(late)
    await cancel_run(runtime, cancelled.run_id)
    for row, status, words in ((late, 410, "Silence is no consent"), (cancelled, 409, "was cancelled")):
        answer = await api.post(f"{APPROVALS}/{row.id}/decision", json={"approved": True})
        assert answer.status_code == status
        assert words in answer.json()["detail"]
    nobody = "00000000-0000-0000-0000-000000000000"
    assert (await api.post(f"{APPROVALS}/{nobody}/decision", json={"approved": True})).status_code == 404
    assert (await api.get(APPROVALS)).json()["items"] == []


async def test_a_token_is_needed(anonymous: httpx.AsyncClient, asker: Asker) -> None:
    """Also where a link would do."""
    row = await asker.ask()
    answer = await anonymous.post(f"{APPROVALS}/{row.id}/decision", json={"approved": True})
    assert answer.status_code == 401
    assert await asker.state(row) == "open"
