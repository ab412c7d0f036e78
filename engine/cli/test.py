"""hookwright test, test record: run pipelines without a world."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from engine.cli.client import Connection, connect
from engine.cli.exits import FAILED, OK, WrongUsage
from engine.cli.output import FAINT, GREEN, RED, Json, clean, in_color, note, paint, print_json, say
from engine.cli.repository import find_files, read_files, seen_from_here

TESTS = Path("tests")
BAR = 30  # characters of the progress bar


def run_tests(
    paths: list[Path] | None = None,
    /,
    *,
    name: Annotated[str, Parameter(name=["--name", "-k"])] = "",
    coverage: Annotated[bool, Parameter(negative="")] = False,
    coverage_min: float | None = None,
    junit: Path | None = None,
    update: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Run the tests of pipelines: no network, no database, and waiting takes no time.

    Exit code 1 if a test failed.

    Examples: `hookwright test`, `hookwright test tests/pipelines -k triage`, `hookwright test --coverage`

    Parameters
    ----------
    paths
        Test files, `*.test.yaml`, or directories. Default: `tests`.
    name
        Only tests whose pipeline, name or file contains this text.
    coverage
        Also list branches, handlers, compensations and waits that no test took.
    coverage_min
        Fail if less than so many percent of them are taken.
    junit
        Also write the results to this file, as JUnit's XML.
    update
        Write what came into the test files in place of what was expected. Look at the difference before you keep it.
    """
    from engine.plugin.host import load_catalog
    from engine.settings import load_settings

    files = _find(paths, load_settings().pipelines)
    catalog = load_catalog().catalog
    suite, reports = _run(files, catalog, name)
    if update and _update(suite, reports):
        suite, reports = _run(files, catalog, name)
    if not reports and not suite.problems:
        raise WrongUsage(f"no test has {name!r} in its name" if name else f"no tests in {_places(paths)}")
    if junit is not None:
        from engine.simulation.reports import junit as make_junit

        junit.write_bytes(make_junit(reports))
    measured = _measure(suite) if coverage or coverage_min is not None else None
    failed = not all(report.passed for report in reports) or any(item.severity == "error" for item in suite.problems)
    low = coverage_min is not None and measured is not None and measured["percent"] < coverage_min
    if json:
        _print_json(suite, reports, measured)
    else:
        _print(suite, reports)
        if measured is not None:
            _print_coverage(measured, coverage_min)
    return FAILED if failed or low else OK


def record(run_id: str, /, *, out: Path | None = None, connection: Connection | None = None) -> int:
    """Write a test from a real run: its event, what its steps answered, and what came of it.

    E-mail addresses, tokens and secrets are masked; read the file before you keep it.

    Example: `hookwright test record 0199f2d0-… --out tests/orders.test.yaml`

    Parameters
    ----------
    out
        The file. Default: standard output.
    """
    from engine.plugin.host import load_catalog
    from engine.settings import load_settings
    from engine.simulation.recording import record_run

    catalog, pipelines = load_catalog().catalog, load_settings().pipelines
    known = read_files([pipelines]).pipelines if pipelines.exists() else []
    with connect(connection) as client:
        text = record_run(
            client.get,
            lambda path: client.send("GET", f"/api/v1{path}").content,
            run_id,
            {pipeline.id: pipeline for pipeline in known},
            catalog,
        )
    if out is None:
        sys.stdout.write(text)
        return OK
    if out.exists():
        raise WrongUsage(f"{out} is there already")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    note(f"Written to {out}. Read it before you keep it; then: hookwright test {out}")
    return OK


def create_group() -> App:
    """`hookwright test ...`"""
    group = App(name="test", default_command=run_tests)
    group.command(record)
    return group


def _find(paths: list[Path] | None, pipelines: Path) -> Any:
    if not paths and not TESTS.is_dir():
        raise WrongUsage("there is no directory `tests`; name the test files")
    return find_files(paths or [TESTS, *([pipelines] if pipelines.exists() else [])])


def _run(files: Any, catalog: Any, name: str) -> tuple[Any, list[Any]]:
    from engine.simulation.suite import load_suite, run_suite

    suite = load_suite(files.tests, [*files.pipelines, *files.companions], catalog, root=files.root)
    bar = _Bar(sum(1 for _ in suite.cases(name)))
    try:
        return suite, run_suite(suite, name, bar.advance)
    finally:
        bar.clear()


