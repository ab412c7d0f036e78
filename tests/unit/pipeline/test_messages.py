"""The messages that wrong files earn, as authors see them: files/NAME.yaml and files/NAME.txt."""

import os
from pathlib import Path

import pytest

from engine.core.catalog import Catalog
from engine.pipeline.check import check_files, format_problem

FILES = Path(__file__).parent / "files"


@pytest.mark.parametrize("name", sorted(path.stem for path in FILES.glob("*.yaml")))
def test_messages(name: str, catalog: Catalog) -> None:
    """Every problem, in the order of the lines. UPDATE=1 writes what comes out now: read it before committing."""
    report = check_files([FILES / f"{name}.yaml"], catalog, root=FILES)
    text = "\n\n".join(format_problem(problem) for problem in report.problems) + "\n"
    expected = FILES / f"{name}.txt"
    if os.environ.get("UPDATE"):
        expected.write_text(text)
    assert text == expected.read_text()
    assert not report.pipelines
