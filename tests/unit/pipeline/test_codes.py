"""The registry of codes: complete, and its examples are true."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cli.explain import check_example
from engine.core.catalog import Catalog
from engine.pipeline.codes.code import Code
from engine.pipeline.codes.registry import CODES, LEVELS, explain, find_code, page_of
from engine.pipeline.expression import ExpressionError
from engine.pipeline.report import format_problem
from engine.plugin.host import load_catalog
from tests.language.catalog import make_catalog

ROOT = Path(__file__).parents[3]
EMITTERS = ("engine/pipeline", "engine/simulation", "engine/flow", "engine/cli", "engine/editor")


def catalog_of(code: Code) -> Catalog:
    return make_catalog() if code.types else load_catalog().catalog


def literals() -> Iterator[tuple[str, str]]:
    """Every text in the code that looks like a code, and its file."""
    for folder in EMITTERS:
        for path in sorted((ROOT / folder).glob("**/*.py")):
            if path.name.startswith("codes"):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    text = node.value
                    if len(text) == 4 and text[0] in "EW" and text[1:].isdigit():
                        yield text, path.name


def test_every_code_that_is_reported_is_registered() -> None:
    """And none is registered that nothing reports."""
    used: dict[str, str] = dict(literals())
    assert {code: file for code, file in used.items() if code not in CODES} == {}
    assert CODES.keys() - used.keys() == set()
    assert {code[:2] for code in CODES} == LEVELS.keys()


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_the_right_example_is_clean(code: Code) -> None:
    """Neither errors nor warnings; evaluated, it yields a value."""
    pipelines, problems = check_example(code.right, catalog_of(code))
    assert [format_problem(problem) for problem in problems] == []
    if code.scope is not None:
        pipelines[0].steps[0].with_.render(code.scope)


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.code)
def test_the_wrong_example_earns_exactly_its_code(code: Code) -> None:
    """From the checker; or when it is evaluated with the values of `scope`; or from another command, tested there."""
    pipelines, problems = check_example(code.wrong, catalog_of(code))
    places = {problem.file for problem in problems if problem.code == code.code}
    found = {problem.code for problem in problems if not places or problem.file in places}
    if code.scope is not None and not found:
        with pytest.raises(ExpressionError) as caught:
            pipelines[0].steps[0].with_.render(code.scope)
        assert caught.value.code == code.code
        return
    assert found == ({code.code} if code.said_by == "check" else set()), problems
    assert {problem.severity for problem in problems} <= {code.severity}


def test_pages_have_both_examples() -> None:
    """As text and as Markdown, with names where there are several files."""
    text = explain(CODES["E117"])
    assert text.startswith("E117: triggers share a path and do not agree\n\n")
    assert "    # pipelines/other.yaml\n    id: other\n" in text
    assert "```yaml\n# pipelines/other.yaml\nid: other\n" in page_of(CODES["E117"])
    assert "⍽" in explain(CODES["E005"])


@pytest.mark.parametrize(
    ("text", "found"),
    [("E204", "E204"), ("e204", "E204"), ("204", "E204"), ("error[E204]", "E204"), ("warning[W301]:", "W301")],
)
def test_codes_are_found_however_they_are_written(text: str, found: str) -> None:
    """As in a message, or as a number."""
    code = find_code(text)
    assert isinstance(code, Code)
    assert code.code == found


def test_an_unknown_code_has_a_hint() -> None:
    """Close ones are named."""
    assert find_code("E0204") == "did you mean `E204`?"
    assert find_code("hello") == "`hookwright explain` lists all codes"
