"""`hookwright graph`."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from engine.cli.app import run

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("HOOKWRIGHT_PIPELINES", raising=False)


@pytest.mark.parametrize(
    "wanted", ["summarize", "pipelines/summarize.yaml", str(ROOT / "pipelines" / "summarize.yaml")]
)
def test_a_pipeline_is_found_by_id_and_by_file(wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways show the same tree."""
    assert run(["graph", wanted]) == 0
    text = capsys.readouterr().out
    assert text.startswith("summarize  Summarize a text\n")
    assert "└─ ● summary  ai.complete\n" in text


def test_a_picture_is_written_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only a note on standard error; the file is SVG."""
    assert run(["graph", "inbox", "--format", "svg", "--out", str(tmp_path / "inbox.svg")]) == 0
    assert ET.parse(tmp_path / "inbox.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    told = capsys.readouterr()
    assert told.out == ""
    assert "inbox.svg: " in told.err


def test_mermaid_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    """For pages that draw flowcharts, and for programs."""
    assert run(["graph", "inbox", "--format", "mermaid"]) == 0
    assert capsys.readouterr().out.startswith("flowchart TD\n")
    assert run(["graph", "inbox", "--json"]) == 0
    assert [block["title"] for block in json.loads(capsys.readouterr().out)["blocks"]] == ["keep"]


def test_a_broken_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its errors instead of half a picture."""
    (tmp_path / "broken.yaml").write_text("id: broken\nsteps:\n  - uses: http.requst\n")
    assert run(["graph", str(tmp_path / "broken.yaml")]) == 1
    assert "did you mean `http.request`?" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sumarize"], "there is no pipeline or file sumarize: did you mean `summarize`?"),
        (["inbox", "--out", "no/such/folder/x"], "--out no/such/folder/x: No such file or directory"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Say what there is instead."""
    assert run(["graph", *arguments]) == 2
    assert message in capsys.readouterr().err
