"""The real server process on standard input and output, as an editor runs it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.editor.language_client import LanguageClient, start_server

COMMAND = [sys.executable, "-m", "engine", "lsp", "--stdio"]
CALLEE = "id: callee\ninputs:\n  text: string\nsteps:\n  - uses: value\n    with: ${{ inputs.text }}\n"
DRAFT = "id: draft\nsteps:\n  - id: first\n    uses: value\n    with: 1\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one pipeline."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "project.yaml").write_text("language: 1\nenv: [SHOP_URL]\n")
    (tmp_path / "pipelines" / "callee.yaml").write_text(CALLEE)
    return tmp_path


@pytest.fixture
async def server(root: Path) -> AsyncIterator[LanguageClient]:
    async with start_server(COMMAND, root) as client:
        yield client


def codes(problems: list[Any]) -> list[str]:
    return sorted(problem["code"] for problem in problems)


async def test_problems_come_and_go(server: LanguageClient, root: Path) -> None:
    """The checker's problems with place, code and help appear on opening and change with the text."""
    uri = server.open(root / "pipelines" / "draft.yaml", f"{DRAFT}    retries: 3\n")
    (problem,) = await server.problems(uri, lambda problems: problems)
    assert problem["code"] == "E101"
    assert problem["severity"] == 1
    assert problem["source"] == "hookwright"
    assert problem["message"] == "a step has no key `retries`\nhelp: write `retry: 3`"
    assert problem["range"] == {"start": {"line": 5, "character": 4}, "end": {"line": 5, "character": 11}}
    server.change(uri, DRAFT, 2)
    assert await server.problems(uri, lambda problems: not problems) == []


async def test_columns_after_a_party_popper(server: LanguageClient, root: Path) -> None:
    """Columns count UTF-16 units, in what is sent and in what is asked."""
    text = f"{DRAFT}  - uses: value\n    with: {{'🎉': '🎉 ${{{{ steps.secnod }}}}'}}\n"
    uri = server.open(root / "pipelines" / "draft.yaml", text)
    (problem,) = await server.problems(uri, lambda problems: problems)
    line = text.split("\n")[6]
    start = len(line[: line.index("steps")].encode("utf-16-le")) // 2
    assert problem["range"]["start"] == {"line": 6, "character": start}
    answer = await server.ask("completion", uri, 6, start + len("steps."))
    (item,) = [item for item in answer["items"] if item["label"] == "first"]
    assert item["textEdit"]["range"] == {
        "start": {"line": 6, "character": start + len("steps.")},
        "end": {"line": 6, "character": start + len("steps.secnod")},
    }


async def test_other_files_count_with_their_unsaved_texts(server: LanguageClient, root: Path) -> None:
    """Renaming an input in one open document makes its caller in another wrong, before anything is saved."""
    caller = server.open(
        root / "pipelines" / "draft.yaml",
        "id: draft\nsteps:\n  - uses: pipeline:callee\n    with: {text: a}\n",
    )
    assert await server.problems(caller, lambda problems: True) == []
    callee = server.open(root / "pipelines" / "callee.yaml", CALLEE)
    server.change(callee, CALLEE.replace("text", "words"), 2)
    problems = await server.problems(caller, lambda problems: problems)
    assert {problem["code"] for problem in problems} == {"E121"}


async def test_problems_of_closed_files(server: LanguageClient, root: Path) -> None:
    """What breaks in a file that is not open is told as well."""
    (root / "pipelines" / "caller.yaml").write_text(
        "id: caller\nsteps:\n  - uses: pipeline:callee\n    with: {text: a}\n"
    )
    callee = server.open(root / "pipelines" / "callee.yaml", CALLEE.replace("text", "words"))
    caller = (root / "pipelines" / "caller.yaml").as_uri()
    assert await server.problems(caller, lambda problems: problems)
    server.notify("textDocument/didClose", textDocument={"uri": callee})
    assert await server.problems(caller, lambda problems: not problems) == []


async def test_an_unsaved_project_file_counts(server: LanguageClient, root: Path) -> None:
    """A variable that project.yaml allows is known before the file is saved; its own problems are shown in it."""
    text = "id: draft\nsteps:\n  - uses: value\n    with: ${{ env.CRM_URL }}\n"
    uri = server.open(root / "pipelines" / "draft.yaml", text)
    assert codes(await server.problems(uri, lambda problems: problems)) == ["E209"]
    project = server.open(root / "project.yaml", "env: [CRM_URL]\nquues: []\n")
    assert await server.problems(uri, lambda problems: not problems) == []
    assert codes(await server.problems(project, lambda problems: problems)) == ["E101"]


async def test_test_files(server: LanguageClient, root: Path) -> None:
    """Tests are checked against the pipeline that they name."""
    text = "pipeline: callee\ntests:\n  - name: a\n    inputs: {txt: a}\n    expcet: {}\n"
    uri = server.open(root / "tests" / "callee.test.yaml", text)
    problems = await server.problems(uri, lambda problems: problems)
    assert "E101" in codes(problems)
    assert "did you mean `expect`?" in "".join(problem["message"] for problem in problems)


