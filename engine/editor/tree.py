"""The data of a document that may be half-typed, and what the cursor is at."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.pipeline.loader import YamlError, load_yaml
from engine.pipeline.marks import Mark, Marks, Path

LINES_ABOVE = 40  # an error may be noticed so much further down
ATTEMPTS = 25  # broken lines that are blanked before the document is given up
CURSOR = "zqcursorqz"  # stands where the cursor is while the document is parsed
BREAKS = re.compile(r"[\n\r\x85\u2028\u2029]")
BLOCK_KEY = re.compile(r"\s*(?:-\s+)*(?P<word>[\w.*:-]*)")
FLOW_KEY = re.compile(r".*[{,]\s*(?P<word>[\w.*-]*)")
QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|\$\{\{.*?\}\}")
SUFFIX = re.compile(r"[\w.*-]*")
VALUE = re.compile(r"\s*(?:-\s+)*[^\s#'\"{}\[\],][^#]*?:\s+(?P<word>[^\s\[\]{}]*)|\s*(?:-\s+)+(?P<item>[^\s\[\]{}]*)")


class Tree(msgspec.Struct, frozen=True):
    """Plain data and where everything stands. whole: nothing had to be blanked."""

    data: Any
    marks: Marks
    whole: bool = True


class Cursor(msgspec.Struct, frozen=True):
    """What is being typed. path leads to it: for a key to the map it will be in, for a value to the value.

    word: what stands before the cursor; start and end: the range of the document that a suggestion replaces.
    """

    tree: Tree
    path: Path
    is_key: bool
    word: str
    start: int
    end: int


def parse(source: str) -> Tree | None:
    """The tree of a document; lines that cannot be read count as empty. None if that does not help."""
    text = source
    for _ in range(ATTEMPTS):
        found = _load(text)
        if not isinstance(found, int):
            return Tree(found[0], Marks(source, found[1]), whole=text is source) if found else None
        suspect = _unbalanced(text, found)
        again = _load(suspect) if suspect is not None else None
        if suspect is not None and (isinstance(again, tuple) or (isinstance(again, int) and again > found)):
            text = suspect
            continue
        shorter = _blank(text, found)
        if shorter is None:
            return None
        text = shorter
    return None


def find_cursor(source: str, offset: int) -> Cursor | None:
    """What is at the cursor; None if the document gives no hint."""
    start, end = _line(source, offset)
    before, after = source[start:offset], source[offset:end]
    for is_key in (True, False):
        word = _key_word(before) if is_key else _value_word(before)
        if word is None:
            continue
        tail = SUFFIX.match(after)
        rest = tail[0] if tail and (is_key or not after.strip().startswith("|")) else ""
        colon = ": " if is_key and not after[len(rest) :].lstrip().startswith(":") else ""
        head, foot = source[: offset - len(word)] + CURSOR + colon, after[len(rest) :]
        for closing in dict.fromkeys(("", _closing(before + after))):
            tree = parse(head + foot + closing + source[offset + len(after) :])
            place = _find(tree) if tree is not None else None
            if tree is not None and place is not None and place[1] == is_key:
                return Cursor(tree, place[0], is_key, word, offset - len(word), offset + len(rest))
    return None


def at(data: Any, path: Path) -> Any:
    """The value at a path; None if there is none."""
    for key in path:
        if isinstance(data, dict) and isinstance(key, str):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            return None
    return data


def without_cursor(value: Any) -> Any:
    """The data as if the cursor's word were not there."""
    if isinstance(value, dict):
        return {key: without_cursor(item) for key, item in value.items() if CURSOR not in key}
    if isinstance(value, list):
        return [without_cursor(item) for item in value if item != CURSOR]
    return None if isinstance(value, str) and CURSOR in value else value


def path_at(tree: Tree, offset: int) -> tuple[Path, Mark, bool] | None:
    """The smallest value whose range holds the offset, its mark, and whether it is its key that does."""
    best: tuple[Path, Mark, bool] | None = None
    for path, mark in tree.marks.marks.items():
        if mark.key_start is not None and mark.key_end is not None and mark.key_start <= offset <= mark.key_end:
            return path, mark, True
        if mark.start <= offset <= mark.end and (best is None or len(path) >= len(best[0])):
            best = path, mark, False
    return best


def _load(text: str) -> tuple[Any, Mapping[Path, Mark]] | int | None:
    """Data and marks; or where it cannot be read; None if no change of a line would help."""
    try:
        data, marks = load_yaml(text)
    except YamlError as error:
        return None if error.code == "E003" or not error.source else error.start + len(text) - len(error.source)
    return data, marks.marks


def _blank(text: str, offset: int) -> str | None:
    """The text with the line of an error emptied; if it is empty already, the one above with something in it."""
    offset = min(max(offset, 0), len(text))
    while True:
        start, end = _line(text, offset)
        if text[start:end].strip() and CURSOR not in text[start:end]:
            return text[:start] + " " * (end - start) + text[end:]
        if start == 0:
            return None
        offset = start - 1


def _unbalanced(text: str, offset: int) -> str | None:
    """The text without the last line up to an error in which a quote or bracket stays open."""
    offset = min(offset, len(text))
    for _ in range(LINES_ABOVE):
        start, end = _line(text, offset)
        line = text[start:end]
        if line.strip() and CURSOR not in line and _closing(line):
            return text[:start] + " " * len(line) + text[end:]
        if start == 0:
            return None
        offset = start - 1
    return None


def _line(text: str, offset: int) -> tuple[int, int]:
    """Start and end of the line around an offset."""
    start = max((found.end() for found in BREAKS.finditer(text, 0, offset)), default=0)
    found = BREAKS.search(text, start)
    return start, found.start() if found else len(text)


def _closing(line: str) -> str:
    """What would close the quotes and brackets that are open at the end of a line."""
    rest = QUOTED.sub("", line)
    for quote in ("'", '"'):
        if quote in rest:
            rest = rest[: rest.index(quote)]
            return quote + _brackets(rest)
    return _brackets(rest)


def _brackets(text: str) -> str:
    open_: list[str] = []
    for letter in text.replace("${{", ""):
        if letter in "{[":
            open_.append("}" if letter == "{" else "]")
        elif letter in "}]" and open_ and open_[-1] == letter:
            open_.pop()
    return "".join(reversed(open_))


def _key_word(before: str) -> str | None:
    """The beginning of a key, if one can stand here."""
    plain = QUOTED.sub(lambda match: "q" * len(match[0]), before)
    found = BLOCK_KEY.fullmatch(plain)
    if found is None and plain.count("{") > plain.count("}"):
        found = FLOW_KEY.fullmatch(plain)
    return before[found.start("word") :] if found else None


def _value_word(before: str) -> str | None:
    """The beginning of a value, if one can stand here."""
    found = VALUE.fullmatch(before)
    if found:
        return found["word"] if found["word"] is not None else found["item"]
    flow = re.fullmatch(r".*[\[{,:]\s*(?P<word>[\w.*:-]*)", before)
    return flow["word"] if flow else None


def _find(tree: Tree) -> tuple[Path, bool] | None:
    """Where the cursor's word is, and whether it is a key."""
    for path, mark in tree.marks.marks.items():
        if path and isinstance(path[-1], str) and CURSOR in path[-1]:
            return path[:-1], True
        if mark.text is not None and CURSOR in mark.text:
            return path, False
    return None
