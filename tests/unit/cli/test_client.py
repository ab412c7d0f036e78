"""How commands find Hookwright and tell what it answers. The other side is a real HTTP server."""

import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.cli.app import run
from engine.cli.client import ClientFile, read_client_file, write_client_file
from engine.errors import ConfigurationError

RUN: dict[str, Any] = {
    "id": "0199", "pipeline": "hello", "version": "x", "status": "succeeded", "trigger": None, "labels": {},
    "event_id": None, "replay_of": None, "created_at": "2026-01-01T00:00:00Z", "started_at": None, "finished_at": None,
    "due_at": None, "seconds": 0.25, "waiting": None, "error": None, "message": None,
    "inputs": {"n": 1}, "outputs": {"m": 2},
    "attempts": [
        {"step": "greet", "number": 1, "status": "succeeded", "input": {"a": 1}, "output": {"b": 2}, "error": None,
         "seconds": 0.1, "cached": False},
    ],
}  # fmt: skip
FAILED_RUN = RUN | {
    "status": "failed", "outputs": None, "error": {"type": "http.500", "message": "no luck", "step": "call"}
}  # fmt: skip


class Hookwright(ThreadingHTTPServer):
    """Answers by (method, path) and notes what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[tuple[str, str], tuple[int, Any] | list[tuple[int, Any]]] = {}  # a list: one by one
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Hookwright

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path, _, _query = self.path.partition("?")
        self.server.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        answer = self.server.answers.get((self.command, path), (404, {"detail": f"no {path}"}))
        status, content = answer.pop(0) if isinstance(answer, list) else answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer  # noqa: N815 - the names BaseHTTPRequestHandler looks for

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hookwright]:
    """A server that the commands find by the environment."""
    monkeypatch.chdir(tmp_path)
    with Hookwright() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("HOOKWRIGHT_URL", server.url)
        monkeypatch.setenv("HOOKWRIGHT_TOKEN", "hw_secret")
        yield server
        server.shutdown()
        thread.join()


def test_the_token_is_sent(server: Hookwright, capsys: pytest.CaptureFixture[str]) -> None:
    """The token of the environment goes along as a bearer token."""
    server.answers["GET", "/api/v1/runs"] = (200, {"items": [], "next": None})
    assert run(["runs", "list", "--status", "failed", "--label", "a:1", "--label", "b:2"]) == 0
    assert capsys.readouterr().out == "No runs.\n"
    _, path, headers, _ = server.asked[0]
    assert headers["authorization"] == "Bearer hw_secret"
    assert path == "/api/v1/runs?status=failed&label=a%3A1&label=b%3A2&limit=20"


def test_up_leaves_url_and_token(server: Hookwright, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without options and environment, the file in the data directory is used; another URL does not get its token."""
    server.answers["GET", "/api/v1/runs"] = (200, {"items": [], "next": None})
    monkeypatch.delenv("HOOKWRIGHT_URL")
    monkeypatch.delenv("HOOKWRIGHT_TOKEN")
    (tmp_path / ".hookwright").mkdir()
    write_client_file(tmp_path / ".hookwright", ClientFile(url=server.url, token="hw_left"))
    assert run(["runs", "list"]) == 0
    assert server.asked[-1][2]["authorization"] == "Bearer hw_left"
    assert run(["runs", "list", "--url", server.url.replace("127.0.0.1", "localhost")]) == 0
    assert "authorization" not in server.asked[-1][2]


