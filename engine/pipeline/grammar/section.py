"""The keys of the language, in one table: the checker, the JSON Schema, the language server and the docs read it."""

from collections.abc import Mapping

import msgspec


class Key(msgspec.Struct, frozen=True):
    """One key of a section.

    kind: id | text | template (may hold ``${{ }}``) | condition (a bare expression) | duration | duration_template |
    integer | number | boolean | word (one of `words`) | list | map | templates (a map of templates) | steps | section |
    any. `section` names the table of a nested map; alternatives are told by `meaning`.
    """

    name: str
    kind: str
    meaning: str  # one sentence, Markdown
    default: str = ""
    words: tuple[str, ...] = ()
    section: str = ""
    required: bool = False
    example: str = ""  # YAML of the key and its value


class Section(msgspec.Struct, frozen=True):
    """A map of the language and its keys."""

    name: str
    what: str  # in messages: "a pipeline has no key `x`"
    keys: Mapping[str, Key]
    foreign: Mapping[str, str] = {}  # words of other tools, with advice


def section(name: str, what: str, *keys: Key, foreign: Mapping[str, str] | None = None) -> Section:
    """A section from its keys."""
    return Section(name, what, {key.name: key for key in keys}, foreign or {})


ON_LIMIT = ("queue", "drop", "cancel_running", "keep_latest")
ON_RATE_LIMIT = ("queue", "drop", "keep_latest")  # nobody holds anything that could be cancelled
FAIL_OR_CONTINUE = ("fail", "continue")
ON_UNKNOWN = ("fail", "ask", "retry")
SCOPES = ("pipeline", "global")
