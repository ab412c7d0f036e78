"""Where each value of a YAML file stands, down to a character within a text."""

import re
from bisect import bisect_left
from collections.abc import Mapping
from functools import cached_property

import msgspec

Path = tuple[str | int, ...]
BREAK = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")  # what libyaml counts as the end of a line
BLANK = " \t\r\n"
ANCHOR = re.compile(r"&[0-9A-Za-z_-]+\s*")
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r\n|.)", re.DOTALL)


class Mark(msgspec.Struct, frozen=True):
    """One value: offsets in the file, and how its text is written ("", ', ", | or >)."""

    start: int
    end: int
    style: str = ""
    text: str | None = None  # the value, if it is a text
    key_start: int | None = None
    key_end: int | None = None


class Place(msgspec.Struct, frozen=True):
    """A range on one line; line and column start at 1."""

    line: int
    column: int
    length: int


class Marks:
    """The marks of one file by path."""

    def __init__(self, source: str, marks: Mapping[Path, Mark]) -> None:
        self.source = source
        self.marks = marks
        # of the text that was asked for last: its visible characters, and where each stands in the file
        self._looked_into: tuple[Mark, list[int], list[int]] | None = None

    @cached_property
    def starts(self) -> list[int]:
        """Where each line begins."""
        source = self.source
        if "\r" in source or not source.isascii():
            return [0, *(match.end() for match in BREAK.finditer(source))]
        starts, found = [0], source.find("\n")
        while found >= 0:
            starts.append(found + 1)
            found = source.find("\n", found + 1)
        return starts

    def value(self, path: Path, offset: tuple[int, int] | None = None) -> Place:
        """The place of a value, or of a range within its text."""
        mark = self._mark(path)
        if offset is None or mark.text is None:
            return self.place(mark.start, mark.end)
        start = self._within(mark, mark.text, offset[0])
        end = self._within(mark, mark.text, max(offset[1] - 1, offset[0])) + 1
        return self.place(start, max(end, start + 1))

    def key(self, path: Path) -> Place:
        """The place of the key that leads to the value."""
        mark = self._mark(path)
        if mark.key_start is None or mark.key_end is None:
            return self.place(mark.start, mark.end)
        return self.place(mark.key_start, mark.key_end)

    def is_cut(self, path: Path) -> bool:
        """Whether a comment follows an unquoted value on its line."""
        mark = self._mark(path)
        rest = self.source[mark.end : mark.end + 80]
        return not mark.style and rest.lstrip(" \t").startswith("#")

    def place(self, start: int, end: int) -> Place:
        """Line and column of a range of characters, cut at the end of its first line."""
        start = min(start, len(self.source))
        line = self.line_of(start)
        text = self.line(line)
        column = start - self.starts[line - 1]
        length = min(end - start, max(len(text.rstrip()) - column, 1))
        return Place(line, column + 1, max(length, 1))

    def line_of(self, offset: int) -> int:
        """The line of a character, from 1."""
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= offset else (low, middle)
        return low + 1

    def line(self, number: int, *, longest: int | None = None) -> str:
        """The text of a line, without its end; nothing if there is no such line, or if it is longer than asked for."""
        if not 1 <= number <= len(self.starts):
            return ""
        end = self.starts[number] if number < len(self.starts) else len(self.source)
        if longest is not None and end - self.starts[number - 1] > longest:
            return ""
        return self.source[self.starts[number - 1] : end].rstrip("\r\n\x85\u2028\u2029")

    def _mark(self, path: Path) -> Mark:
        while path not in self.marks and path:
            path = path[:-1]
        return self.marks.get(path) or Mark(0, 0)

    def _within(self, mark: Mark, text: str, offset: int) -> int:
        """Where character `offset` of the text stands in the file.

        Folding and indentation only change white space, so the n-th other character of the text is the n-th in
        the file.
        """
        if self._looked_into is None or self._looked_into[0] is not mark:
            visible = [index for index, character in enumerate(text) if character not in BLANK]
            self._looked_into = (mark, visible, self._characters(mark))
        _, visible, places = self._looked_into
        if not places:
            return mark.start
        return places[min(bisect_left(visible, offset), len(places) - 1)]

    def _characters(self, mark: Mark) -> list[int]:
        """The places of the text's characters in the file, white space left out."""
        raw = self.source[mark.start : mark.end]
        begin = anchor.end() if (anchor := ANCHOR.match(raw)) else 0
        if mark.style in ("|", ">"):
            line_end = BREAK.search(raw, begin)
            begin = line_end.end() if line_end else len(raw)
        elif mark.style:
            begin, raw = begin + 1, raw[:-1]
        places: list[int] = []
        index = begin
        while index < len(raw):
            width, blank = 1, raw[index] in BLANK
            if mark.style == "'" and raw.startswith("''", index):
                width = 2
            elif mark.style == '"' and (escape := ESCAPE.match(raw, index)):
                width, blank = len(escape[0]), _is_blank(escape[1])
            if not blank:
                places.append(mark.start + index)
            index += width
        return places


def _is_blank(escape: str) -> bool:
    if len(escape) > 1 and escape[0] in "xuU":
        return chr(int(escape[1:], 16)) in BLANK
    return escape in ("n", "t", "r", *BLANK, "\r\n")
