"""How deployments, histories, differences and rollbacks are told. The other side is a real HTTP server."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.cli.app import run
from tests.unit.cli.test_client import Hookwright
from tests.unit.cli.test_client import server as client_server

server = client_server  # pytest finds fixtures by the names of the module

GOOD = "id: good\nsteps: [{id: a, uses: value, with: {n: 1}}]\n"
CALLER = 'id: caller\nsteps: [{uses: "pipeline:good"}]\n'
OLD, NEW = "a" * 64, "b" * 64


def write(tmp_path: Path, **texts: str) -> Path:
    """Files below `pipelines/`."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def sent(server: Hookwright) -> dict[str, Any]:
    """The body of the last request."""
    return dict(json.loads(server.asked[-1][3]))


def answer(*changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the API says about a deployment."""
    return {"changes": list(changes), "unchanged": 1, "warnings": [], "folder": None} | more


def change(pipeline: str, version: str | None, previous: str | None) -> dict[str, Any]:
    """One line of it."""
    return {"pipeline": pipeline, "version": version, "previous": previous, "ends_rollback": False}


def test_a_directory_is_the_whole_set(server: Hookwright, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of its pipelines are sent with all that they need, and every change is told."""
    write(tmp_path, good=GOOD, caller=CALLER)
    changes = [change("good", NEW, OLD), change("caller", NEW, None), change("gone", None, OLD)]
    server.answers["POST", "/api/v1/deployments/"] = (200, answer(*changes, folder="pipelines"))
    assert run(["deploy"]) == 0
    body = sent(server)
    assert [item["source"]["file"] for item in body["pipelines"]] == ["pipelines/caller.yaml", "pipelines/good.yaml"]
    assert body["pipelines"][0]["source"]["called"]["good"]["yaml"] == GOOD
    assert (body["only"], body["dry_run"]) == (False, False)
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        f"  ~ good  {OLD[:12]} → {NEW[:12]}",
        f"  + caller  {NEW[:12]}",
        f"  - gone  removed (was {OLD[:12]})",
        "3 changed, 1 stay as they are",
    ]
    assert "also takes pipelines from pipelines" in told.err


def test_files_bring_those_that_call_them(server: Hookwright, tmp_path: Path) -> None:
    """The pipelines that belong together never mix; the others stay."""
    folder = write(tmp_path, good=GOOD, caller=CALLER, other=GOOD.replace("id: good", "id: other"))
    server.answers["POST", "/api/v1/deployments/"] = (200, answer())
    assert run(["deploy", str(folder / "good.yaml"), "--dry-run"]) == 0
    body = sent(server)
    assert [item["source"]["file"] for item in body["pipelines"]] == ["pipelines/caller.yaml", "pipelines/good.yaml"]
    assert (body["only"], body["dry_run"]) == (True, True)
    assert run(["deploy", str(folder / "good.yaml"), str(folder)]) == 2


def test_one_error_sends_nothing(server: Hookwright, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong is shown as `check` shows it."""
    write(tmp_path, good=GOOD, bad="id: bad\nsteps: [{uses: value, wiht: 1}]\n")
    assert run(["deploy"]) == 1
    told = capsys.readouterr()
    assert "pipelines/bad.yaml:2:23" in told.out
    assert "nothing was deployed" in told.err
    assert server.asked == []
    assert run(["deploy", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["file"] == "pipelines/bad.yaml"


def test_what_the_server_refuses_is_told(
    server: Hookwright, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With each of its errors, and exit code 1."""
    write(tmp_path, good=GOOD)
    errors = [{"name": "pipelines/good.yaml:2:1", "message": "E306 the secret X is not set"}]
    server.answers["POST", "/api/v1/deployments/"] = (
        400,
        {"detail": "nothing was deployed: 1 error", "errors": errors},
    )
    assert run(["deploy"]) == 1
    assert "pipelines/good.yaml:2:1: E306 the secret X is not set" in capsys.readouterr().err


def test_history_diff_and_rollback(server: Hookwright, capsys: pytest.CaptureFixture[str]) -> None:
    """Readable, and without colours where nobody can see them."""
    entry = {
        "at": "2026-01-01T00:00:00Z", "kind": "deploy", "version": NEW, "previous": OLD, "by": "ci",
        "commit": "c" * 40 + "+changes", "author": "Ada", "in_force": True,
    }  # fmt: skip
    page = {
        "items": [entry, entry | {"version": None, "in_force": False}],
        "next": 7,
        "version": NEW,
        "rolled_back_from": OLD,
    }
    server.answers["GET", "/api/v1/pipelines/good/history"] = (200, page)
    assert run(["pipeline", "history", "good"]) == 0
    told = capsys.readouterr()
    assert f"{NEW[:12]}  in force" in told.out
    assert "cccccccccccc+" in told.out
    assert "removed" in told.out
    assert "--cursor 7" in told.out
    assert f"its file says {OLD[:12]}" in told.err
    text = "--- pipeline (a)\n+++ pipeline (b)\n@@ -1 +1 @@\n-old \x1b[31m\n+new\n"
    server.answers["GET", "/api/v1/pipelines/good/diff"] = (200, {"before": OLD, "after": NEW, "diff": text})
    assert run(["pipeline", "diff", "good", "aaaa", "bbbb"]) == 0
    assert capsys.readouterr().out == text.replace("\x1b", "\ufffd")
    assert server.asked[-1][1] == "/api/v1/pipelines/good/diff?before=aaaa&after=bbbb"
    done = {"pipeline": "good", "version": OLD, "previous": NEW, "rolled_back_from": NEW}
    server.answers["POST", "/api/v1/pipelines/good/rollback"] = (200, done)
    assert run(["pipeline", "rollback", "good", "--to", "aaaa"]) == 0
    assert capsys.readouterr().out == f"good  {NEW[:12]} → {OLD[:12]}\n"
    assert sent(server) == {"to": "aaaa"}
