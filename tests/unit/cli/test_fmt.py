"""`hookwright fmt`."""

import json
from pathlib import Path

import pytest

from engine.cli.app import run

UGLY = 'steps:\n- uses: "value"\n  id: a\nid: ugly # its name\n'
TIDY = "id: ugly # its name\nsteps:\n  - id: a\n    uses: value\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One ugly pipeline, one that is tidy, a test, and files of others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOOKWRIGHT_PIPELINES", raising=False)
    for name in ("pipelines", "tests", "pipelines/.hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "pipelines" / "ugly.yaml").write_text(UGLY)
    (tmp_path / "pipelines" / "tidy.yml").write_text(TIDY)
    (tmp_path / "pipelines" / "values.yaml").write_text("a:   1\n")
    (tmp_path / "pipelines" / ".hidden" / "ugly.yaml").write_text(UGLY)
    (tmp_path / "tests" / "ugly.test.yaml").write_text("pipeline:   ugly\ntests: []\n")
    (tmp_path / "project.yaml").write_text("language:   1\n")
    return tmp_path


def test_files_are_formatted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pipelines, tests and the project; what is not ours or hidden is not touched; permissions stay."""
    (project / "pipelines" / "ugly.yaml").chmod(0o640)
    assert run(["fmt"]) == 0
    assert (project / "pipelines" / "ugly.yaml").read_text() == TIDY
    assert (project / "pipelines" / "ugly.yaml").stat().st_mode & 0o777 == 0o640
    assert (project / "tests" / "ugly.test.yaml").read_text() == "pipeline: ugly\ntests: []\n"
    assert (project / "project.yaml").read_text() == "language: 1\n"
    assert (project / "pipelines" / "values.yaml").read_text() == "a:   1\n"
    assert (project / "pipelines" / ".hidden" / "ugly.yaml").read_text() == UGLY
    assert "3 of 4 files formatted" in capsys.readouterr().out
    assert [path.name for path in (project / "pipelines").glob(".*.new")] == []


def test_check_writes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 while something is not formatted, 0 afterwards."""
    assert run(["fmt", "--check"]) == 1
    assert (project / "pipelines" / "ugly.yaml").read_text() == UGLY
    assert "would format pipelines/ugly.yaml" in capsys.readouterr().out
    assert run(["fmt"]) == 0
    assert run(["fmt", "--check"]) == 0


def test_a_diff_is_shown(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is written."""
    assert run(["fmt", "--diff", "pipelines/ugly.yaml"]) == 0
    text = capsys.readouterr().out
    assert '-- uses: "value"\n' in text
    assert "+    uses: value\n" in text
    assert (project / "pipelines" / "ugly.yaml").read_text() == UGLY


def test_a_broken_file_is_told_and_left(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the line; the others are formatted."""
    broken = "id: broken\nsteps:\n\t- uses: value\n"
    (project / "pipelines" / "broken.yaml").write_text(broken)
    assert run(["fmt"]) == 1
    told = capsys.readouterr().out
    assert "pipelines/broken.yaml:3:1" in told
    assert (project / "pipelines" / "broken.yaml").read_text() == broken
    assert (project / "pipelines" / "ugly.yaml").read_text() == TIDY


def test_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One entry a file."""
    (project / "pipelines" / "odd.yaml").write_text("%YAML 1.2\n---\nid: a\nsteps: []\n")
    assert run(["fmt", "pipelines", "--json"]) == 0
    told = {item["file"]: item for item in json.loads(capsys.readouterr().out)}
    assert told["pipelines/ugly.yaml"]["changed"]
    assert told["pipelines/odd.yaml"]["left"] == "it begins with a directive (`%`)"
    assert not told["pipelines/tidy.yml"]["changed"]


def test_a_link_keeps_pointing(project: Path) -> None:
    """The file behind it is formatted."""
    (project / "link.yaml").symlink_to(project / "pipelines" / "ugly.yaml")
    assert run(["fmt", "link.yaml"]) == 0
    assert (project / "link.yaml").is_symlink()
    assert (project / "pipelines" / "ugly.yaml").read_text() == TIDY


def test_a_missing_path_is_wrong_usage(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named."""
    assert run(["fmt", "nothing.yaml"]) == 2
    assert "there is no file or directory nothing.yaml" in capsys.readouterr().err
