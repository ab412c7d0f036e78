"""The command line from outside: exit codes, messages, what is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine import __version__
from engine.cli.app import create_app, run
from engine.cli.listening import listen

HEAVY = ("litestar", "asyncpg", "piccolo", "saq", "httpx", "structlog", "uvicorn", "rich", "jinja2", "aiohttp", "redis")
LIGHT = (["version"], ["version", "--json"])


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Hookwright of the developer's own is near."""
    for name in ("DATABASE_URL", "REDIS_URL", "HOOKWRIGHT_URL", "HOOKWRIGHT_TOKEN", "HOOKWRIGHT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`version` prints the version, and with --json nothing but JSON."""
    assert run(["version"]) == 0
    assert capsys.readouterr().out.startswith(f"hookwright {__version__} ")
    assert run(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hookwright"] == __version__


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    """A command that needs no server, no database and no colours starts in a tenth of a second."""
    program = f"""
import sys
from engine.cli.app import run
code = run({arguments!r})
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert answer.stderr.strip() == "[]"


def test_every_command_has_help_with_an_example() -> None:
    """Each command says what it does in a sentence and shows an example; each option says what it means."""
    page = create_app().generate_docs(usage_name="hookwright")
    sections = page.split("\n## ")[1:]
    assert len(sections) > 10
    for section in page.split("```console")[2:]:
        if " COMMAND" in section.partition("```")[0]:
            continue
        assert "Example" in section, section[:200]
    for line in page.splitlines():
        if line.startswith("* `--"):
            assert len(line.partition("`: ")[2]) > 8, f"says nothing: {line}"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nonsense"], 2, 'Unknown command "nonsense"'),
        (["runs", "list", "--nonsense"], 2, "--nonsense"),
        (["run"], 2, "requires an argument"),
        (["run", "a", "--input", "without-value"], 2, "write name=value"),
        (["runs", "list", "--status", "sleeping"], 2, "sleeping"),
        (["up", "--workers", "0"], 2, "--workers: between 1 and 64"),
        (["runs", "list"], 3, "cannot reach http://127.0.0.1:9: is `hookwright up` running?"),
        (["runs", "list", "--url", "ftp://x"], 3, "does not begin with http"),
        (["api"], 3, "needs DATABASE_URL and REDIS_URL"),
        (["worker"], 3, "needs DATABASE_URL and REDIS_URL"),
        (["migrate"], 3, "set DATABASE_URL"),
        (["token", "create", "x"], 3, "set DATABASE_URL, or start `hookwright up`"),
        (["token", "create", "x", "--expires", "soon"], 2, "is not a duration"),
        (["check", "no-such-file.yaml"], 2, "no file or directory no-such-file.yaml"),
        (["plugins", "show", "http.requst"], 1, "did you mean `http.request`?"),
    ],
)
def test_mistakes_get_one_line_and_their_exit_code(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 for wrong usage, 3 for what cannot be reached or is set up wrongly, 1 for what failed; never a traceback."""
    monkeypatch.setenv("HOOKWRIGHT_URL", "http://127.0.0.1:9")  # the discard port: nobody listens
    assert run(arguments) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert message in told.err
    assert "Traceback" not in told.err


def test_unknown_settings_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt variable is named instead of being ignored."""
    monkeypatch.setenv("HOOKWRIGHT_PROT", "9000")
    assert run(["migrate"]) == 3
    assert "prot" in capsys.readouterr().err


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """HOOKWRIGHT_DEBUG=1 lets the error through."""
    monkeypatch.setenv("HOOKWRIGHT_DEBUG", "1")
    from engine.errors import ConfigurationError

    with pytest.raises(ConfigurationError):
        run(["migrate"])


def test_a_taken_port_is_told_with_the_next_one() -> None:
    """The message names the port, and how to choose another."""
    from engine.errors import ConfigurationError

    taken = listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}.*choose another port with --port {port + 1}"):
        listen("127.0.0.1", port)
    taken.close()
