"""The documentation says what is there: commands, settings, files, links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cyclopts import App

from engine.cli.app import create_app
from engine.pipeline.check import check_files, format_problem
from engine.plugin.host import load_catalog
from engine.settings import ALIASES, CLIENT, Settings
from tests.docs.generate import render_commands, render_errors

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("**/*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:\.venv/bin/)?hookwright\s+(.*)")


def test_the_page_of_commands_is_current() -> None:
    """docs/cli.md is what `make docs` writes."""
    assert (ROOT / "docs" / "cli.md").read_text() == render_commands(), "run `make docs`"


def test_the_page_of_errors_is_current() -> None:
    """docs/errors.md is what `make docs` writes."""
    assert (ROOT / "docs" / "errors.md").read_text() == render_errors(), "run `make docs`"


def test_every_setting_is_documented() -> None:
    """docs/configuration.md names each setting with its default, and no variable that does not exist."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = {row[0]: row[1] for row in re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \|", page, re.MULTILINE)}
    for field in msgspec.structs.fields(Settings):
        name = field.name.upper()
        row = rows.get(name) or rows.get(f"HOOKWRIGHT_{name}")
        assert row is not None, f"{name} is missing in docs/configuration.md"
        if isinstance(field.default, str | int) and not isinstance(field.default, bool):
            assert f"`{field.default}`" in row, f"{name}: the page does not say that its default is {field.default}"
    for alias in (*ALIASES, *(f"HOOKWRIGHT_{name}" for name in CLIENT)):
        assert f"`{alias}" in page, f"{alias} is missing"


@pytest.mark.parametrize("name", ["ai.base_url", "ai.api_key", "ai.model", "smtp.url", "smtp.from", "slack.token"])
def test_options_of_our_steps_are_documented(name: str) -> None:
    """An option that a step of ours reads stands on the page as the variable that sets it."""
    variable = "HOOKWRIGHT_" + name.replace(".", "_").upper()
    assert f"`{variable}`" in (ROOT / "docs" / "configuration.md").read_text()


def test_options_in_the_code_are_documented() -> None:
    """Every option that a plugin of ours asks for stands on the page."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    for file in sorted((ROOT / "plugins").glob("**/*.py")):
        for name in re.findall(r"""options(?:\.get\(|\[)["']([a-z]+\.[a-z_]+)["']""", file.read_text()):
            assert f"`HOOKWRIGHT_{name.replace('.', '_').upper()}`" in page, f"{name} of {file.name} is missing"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page names a file that exists."""
    for target in LINK.findall(page.read_text()):
        if not target.startswith(("http://", "https://", "#", "mailto:")):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target} does not exist"


def test_every_page_is_found_from_the_index() -> None:
    """docs/index.md links every page of docs/."""
    linked = {target.partition("#")[0] for target in LINK.findall((ROOT / "docs" / "index.md").read_text())}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"} <= linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    """Each `hookwright ...` in a code block is a command with options that exist; each make target exists."""
    app = create_app()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in commands(page.read_text()):
        if words[0] == "make":
            assert words[1] in targets, f"{page.name}: make {words[1]}"
        else:
            check_command(app, words[1:], page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pipelines_in_the_pages_are_correct(page: Path, tmp_path: Path) -> None:
    """Each whole pipeline in a YAML block passes the checker."""
    files = []
    for number, (kind, block) in enumerate(FENCE.findall(page.read_text())):
        if kind == "yaml" and page.name != "errors.md" and re.match(r"(#.*\n)*id: ", block) and "\nsteps:" in block:
            files.append(tmp_path / f"{number}.yaml")
            files[-1].write_text(block)
    report = check_files(files, load_catalog().catalog, root=tmp_path)
    wrong = [format_problem(problem) for problem in report.problems if problem.severity == "error"]
    assert not wrong, "\n\n".join(wrong)


def test_every_example_in_help_exists() -> None:
    """The examples in each command's help are commands that exist."""
    app = create_app()
    for examples in re.findall(r"^Examples?: (.*)$", render_commands(), re.MULTILINE):
        for text in re.findall(r"`([^`]*)`", examples):
            if found := COMMAND.search(text):
                check_command(app, shlex.split(found[1].partition(" > ")[0]), text)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command line in a page's console blocks, without variables set before it."""
    for kind, block in FENCE.findall(text):
        if kind != "console":
            continue
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True) if line.startswith("$ ") else []
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            for start in split_at(words, "&&"):
                if start and (start[0] == "make" or start[0].endswith("hookwright")):
                    yield start


def split_at(words: list[str], mark: str) -> Iterator[list[str]]:
    """The words between marks."""
    rest = words
    while mark in rest:
        place = rest.index(mark)
        yield rest[:place]
        rest = rest[place + 1 :]
    yield rest


def check_command(app: App, words: list[str], where: str) -> None:
    """Parse a command line without carrying it out."""
    if not words:
        return
    words = [word.replace("<id>", "id") for word in words]
    app.parse_args(words, print_error=False, exit_on_error=False)
    assert words[0] in set(app), f"{where}: hookwright {' '.join(words)}"
