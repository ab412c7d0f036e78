"""`hookwright approvals`, `approve`, `reject` against a real server."""

import asyncio
import json
from pathlib import Path

import pytest
from litestar import Litestar

from engine.cli.app import run
from engine.runtime import Runtime
from tests.integration.web.asking import Asker
from tests.integration.web.serving import serve


async def test_listing_and_deciding(
    app: Litestar,
    token: str,
    asker: Asker,
    runtime: Runtime,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """By the name of the token, via the command line; a second time is exit code 1 and says who was faster."""
    row, other = await asker.ask(), await asker.ask("plain", approvers=["ann"])
    async with serve(app) as url:
        where = ["--url", url, "--token", token, "--data-dir", str(tmp_path / "none")]

        async def call(*words: str) -> tuple[int, str, str]:
            code = await asyncio.to_thread(run, [*words, *where])
            return code, *capsys.readouterr()

        code, out, _ = await call("approvals")
        assert (code, str(row.id) in out, "whoever has a link" in out) == (0, True, True)
        code, out, err = await call("approve", str(row.id), "--form", "amount=0")
        assert (code, "amount: 0 is less than the minimum of 1" in err) == (1, True)
        code, out, _ = await call("approve", str(row.id), "--form", "amount=7", "--form", "note=as agreed")
        assert (code, "approved by test: Pay <b>ada</b> 5 & more?" in out) == (0, True)
        code, _, err = await call("reject", str(row.id))
        assert (code, "This was approved already: by test at 2" in err) == (1, True)
        assert "in the command line" in err
        code, _, err = await call("approve", str(other.id))
        assert (code, "test may not decide this: not among the approvers" in err) == (1, True)
        code, out, _ = await call("approvals", "--json", "--pipeline", "asking")
        assert (code, json.loads(out)) == (0, {"items": [], "next": None})
        code, _, err = await call("approve", "nothing")
        assert code == 1
    found = await runtime.store.get_approval(row.id)
    assert found is not None
    assert (found.via, json.loads(found.answers or b"")["note"]) == ("cli", "as agreed")
