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


def test_formats_for_machines(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SARIF and workflow commands, with the same exit code, and nothing else on standard output."""
    (project / "pipelines" / "bad.yaml").write_text("id: bad\nsteps:\n  - uses: http.requst\n")
    assert run(["check", "--format", "sarif"]) == 1
    log = json.loads(capsys.readouterr().out)
    (result,) = log["runs"][0]["results"]
    assert result["ruleId"] == "E114"
    assert run(["check", "--format", "github"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("::error file=pipelines/bad.yaml,line=3,col=11,endColumn=22,title=E114%3A ")


def test_warnings_fail_when_asked_to(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--strict; and --quiet leaves them out."""
    text = "id: odd\nsteps:\n  - if: 1 == 2\n    uses: value\n    with: {a: 1}\n"
    (project / "pipelines" / "odd.yaml").write_text(text)
    assert run(["check"]) == 0
    assert capsys.readouterr().out.endswith("5 pipelines checked, no errors, 1 warning\n")
    assert run(["check", "--strict"]) == 1
    assert capsys.readouterr().out.endswith("1 warning in 1 file; 5 pipelines without errors\n")
    assert run(["check", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_one_file_is_told_of_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The other pipelines are read, because they may be called, but their problems are not shown."""
    (project / "pipelines" / "bad.yaml").write_text("id: bad\nsteps:\n  - uses: http.requst\n")
    (project / "pipelines" / "good.yaml").write_text("id: good\nsteps:\n  - uses: value\n    with: {a: 1}\n")
    assert run(["check", "pipelines/good.yaml"]) == 0
    assert capsys.readouterr().out == "1 pipeline checked, no errors\n"
    assert run(["check", "pipelines/good.yaml", "pipelines/bad.yaml"]) == 1
    assert run(["check", "pipelines/absent.yaml"]) == 2


def test_a_repository_is_its_pipelines_and_tests(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not every YAML file below it, and not those of a repository within; names are seen from here."""
    (project / "compose.yaml").write_text("services: {}\n")
    (project / "pipelines" / "inner").mkdir()
    (project / "pipelines" / "inner" / "project.yaml").write_text("language: 1\n")
    (project / "pipelines" / "inner" / "bad.yaml").write_text("services: {}\n")
    assert run(["check", "."]) == 0
    assert capsys.readouterr().out == "4 pipelines checked, no errors\n"
    assert run(["check", "pipelines/inner"]) == 1
    assert "--> pipelines/inner/bad.yaml:1:1" in capsys.readouterr().out


def test_secrets_of_another_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--env compares with a file of NAME=value lines; the problem stands where the secret is used."""
    (project / ".env.prod").write_text("# all\nexport GITHUB_WEBHOOK_SECRET=x\nHOOKWRIGHT_SECRET_INBOX_SECRET=\n")
    assert run(["check", "--env", "prod"]) == 1
    text = capsys.readouterr().out
    assert "error[E306]: secret INBOX_SECRET is not set" in text
    assert "${{ secrets.INBOX_SECRET }}" in text
    assert "GITHUB_WEBHOOK_SECRET is not set" not in text
    assert run(["check", "--env", "staging"]) == 2
    assert "there is neither a file staging nor .env.staging" in capsys.readouterr().err


def test_codes_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """One with its examples, all with their titles; an unknown one earns a hint."""
    assert run(["explain", "e204"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("E204: the step has not run yet at this point\n")
    assert "    error[E204]: step `hello` has not run yet at this point\n" in text
    assert run(["explain", "E204", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["severity"] == "error"
    assert run(["explain"]) == 0
    assert "  E204  the step has not run yet at this point\n" in capsys.readouterr().out
    assert run(["explain", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["codes"]) > 50
    assert run(["explain", "E2004"]) == 1
    assert capsys.readouterr().err == "error: there is no code `E2004`: did you mean `E204`?\n"


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
