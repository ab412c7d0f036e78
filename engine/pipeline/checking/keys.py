"""Keys that do not belong where they stand."""

from collections.abc import Mapping
from typing import Any

from engine.pipeline.checking.values import describe
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.grammar.section import Section
from engine.pipeline.marks import Path
from engine.pipeline.source import Source


def check_keys(source: Source, path: Path, value: Mapping[str, Any], section: Section) -> None:
    """Note every key that the section does not have. Keys that begin with `x-` are the author's own."""
    for key in value:
        if key in section.keys or key.startswith("x-"):
            continue
        listing = f"it has: {', '.join(section.keys)}"
        hint = section.foreign.get(key.replace("-", "_"), "") or did_you_mean(key, section.keys, listing)
        source.error("E101", (*path, key), f"{section.what} has no key `{key}`", hint, key=True)


def is_section(source: Source, path: Path, value: Any, section: Section, hint: str) -> bool:
    """Whether the value is a map, as the section is; what is wrong with it or its keys is noted."""
    if not isinstance(value, dict):
        source.error("E103", path, f"{section.what} must be a map, this is {describe(value)}", hint)
        return False
    check_keys(source, path, value, section)
    return True
