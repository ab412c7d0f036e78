"""hookwright test: files, selection, formats, exit codes, no network, speed."""

import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from engine.cli.app import run

PIPELINE = """
id: greet
inputs: {name: string}
steps:
  - {id: look, uses: http.request, with: {url: 'https://x.example/${{ inputs.name }}'}}
  - {id: loud, if: inputs.name == 'BO', uses: value, with: 1}
outputs: {text: 'Hello ${{ steps.look.output.body }}'}
"""
TEST = """
pipeline: greet
defaults:
  inputs: {name: ann}
  mocks: {look: {output: {status: 200, body: Ann}}}
tests:
  - name: by name
    expect: {outputs: {text: Hello Ann}}
  - name: by another name
    mocks: {look: {output: {status: 200, body: Bob}}}
    expect: {outputs: {text: Hello Bob}} # he is new
"""
SECONDS = 10.0  # for a thousand tests; they take about two


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One pipeline with two tests that pass, in the current directory."""
    for name in ("HOOKWRIGHT_PIPELINES", "HOOKWRIGHT_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "project.yaml").write_text("language: 1\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "greet.yaml").write_text(PIPELINE)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "greet.test.yaml").write_text(TEST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def break_one(repository: Path) -> None:
    """The second test does not pass any more."""
    file = repository / "tests" / "greet.test.yaml"
    file.write_text(file.read_text().replace("Hello Bob}}", "Hello Rob}}"))


def test_all_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each file, and a sum."""
    assert run(["test"]) == 0
    said = capsys.readouterr()
    assert re.fullmatch(r"tests/greet\.test\.yaml  2 passed\n2 passed in \d\.\d\d s\n", said.out)
    assert said.err == ""


