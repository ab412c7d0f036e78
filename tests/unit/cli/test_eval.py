"""`hookwright eval` without a server."""

import json
from pathlib import Path

import pytest

from engine.cli.app import run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOOKWRIGHT_URL", raising=False)
    Path("event.yaml").write_text("source: github\ntype: issues.opened\nbody: {title: Crash, n: 7}\n")
    Path("body.json").write_text('{"title": "Crash", "tags": ["a", "b"]}')


@pytest.mark.parametrize(
    ("arguments", "out", "err"),
    [
        (["1 + 1"], "2\n", "a whole number"),
        (["event.body.title | upper", "--event", "event.yaml"], "CRASH\n", 'event.body.title = "Crash"'),
        (["event.type", "--event", "event.yaml"], "issues.opened\n", "text, 13 characters"),
        (["event.body.tags", "--event", "body.json"], '[\n  "a",\n  "b"\n]\n', "a list, 2 items"),
        (["event.type", "--event", "body.json"], "\n", "text, 0 characters"),
        (["<${{ event.body.n }}>", "--event", "event.yaml"], "<7>\n", "text, 3 characters"),
        (["inputs.amount > 2", "--inputs", '{"amount": 3}'], "true\n", "true or false"),
    ],
)
def test_the_value_is_printed(arguments: list[str], out: str, err: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output; what it is on standard error."""
    assert run(["eval", *arguments]) == 0
    told = capsys.readouterr()
    assert told.out == out
    assert err in told.err


def test_a_mistake_has_a_caret(capsys: pytest.CaptureFixture[str]) -> None:
    """As `hookwright check` shows it; exit code 1 and nothing on standard output."""
    assert run(["eval", "event.body.titel | upper", "--event", "body.json"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "error[E221]: `event.body.titel` is not there" in told.err
    assert "1 | event.body.titel | upper\n  | ^^^^^^^^^^^^^^^^\n  = help: did you mean `title`?" in told.err


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Value, type, paths and error."""
    assert run(["eval", "event.body.tags[0]", "--event", "body.json", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["value"], answer["kind"], answer["error"]) == ("a", "text", None)
    assert answer["values"] == {"event.body.tags[0]": "a"}
    assert run(["eval", "secrets.X", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "E305"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["1", "--event", "nothing.json"],
            2,
            "--event nothing.json: No such file or directory; give a file, or the id",
        ),
        (["1", "--inputs", "[]"], 2, "--inputs: write a JSON object"),
        (["1", "--event", "0199f2d0-7b1e-7c30-8a4e-2f6f1a2b3c4d", "--url", "http://127.0.0.1:9"], 3, "cannot reach"),
    ],
)
def test_wrong_usage(arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says what to give."""
    assert run(["eval", *arguments]) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("name", "content"), [("a.json", b"{"), ("a.yaml", b"a: [\n"), ("b.json", b"[" * 100_000)])
def test_files_that_cannot_be_read(name: str, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """One line with the reason, never a traceback."""
    Path(name).write_bytes(content)
    assert run(["eval", "event", "--event", name]) == 2
    assert f"--event {name}" in capsys.readouterr().err
