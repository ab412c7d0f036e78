"""Formats YAML files and never changes what they mean: comments stay, data and version stay, else nothing is done."""

from collections import Counter
from typing import Any

import msgspec

from engine.pipeline.formatting.comments import attach_comments
from engine.pipeline.formatting.tree import Comment, Unsupported, find_comments, read_tree
from engine.pipeline.formatting.writer import write
from engine.pipeline.key_order import in_usual_order
from engine.pipeline.loader import YamlError, decode, load_yaml

__all__ = ["Formatted", "format_text", "is_pipeline"]

DIFFERS = "formatting it would change what it says"


class Formatted(msgspec.Struct, frozen=True):
    """The new text. `left`: why the file is left as it is; then the text is the old one."""

    text: str
    left: str = ""


def format_text(text: str | bytes) -> Formatted:
    """Two blanks a level, keys of pipelines in the usual order, quotes where they are needed, one empty line at most.

    Block scalars, expressions and comments stay as they are. Whatever comes out is read again and compared; if
    anything differs, the file is left alone. YamlError if it cannot be read.
    """
    old = decode(text)
    data, _ = load_yaml(old)
    place = "pipeline" if is_pipeline(data) else ""
    if not isinstance(data, dict) or not data:
        return Formatted(old, "it has no keys")
    try:
        tree = read_tree(old.replace("\r\n", "\n"))
        comments = attach_comments(tree)
        new = write(tree, place)
        for candidate in (new, new.rstrip("\n")):  # a last line without its end is part of a block scalar's text
            if _same(data, comments, candidate, place):
                return Formatted(candidate)
    except (Unsupported, RecursionError) as error:
        return Formatted(old, str(error) or "it is nested too deeply")
    return Formatted(old, DIFFERS)


def is_pipeline(data: Any) -> bool:
    """Whether these are the keys of a pipeline."""
    return isinstance(data, dict) and "steps" in data and ("id" in data or "triggers" in data)


def _same(data: Any, comments: list[Comment], text: str, place: str) -> bool:
    """Whether a text has the same data, in the same order but for keys of the grammar, and the same comments."""
    try:
        found, _ = load_yaml(text)
        again = find_comments(read_tree(text))
    except (YamlError, Unsupported):
        return False
    if _exact(data, place) != _exact(found, place):
        return False
    return Counter(item.text for item in comments) == Counter(item.text for item in again)


def _exact(data: Any, place: str) -> bytes:
    return msgspec.json.encode(in_usual_order(data, place))