def test_one_fails(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was expected, where it stands, and what happened."""
    break_one(repository)
    assert run(["test"]) == 1
    text = capsys.readouterr().out
    assert "FAILED greet: by another name\n  --> tests/greet.test.yaml:11:30\n" in text
    assert 'expect.outputs.text: expected "Hello Rob", got "Hello Bob"' in text
    assert "tests/greet.test.yaml  1 passed, 1 failed\n1 passed, 1 failed in " in text


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["tests"], 0),
        (["tests/greet.test.yaml"], 0),
        (["-k", "ANOTHER"], 0),
        (["--name", "greet: by name"], 0),
        (["-k", "nobody"], 2),
        (["nowhere"], 2),
        (["pipelines"], 2),
        (["--coverage-min", "50"], 0),
        (["--coverage-min", "99"], 1),
        (["--nonsense"], 2),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    """0 all passed, 1 something failed, 2 wrong usage: no tests are wrong usage."""
    assert run(["test", *arguments]) == code


def test_without_a_directory_of_tests(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to run is not a success."""
    (repository / "tests" / "greet.test.yaml").rename(repository / "greet.test.yaml")
    assert run(["test"]) == 2
    (repository / "tests").rmdir()
    assert run(["test"]) == 2
    assert "there is no directory `tests`" in capsys.readouterr().err
    assert run(["test", "greet.test.yaml"]) == 0


def test_a_wrong_test_file(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is told like a wrong pipeline; the tests of other files run."""
    (repository / "tests" / "wrong.test.yaml").write_text("pipeline: greet\ntests:\n  - {mocks: {lok: {output: 1}}}\n")
    assert run(["test"]) == 1
    text = capsys.readouterr().out
    assert "error[E501]: the pipeline has no step `lok`" in text
    assert "  --> tests/wrong.test.yaml:3:14\n" in text
    assert "help: did you mean `look`?" in text
    assert "2 passed, 1 error in " in text


def test_a_broken_pipeline_is_told(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a test's pipeline has errors, they are shown."""
    file = repository / "pipelines" / "greet.yaml"
    file.write_text(file.read_text().replace("uses: value", "uses: valeu"))
    assert run(["test"]) == 1
    text = capsys.readouterr().out
    assert "there is no step type `valeu`" in text
    assert "there is no pipeline `greet`, or it has errors" in text


def test_json(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document, and nothing else."""
    break_one(repository)
    assert run(["test", "--json", "--coverage"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["passed"], found["failed"], found["problems"]) == (1, 1, [])
    assert [item["name"] for item in found["tests"]] == ["by name", "by another name"]
    assert found["coverage"]["percent"] == 66.7
    assert found["coverage"]["pipelines"][0]["missed"] == [{"line": 6, "what": "`loud` runs"}]


def test_junit(repository: Path) -> None:
    """A file for CI."""
    assert run(["test", "--junit", "results.xml"]) == 0
    assert (repository / "results.xml").read_text().count("<testcase ") == 2


def test_coverage(capsys: pytest.CaptureFixture[str]) -> None:
    """What no test took, with its line."""
    assert run(["test", "--coverage"]) == 0
    text = capsys.readouterr().out
    assert " 66.7 %  greet  2 of 3\n         pipelines/greet.yaml:6: `loud` runs\n" in text


def test_update(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file says what came, comments included; then everything passes."""
    break_one(repository)
    assert run(["test", "--update"]) == 0
    assert (repository / "tests" / "greet.test.yaml").read_text() == TEST
    assert "tests/greet.test.yaml: 1 value updated" in capsys.readouterr().err


def test_an_update_keeps_the_ends_of_lines(repository: Path) -> None:
    """A file with a byte order mark and the line ends of Windows stays one."""
    file = repository / "tests" / "greet.test.yaml"
    break_one(repository)
    broken = b"\xef\xbb\xbf" + file.read_text().replace("\n", "\r\n").encode()
    file.write_bytes(broken)
    assert run(["test", "--update"]) == 0
    assert file.read_bytes() == broken.replace(b"Rob", b"Bob")


def test_places_are_told_from_where_people_are(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From another directory, files are named relative to it."""
    break_one(repository)
    monkeypatch.chdir(repository / "pipelines")
    assert run(["test", "../tests"]) == 1
    assert "--> ../tests/greet.test.yaml:11:30" in capsys.readouterr().out


def test_other_repositories_below_are_left_alone(repository: Path) -> None:
    """A directory with a project.yaml of its own has tests of its own."""
    other = repository / "tests" / "other"
    (other / "tests").mkdir(parents=True)
    (other / "project.yaml").write_text("language: 1\n")
    (other / "tests" / "x.test.yaml").write_text("pipeline: nobody\ntests: []\n")
    assert run(["test"]) == 0
    assert run(["test", "tests/other"]) == 1


def test_check_reads_test_files(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`hookwright check` tells wrong test files, too."""
    (repository / "tests" / "wrong.test.yaml").write_text("pipeline: gret\ntests: []\n")
    assert run(["check"]) == 1
    assert "help: did you mean `greet`?" in capsys.readouterr().out


def test_no_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Not one socket is made."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a socket")

    for name in ("socket", "socketpair", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    assert run(["test", "--coverage"]) == 0
    assert "2 passed" in capsys.readouterr().out


def test_no_databases_and_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that only a running Hookwright needs is opened."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    assert run(["test"]) == 0


def test_a_thousand_tests_are_quick(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With retries, waits and loops in them, less than ten seconds, loading included."""
    (repository / "pipelines" / "long.yaml").write_text(
        """
id: long
inputs: {n: integer}
steps:
  - {id: first, uses: http.request, with: {url: 'https://x.example/${{ inputs.n }}'}, retry: {attempts: 3, delay: 1m}}
  - id: all
    for_each: ${{ range(3) }}
    steps: [{id: each, uses: http.request, with: {url: 'https://x.example/${{ item }}'}}]
  - {id: hold, wait: {events: [{type: go}], timeout: 13d}}
  - {id: last, uses: http.request, with: {url: https://x.example}}
outputs: {n: '${{ inputs.n }}'}
"""
    )
    for file in range(10):
        cases = "".join(
            f"  - {{name: test {number}, inputs: {{n: {number}}}, expect: {{outputs: {{n: {number}}}}}}}\n"
            for number in range(100)
        )
        (repository / "tests" / f"long-{file}.test.yaml").write_text(
            "pipeline: long\ndefaults:\n"
            "  mocks: {http.request: {output: {}}, first: [{error: {type: network}}, {output: {}}]}\n"
            f"  timeline: [{{after: 3d, type: go}}]\ntests:\n{cases}"
        )
    began = time.perf_counter()
    assert run(["test"]) == 0
    assert time.perf_counter() - began < SECONDS
    assert "1002 passed" in capsys.readouterr().out
