"""The reference tests of the language, exactly as they are."""

from pathlib import Path

import pytest

from engine.simulation.suite import load_suite
from tests.language.catalog import FILES, ROOT, make_catalog

TESTS = sorted((ROOT / "tests").glob("*.test.yaml"))
FORGOTTEN = "forgetting a mock is an error, not a call"


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name.partition(".")[0])
def test_reference_tests_pass(path: Path) -> None:
    """All but one, which shows what happens without a mock."""
    suite = load_suite([path], FILES, make_catalog(), root=ROOT)
    assert suite.problems == []
    for case, pipeline in suite.cases():
        report = suite.run(case, pipeline)
        messages = [failure.message for failure in report.failures]
        assert messages == (["`load` (sql.insert) has side effects and no mock"] if case.name == FORGOTTEN else [])


def test_no_file_and_no_test_is_left_out() -> None:
    """Seven files with seventeen tests."""
    suite = load_suite(TESTS, FILES, make_catalog(), root=ROOT)
    assert (len(suite.files), len(list(suite.cases()))) == (7, 17)


def test_the_pipelines_of_this_repository_pass() -> None:
    """What `hookwright test` finds here."""
    from engine.plugin.host import load_catalog

    root = ROOT.parents[1]
    tests = sorted((root / "tests" / "pipelines").glob("*.test.yaml"))
    suite = load_suite(tests, sorted((root / "pipelines").glob("*.yaml")), load_catalog().catalog, root=root)
    reports = [suite.run(case, pipeline) for case, pipeline in suite.cases()]
    assert {report.case.pipeline for report in reports} == {"github-triage", "heartbeat", "inbox", "summarize"}
    assert [failure.message for report in reports for failure in report.failures] == []
