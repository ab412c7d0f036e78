"""A loop whose worker is killed goes on with the items that are left."""

import signal
import textwrap

import pytest

from tests.acceptance.conftest import Installation

pytestmark = pytest.mark.timeout(120)

LOOP = """
id: loop
triggers: [{uses: webhook, with: {path: loop, auth: none}}]
vars: {url: "${{ env.DOWNSTREAM }}"}
steps:
  - id: each
    for_each: {items: "${{ event.body.rows }}", as: n, concurrency: 4}
    steps:
      - id: first
        uses: http.request
        with: {method: POST, url: "${{ vars.url }}/first", json: {n: "${{ n }}"}}
      - parallel:
          left: [{id: left, uses: http.request, with: {method: POST, url: "${{ vars.url }}/left"}}]
          right: [{id: right, uses: http.request, with: {method: POST, url: "${{ vars.url }}/right"}}]
    output: ${{ n }}
outputs: {each: "${{ steps.each.output }}"}
"""
ITEMS = 40


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_worker_dies_in_the_middle_of_a_loop(installation: Installation, how: signal.Signals) -> None:
    """Every item is done, none that was finished is done again; after a clean stop nothing is done twice at all."""
    (installation.folder / "pipelines" / "loop.yaml").write_text(textwrap.dedent(LOOP))
    await installation.api()
    worker = await installation.worker()
    installation.downstream.delay = 0.05
    answer = await installation.client.post("/hooks/loop", json={"rows": list(range(ITEMS))})
    assert answer.status_code == 202, answer.text
    run = answer.json()["runs"][0]["id"]
    await installation.downstream.until(lambda seen: len(seen.effects) >= ITEMS)
    if how == signal.SIGKILL:
        await worker.kill()
    else:
        worker.signal(how)
        assert await worker.ended() == 0
    rows = await installation.query("select step from attempt where status = 'succeeded'")
    finished = {f"{run}/{row['step']}" for row in rows}
    before = {key: installation.downstream.effects[key] for key in finished}
    assert any(before.values()), "the kill came before any step was recorded"
    assert sum(installation.downstream.effects.values()) < ITEMS * 3, "the kill came when all was done"
    await installation.worker()
    await installation.all_succeeded(1)
    effects = installation.downstream.effects
    assert {key: effects[key] for key in finished} == before
    assert set(effects) == {f"{run}/each[{n}]/{step}" for n in range(ITEMS) for step in ("first", "left", "right")}
    if how == signal.SIGTERM:
        assert set(effects.values()) == {1}
    rows = await installation.query("select outputs from run")
    assert [int(n) for n in str(rows[0]["outputs"]).partition("[")[2].partition("]")[0].split(",")] == list(
        range(ITEMS)
    )
