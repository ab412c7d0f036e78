"""`hookwright init`: a new project that is right at once."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from engine.cli.app import run
from engine.cli.init import FILES
from tests.docs.test_pages import check_command, create_app
from tests.docs.test_pages import commands as commands_of


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOOKWRIGHT_PIPELINES", "HOOKWRIGHT_DATA_DIR", "HOOKWRIGHT_SECRETS_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_a_new_project_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Checked without a warning, tested, formatted; its example expression works."""
    assert run(["init"]) == 0
    told = capsys.readouterr().out
    assert "hookwright up" in told
    assert run(["check"]) == 0
    checked = capsys.readouterr().out
    assert "no errors" in checked
    assert "warning" not in checked
    assert run(["test"]) == 0
    assert "3 passed" in capsys.readouterr().out
    assert run(["fmt", "--check"]) == 0
    assert run(["graph", "hello"]) == 0
    capsys.readouterr()
    assert run(["eval", "event.body.name", "--event", "events/hello.json"]) == 0
    assert capsys.readouterr().out == "Ada\n"


def test_all_files_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Into a directory that is made; editors find the schemas that their settings name."""
    assert run(["init", "deep/automations", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    project = tmp_path / "deep" / "automations"
    assert answer["written"] == list(FILES)
    assert answer["next"][0] == "cd deep/automations"
    assert all((project / name).is_file() for name in [*FILES, *answer["schemas"]])
    settings = msgspec.json.decode((project / ".vscode" / "settings.json").read_bytes())
    assert sorted(settings["yaml.schemas"]) == sorted(answer["schemas"])
    for name in ("project.yaml", "pipelines/hello.yaml", "tests/hello.test.yaml"):
        schema = (project / name).read_text().splitlines()[0].partition("$schema=")[2]
        assert ((project / name).parent / schema).is_file(), name


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is in the way is named, and nothing is written at all."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "hello.yaml").write_text("mine")
    (tmp_path / "project.yaml").symlink_to("elsewhere")
    assert run(["init"]) == 2
    assert "these exist in .: project.yaml, pipelines/hello.yaml; --force" in capsys.readouterr().err
    assert (tmp_path / "pipelines" / "hello.yaml").read_text() == "mine"
    assert not (tmp_path / "tests").exists()
    assert run(["init", "--force"]) == 0
    assert (tmp_path / "pipelines" / "hello.yaml").read_text() != "mine"
    assert not (tmp_path / "elsewhere").exists()


def test_a_readme_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As are .gitignore and editor settings, --force or not; a .gitignore that forgets the secrets is told."""
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    assert run(["init"]) == 0
    assert "add `.hookwright/` to it" in capsys.readouterr().err
    assert run(["init", "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == [".gitignore", ".vscode/settings.json", "README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_place_that_is_no_directory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line."""
    (tmp_path / "file").write_text("")
    for where in ("file", "file/below"):
        assert run(["init", where]) == 2
        assert "file" in capsys.readouterr().err


def test_the_readme_names_commands_that_exist(tmp_path: Path) -> None:
    """Each command line of the new project's README can be parsed."""
    assert run(["init"]) == 0
    lines = list(commands_of((tmp_path / "README.md").read_text()))
    assert len(lines) > 5
    for words in lines:
        check_command(create_app(), words[1:], "README.md")


def test_secrets_of_the_example_are_made_by_up(tmp_path: Path) -> None:
    """`hookwright up` may invent the example's secret, so it works at once."""
    from engine.cli.development import missing_secrets

    assert run(["init"]) == 0
    assert missing_secrets(Path("pipelines"), {}, tmp_path / "secrets.env") == (["HELLO_SECRET"], [])
    shutil.rmtree("pipelines")
