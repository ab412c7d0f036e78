"""Where in a document an expression stands, and what is under the cursor in it."""

import re

import msgspec

from engine.editor.tree import CURSOR, Tree, parse, path_at
from engine.pipeline.marks import Path

CONDITIONS = frozenset({"if", "until", "when"})
OPENING = re.compile(r"(?<!\$)\$\{\{")
CLOSED = re.compile(r"""(?:'[^'\n]*'|"[^"\n]*"|(?!\}\})[^'"])*\}\}""")
INSIDE = re.compile(r"""(?:'[^'\n]*'|"[^"\n]*"|(?!\}\})[^'"])*(?:'[^'\n]*|"[^"\n]*)?""")
CONDITION = re.compile(r"(?P<head>\s*(?:-\s+)*(?:if|until|when):\s*)(?P<quote>['\"]?)(?P<text>.*)")
FARTHEST = 8_000  # characters between `${{` and the cursor
NAME = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*")


class Place(msgspec.Struct, frozen=True):
    """An expression in a document: its range in the source, and the path of the value it stands in."""

    path: Path
    start: int
    end: int
    tree: Tree  # of the document with the expression replaced, so that it can be read
    condition: bool = False


def find_place(source: str, offset: int) -> Place | None:
    """The expression that the cursor is in; None if it is in none."""
    return _in_value(source, offset) or _in_condition(source, offset)


def _in_value(source: str, offset: int) -> Place | None:
    opening = None
    for opening in OPENING.finditer(source, max(0, offset - FARTHEST), offset):  # noqa: B007 - the last one counts
        pass
    if opening is None or not INSIDE.fullmatch(source, opening.end(), offset):
        return None
    line_end = _line_end(source, offset)
    between = source[opening.end() : offset]
    if "\n" in between and not _belongs(source, opening.start(), offset):
        return None
    closed = CLOSED.match(source, opening.end())
    if closed and (source.find("\n", offset, closed.end()) < 0 or _belongs(source, opening.start(), closed.end())):
        end, after = closed.end() - 2, closed.end()
    else:
        end = after = _unclosed(source, offset, line_end)
    found = _replaced(source, opening.start(), after)
    return Place(found[0], opening.end(), end, found[1]) if found else None


def _in_condition(source: str, offset: int) -> Place | None:
    start = max(source.rfind("\n", 0, offset), source.rfind("\r", 0, offset)) + 1
    end = _line_end(source, offset)
    found = CONDITION.fullmatch(source, start, end)
    if found and offset >= found.start("text") and found["text"][:1] not in ("|", ">"):
        text_end = found.end("text")
        if found["quote"] and found["text"].rstrip().endswith(found["quote"]):
            text_end = found.start("text") + len(found["text"].rstrip()) - 1
        place = _replaced(source, found.end("head"), end, before=" " if found["head"].endswith(":") else "")
        if place and offset <= text_end:
            return Place(place[0], found.start("text"), text_end, place[1], condition=True)
        return None
    tree = parse(source)
    around = path_at(tree, offset) if tree is not None else None
    if tree is None or around is None or around[2] or not around[0]:
        return None
    path, mark, _ = around
    is_assert = len(path) > 1 and path[-2] == "assert"
    if not (path[-1] in CONDITIONS or is_assert) or mark.text is None:
        return None
    quotes = 1 if mark.style in ("'", '"') else 0
    return Place(path, mark.start + quotes, mark.end - quotes, tree, condition=True)


def _replaced(source: str, start: int, end: int, before: str = "") -> tuple[Path, Tree] | None:
    """The document with a range replaced by the cursor's word, and the path of the value with that word."""
    line_end = _line_end(source, end)
    for extra in ("", *_closers(source[_line_start(source, start) : start])):
        tree = parse(source[:start] + before + CURSOR + source[end:line_end] + extra + source[line_end:])
        if tree is None:
            continue
        for path, mark in tree.marks.marks.items():
            if mark.text is not None and CURSOR in mark.text:
                return path, tree
    return None


def _closers(line: str) -> list[str]:
    """What may have to follow so that the line can be read: quotes and brackets that are open in it."""
    brackets = "".join("}" if letter == "{" else "]" for letter in reversed(line) if letter in "{[")
    found = [quote + brackets for quote in ("'", '"') if line.count(quote) % 2]
    return [*found, brackets] if brackets else found


def _belongs(source: str, start: int, end: int) -> bool:
    """Whether all lines of a range are more indented than the one it begins on: they are one value."""
    first = source[_line_start(source, start) : start]
    indent = len(first) - len(first.lstrip(" -"))
    if not first.strip(" -"):
        indent -= 1  # the text begins on this line: block text
    lines = source[_line_start(source, start) : end].splitlines()[1:]
    return all(len(line) - len(line.lstrip()) > indent for line in lines if line.strip())


def _unclosed(source: str, offset: int, line_end: int) -> int:
    """Where an expression ends that is not closed: at the end of the line, without what may belong to YAML."""
    rest = source[offset:line_end]
    word = re.match(r"[\w.-]*", rest)
    end = offset + (word.end() if word else 0)
    following = source[end:line_end].strip()
    return line_end if following and following[0] not in "'\"}]," else end


def _line_start(source: str, offset: int) -> int:
    return source.rfind("\n", 0, offset) + 1


def _line_end(source: str, offset: int) -> int:
    found = re.compile(r"[\r\n]").search(source, offset)
    return found.start() if found else len(source)


def word_at(source: str, start: int, end: int, offset: int) -> tuple[str, int, int] | None:
    """The dotted name around the offset within a range, up to the part that the cursor is on."""
    for found in NAME.finditer(source, start, end):
        if found.start() <= offset <= found.end():
            stop = offset
            while stop < found.end() and source[stop] != ".":
                stop += 1
            return source[found.start() : stop], found.start(), stop
    return None
