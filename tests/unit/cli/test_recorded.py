"""`hookwright check --events` and `--recorded`: `event....` against what has really come."""

from pathlib import Path

import pytest

from engine.cli.app import run

PIPELINE = """\
id: orders
triggers:
  - uses: webhook
    with: {path: orders, auth: {bearer: "${{ secrets.TOKEN }}"}}
steps:
  - uses: value
    with: {number: "${{ event.body.order.nubmer }}", note: "${{ event.body.note ?? '' }}"}
"""
MESSAGE = """\
error[E214]: there is no field `nubmer`
  --> pipelines/orders.yaml:7:42
  |
7 |     with: {number: "${{ event.body.order.nubmer }}", note: "${{ event.body.note ?? '' }}"}
  |                                          ^^^^^^
  = help: did you mean `number`?
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "orders.yaml").write_text(PIPELINE)
    (tmp_path / "events").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_events_anything_is_possible(project: Path) -> None:
    """Nobody knows what a plain webhook gets."""
    assert run(["check"]) == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("one.json", '{"order": {"number": 7}}'),
        ("one.yaml", "source: webhook\npath: orders\nbody: {order: {number: 7}}\n"),
        ("deep/one.yml", "body: {order: {number: 7}}\n"),
    ],
)
def test_events_of_a_directory(name: str, text: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole events, or bare bodies; what may be missing (`?? ''`) need not have been seen."""
    file = project / "events" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    assert run(["check", "--events", "events"]) == 1
    assert MESSAGE in capsys.readouterr().out


@pytest.mark.parametrize("head", ["source: github", "path: invoices"])
def test_events_of_others_do_not_count(head: str, project: Path) -> None:
    """Another source, another path: the trigger would not get them."""
    (project / "events" / "other.yaml").write_text(f"{head}\nbody: {{issue: 1}}\n")
    assert run(["check", "--events", "events"]) == 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bad.json", "{", "--events: events/bad.json: "),
        ("bad.yaml", "a: [1\n", "--events: events/bad.yaml:1:4: this `[` is not closed"),
    ],
)
def test_files_that_cannot_be_read(
    name: str, text: str, message: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage, with the place."""
    (project / "events" / name).write_text(text)
    assert run(["check", "--events", "events"]) == 2
    assert message in capsys.readouterr().err
    assert run(["check", "--events", "absent"]) == 2
