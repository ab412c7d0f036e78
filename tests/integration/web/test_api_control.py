"""Retry, resume and migrate over HTTP, and on the pages."""

import os
from uuid import UUID

import httpx
import pytest

from engine.flow.advance import advance
from engine.flow.deploy import deploy_files
from engine.flow.execution import Hold
from engine.flow.start import start_run
from engine.runtime import Runtime

FRAGILE = """\
id: fragile
inputs: {fail: {type: boolean, default: true}}
steps:
  - {id: one, uses: value, with: 1}
  - {id: two, if: inputs.fail, uses: fail, with: {message: "no <b>luck</b>"}}
  - {id: three, uses: value, with: 3}
"""


@pytest.fixture
async def failed(runtime: Runtime) -> UUID:
    """A run that has failed at its second step."""
    (runtime.settings.pipelines / "fragile.yaml").write_text(FRAGILE)
    await deploy_files(runtime)
    run_id = (await start_run(runtime, "fragile", {})).run_id
    await turn(runtime, run_id)
    return run_id


async def turn(runtime: Runtime, run_id: UUID) -> None:
    worker = await runtime.store.register_worker("worker", "test", os.getpid())
    for run in await runtime.store.claim([run_id], worker, 1):
        await advance(runtime, run, Hold())


async def test_a_run_is_retried_once_for_each_time_it_fails(
    runtime: Runtime, api: httpx.AsyncClient, failed: UUID
) -> None:
    """202 with where it goes on, 409 while it is open; the attempts before stay visible."""
    answer = await api.post(f"/api/v1/runs/{failed}/retry")
    assert (answer.status_code, answer.json()["steps"], answer.json()["round"]) == (202, ["two"], 1)
    assert (await api.post(f"/api/v1/runs/{failed}/retry")).status_code == 409
    await turn(runtime, failed)
    run = (await api.get(f"/api/v1/runs/{failed}")).json()
    shown = [(item["step"], item["status"], item["superseded"]) for item in run["attempts"]]
    assert ("two", "failed", 1) in shown
    assert ("two", "failed", None) in shown
    assert run["rounds"] == 1


async def test_a_decision_takes_exactly_one_form(runtime: Runtime, api: httpx.AsyncClient, failed: UUID) -> None:
    """400 names what is wrong; 202 lets it go on."""
    for body in ({}, {"skip": True, "retry": True}, {"output": 1, "skip": True}):
        answer = await api.post(f"/api/v1/runs/{failed}/resume", json=body)
        assert (answer.status_code, "exactly one" in answer.json()["detail"]) == (400, True)
    answer = await api.post(f"/api/v1/runs/{failed}/resume", json={"step": "nowhere", "skip": True})
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "the run failed at `two`; `nowhere` is none of them",
    )
    assert (await api.post(f"/api/v1/runs/{failed}/resume", json={"output": None})).status_code == 202
    await turn(runtime, failed)
    run = (await api.get(f"/api/v1/runs/{failed}")).json()
    assert run["status"] == "succeeded"
    [entry] = (await api.get("/api/v1/audit", params={"run": str(failed)})).json()["items"]
    assert (entry["by"], entry["detail"]) == ("test", {"step": "two", "decision": "output", "value": None})


async def test_migration_lists_what_differs(runtime: Runtime, api: httpx.AsyncClient) -> None:
    """409 with one problem for each difference; `check` is never an error."""
    file = runtime.settings.pipelines / "slow.yaml"
    text = "id: slow\nsteps:\n  - {id: one, uses: value, with: 1}\n  - {id: pause, wait: 3d}\n"
    file.write_text(text)
    await deploy_files(runtime)
    run_id = (await start_run(runtime, "slow", {})).run_id
    await turn(runtime, run_id)
    file.write_text(text.replace("id: one", "id: uno"))
    await deploy_files(runtime)
    answer = await api.post(f"/api/v1/runs/{run_id}/migrate")
    assert answer.status_code == 409
    [error] = answer.json()["errors"]
    assert error["name"] == "one"
    assert "no such step (pipelines/slow.yaml:3:5)" in error["message"]
    checked = (await api.post(f"/api/v1/runs/{run_id}/migrate", json={"check": True})).json()
    assert (checked["changed"], [item["step"] for item in checked["differences"]]) == (False, ["one"])
    file.write_text(text + "  - {id: more, uses: value, with: 2}\n")
    await deploy_files(runtime)
    assert (await api.post(f"/api/v1/runs/{run_id}/migrate")).json()["changed"]


async def test_the_page_of_a_failed_run_offers_what_can_be_done(
    runtime: Runtime, browser: httpx.AsyncClient, failed: UUID
) -> None:
    """Retry, in the newest version if there is one, and a form to decide; afterwards the earlier round is shown."""
    page = (await browser.get(f"/runs/{failed}")).text
    assert f'action="/runs/{failed}/retry"' in page
    assert "newest version" not in page
    assert "<option>two</option>" in page
    answer = await browser.post(f"/runs/{failed}/resume", data={"step": "two", "kind": "output", "value": "{"})
    assert answer.status_code == 400
    answer = await browser.post(f"/runs/{failed}/resume", data={"step": "two", "kind": "skip", "value": ""})
    assert answer.status_code == 303
    await turn(runtime, failed)
    page = (await browser.get(f"/runs/{failed}")).text
    assert "Before change 1" in page
    assert "no &lt;b&gt;luck&lt;/b&gt;" in page
    assert "run.resume" in page
    assert f'action="/runs/{failed}/retry"' not in page
