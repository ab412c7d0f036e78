"""docs/expressions.md and docs/language.md say what is there, and their examples are true."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.pipeline.check import check_text, format_problem
from engine.pipeline.expression import ExpressionError, parse_expression
from engine.pipeline.expression.filters import FILTERS
from engine.pipeline.expression.functions import FUNCTIONS
from engine.pipeline.expression.operators import TESTS
from engine.pipeline.grammar.steps import SECTIONS
from engine.pipeline.inference.names import ERROR, EVENT, ROOTS, RUN
from engine.pipeline.inference.names import STEP as STEP_FIELDS
from engine.plugin.host import load_catalog

ROOT = Path(__file__).parents[3]
EXPRESSIONS = (ROOT / "docs" / "expressions.md").read_text()
LANGUAGE = (ROOT / "docs" / "language.md").read_text()
YAML = re.findall(r"^```yaml\n(.*?)^```", LANGUAGE, re.MULTILINE | re.DOTALL)
SCOPE: dict[str, Any] = {
    "event": {
        "headers": {"x-github-event": "issues"},
        "body": {
            "tags": ["bug", "urgent"],
            "issue": {"number": 7, "title": "Crash on start", "body": None},
            "people": [
                {"name": "Mia", "age": 41, "team": "core"},
                {"name": "Bo", "age": 30, "team": "docs"},
                {"name": "Al", "age": 22, "team": "core"},
            ],
        },
    },
    "vars": {"channels": {"bug": "#core"}},
}


def examples() -> Iterator[tuple[str, str]]:
    for block in re.findall(r"^```expressions\n(.*?)^```", EXPRESSIONS, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            source, _, value = line.rpartition(" -> ")
            yield source.strip(), value


@pytest.mark.parametrize(("source", "value"), list(examples()))
def test_examples_are_true(source: str, value: str) -> None:
    """Each expression has the value, or the error, that the page shows."""
    if not value.startswith("error: "):
        assert parse_expression(source).evaluate(SCOPE) == msgspec.json.decode(value)
        return
    with pytest.raises(ExpressionError) as caught:
        parse_expression(source).evaluate(SCOPE)
    assert caught.value.message == value.removeprefix("error: ")


def test_every_filter_function_and_test_is_described() -> None:
    """In a table, and those that are not volatile by example."""
    for name in (*FILTERS, "default"):
        assert re.search(rf"^\|.*`{name}[(`]", EXPRESSIONS, re.MULTILINE), name
        assert re.search(rf"\| {name}\b.* -> ", EXPRESSIONS), f"{name} has no example"
    for name in FUNCTIONS:
        assert re.search(rf"^\| .*`{name}\(", EXPRESSIONS, re.MULTILINE), name
    for name in TESTS:
        assert f"`is {name}`" in EXPRESSIONS, name


def test_every_key_is_described() -> None:
    """On the language's page."""
    for name in ("pipeline", "trigger", "step", "retry"):
        for key in SECTIONS[name].keys:
            assert f"`{key}`" in LANGUAGE, key


def test_every_name_is_described() -> None:
    """Roots and their fields."""
    for name in ROOTS:
        assert re.search(rf"^\| `{name}", LANGUAGE, re.MULTILINE), name
    for name in (*EVENT, *RUN, *ERROR, *STEP_FIELDS):
        assert f"`{name}`" in LANGUAGE, name


def test_the_message_on_the_page_is_the_one_that_is_shown() -> None:
    """For the first pipeline of the page, with the typing error."""
    wrong = YAML[0].replace("to: ${{ inputs.email }}", "to: ${{ inputs.emial }}")
    report = check_text(wrong, load_catalog().catalog, file="pipelines/new-customer.yaml")
    (problem,) = report.problems
    assert f"```text\n{format_problem(problem)}\n```" in LANGUAGE


@pytest.mark.parametrize(
    "text", [block for block in YAML if block.startswith("id: ")], ids=lambda text: text.split()[1]
)
def test_the_pipelines_on_the_page_are_clean(text: str) -> None:
    """Not even a warning."""
    report = check_text(text, load_catalog().catalog)
    assert report.problems == []
