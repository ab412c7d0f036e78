"""`hookwright check` and `hookwright send --show`, on the examples and on a broken file."""

import hashlib
import hmac
import json
import shutil
from pathlib import Path

import pytest

from engine.cli.app import run

ROOT = Path(__file__).parents[3]
SECRET = "It's a Secret to Everybody"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the examples, with their secrets."""
    for name in ("pipelines", "prompts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "project.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOKWRIGHT_SECRET_GITHUB_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("HOOKWRIGHT_SECRET_INBOX_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    monkeypatch.setenv("HOOKWRIGHT_URL", "http://127.0.0.1:8000")
    return tmp_path


def test_the_examples_are_clean(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What newcomers see first has neither errors nor warnings, and its secrets are known."""
    assert run(["check", "--secrets"]) == 0
    assert capsys.readouterr().out == "4 pipelines checked, no errors\n"


def test_a_missing_secret_is_told_when_asked_for(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--secrets compares with what is set here."""
    monkeypatch.delenv("HOOKWRIGHT_SECRET_INBOX_SECRET")
    assert run(["check"]) == 0
    capsys.readouterr()
    assert run(["check", "--secrets", "--json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert {problem["message"] for problem in problems} == {"secret INBOX_SECRET is not set"}


def test_errors_come_with_place_and_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text for people with a caret, JSON for machines; exit code 1; the good files are still counted."""
    (project / "pipelines" / "bad.yaml").write_text("id: bad\nsteps:\n  - uses: http.requst\n")
    assert run(["check"]) == 1
    text = capsys.readouterr().out
    assert "pipelines/bad.yaml:3:11" in text
    assert "^^^^^^^^^^^" in text
    assert "did you mean `http.request`?" in text
    assert "in 1 file; 4 pipelines without" in text
    assert run(["check", "--format", "json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    problem = answer["problems"][0]
    assert (problem["file"], problem["line"], problem["column"]) == ("pipelines/bad.yaml", 3, 11)
    assert answer["errors"] == len(answer["problems"])
    assert set(answer["pipelines"]) == {"github-triage", "heartbeat", "inbox", "summarize"}


def test_show_prints_a_curl_with_a_true_signature(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command names the kept body; the signature is GitHub's HMAC over it with the configured secret."""
    assert run(["send", "github", "issues.opened", "--show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    body = Path(shown["body_file"]).read_bytes()
    wanted = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert shown["headers"]["x-hub-signature-256"] == wanted
    assert shown["curl"].startswith("curl http://127.0.0.1:8000/hooks/github ")
    assert f"--data-binary @{shown['body_file']}" in shown["curl"]


def test_a_file_is_signed_as_it_is(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--file signs the file's bytes and points curl at the file itself."""
    (project / "mine.json").write_bytes(b'{"a": 1}\x00')
    assert run(["send", "webhook", "--path", "inbox", "--file", "mine.json", "--show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["body_file"] == "mine.json"
    assert shown["headers"]["webhook-signature"].startswith("v1,")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gitlab"], "no trigger listens to gitlab: there are triggers of github, webhook"),
        (["github", "issues.teleported"], "there is no sample of issues.teleported from github: issues.opened"),
        (["github", "issues.opened", "--path", "elsewhere"], "no trigger of github listens on /hooks/elsewhere"),
        (["github", "--file", "absent.json"], "--file absent.json: No such file or directory"),
    ],
)
def test_what_cannot_be_sent_is_told(
    arguments: list[str], message: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake says what there is instead."""
    assert run(["send", *arguments]) == 2
    assert message in capsys.readouterr().err
