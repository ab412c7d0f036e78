"""The wrong example files, and every message that they earn: expected.txt; UPDATE=1 writes what comes out now.

printed.txt has the messages that the design of the language promises, word for word.
"""

import os
from pathlib import Path

from engine.cli.repository import check_places, find_files
from engine.pipeline.checking.secrets import missing_in_text
from engine.pipeline.report import format_problem
from tests.language.catalog import ROOT, make_catalog

BAD = ROOT / "bad"


def messages(path: Path) -> list[str]:
    """What `hookwright check` says about a file or directory."""
    _, problems = check_places(find_files([path]), make_catalog())
    return [format_problem(problem) for problem in problems]


def test_all_messages() -> None:
    """In one go, file by file, from top to bottom."""
    text = "\n\n".join(messages(BAD)) + "\n"
    expected = Path(__file__).parent / "expected.txt"
    if os.environ.get("UPDATE"):
        expected.write_text(text)
    assert text == expected.read_text()


def test_the_promised_messages_are_said_word_for_word() -> None:
    """Each of them, and in this order."""
    promised = (Path(__file__).parent / "printed.txt").read_text().strip().split("\n\n")
    said = messages(BAD / "many.yaml")
    assert [message for message in said if message in promised] == promised


def test_a_secret_with_a_typing_error_is_found_by_comparing() -> None:
    """Even in a file with other errors."""
    (problem,) = missing_in_text("bad/flow.yaml", (BAD / "flow.yaml").read_text(), {"SLACK_TOKEN"})
    assert (problem.code, problem.message, problem.line) == ("E306", "secret SLAK_TOKEN is not set", 9)
