"""All tests of a repository: found, loaded with its pipelines, run one after the other."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path as FilePath

import msgspec

from engine.core.catalog import Catalog
from engine.pipeline.check import check_files
from engine.pipeline.project import Project, load_project
from engine.pipeline.report import Problem
from engine.pipeline.spec import Pipeline
from engine.simulation.coverage import Way
from engine.simulation.expectations import check
from engine.simulation.matching import Path
from engine.simulation.reports import Report
from engine.simulation.result import Failure, Result
from engine.simulation.running import simulate
from engine.simulation.testfiles import Case, TestFile, load_tests


class Suite(msgspec.Struct):
    """The tests of one repository."""

    root: FilePath
    catalog: Catalog
    project: Project
    pipelines: dict[str, Pipeline]
    files: list[TestFile]
    problems: list[Problem]  # of the pipelines, where a test file needs one that has errors; and of test files
    taken: set[Way]  # the ways through the pipelines that tests have taken

    def cases(self, wanted: str = "") -> Iterator[tuple[Case, Pipeline]]:
        """The tests whose pipeline, name or file contains the text."""
        for file in self.files:
            for case in file.cases:
                if wanted.lower() in f"{case.file} {case.pipeline}: {case.name}".lower() and file.pipeline is not None:
                    yield case, file.pipeline

    def run(self, case: Case, pipeline: Pipeline) -> Report:
        """One test. Never raises for anything that is written in a test or a pipeline."""
        began = time.perf_counter()
        try:
            result = simulate(case.data, pipeline, self.catalog, env=self.project.env, taken=self.taken)
        except RecursionError:
            result = Result("failed", problems=["nested too deeply"])
        failures = check(case.data.get("expect") or {}, result, self.catalog.filters)
        placed = [_placed(case, failure) for failure in failures]
        return Report(case, result, placed, time.perf_counter() - began)


def load_suite(tests: Iterable[FilePath], pipelines: Iterable[FilePath], catalog: Catalog, *, root: FilePath) -> Suite:
    """Test files with the pipelines of their repository. root: it has project.yaml and what file() reads."""
    project = load_project(root)
    report = check_files(pipelines, catalog, root=root)
    known: dict[str, Pipeline] = {pipeline.id: pipeline for pipeline in report.pipelines}
    files = [load_tests(path, known, catalog, root=root, env=project.env or None) for path in tests]
    problems = [problem for file in files for problem in file.problems]
    if any(file.pipeline is None for file in files):
        problems = [problem for problem in report.problems if problem.severity == "error"] + problems
    return Suite(root, catalog, project, known, files, problems, set())


def run_suite(suite: Suite, wanted: str = "", told: Callable[[Report], None] | None = None) -> list[Report]:
    """Run every test that is wanted; `told` hears of each."""
    reports = []
    for case, pipeline in suite.cases(wanted):
        reports.append(suite.run(case, pipeline))
        if told is not None:
            told(reports[-1])
    return reports


def _placed(case: Case, failure: Failure) -> Failure:
    """The failure with its line and column: where the expectation stands, else where the test begins."""
    path: Path = failure.path or ("expect",)
    place = case.place(*path)
    if not failure.path or case.path(*path) not in case.marks.marks:
        place = case.marks.key(("tests", case.index, "expect")) if not failure.path else place
    return msgspec.structs.replace(failure, line=place.line, column=place.column)