class _Bar:
    """How far it is, on a terminal."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.failed = 0
        self.shown = in_color(sys.stderr) and total > 1

    def advance(self, report: Any) -> None:
        """One more test."""
        self.done += 1
        self.failed += not report.passed
        if self.shown:
            full = BAR * self.done // self.total
            color = RED if self.failed else GREEN
            bar = paint("█" * full, color, stream=sys.stderr) + "░" * (BAR - full)
            sys.stderr.write(f"\r{bar} {self.done}/{self.total} {clean(report.case.pipeline)[:40]:<40}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Leave nothing behind."""
        if self.shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def _update(suite: Any, reports: Sequence[Any]) -> bool:
    """Rewrite the files of tests that failed; whether anything was written."""
    from engine.simulation.updating import update

    written = False
    for file in suite.files:
        failures = [
            (report.case, failure) for report in reports for failure in report.failures if report.case.file == file.file
        ]
        if not failures:
            continue
        before = file.path.read_bytes().decode()
        source = before.removeprefix("\ufeff")
        text, count, _ = update(source, failures)
        if count:
            file.path.write_bytes((before.removesuffix(source) + text).encode())
            note(f"{seen_from_here(file.file, suite.root)}: {_count(count, 'value')} updated")
            written = True
    return written


def _measure(suite: Any) -> dict[str, Any]:
    from engine.simulation.coverage import measure, total_percent

    found = measure(suite.pipelines.values(), suite.taken)
    return {
        "percent": round(total_percent(found), 1),
        "pipelines": [
            {
                "pipeline": item.pipeline,
                "file": seen_from_here(item.file, suite.root),
                "percent": round(item.percent, 1),
                "taken": item.taken,
                "total": item.total,
                "missed": [{"line": point.line, "what": point.what} for point in item.missed],
            }
            for item in found
        ],
    }


def _print(suite: Any, reports: Sequence[Any]) -> None:
    import msgspec

    from engine.pipeline.check import format_problem
    from engine.simulation.reports import format_failure

    for problem in suite.problems:
        here = msgspec.structs.replace(problem, file=seen_from_here(problem.file, suite.root))
        say(format_problem(here, color=in_color()) + "\n")
    for report in reports:
        if not report.passed:
            say(format_failure(report, paint, seen_from_here(report.case.file, suite.root)) + "\n")
    passed = sum(report.passed for report in reports)
    seconds = sum(report.seconds for report in reports)
    for file in suite.files:
        own = [report for report in reports if report.case.file == file.file]
        if own:
            good = sum(report.passed for report in own)
            words = [paint(f"{good} passed", GREEN)] if good else []
            words += [paint(f"{len(own) - good} failed", RED)] if good < len(own) else []
            say(f"{clean(seen_from_here(file.file, suite.root))}  {', '.join(words)}")
    words = [paint(f"{passed} passed", GREEN)] if passed else []
    words += [paint(f"{len(reports) - passed} failed", RED)] if passed < len(reports) else []
    errors = sum(problem.severity == "error" for problem in suite.problems)
    words += [paint(_count(errors, "error"), RED)] if errors else []
    say(f"{', '.join(words) or '0 tests'} in {seconds:.2f} s")


def _print_coverage(measured: dict[str, Any], least: float | None) -> None:
    say()
    for item in measured["pipelines"]:
        color = GREEN if not item["missed"] else ""
        share = paint(f"{item['percent']:5.1f} %", color)
        count = paint(f"{item['taken']} of {item['total']}", FAINT)
        say(f"{share}  {clean(item['pipeline'])}  {count}")
        for point in item["missed"]:
            say(f"         {clean(item['file'])}:{point['line']}: {clean(point['what'])}")
    goal = f", {least:g} % are wanted" if least is not None else ""
    say(f"{measured['percent']:5.1f} % of the ways through all pipelines were taken{goal}")


def _print_json(suite: Any, reports: Sequence[Any], measured: dict[str, Any] | None) -> None:
    from engine.pipeline.formats import make_json
    from engine.simulation.reports import plain

    passed = sum(report.passed for report in reports)
    answer: dict[str, Any] = {
        "passed": passed,
        "failed": len(reports) - passed,
        "tests": plain(reports),
        "problems": make_json(suite.problems, [])["problems"],
    }
    if measured is not None:
        answer["coverage"] = measured
    print_json(answer)


def _places(paths: list[Path] | None) -> str:
    return ", ".join(map(str, paths or [TESTS]))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
