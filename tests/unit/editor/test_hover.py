"""What the pointer is told, where definitions are, and the outline."""

from pathlib import Path

import pytest

from engine.editor.symbols import Symbol, outline
from engine.editor.text import Text
from engine.editor.tree import parse
from tests.language.catalog import FILES, ROOT
from tests.unit.editor.documents import target, told

HEAD = "id: draft\ninputs:\n  title: {type: string, description: what it says}\nvars:\n  word: x\nsteps:\n"
STEPS = HEAD + "  - id: fetch\n    uses: http.request\n    with:\n      url: https://example.com\n"

HOVERS = {
    "a key": (HEAD + "  - uses: value\n    ret‸ry: 3\n", "Attempts, or an object."),
    "a field": (HEAD + "  - uses: http.request\n    with: {u‸rl: x}\n", "Where to."),
    "with": (HEAD + "  - uses: http.request\n    wi‸th: {url: x}\n", "Send one HTTP request"),
    "a step type": (HEAD + "  - uses: http.re‸quest\n", "HTTP status."),
    "a trigger type": ("id: a\ntriggers:\n  - uses: webh‸ook\n", "Receive deliveries of any sender."),
    "a called pipeline": (HEAD + "  - uses: pipeline:page-‸oncall\n", "`escalate_after`"),
    "an input of a called pipeline": (
        HEAD + "  - uses: pipeline:page-oncall\n    with: {esc‸alate_after: 1m}\n",
        "15m",
    ),
    "a filter": (STEPS + "      body: ${{ inputs.title | up‸per }}\n", "Capital letters."),
    "a function": (STEPS + "      body: ${{ date_a‸dd(now(), '1d') }}\n", "The time so much later"),
    "a test": (STEPS + "      body: ${{ inputs.title is emp‸ty }}\n", "nothing in it"),
    "a root": (STEPS + "      body: ${{ inp‸uts.title }}\n", "The pipeline's inputs."),
    "a step's output": (STEPS + "  - if: steps.fetch.out‸put.status == 200\n    uses: value\n", "status: integer"),
    "a key of a test": ("pipeline: order-status\ntests:\n  - name: a\n    expect: {not_‸ran: []}\n", "did not run"),
    "a key of the project": ("en‸v: [A]\n", "environment variables"),
}


@pytest.mark.parametrize(("text", "says"), HOVERS.values(), ids=HOVERS)
def test_hover(text: str, says: str) -> None:
    """Keys, fields, types, filters, functions, tests and names are explained."""
    file = "tests/a.test.yaml" if text.startswith("pipeline:") else "pipelines/draft.yaml"
    assert says in told(text, file="project.yaml" if "‸v:" in text else file)


def test_nothing_to_say(tmp_path: Path) -> None:
    """Empty places and foreign files have no hover."""
    assert told("id: a\n‸\nsteps: []\n") == ""
    assert told("ser‸vices: {}\n", tmp_path, "compose.yaml") == ""


DEFINITIONS = {
    "a step": (STEPS + "  - if: steps.fet‸ch.output.status == 200\n    uses: value\n", "pipelines/draft.yaml", "fetch"),
    "a step in brackets": (STEPS + "      body: ${{ steps['fet‸ch'].output }}\n", "pipelines/draft.yaml", "fetch"),
    "an input": (STEPS + "      body: ${{ inputs.ti‸tle }}\n", "pipelines/draft.yaml", "title"),
    "a variable": (STEPS + "      body: a ${{ vars.wo‸rd }}\n", "pipelines/draft.yaml", "word"),
    "a pipeline": (HEAD + "  - uses: pipeline:page‸-oncall\n", "pipelines/01b-page-oncall.yaml", "id"),
    "an input of a called pipeline": (
        HEAD + "  - uses: pipeline:page-oncall\n    with: {ur‸l: x}\n", "pipelines/01b-page-oncall.yaml", "url",
    ),
    "a file": (STEPS + "      body: ${{ file('prompts/tri‸age.md') }}\n", "prompts/triage.md", ""),
    "a template": (STEPS + "      body: ${{ template('prompts/rag‸.j2', a=1) }}\n", "prompts/rag.j2", ""),
    "a step below a broken line": (
        "id: a\nx: [\nsteps:\n  - id: fetch\n    uses: value\n  - uses: value\n    if: steps.fe‸tch.status\n",
        "pipelines/draft.yaml",
        "fetch",
    ),
    "the pipeline of a test": ("pipeline: order‸-status\n", "pipelines/06b-order-status.yaml", "id"),
    "a step that is mocked": (
        "pipeline: order-status\ntests:\n  - mocks: {g‸et: {output: 1}}\n", "pipelines/06b-order-status.yaml", "get",
    ),
    "an input in a test": (
        "pipeline: order-status\ntests:\n  - inputs: {or‸der: A}\n", "pipelines/06b-order-status.yaml", "order",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "file", "selected"), DEFINITIONS.values(), ids=DEFINITIONS)
def test_definition(text: str, file: str, selected: str) -> None:
    """References lead to what they name, in the file that is open or in another."""
    place = "tests/a.test.yaml" if text.startswith("pipeline:") else "pipelines/draft.yaml"
    assert target(text, file=place) == (file, selected)


def test_no_definition() -> None:
    """A name that does not exist, and a file outside the repository, lead nowhere."""
    assert target(STEPS + "      body: ${{ steps.no‸ne.output }}\n") is None
    assert target(STEPS + "      body: ${{ file('../../‸x') }}\n") is None


def names(symbols: tuple[Symbol, ...] | list[Symbol]) -> dict[str, object]:
    return {symbol.name: names(symbol.children) for symbol in symbols}


def test_outline() -> None:
    """Parts of the pipeline, with nested steps in their branches."""
    tree = parse((ROOT / "pipelines" / "01-github-triage.yaml").read_text())
    assert tree is not None
    assert names(outline(tree)) == {
        "triggers": {"github.webhook": {}},
        "vars": {"repo": {}, "issue": {}, "channels": {}},
        "steps": {"classify": {}, "parallel": {"label": {"label": {}}, "announce": {"announce": {}}}, "page": {}},
        "outputs": {"label": {}, "severity": {}, "paged": {}},
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_outline_ranges(path: Path) -> None:
    """A symbol's name is within its range, and its children are within it too, as editors demand."""
    tree = parse(path.read_text())
    assert tree is not None

    def check(symbol: Symbol) -> None:
        assert symbol.start <= symbol.name_start <= symbol.name_end <= symbol.end
        for child in symbol.children:
            assert symbol.start <= child.start <= child.end <= symbol.end
            check(child)

    for symbol in outline(tree):
        check(symbol)


@pytest.mark.parametrize(
    ("encoding", "column"), [("utf-8", 6), ("utf-16", 4), ("utf-32", 3)], ids=["utf-8", "utf-16", "utf-32"]
)
def test_columns(encoding: str, column: int) -> None:
    """Columns count in the units that were agreed on; each way back leads to the same place."""
    text = Text("a\r\nb🎉c\nd\u2028e", encoding)
    assert text.position(5) == (1, column - 1)
    assert text.offset(1, column) == 6
    assert [text.offset(*text.position(offset)) for offset in range(11)] == [0, 1, 1, 3, 4, 5, 6, 7, 8, 9, 10]
    assert text.offset(99, 0) == len(text.source)
    assert text.offset(0, 99) == 1
