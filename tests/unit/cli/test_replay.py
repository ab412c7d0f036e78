"""How a replay asks, goes through pages, stops and goes on. The other side is a real HTTP server."""

import json
from typing import Any

import pytest

from engine.cli import replay
from engine.cli.app import run
from tests.unit.cli.test_client import Hookwright
from tests.unit.cli.test_client import server as client_server

EFFECT = {"pipeline": "triage", "step": "label", "uses": "http.request", "effect": "idempotent"}
CURSOR = "01990000-0000-7000-8000-000000000002"
SINCE, UNTIL = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


known_server = client_server  # pytest finds fixtures by the names of the module


@pytest.fixture
def server(known_server: Hookwright) -> Hookwright:
    """The server, which has three events to replay."""
    known_server.answers["POST", "/api/v1/replays/plan"] = (200, {"events": 3, "until": UNTIL, "effects": [EFFECT]})
    return known_server


def item(number: int, **more: Any) -> dict[str, Any]:
    """One event of a page."""
    return {"event_id": f"e{number}", "type": "x", "runs": [], "reason": "", "error": ""} | more


def page(*items: dict[str, Any], next: str | None = None, **more: Any) -> dict[str, Any]:
    """A page of a replay of many."""
    return {"items": list(items), "next": next, "same": 0, "differ": 0, "differences": []} | more


def bodies(server: Hookwright, path: str) -> list[dict[str, Any]]:
    """What was sent there."""
    return [json.loads(body) for method, asked, _, body in server.asked if (method, asked) == ("POST", path)]


def test_steps_with_effects_are_listed_and_nobody_is_asked_without_a_terminal(
    server: Hookwright, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, nothing was started, and the steps are named."""
    planned = {"pipeline": "triage", "version": "a" * 64, "trigger": "github", "replay_of": None}
    server.answers["GET", "/api/v1/events/e1"] = (200, {})
    plan = {"event_id": "e1", "runs": [], "decisions": [], "effects": [EFFECT], "planned": [planned]}
    started = plan | {"runs": [{"id": "r1", "pipeline": "triage"}]}
    server.answers["POST", "/api/v1/events/e1/replay"] = [(200, plan), (200, plan), (202, started)]
    assert run(["replay", "e1"]) == 2
    assert "triage / label (http.request)" in capsys.readouterr().err
    assert all(body.get("plan") for body in bodies(server, "/api/v1/events/e1/replay"))
    assert run(["replay", "e1", "--yes", "--from", "label", "--reuse-keys", "--version", "abcd"]) == 0
    assert capsys.readouterr().out == "r1  triage\n"
    assert bodies(server, "/api/v1/events/e1/replay")[-1] == {"from": "label", "reuse_keys": True, "version": "abcd"}


def test_an_id_may_be_a_runs(server: Hookwright, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no event is looked for among the runs; what is neither is told."""
    server.answers["GET", "/api/v1/runs/r1"] = (200, {})
    answer = {"event_id": None, "runs": [], "decisions": [], "effects": [], "planned": [], "differences": []}
    server.answers["POST", "/api/v1/runs/r1/replay"] = (200, answer)
    assert run(["replay", "r1", "--dry-run"]) == 0
    assert run(["replay", "r1"]) == 1
    assert run(["replay", "nothing"]) == 1
    assert "there is no event and no run nothing" in capsys.readouterr().err


def test_all_pages_are_replayed_with_one_key(server: Hookwright, capsys: pytest.CaptureFixture[str]) -> None:
    """The same end of time and the same key with each page; counts and errors at the end."""
    first = page(item(1, runs=[{"id": "r1"}]), item(2, reason="no trigger matched"), next=CURSOR)
    server.answers["POST", "/api/v1/replays"] = [(200, first), (200, page(item(3, error="it has changed")))]
    code = run(
        ["replay", "--source", "github", "--type", "issues.*", "--since", SINCE, "--pipeline", "triage", "--yes"]
    )
    assert code == 1
    out = capsys.readouterr().out
    assert out.splitlines() == ["3 events, 1 runs started, 1 without a run, 1 errors", "  error e3: it has changed"]
    one, other = bodies(server, "/api/v1/replays")
    assert one["key"] == other["key"]
    assert (other["cursor"], other["until"], other["since"]) == (CURSOR, UNTIL, SINCE)
    assert (one["type"], one["source"], one["pipeline"], one["dry_run"]) == ("issues.*", "github", "triage", False)


def test_a_replay_that_was_stopped_goes_on(server: Hookwright, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints where it was; the page that was under way is sent again with the same key."""
    lost = (503, {"detail": "PostgreSQL is away"})
    server.answers["POST", "/api/v1/replays"] = [(200, page(item(1), next=CURSOR)), lost, (200, page(item(2)))]
    assert run(["replay", "--source", "github", "--since", SINCE, "--yes"]) == 3
    told = capsys.readouterr().err
    assert "stopped after 1 events" in told
    token = told.split("--resume ")[1].split()[0]
    assert run(["replay", "--source", "github", "--resume", token, "--yes"]) == 0
    _, second, again = bodies(server, "/api/v1/replays")
    assert second == again
    assert run(["replay", "--resume", "nonsense"]) == 2


def test_an_interrupted_replay_says_how_to_go_on(
    server: Hookwright, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between two pages: exit code 130, and the JSON has what --resume takes."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(replay.Bar, "show", stop)
    server.answers["POST", "/api/v1/replays"] = (200, page(item(1, runs=[{"id": "r1"}]), next=CURSOR))
    assert run(["replay", "--since", SINCE, "--yes", "--json"]) == 130
    found = json.loads(capsys.readouterr().out)
    assert (found["events"], found["runs"]) == (1, 1)
    assert CURSOR in found["resume"]


def test_a_dry_run_of_many_asks_nobody(server: Hookwright, capsys: pytest.CaptureFixture[str]) -> None:
    """How many are the same, how many differ, and the first that do."""
    difference = {
        "pipeline": "triage", "trigger": "github", "old_run": "r1", "old_version": "a" * 64, "version": "b" * 64,
        "same": False, "before": "succeeded", "after": "failed", "reason": "", "more": 0, "more_steps": 0,
        "changes": [{"path": "outputs.n", "before": 1, "after": 2, "only": None}], "unchanged": 3, "notes": ["mind"],
        "steps": [{"step": "label", "uses": "http.request", "what": "new", "before": None, "after": "succeeded",
                   "changes": [{"path": "with", "before": None, "after": {"u": 1}, "only": "after"}], "more": 0,
                   "note": "unknown"}],
    }  # fmt: skip
    server.answers["POST", "/api/v1/replays"] = (
        200,
        page(item(1), item(2), same=1, differ=1, differences=[difference]),
    )
    assert run(["replay", "--since", "7d", "--dry-run"]) == 0
    assert capsys.readouterr().out == (
        "2 events, 1 same, 1 differ\n\n"
        "triage aaaaaaaaaa → bbbbbbbbbb  compared with run r1\n"
        "  outcome succeeded → failed\n"
        "  - outputs.n: 1\n"
        "  + outputs.n: 2\n"
        "  + label (http.request) would run\n"
        "      unknown\n"
        '      + with: {"u":1}\n'
        "  3 steps are the same\n"
        "  note: mind\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["e1", "--since", "7d"],
        ["--source", "x"],
        ["--since", "yesterday"],
        ["e1", "--latest", "--version", "abcd"],
        ["--since", "7d", "--from", "x"],
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], server: Hookwright) -> None:
    """Before anything is sent."""
    assert run(["replay", *arguments]) == 2
    assert bodies(server, "/api/v1/replays") == []
