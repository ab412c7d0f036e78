"""A text as editors see it: lines and columns from 0, columns in the units that were agreed on."""

import re
from bisect import bisect_right

BREAK = re.compile(r"\r\n|\r|\n")  # what the protocol counts as the end of a line; YAML knows more


class Text:
    """A document's text. encoding: `utf-16` (what every editor speaks), `utf-8` or `utf-32`."""

    def __init__(self, source: str, encoding: str = "utf-16") -> None:
        self.source = source
        self.encoding = encoding
        self.starts = [0, *(found.end() for found in BREAK.finditer(source))]

    def offset(self, line: int, character: int) -> int:
        """The index in the source; positions beyond a line or the text are moved to its end."""
        if line >= len(self.starts):
            return len(self.source)
        text = self.line(line)
        units = 0
        for index, letter in enumerate(text):
            if units >= character:
                return self.starts[line] + index
            units += self._units(letter)
        return self.starts[line] + len(text)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and character of an index in the source."""
        line = bisect_right(self.starts, min(offset, len(self.source))) - 1
        before = self.source[self.starts[line] : offset]
        return line, sum(map(self._units, before)) if not before.isascii() else len(before)

    def line(self, number: int) -> str:
        """A line without its end."""
        end = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.source)
        return self.source[self.starts[number] : end].rstrip("\r\n")

    def _units(self, letter: str) -> int:
        code = ord(letter)
        if self.encoding == "utf-8":
            return 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4
        return 2 if code > 0xFFFF and self.encoding == "utf-16" else 1
