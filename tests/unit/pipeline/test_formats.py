"""Problems as text, JSON, SARIF and workflow commands."""

import json
from typing import Any

import msgspec
import pytest

from engine.pipeline.codes.registry import CODES
from engine.pipeline.formats import make_github, make_json, make_sarif
from engine.pipeline.report import Problem, format_problem

LINE = "      url: https://x.example/u/${{ inputs.custmer }}"
TYPING = Problem(
    code="E207",
    severity="error",
    message="this pipeline has no input `custmer`",
    file="pipelines/load user.yaml",
    line=15,
    column=36,
    length=14,
    help="did you mean `customer`?",
    source_line=LINE,
)
DOUBT = msgspec.structs.replace(TYPING, code="W301", severity="warning", message="may not have run", help="")
HOSTILE = msgspec.structs.replace(
    TYPING, file="a,b:c%.yaml", message="50% of\r\n::error::it", help="1,2: x", line=1, column=1, length=1
)


def test_text_has_line_caret_and_help() -> None:
    """The margin is as wide as the line's number."""
    assert format_problem(TYPING) == (
        "error[E207]: this pipeline has no input `custmer`\n"
        "  --> pipelines/load user.yaml:15:36\n"
        "   |\n"
        f"15 | {LINE}\n"
        "   |                                    ^^^^^^^^^^^^^^\n"
        "   = help: did you mean `customer`?"
    )


@pytest.mark.parametrize(
    ("line", "column", "length", "shown", "caret"),
    [
        ("a:\tb", 4, 1, "a: b", "   ^"),  # a tab is one column
        ("a: 漢字 x", 7, 1, "a: 漢字 x", "        ^"),  # wide characters take two
        ("a: 漢字 x", 4, 2, "a: 漢字 x", "   ^^^^"),
        ("a: e\u0301 x", 7, 1, "a: e\u0301 x", "     ^"),  # combining ones none
        ("a: x\u202ey\x1b[2J", 4, 1, "a: x y [2J", "   ^"),  # nothing that could steer a terminal
        ("a" * 300, 200, 9, "…" + "a" * 158 + "…", " " * 79 + "^" * 9),  # the part that matters
        ("a" * 300, 299, 9, "…" + "a" * 159, " " * 158 + "^^"),
        ("a", 5, 3, "a", "^"),  # a place behind the end of the line
    ],
)
def test_the_caret_stands_under_its_characters(line: str, column: int, length: int, shown: str, caret: str) -> None:
    """Whatever the line is made of."""
    problem = msgspec.structs.replace(TYPING, line=1, column=column, length=length, source_line=line, help="")
    rows = format_problem(problem).splitlines()
    assert rows[3] == f"1 | {shown}"
    if column <= len(line):
        assert rows[4] == f"  | {caret}"
    else:
        assert rows[4].strip("| ") == "^"


def test_names_and_messages_cannot_steer_a_terminal() -> None:
    """A file may be called anything."""
    text = format_problem(msgspec.structs.replace(TYPING, file="a\x1b[2J\n.yaml", message="x\x1by", help="\x07"))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert len(text.splitlines()) == 6


def test_colours_only_surround() -> None:
    """The text is the same without them."""
    import re

    assert re.sub(r"\x1b\[[0-9;]*m", "", format_problem(TYPING, color=True)) == format_problem(TYPING)


def test_json_counts_and_lists() -> None:
    """Every field of every problem."""
    made = json.loads(msgspec.json.encode(make_json([TYPING, DOUBT], ["one"])))
    assert (made["pipelines"], made["errors"], made["warnings"]) == (["one"], 1, 1)
    assert made["problems"][0] == {
        "code": "E207",
        "severity": "error",
        "message": "this pipeline has no input `custmer`",
        "file": "pipelines/load user.yaml",
        "line": 15,
        "column": 36,
        "length": 14,
        "help": "did you mean `customer`?",
        "source_line": LINE,
    }


def test_sarif_has_rules_results_and_places() -> None:
    """Results name their rule by id and index; addresses are relative URIs; columns count characters."""
    log = make_sarif([DOUBT, TYPING, TYPING])
    (run,) = log["runs"]
    rules: list[dict[str, Any]] = run["tool"]["driver"]["rules"]
    assert log["version"] == "2.1.0"
    assert run["columnKind"] == "unicodeCodePoints"
    assert [rule["id"] for rule in rules] == ["E207", "W301"]
    assert [rule["defaultConfiguration"]["level"] for rule in rules] == ["error", "warning"]
    assert rules[0]["shortDescription"]["text"] == CODES["E207"].title
    assert "```yaml" in rules[0]["help"]["markdown"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert [result["level"] for result in run["results"]] == ["warning", "error", "error"]
    place = run["results"][1]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "pipelines/load%20user.yaml", "uriBaseId": "SRCROOT"}
    assert place["region"] == {"startLine": 15, "startColumn": 36, "endColumn": 50, "snippet": {"text": LINE}}


def test_sarif_of_nothing_is_a_log_as_well() -> None:
    """No problem: a run without results, so that a code host closes what it has shown before."""
    log = make_sarif([])
    assert log["runs"][0]["results"] == []
    assert log["runs"][0]["tool"]["driver"]["rules"] == []


def test_workflow_commands_are_escaped() -> None:
    """`%`, line ends, and in properties `:` and `,`: a message cannot become a second command."""
    assert make_github([HOSTILE]) == [
        "::error file=a%2Cb%3Ac%25.yaml,line=1,col=1,endColumn=2,"
        "title=E207%3A 50%25 of%0D%0A%3A%3Aerror%3A%3Ait::50%25 of%0D%0A::error::it%0A1,2: x"
    ]
    assert make_github([DOUBT])[0].startswith("::warning file=pipelines/load user.yaml,line=15,")
