"""Who did what by hand, in the API and on the page of a run."""

import httpx

from tests.integration.web.seed import Seed


async def test_cancelling_leaves_a_trace_with_the_name_of_who_asked(
    api: httpx.AsyncClient, browser: httpx.AsyncClient, seed: Seed
) -> None:
    """The token's name, or the session's; on the run's page too."""
    first, second = await seed.run(), await seed.run()
    await api.post(f"/api/v1/runs/{first}/cancel")
    await browser.post(f"/runs/{second}/cancel")
    items = (await api.get("/api/v1/audit", params={"action": "run.cancel"})).json()["items"]
    assert [(item["run_id"], item["by"], item["target"]) for item in items] == [
        (str(second), "session of test", "triage"),
        (str(first), "test", "triage"),
    ]
    assert (await api.get("/api/v1/audit", params={"run": str(first)})).json()["items"] == items[1:]
    page = (await browser.get(f"/runs/{first}")).text
    assert "run.cancel" in page
    assert "by test" in page


async def test_what_was_refused_leaves_none(api: httpx.AsyncClient, seed: Seed) -> None:
    """A run that has ended cannot be cancelled."""
    run_id = await seed.succeeded()
    assert (await api.post(f"/api/v1/runs/{run_id}/cancel")).status_code == 409
    assert (await api.get("/api/v1/audit", params={"run": str(run_id)})).json()["items"] == []
