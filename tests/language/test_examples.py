"""The example pipelines are what the language is measured by: clean as they are, and wrong where they should be."""

from pathlib import Path

import msgspec
import pytest

from engine.pipeline.check import Report, check_files, format_problem, load_version
from engine.pipeline.spec import Pipeline
from tests.language.catalog import FILES, ROOT, make_catalog

BAD = ROOT / "bad"


@pytest.fixture(scope="module")
def report() -> Report:
    """Of all examples together."""
    return check_files(FILES, make_catalog(), root=ROOT)


@pytest.fixture(scope="module")
def pipelines(report: Report) -> dict[str, Pipeline]:
    return {item.id: item for item in report.pipelines}


def test_all_examples_are_clean(report: Report) -> None:
    """No error, no warning."""
    assert "\n\n".join(format_problem(item) for item in report.problems) == ""
    assert len(report.pipelines) == len(FILES) == 16


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_example_is_clean_by_itself(path: Path) -> None:
    """What it calls is found beside it."""
    found = check_files([path], make_catalog(), root=ROOT)
    assert [format_problem(item) for item in found.problems] == []
    assert len(found.pipelines) == 1


def test_each_example_is_rebuilt_from_its_version(pipelines: dict[str, Pipeline]) -> None:
    """With all that it calls."""
    for pipeline in pipelines.values():
        again = load_version(pipeline.source, make_catalog())
        assert (again.version, again.source, again.uses) == (pipeline.version, pipeline.source, pipeline.uses)
        assert [step.key for step in again.steps] == [step.key for step in pipeline.steps]
        assert {name: item.version for name, item in again.called.items()} == {
            name: item.version for name, item in pipeline.called.items()
        }


def test_the_examples_say_what_they_mean(pipelines: dict[str, Pipeline]) -> None:
    """A look at what the keys of pipelines and triggers have become."""
    assert list(pipelines["github-triage"].called) == ["page-oncall"]
    assert list(pipelines["support-agent"].called) == ["order-status", "refund-approval"]
    assert list(pipelines["tenant-router"].called) == ["sync-customer"]
    digest = pipelines["nightly-digest"].steps[0]
    assert isinstance(digest.with_.value, dict)
    assert (digest.with_.value["connection"], digest.timeout) == ("warehouse", 120)
    batch = pipelines["clickstream-batch"].triggers[0].batch
    assert batch is not None
    assert (batch.max_size, batch.max_wait) == (500, 30)
    router = pipelines["tenant-router"]
    assert router.triggers[0].dedup is not None
    assert router.triggers[0].dedup.window == 3 * 86400
    assert router.concurrency is not None
    assert (router.concurrency.limit, router.concurrency.max_queued) == (5, 10_000)
    ask = pipelines["docs-ask"].triggers[0].respond
    assert ask is not None
    assert (ask.mode, ask.after, ask.timeout) == ("sync", "answer", 40)
    failure = pipelines["on-failure"].rate_limit
    assert failure is not None
    assert (failure.limit, failure.period, failure.on_limit) == (1, 900, "drop")
    assert "secrets.INTERNAL_TOKEN" in msgspec.json.encode(pipelines["place-order"].steps[0].with_.value).decode()


def test_calls_that_go_in_a_circle() -> None:
    """Both files are told, each with the way from its own pipeline."""
    found = check_files([BAD / "flow.yaml", BAD / "pong.yaml"], make_catalog(), root=ROOT)
    assert "\n\n".join(format_problem(item) for item in found.problems if item.code == "E401") == (
        """\
error[E401]: the calls go in a circle: ping -> pong -> ping
  --> bad/flow.yaml:4:20
  |
4 |   - uses: pipeline:pong
  |                    ^^^^
  = help: `pipeline.start` starts a pipeline and does not wait for it

error[E401]: the calls go in a circle: pong -> ping -> pong
  --> bad/pong.yaml:4:20
  |
4 |   - uses: pipeline:ping
  |                    ^^^^
  = help: `pipeline.start` starts a pipeline and does not wait for it"""
    )
    assert found.pipelines == []
