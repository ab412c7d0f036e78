"""docs/testing.md: its tests pass, its failure looks like that, and it names every key."""

import re
from pathlib import Path

import pytest

from engine.pipeline.grammar.tests import TEST_SECTIONS
from engine.plugin.host import load_catalog
from engine.simulation.reports import format_failure
from engine.simulation.suite import Suite, load_suite, run_suite

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
STORY = re.search(r"^```text\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """The page's pipelines and tests as a repository."""
    pipelines, tests = [], []
    for block in BLOCKS:
        name = block.partition("\n")[0].partition(": ")[2]
        folder, ending = ("tests", ".test.yaml") if block.startswith("pipeline: ") else ("pipelines", ".yaml")
        path = tmp_path / folder / f"{name}{ending}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(block)
        (tests if folder == "tests" else pipelines).append(path)
    return load_suite(tests, pipelines, load_catalog().catalog, root=tmp_path)


def test_the_tests_of_the_page_pass(suite: Suite) -> None:
    """All of them, of two files."""
    assert suite.problems == []
    reports = run_suite(suite)
    assert [failure.message for report in reports for failure in report.failures] == []
    assert len(reports) == 6


def test_the_failure_of_the_page_is_real(suite: Suite) -> None:
    """The text that is shown is what a wrong expectation earns."""
    for file in suite.files:
        for case in file.cases:
            if case.name == "billing is down for a while":
                case.data["expect"]["outputs"]["invoice"] = "R-9"
    (report,) = (report for report in run_suite(suite) if not report.passed)
    assert STORY is not None
    assert format_failure(report, lambda text, _: text) == STORY[1]


def test_every_key_is_on_the_page() -> None:
    """Keys of tests, mocks, events, expectations."""
    for section in TEST_SECTIONS.values():
        for name in section.keys:
            assert re.search(rf"`{name}\b|^ *{name}:|[{{, ]{name}: ", PAGE, re.MULTILINE), f"{section.what}: {name}"
