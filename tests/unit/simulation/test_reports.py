"""Reports: for people, for CI."""

import xml.etree.ElementTree as ElementTree

from engine.simulation.reports import format_failure, junit, plain
from tests.unit.simulation.conftest import Bench


def paint(text: str, color: str) -> str:
    return text


def test_a_failure_for_people(bench: Bench) -> None:
    """What was expected, what came, where, and what happened until then."""
    report = bench.order("{outputs: {sum: 16}, emitted: [], steps: {keep: {with: {key: s2}}}}")
    assert format_failure(report, paint) == (
        """\
FAILED order: it
  --> tests/it.test.yaml:5:29
      expect.outputs.sum: expected 16, got 15
  --> tests/it.test.yaml:5:43
      expect.emitted: expected [], got [{"type":"order.kept","body":{"sum":15},"at":"2026-03-01T09:00:00Z","""
        """"step":"emit"}] (0 expected, there are 1)
      - []
      + [{"type":"order.kept","body":{"sum":15},"at":"2026-03-01T09:00:00Z","step":"emit"}]
  --> tests/it.test.yaml:5:74
      expect.steps.keep.with.key: expected "s2", got "s1"
  what happened:
    0 s  fetch  succeeded
    0 s  rush   skipped
    0 s  total  succeeded
    0 s  keep   succeeded
    0 s  emit   succeeded"""
    )


def test_data_does_not_steer_the_terminal(bench: Bench) -> None:
    """Control characters of mocks and events are replaced."""
    report = bench.one('mocks: {http.request: {error: {type: x, message: "\\e[31mred"}}}')
    assert "\x1b" not in format_failure(report, paint)


def test_junit(bench: Bench) -> None:
    """One suite a file, one case a test, failures with their text."""
    reports = bench.run(
        """
        pipeline: order
        defaults: {mocks: {http.request: {output: {status: 200, body: {sum: 10}}}, keep: {output: {}}}}
        tests:
          - {name: good}
          - {name: "bad <&> \\e", expect: {outputs: {sum: 1}}}
        """
    )
    root = ElementTree.fromstring(junit(reports))
    (suite,) = root.findall("testsuite")
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("tests/it.test.yaml", "2", "1")
    good, bad = suite.findall("testcase")
    assert (good.get("classname"), good.get("name"), good.findall("failure")) == ("order", "good", [])
    assert bad.get("name") == "bad <&> \ufffd"
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == "expect.outputs.sum: expected 1, got 15"
    assert "what happened" in (failure.text or "")


def test_json(bench: Bench) -> None:
    """Everything a machine may want to know."""
    (found,) = plain([bench.order("{outputs: {sum: 1}, error: {type: x}}")])
    assert (found["pipeline"], found["name"], found["passed"], found["outcome"]) == ("order", "it", False, "succeeded")
    assert [(item["what"], item["line"], item["expected"], item.get("got")) for item in found["failures"]] == [
        ("expect.error", 5, {"type": "x"}, None),
        ("expect.outputs.sum", 5, 1, 15),
    ]
    assert found["story"][0] == {"at": 0.0, "what": "fetch", "status": "succeeded", "detail": ""}
