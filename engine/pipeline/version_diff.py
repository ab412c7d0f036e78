"""The difference between two stored versions of a pipeline, as a unified diff of all that they are made of."""

import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

CONTEXT = 3  # lines


def diff_sources(old: bytes, new: bytes, *, names: tuple[str, str]) -> str:
    """A unified diff of files, defaults and called pipelines; empty if they are the same text.

    names: of the two versions, for the heads.
    """
    before, after = _parts(old), _parts(new)
    pieces: list[str] = []
    for part in sorted({*before, *after}):
        one, other = before.get(part, ""), after.get(part, "")
        if one != other:
            heads = [
                f"{part} ({name})" if part in side else "/dev/null"
                for side, name in zip((before, after), names, strict=True)
            ]
            pieces += difflib.unified_diff(_lines(one), _lines(other), heads[0], heads[1], n=CONTEXT)
    return "".join(pieces)


def source_of(source: bytes) -> str:
    """The YAML of the pipeline's own file."""
    return str(msgspec.json.decode(source).get("yaml", ""))


def _parts(source: bytes) -> dict[str, str]:
    """Name and text of everything that a version is made of, its own file first."""
    stored = msgspec.json.decode(source)
    parts = _own(stored, "pipeline")
    for name, called in stored.get("called", {}).items():
        parts |= _own(called, f"pipeline:{name}")
    return parts


def _own(stored: Mapping[str, Any], name: str) -> dict[str, str]:
    parts = {name: str(stored.get("yaml", ""))}
    parts |= {f"{name}, file {file}": str(text) for file, text in stored.get("files", {}).items()}
    if stored.get("defaults"):
        parts[f"{name}, defaults"] = _pretty(stored["defaults"])
    return parts


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def _lines(text: str) -> list[str]:
    """Lines with their ends; the last one gets one too, so that a missing one is no difference."""
    lines = text.splitlines()
    return [line + "\n" for line in lines]
