"""What is known about one code."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Example = Mapping[str, str]  # file -> text
FILE = "pipelines/example.yaml"


class Code(msgspec.Struct, frozen=True):
    """One kind of problem. Its example files are complete: `wrong` earns exactly this code, `right` earns none."""

    code: str
    title: str  # what is wrong, in a few words, small letter first
    meaning: str  # why it is a problem, and what to do
    wrong: Example = {}
    right: Example = {}
    scope: Mapping[str, Any] | None = None  # found at run time: the names with which the first step's `with` fails
    types: bool = False  # the examples need step types that are not part of Hookwright
    said_by: Literal["check", "deploy", "secrets"] = "check"  # which command or step of it reports it

    @property
    def at_run_time(self) -> bool:
        """Whether runs fail with it, too or only."""
        return self.scope is not None

    @property
    def severity(self) -> Literal["error", "warning"]:
        """By the first letter."""
        return "warning" if self.code.startswith("W") else "error"


def one(text: str) -> Example:
    """An example of one pipeline file."""
    return {FILE: text}
