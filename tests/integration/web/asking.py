"""A run that asks, brought there by the engine itself, and pipelines that do."""

import os
from typing import Any
from uuid import UUID

from engine.flow.advance import advance
from engine.flow.approval_links import make_links
from engine.flow.deploy import deploy_files
from engine.flow.execution import Hold
from engine.flow.start import start_run
from engine.runtime import Runtime
from engine.store.approvals import ApprovalRow

ASKING = """\
id: asking
inputs:
  who: {type: string, default: ada}
steps:
  - id: ask
    wait:
      approval:
        prompt: "Pay <b>${{ inputs.who }}</b> 5 & more?"
        form:
          note: {type: string, default: '', description: Why <i>so</i>}
          amount: {type: integer, minimum: 1, default: 5}
          share: {type: number, default: 0.5}
          sure: {type: boolean, default: false}
          account: {type: string, enum: [main, petty], default: main}
      timeout: 3d
      on_reject: continue
"""
PLAIN = """\
id: plain
inputs:
  approvers: {type: array, default: [test]}
  exclude: {type: array, default: []}
steps:
  - id: ask
    wait:
      approval: {prompt: Go on?, approvers: "${{ inputs.approvers }}", exclude: "${{ inputs.exclude }}"}
      timeout: 3d
"""


class Asker:
    """Starts runs that ask."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.worker: UUID | None = None

    async def deploy(self, *, groups: str = "") -> None:
        """The pipelines `asking` and `plain`, and groups of project.yaml."""
        folder = self.runtime.settings.pipelines
        (folder / "asking.yaml").write_text(ASKING)
        (folder / "plain.yaml").write_text(PLAIN)
        (folder.parent / "project.yaml").write_text(f"language: 1\n{groups}")
        await deploy_files(self.runtime)

    async def ask(self, pipeline: str = "asking", **inputs: Any) -> ApprovalRow:
        """The question of a new run that waits for its answer."""
        run_id = (await start_run(self.runtime, pipeline, inputs)).run_id
        assert await self.turn(run_id)
        (row,) = await self.runtime.store.approvals_of_run(run_id)
        return row

    async def turn(self, run_id: UUID) -> bool:
        """One visit to the run; whether it was due."""
        store = self.runtime.store
        if self.worker is None:
            self.worker = await store.register_worker("worker", "test", os.getpid())
        claimed = await store.claim([run_id], self.worker, 1)
        for run in claimed:
            await advance(self.runtime, run, Hold())
        return bool(claimed)

    async def links(self, row: ApprovalRow) -> dict[str, str]:
        """`url`, `approve_url`, `reject_url` without the host."""
        made = await make_links(self.runtime, row)
        return {name: link.removeprefix(self.runtime.settings.url) for name, link in made.items()}

    async def state(self, row: ApprovalRow) -> str:
        """How the question stands now."""
        found = await self.runtime.store.get_approval(row.id)
        assert found is not None
        return found.state

    async def expire(self, row: ApprovalRow) -> None:
        """Its time is over."""
        statement = "update approval set expires_at = now() - interval '1 second' where id = $1"
        await self.runtime.store._database.fetch(statement, row.id)