async def test_formatting(server: LanguageClient, root: Path) -> None:
    """As `hookwright fmt`: one edit for the whole document, none if nothing changes or it cannot be read."""
    uri = server.open(root / "pipelines" / "draft.yaml", 'id:   "draft"\nsteps:\n- uses: value # kept\n')
    options = {"tabSize": 2, "insertSpaces": True}
    (edit,) = await server.request("textDocument/formatting", textDocument={"uri": uri}, options=options)
    assert edit["newText"] == "id: draft\nsteps:\n  - uses: value # kept\n"
    assert edit["range"] == {"start": {"line": 0, "character": 0}, "end": {"line": 3, "character": 0}}
    server.change(uri, edit["newText"], 2)
    assert await server.request("textDocument/formatting", textDocument={"uri": uri}, options=options) == []
    server.change(uri, "id: [", 3)
    assert await server.request("textDocument/formatting", textDocument={"uri": uri}, options=options) is None


async def test_completion_in_a_broken_document(server: LanguageClient, root: Path) -> None:
    """Half-typed YAML is an error, and completion works in it."""
    text = f"{DRAFT}  - uses: http.request\n    with: {{url: x, me"
    uri = server.open(root / "pipelines" / "draft.yaml", text)
    assert codes(await server.problems(uri, lambda problems: problems)) == ["E001"]
    labels = [item["label"] for item in (await server.ask("completion", uri, 6, 20))["items"]]
    assert "method" in labels
    assert "url" not in labels


async def test_completion_of_names(server: LanguageClient, root: Path) -> None:
    """Names in an expression that is not closed yet."""
    uri = server.open(root / "pipelines" / "draft.yaml", f"{DRAFT}  - uses: value\n    with: ${{{{ steps.")
    items = (await server.ask("completion", uri, 6, 20))["items"]
    assert [item["label"] for item in items] == ["first"]


async def test_hover(server: LanguageClient, root: Path) -> None:
    """Keys are explained; a problem under the pointer brings the page of its code."""
    uri = server.open(root / "pipelines" / "draft.yaml", f"{DRAFT}    retry: 3\n    needs: []\n")
    await server.problems(uri, lambda problems: problems)
    assert "Attempts, or an object." in (await server.ask("hover", uri, 5, 6))["contents"]["value"]
    assert "**E101**" in (await server.ask("hover", uri, 6, 6))["contents"]["value"]
    assert await server.ask("hover", uri, 99, 0) is None


async def test_definition(server: LanguageClient, root: Path) -> None:
    """A step in the document, and a pipeline in another file."""
    text = f"{DRAFT}  - uses: pipeline:callee\n    with: {{text: '${{{{ steps.first.output }}}}'}}\n"
    uri = server.open(root / "pipelines" / "draft.yaml", text)
    step = await server.ask("definition", uri, 6, text.split("\n")[6].index("first"))
    assert step == {
        "uri": uri,
        "range": {"start": {"line": 2, "character": 8}, "end": {"line": 2, "character": 13}},
    }
    callee = await server.ask("definition", uri, 5, 20)
    assert callee["uri"] == (root / "pipelines" / "callee.yaml").as_uri()


async def test_outline(server: LanguageClient, root: Path) -> None:
    """Steps as symbols."""
    uri = server.open(root / "pipelines" / "draft.yaml", DRAFT)
    (steps,) = await server.request("textDocument/documentSymbol", textDocument={"uri": uri})
    assert [child["name"] for child in steps["children"]] == ["first"]


async def test_foreign_yaml(server: LanguageClient, root: Path) -> None:
    """A file that is not ours has no problems, no completion and no outline."""
    uri = server.open(root / "compose.yaml", "services: {a: {image: x}}\nbad: [")
    assert await server.problems(uri, lambda problems: True) == []
    assert (await server.ask("completion", uri, 0, 0))["items"] == []
    assert not await server.request("textDocument/documentSymbol", textDocument={"uri": uri})


async def test_odd_documents(server: LanguageClient, root: Path) -> None:
    """Bombs, tabs, control characters, no text at all: each has its answers, and the server lives on."""
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
    )
    for number, text in enumerate(["", "\t", "\x00", "id: [" * 60, bomb, "---\n---\n", "- 1\n", "🎉", "a: !!x y"]):
        uri = server.open(root / "pipelines" / f"odd{number}.yaml", text)
        assert await server.problems(uri, lambda problems: problems)
        await server.ask("completion", uri, 0, 1)
        await server.ask("hover", uri, 0, 1)
        await server.ask("definition", uri, 0, 1)
        await server.request("textDocument/documentSymbol", textDocument={"uri": uri})


async def test_documents_that_are_no_files(server: LanguageClient) -> None:
    """What was never saved gets no answers, and no error."""
    document = {"uri": "untitled:Untitled-1", "languageId": "yaml", "version": 1, "text": "id: a"}
    server.notify("textDocument/didOpen", textDocument=document)
    assert await server.ask("completion", "untitled:Untitled-1", 0, 1) is None
    assert await server.ask("hover", "untitled:Untitled-1", 0, 1) is None


async def test_the_end(root: Path) -> None:
    """After shutdown and exit the process ends with 0."""
    async with start_server(COMMAND, root) as client:
        await client.request("shutdown")
        client.notify("exit")
        assert await asyncio.wait_for(client.process.wait(), 30) == 0
        client.ended = True