def test_the_client_file_is_private(tmp_path: Path) -> None:
    """Only its owner may read the file with the token; a broken one is told."""
    write_client_file(tmp_path, ClientFile(url="http://x", token="t"))
    write_client_file(tmp_path, ClientFile(url="http://y", token="t"))
    assert stat.S_IMODE((tmp_path / "client.json").stat().st_mode) == 0o600
    assert read_client_file(tmp_path).url == "http://y"
    (tmp_path / "client.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"client\.json"):
        read_client_file(tmp_path)


@pytest.mark.parametrize(
    ("status", "body", "code", "text"),
    [
        (401, {"title": "Unauthorized", "detail": "unknown token"}, 3, "hookwright token create"),
        (404, {"detail": "There is no pipeline nope."}, 1, "There is no pipeline nope."),
        (422, {"detail": "wrong", "errors": [{"name": "n", "message": "is missing"}]}, 1, "n: is missing"),
        (503, {"detail": "PostgreSQL is away"}, 3, "PostgreSQL is away"),
        (500, b"<html>", 1, "the answer was 500"),
        (409, [], 1, "the answer was 409"),
    ],
)
def test_problems_are_told(
    status: int, body: Any, code: int, text: str, server: Hookwright, capsys: pytest.CaptureFixture[str]
) -> None:
    """The detail of a problem document is the message; wrong fields are listed."""
    server.answers["POST", "/api/v1/pipelines/nope/runs"] = (status, body)
    assert run(["run", "nope", "--no-wait"]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert text in told.err


def test_run_sends_inputs_as_json_where_they_are(server: Hookwright, capsys: pytest.CaptureFixture[str]) -> None:
    """`n=1` is a number, `t=plain` a text, `q="1"` a text that looks like a number."""
    server.answers["POST", "/api/v1/pipelines/hello/runs"] = (202, {"id": "0199", "pipeline": "hello"})
    arguments = ["-i", "n=1", "-i", "t=plain", "--input", 'q="1"', "--input", "e=", "--input", "u=a=b"]
    assert run(["run", "hello", "--no-wait", "--idempotency-key", "k", *arguments]) == 0
    assert capsys.readouterr().out == "0199\n"
    _, _, headers, body = server.asked[0]
    assert json.loads(body) == {"inputs": {"n": 1, "t": "plain", "q": "1", "e": "", "u": "a=b"}}
    assert headers["idempotency-key"] == "k"


@pytest.mark.parametrize(("found", "code"), [(RUN, 0), (FAILED_RUN, 1)], ids=["succeeded", "failed"])
def test_waiting_for_a_run_tells_how_it_went(
    found: dict[str, Any], code: int, server: Hookwright, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is the run's; attempts are shown once, outputs or the error at the end."""
    server.answers["POST", "/api/v1/pipelines/hello/runs"] = (202, {"id": "0199"})
    server.answers["GET", "/api/v1/runs/0199"] = (200, found)
    assert run(["run", "hello", "--wait"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  succeeded  greet  100 ms"
    assert lines[1].startswith(f"{found['status']} after 250 ms")
    assert lines[2] == ('  outputs {"m":2}' if code == 0 else "  error in step call: http.500: no luck")


def test_show_and_json(server: Hookwright, capsys: pytest.CaptureFixture[str]) -> None:
    """`runs show` is readable; with --json it is the API's answer, unchanged."""
    server.answers["GET", "/api/v1/runs/0199"] = (200, RUN)
    assert run(["runs", "show", "0199"]) == 0
    assert 'inputs    {"n":1}' in capsys.readouterr().out
    assert run(["runs", "show", "0199", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == RUN


def test_a_test_is_recorded_from_a_run(server: Hookwright, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`test record` writes a test that the pipeline passes; it does not write over another file."""
    (tmp_path / "pipelines").mkdir()
    call = "uses: http.request, with: {url: 'https://x.example/${{ inputs.n }}'}"
    step = f"{{id: greet, {call}, output: {{b: '${{{{ result.status }}}}'}}}}"
    text = f"id: hello\ninputs: {{n: integer}}\nsteps: [{step}]\noutputs: {{m: '${{{{ steps.greet.output.b }}}}'}}\n"
    (tmp_path / "pipelines" / "hello.yaml").write_text(text)
    attempt = RUN["attempts"][0] | {"started_at": "2026-01-01T00:00:00Z", "due_at": None}
    server.answers["GET", "/api/v1/runs/0199"] = (200, RUN | {"attempts": [attempt]})
    assert run(["test", "record", "0199", "--out", "tests/hello.test.yaml"]) == 0
    written = (tmp_path / "tests" / "hello.test.yaml").read_text()
    assert "greet: {kept: {b: 2}}" in written
    assert run(["test"]) == 0
    assert "1 passed" in capsys.readouterr().out
    assert run(["test", "record", "0199", "--out", "tests/hello.test.yaml"]) == 2
    assert run(["test", "record", "0199"]) == 0
    assert capsys.readouterr().out == written


def test_ids_cannot_reach_other_paths(server: Hookwright, capsys: pytest.CaptureFixture[str]) -> None:
    """What the user types as an id stays one segment of the path."""
    assert run(["runs", "show", "../events"]) == 1
    assert server.asked[0][1] == "/api/v1/runs/..%2Fevents"


def test_events_tell_why_not(server: Hookwright, capsys: pytest.CaptureFixture[str]) -> None:
    """Lists and details show decisions."""
    event = {
        "id": "e1", "source": "github", "type": "issues.closed", "received_at": "2026-01-01T00:00:00Z",
        "path": "github", "delivery_id": "d", "size": 9, "matched": 0, "decided": 1,
        "reason": "event_type", "replay_of": None,
    }  # fmt: skip
    decision = {
        "pipeline": "triage", "trigger": "github", "matched": False, "reason": "event_type",
        "detail": {"type": "issues.closed"}, "sentence": "wants issues.opened",
    }  # fmt: skip
    server.answers["GET", "/api/v1/events"] = (200, {"items": [event], "next": "e1"})
    server.answers["GET", "/api/v1/events/e1"] = (200, event | {"decisions": [decision], "runs": []})
    server.answers["GET", "/api/v1/events/e1/body"] = (200, b"\x00raw")
    assert run(["events", "list"]) == 0
    assert "0 of 1 (event_type)" in capsys.readouterr().out
    assert run(["events", "show", "e1"]) == 0
    assert "no match  triage / github: wants issues.opened" in capsys.readouterr().out


def test_event_paths_are_checked_against_what_has_come(
    server: Hookwright, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check --recorded` asks for the newest events, a few of each kind, and takes those with a JSON body."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "orders.yaml").write_text(
        "id: orders\ntriggers:\n  - uses: webhook\n    with: {path: orders, auth: none}\n"
        "steps:\n  - uses: value\n    with: ${{ event.body.order.nubmer }}\n"
    )
    items = [{"id": f"e{number}", "source": "webhook", "type": "", "path": "orders"} for number in range(12)]
    server.answers["GET", "/api/v1/events"] = (200, {"items": items, "next": None})
    server.answers["GET", "/api/v1/events/e0/body"] = (200, b"plain text")
    for number in range(1, 12):
        server.answers["GET", f"/api/v1/events/e{number}/body"] = (200, {"order": {"number": number}})
    assert run(["check", "--recorded"]) == 1
    out = capsys.readouterr().out
    assert "error[E214]: there is no field `nubmer`" in out
    assert "did you mean `number`?" in out
    assert len(server.asked) == 11
