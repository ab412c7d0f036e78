"""The pictures of the documentation, taken of the real dashboard with made-up but realistic rows.

`HOOKWRIGHT_PICTURES=docs` (what `make pictures` sets) writes them there; otherwise they are only taken.
"""

import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import Browser

from engine.core.run import RunStatus
from engine.flow.deploy import deploy_files
from engine.runtime import Runtime
from engine.store import RunUpdate
from tests.browser.conftest import visit
from tests.integration.web.seed import Seed, attempt, decision, encode

pytestmark = pytest.mark.browser

SIZE = {"width": 1180, "height": 960}
PIPELINE = """\
id: {id}
name: {name}
triggers:
  - uses: webhook
    with: {{path: {id}, auth: none}}
steps:
  - {{id: classify, uses: value, with: {{value: 1}}}}
"""
NAMES = {
    "github-triage": "Triage new issues",
    "order-sync": "Sync orders to the warehouse",
    "invoice-paid": "Thank for a paid invoice",
    "nightly-report": "Nightly report",
}
HOURLY = (3, 2, 2, 4, 9, 14, 19, 22, 18, 21, 24, 20, 17, 23, 26, 19, 12, 9, 7, 6, 5, 4, 3, 2)
RECENT: tuple[tuple[int, str, str, dict[str, str], int], ...] = (  # seconds ago, pipeline, status, labels, milliseconds
    (1860, "invoice-paid", "succeeded", {"customer": "Northwind"}, 640),
    (1490, "github-triage", "succeeded", {"repo": "acme/webapp", "kind": "question"}, 2210),
    (1120, "order-sync", "failed", {"shop": "eu-1"}, 1350),
    (760, "github-triage", "succeeded", {"repo": "acme/webapp", "kind": "bug"}, 1980),
    (410, "order-sync", "succeeded", {"shop": "eu-1"}, 480),
    (205, "invoice-paid", "succeeded", {"customer": "Contoso"}, 590),
    (94, "order-sync", "waiting", {"shop": "us-2"}, 300),
    (31, "github-triage", "succeeded", {"repo": "acme/mobile", "kind": "feature"}, 3120),
    (3, "github-triage", "running", {"repo": "acme/webapp"}, 0),
)


BACKDATE = """
update run set created_at = $2::timestamptz,
    started_at = case when started_at is null then null else $2::timestamptz end,
    finished_at = case when finished_at is null then null else $3::timestamptz end
where id = $1
"""


async def history(seed: Seed, database_url: str) -> UUID:
    """A day of runs and events; the run that the second picture shows."""
    connection = await asyncpg.connect(database_url)
    shown = None
    unwanted = decision("github-triage", reason="event_type", wanted=["issues.opened"], type="push")
    await seed.event("push", decisions=[unwanted])
    await connection.execute("update event set received_at = now() - interval '50 minutes'")
    for ago, pipeline, status, labels, length in RECENT:
        begin = datetime.now(UTC) - timedelta(seconds=ago)
        run_id = await one(seed, pipeline, status, labels, length, begin)
        await connection.execute(BACKDATE, run_id, begin, begin + timedelta(milliseconds=length))
        await connection.execute(
            "update event set received_at = $2 where id in (select event_id from run where id = $1)", run_id, begin
        )
        if labels.get("kind") == "feature":
            shown = run_id
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    chance = random.Random(3)
    await connection.execute("delete from tally")
    for back, count in enumerate(HOURLY):
        failed = sum(chance.random() < 0.05 for _ in range(count))
        for status, runs in (("succeeded", count - failed), ("failed", failed)):
            await connection.execute(
                "insert into tally (hour, status, slot, runs) values ($1, $2, 0, $3)",
                hour - timedelta(hours=back),
                status,
                runs,
            )
    await connection.close()
    assert shown is not None
    return shown


async def one(seed: Seed, pipeline: str, status: str, labels: dict[str, str], length: int, begin: datetime) -> UUID:
    """One event and its run."""
    source, type = {"github-triage": ("github", "issues.opened"), "invoice-paid": ("stripe", "invoice.paid")}.get(
        pipeline, ("shopify", "orders/create")
    )
    new = seed.new_run(
        pipeline,
        trigger=f"{source}.webhook",
        labels=labels,
        inputs={"title": "Dark mode for the settings page", "number": 4711},
    )
    await seed.event(
        type,
        source=source,
        path=source,
        runs=[new],
        decisions=[decision(pipeline, matched=True)],
    )
    claimed = await seed.claim(new.id)
    error = {"type": "http.422", "message": "unknown article 10-442", "step": "push", "attempt": 1}
    ask: dict[str, Any] = {
        "model": "gpt-4o-mini",
        "prompt": "Which kind of issue is this? Dark mode for the settings page",
    }
    answer = {"label": "feature", "confidence": 0.94}
    usage = {"model": "gpt-4o-mini", "input_tokens": 412, "output_tokens": 18}
    tried = attempt("push", 1, 20, length - 20, status="failed", error=error, begin=begin)
    rows = {
        "failed": [tried],
        "waiting": [tried],
        "running": [attempt("classify", 1, 12, None, status="running", input=ask, begin=begin)],
        "succeeded": [
            attempt(
                "classify",
                1,
                12,
                length * 0.2,
                status="failed",
                input=ask,
                error={"type": "rate_limited", "message": "429: try again in 1 s"},
                begin=begin,
            ),
            attempt("classify", 2, length * 0.5, length * 0.3, input=ask, output=answer, usage=usage, begin=begin),
            attempt("remember", 1, length * 0.81, 9, input={"key": "4711"}, begin=begin),
            attempt("tell_the_team", 1, length * 0.82, length * 0.17, output={"status": 200}, begin=begin),
        ],
    }[status]
    update = RunUpdate(
        status=RunStatus(status),
        outputs=encode(answer) if status == "succeeded" else None,
        error=encode(error) if status == "failed" else None,
        due_at=datetime.now(UTC) + timedelta(seconds=55) if status == "waiting" else None,
        waiting_for="attempt 2 of step push" if status == "waiting" else None,
    )
    await seed.write(claimed, *rows, update=None if status == "running" else update)
    return new.id


async def test_pictures(chromium: Browser, url: str, token: str, seed: Seed, runtime: Runtime, tmp_path: Path) -> None:
    """The overview and one run, as the README and the documentation show them."""
    folder = Path(os.environ.get("HOOKWRIGHT_PICTURES") or tmp_path)
    for file in runtime.settings.pipelines.glob("*.yaml"):
        file.unlink()
    for id, name in NAMES.items():
        (runtime.settings.pipelines / f"{id}.yaml").write_text(PIPELINE.format(id=id, name=name))
    await deploy_files(runtime)
    assert runtime.settings.database_url is not None
    run_id = await history(seed, runtime.settings.database_url)
    person = await visit(chromium, url, token, viewport=SIZE, device_scale_factor=1.5)
    for path, name in (("/", "dashboard"), (f"/runs/{run_id}", "run")):
        page = await person.open(path)
        await page.screenshot(path=folder / f"{name}.png", full_page=name == "run")
        assert (folder / f"{name}.png").stat().st_size > 20_000
    await person.context.close()
