"""A small repository for tests of tests."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.catalog import Catalog
from engine.simulation.reports import Report
from engine.simulation.suite import Suite, load_suite, run_suite
from tests.language.catalog import make_catalog

ORDER = """
id: order
labels: {shop: '${{ inputs.shop }}'}
inputs:
  shop: {type: string, default: s1}
  express: {type: boolean, default: false}
concurrency: {key: 'order-${{ inputs.shop }}'}
vars:
  fee: 5
steps:
  - id: fetch
    uses: http.request
    with: {method: GET, url: 'https://api.example/${{ inputs.shop }}'}
    retry: {attempts: 3, delay: 10s}
    output: ${{ result.body }}
  - id: rush
    if: inputs.express
    uses: http.request
    with: {method: POST, url: https://api.example/rush}
    compensate:
      - uses: http.request
        with: {method: DELETE, url: https://api.example/rush}
  - id: total
    uses: value
    with: {sum: '${{ steps.fetch.output.sum + vars.fee }}'}
  - id: keep
    uses: store.put
    with: {collection: orders, key: '${{ inputs.shop }}', value: '${{ steps.total.output }}'}
  - uses: emit
    with: {type: order.kept, body: {sum: '${{ steps.total.output.sum }}'}}
outputs:
  sum: ${{ steps.total.output.sum }}
"""
MOCKS = """
    http.request: {output: {status: 200, body: {sum: 10}}}
    keep: {output: {key: s1}}
"""


class Bench:
    """Writes a repository and runs its tests."""

    def __init__(self, root: Path, catalog: Catalog) -> None:
        self.root = root
        self.catalog = catalog
        self.pipelines: list[Path] = []

    def pipeline(self, text: str) -> None:
        """Add a pipeline."""
        self.pipelines.append(self.root / "pipelines" / f"{len(self.pipelines)}.yaml")
        self.pipelines[-1].parent.mkdir(exist_ok=True)
        self.pipelines[-1].write_text(textwrap.dedent(text).lstrip())

    def write(self, text: str) -> Path:
        """The test file."""
        path = self.root / "tests" / "it.test.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
        return path

    def load(self, text: str) -> Suite:
        """The suite of one test file."""
        return load_suite([self.write(text)], self.pipelines, self.catalog, root=self.root)

    def run(self, text: str) -> list[Report]:
        """Every test of one file, which must be without errors."""
        suite = self.load(text)
        assert suite.problems == []
        return run_suite(suite)

    def one(self, text: str, pipeline: str = "order") -> Report:
        """A single test, given by its keys."""
        body = textwrap.indent(textwrap.dedent(text).strip(), "    ")
        (report,) = self.run(f"pipeline: {pipeline}\ntests:\n  - name: it\n{body}\n")
        return report

    def order(self, expect: str = "{}", more: str = "") -> Report:
        """A test of the pipeline `order`, with mocks that let it succeed."""
        return self.one(
            f"mocks: {{http.request: {{output: {{status: 200, body: {{sum: 10}}}}}}, "
            f"keep: {{output: {{key: s1}}}}}}\nexpect: {expect}\n{textwrap.dedent(more).strip()}"
        )


def messages(report: Report) -> list[str]:
    """What a report complains about."""
    return [f"{failure.what}: {failure.message}" if failure.what else failure.message for failure in report.failures]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A repository with one pipeline, `order`."""
    (tmp_path / "project.yaml").write_text("language: 1\nenv: [SHOP_URL, PAY_URL]\n")
    made = Bench(tmp_path, make_catalog())
    made.pipeline(ORDER)
    return made


@pytest.fixture
def problems(bench: Bench) -> Callable[[str], list[str]]:
    """What is wrong with a test file: `code line:column message`."""

    def look(text: str) -> list[str]:
        return [f"{item.code} {item.line}:{item.column} {item.message}" for item in bench.load(text).problems]

    return look
