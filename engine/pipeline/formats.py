"""Problems for machines: JSON, SARIF 2.1.0, GitHub's workflow commands."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import msgspec

from engine.pipeline.codes.registry import CODES, Code, explain, page_of
from engine.pipeline.report import Problem

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
HOME = "https://hookwright.dev"
ROOT = "SRCROOT"  # the base of all addresses: the directory in which the check runs


def make_json(problems: Sequence[Problem], pipelines: Sequence[str]) -> dict[str, Any]:
    """What `--format json` prints: plain data."""
    errors = sum(problem.severity == "error" for problem in problems)
    return {
        "pipelines": list(pipelines),
        "errors": errors,
        "warnings": len(problems) - errors,
        "problems": [msgspec.to_builtins(problem) for problem in problems],
    }


def make_sarif(problems: Sequence[Problem]) -> dict[str, Any]:
    """A SARIF log with one run; its rules are the codes that occur.

    Columns count characters. Addresses are relative to SRCROOT, which code hosts take for the repository.
    """
    codes = sorted({problem.code for problem in problems})
    places = {code: index for index, code in enumerate(codes)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "hookwright",
                        "semanticVersion": version("hookwright"),
                        "rules": [_rule(code) for code in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [{"executionSuccessful": True}],
                "results": [_result(problem, places[problem.code]) for problem in problems],
            }
        ],
    }


def make_github(problems: Sequence[Problem]) -> list[str]:
    """Workflow commands: GitHub shows each as an annotation at its line."""
    return [_command(problem) for problem in problems]


def _rule(name: str) -> dict[str, Any]:
    code = CODES.get(name) or Code(name, name, "")
    return {
        "id": code.code,
        "shortDescription": {"text": code.title},
        "fullDescription": {"text": code.meaning or code.title},
        "help": {"text": explain(code), "markdown": page_of(code)},
        "defaultConfiguration": {"level": "error" if code.severity == "error" else "warning"},
    }


def _result(problem: Problem, rule: int) -> dict[str, Any]:
    region: dict[str, Any] = {
        "startLine": problem.line,
        "startColumn": problem.column,
        "endColumn": problem.column + problem.length,
    }
    if problem.source_line:
        region["snippet"] = {"text": problem.source_line}
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": _sentence(problem)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(problem.file), "uriBaseId": ROOT},
                    "region": region,
                }
            }
        ],
    }


def _command(problem: Problem) -> str:
    properties = {
        "file": problem.file,
        "line": str(problem.line),
        "col": str(problem.column),
        "endColumn": str(problem.column + problem.length),
        "title": f"{problem.code}: {problem.message}",
    }
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{problem.severity} {listed}::{_data(_sentence(problem))}"


def _sentence(problem: Problem) -> str:
    return f"{problem.message}\n{problem.help}" if problem.help else problem.message


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
