"""Our schemas in the YAML language server from npm: what people see in most editors. `make editor` installs it."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.editor.schema import modeline, write_schemas
from engine.plugin.host import load_catalog
from tests.integration.editor.language_client import LanguageClient, start_server

REPOSITORY = Path(__file__).parents[3]


def find_server() -> str | None:
    """The program named in YAML_LANGUAGE_SERVER, or in node_modules/.bin, or on the PATH."""
    named = os.environ.get("YAML_LANGUAGE_SERVER")
    local = REPOSITORY / "node_modules" / ".bin" / "yaml-language-server"
    return (
        str(Path(named).absolute()) if named else str(local) if local.exists() else shutil.which("yaml-language-server")
    )


SERVER = find_server()
pytestmark = pytest.mark.skipif(SERVER is None, reason="no yaml-language-server here: `make editor` installs one")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[LanguageClient, Path]]:
    """The running server, and a repository with our schemas."""
    write_schemas(tmp_path / ".hookwright", load_catalog().catalog)
    assert SERVER is not None
    async with start_server([SERVER, "--stdio"], tmp_path) as client:
        yield client, tmp_path


def write(text: str, kind: Any = "pipeline") -> str:
    """A file with its modeline."""
    return f"{modeline(kind, '../.hookwright')}\n{text}"


async def complete(server: tuple[LanguageClient, Path], text: str, kind: Any = "pipeline") -> dict[str, str]:
    """What is offered at the end of the text, with its documentation."""
    client, root = server
    text = write(text, kind)
    lines = text.split("\n")
    uri = client.open(root / "pipelines" / "a.yaml", text)
    answer = await client.ask("completion", uri, len(lines) - 1, len(lines[-1]))
    items = answer["items"] if isinstance(answer, dict) else answer
    return {item["label"]: told(item.get("documentation", "")) for item in items}


def told(documentation: Any) -> str:
    return documentation["value"] if isinstance(documentation, dict) else documentation


STEP = "id: a\nsteps:\n  - id: call\n    uses: http.request\n    with:\n      "


async def test_fields_of_the_chosen_step_type(server: tuple[LanguageClient, Path]) -> None:
    """Below `with:` the fields of that `uses` are offered, with their descriptions, and no others."""
    offered = await complete(server, STEP)
    assert offered["url"] == "Where to. Required."
    assert offered["timeout"] == "How long to wait for the whole answer."
    assert "collection" not in offered


async def test_fields_of_a_trigger_and_its_scheme(server: tuple[LanguageClient, Path]) -> None:
    """Triggers have theirs, down to the settings of a signature scheme."""
    trigger = "id: a\nsteps: []\ntriggers:\n  - uses: webhook\n    with:\n      path: a\n      auth:\n        "
    assert {"hmac", "standard", "bearer", "basic", "token"} <= (await complete(server, trigger)).keys()


async def test_words(server: tuple[LanguageClient, Path]) -> None:
    """Enum words of plugins and of the language."""
    assert {"GET", "POST"} <= (await complete(server, f"{STEP}method: ")).keys()


async def test_step_types(server: tuple[LanguageClient, Path]) -> None:
    """`uses` offers the installed types with their summaries."""
    offered = await complete(server, "id: a\nsteps:\n  - uses: ")
    assert offered["http.request"] == "Send one HTTP request and return the answer."


async def test_keys_of_a_step(server: tuple[LanguageClient, Path]) -> None:
    """Keys of the language with their meaning."""
    offered = await complete(server, "id: a\nsteps:\n  - uses: value\n    ")
    assert offered["retry"].startswith("Attempts, or an object.")
    assert list(offered).count("with") == 1


async def test_keys_of_a_test(server: tuple[LanguageClient, Path]) -> None:
    """Test files have their own schema."""
    offered = await complete(server, "pipeline: a\ntests:\n  - name: it works\n    expect:\n      ", "test")
    assert {"outcome", "ran", "outputs"} <= offered.keys()


async def test_hover(server: tuple[LanguageClient, Path]) -> None:
    """A field's hover shows the plugin's description, a key's the language's, `with` the step type's own text."""
    client, root = server
    text = write(f"{STEP}url: https://example.com\n      timeout: 10s\n    timeout: 20s\n")
    uri = client.open(root / "pipelines" / "a.yaml", text)
    lines = text.split("\n")

    async def hover(line: int) -> str:
        column = len(lines[line]) - len(lines[line].lstrip()) + 1
        return str((await client.ask("hover", uri, line, column))["contents"]["value"])

    assert "Send one HTTP request" in await hover(lines.index("    with:"))
    assert "Where to." in await hover(lines.index("      url: https://example.com"))
    assert "How long to wait for the whole answer." in await hover(lines.index("      timeout: 10s"))
    assert "Of one attempt; of a group in total." in await hover(lines.index("    timeout: 20s"))


async def test_errors_are_no_wall(server: tuple[LanguageClient, Path]) -> None:
    """One short problem for each mistake."""
    client, root = server
    text = write(
        "id: a\nsteps:\n  - uses: http.request\n    with: {ulr: x, follow_redirects: '1'}\n    timeout: 30\n"
        "  - uses: http.requst\n  - uses: value\n    wait: 3d\n  - id: nothing\n"
    )
    uri = client.open(root / "pipelines" / "a.yaml", text)
    found = await client.problems(uri, lambda problems: problems)
    assert sorted((problem["range"]["start"]["line"], problem["message"]) for problem in found) == [
        (4, "Property ulr is not allowed."),
        (4, "this must be true or false, or one expression alone: ${{ ... }}"),
        (5, "this is not a duration: write for example 500ms, 30s, 5m, 2h, 3d, 1h30m"),
        (6, "there is no step type of this name; `hookwright plugins list` shows the installed ones"),
        (8, "Property wait is not allowed."),
        (9, "a step has one of `uses`, `steps`, `parallel`, `switch`, `wait`"),
    ]


async def test_good_files_are_clean(server: tuple[LanguageClient, Path]) -> None:
    """Our own pipelines have no problem there; the one at the end shows that the server has looked."""
    client, root = server
    text = "\n".join((REPOSITORY / "pipelines" / "github-triage.yaml").read_text().splitlines())
    uri = client.open(root / "pipelines" / "b.yaml", write(f"{text}\nneeds: []\n"))
    found = await client.problems(uri, lambda problems: problems)
    assert [problem["message"] for problem in found] == ["Property needs is not allowed."]
