"""What came of tests: as text for people, JSON, and JUnit's XML for CI."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from engine.core.duration import format_duration
from engine.simulation.matching import Missing, show
from engine.simulation.result import Failure, Line, Result
from engine.simulation.testfiles import Case

Paint = Callable[[str, str], str]  # text and color -> text
RED, GREEN, YELLOW, FAINT, BOLD = "31", "32", "33", "2", "1"
COLORS = {"succeeded": GREEN, "failed": RED, "timed_out": RED, "skipped": FAINT, "recovered": YELLOW}


class Report(msgspec.Struct, frozen=True):
    """One test and what came of it."""

    case: Case
    result: Result
    failures: list[Failure]
    seconds: float  # real ones

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.failures


def format_failure(report: Report, paint: Paint, file: str = "") -> str:
    """A test that failed, with each expectation and the story of its run. file: its name, from where people are."""
    case = report.case
    file = file or case.file
    lines = [f"{paint('FAILED', RED)} {paint(_printable(f'{case.pipeline}: {case.name}'), BOLD)}"]
    for failure in report.failures:
        lines.append(f"  {paint('-->', FAINT)} {file}:{failure.line}:{failure.column}")
        head, *rest = _printable(failure.message).split("\n")
        where = f"{failure.what}: " if failure.what else ""
        lines.append(f"      {where}{head}")
        lines += [f"      {line}" for line in rest]
        lines += [f"      {line}" for line in _difference(failure, paint)]
    lines += [f"  {paint('note', YELLOW)}: {_printable(note)}" for note in report.result.notes]
    story = format_story(report.result, paint)
    return "\n".join([*lines, *(f"  {line}" for line in story)])


def format_story(result: Result, paint: Paint) -> list[str]:
    """The run, line by line, in virtual time."""
    if not result.story:
        return []
    times = [_clock(line.at) for line in result.story]
    width, names = max(map(len, times)), max(len(line.what) for line in result.story)
    lines = [paint("what happened:", FAINT)]
    for time, line in zip(times, result.story, strict=True):
        status = paint(f"{line.status:<9}", COLORS.get(line.status, ""))
        what, detail = _printable(line.what), _printable(line.detail)
        lines.append(f"  {paint(time.rjust(width), FAINT)}  {what:<{names}}  {status}  {detail}".rstrip())
    return lines


def _difference(failure: Failure, paint: Paint) -> list[str]:
    """Lists and maps that differ, below each other."""
    if not isinstance(failure.expected, dict | list) or not isinstance(failure.got, dict | list):
        return []
    return [
        paint(f"- {show(failure.expected, 2000)}", RED),
        paint(f"+ {show(failure.got, 2000)}", GREEN),
    ]


def _clock(seconds: float) -> str:
    return "0 s" if seconds == 0 else format_duration(seconds)


def plain(reports: Iterable[Report]) -> list[dict[str, Any]]:
    """Every test as JSON-plain data."""
    return [
        {
            "file": report.case.file,
            "line": report.case.line,
            "pipeline": report.case.pipeline,
            "name": report.case.name,
            "passed": report.passed,
            "outcome": report.result.outcome,
            "seconds": round(report.seconds, 6),
            "elapsed": report.result.elapsed,
            "failures": [_plain(failure) for failure in report.failures],
            "story": [_story_line(line) for line in report.result.story] if report.failures else [],
        }
        for report in reports
    ]


def _story_line(line: Line) -> dict[str, Any]:
    return {"at": line.at, "what": line.what, "status": line.status, "detail": line.detail}


def _plain(failure: Failure) -> dict[str, Any]:
    return {
        "what": failure.what,
        "message": failure.message,
        "line": failure.line,
        "column": failure.column,
        **{name: value for name in ("expected", "got") if not isinstance(value := getattr(failure, name), Missing)},
    }


def junit(reports: Iterable[Report]) -> bytes:
    """JUnit's XML, one suite a file."""
    suites = ElementTree.Element("testsuites")
    files: dict[str, list[Report]] = {}
    for report in reports:
        files.setdefault(report.case.file, []).append(report)
    for file, found in files.items():
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=file,
            tests=str(len(found)),
            failures=str(sum(not report.passed for report in found)),
            errors="0",
            time=f"{sum(report.seconds for report in found):.6f}",
        )
        for report in found:
            _junit_case(suite, report)
    ElementTree.indent(suites)
    text: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _junit_case(suite: ElementTree.Element, report: Report) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=report.case.pipeline,
        name=_printable(report.case.name),
        file=report.case.file,
        line=str(report.case.line),
        time=f"{report.seconds:.6f}",
    )
    if report.failures:
        first = report.failures[0]
        message = f"{first.what}: {first.message}" if first.what else first.message
        failure = ElementTree.SubElement(case, "failure", message=_printable(message.partition("\n")[0]))
        failure.text = _printable(format_failure(report, lambda text, _: text))


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)
