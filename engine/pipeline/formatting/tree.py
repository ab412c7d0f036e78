"""A YAML file as a tree that still knows how everything was written, comments and blank lines included."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from yaml.tokens import AliasToken, AnchorToken, BlockEntryToken, DirectiveToken, ScalarToken

from engine.errors import HookwrightError

HEADER = re.compile(r"([|>])([-+]?)([1-9]?)([-+]?)([ \t]*)(#.*)?")


class Unsupported(HookwrightError):
    """This file uses something that is left alone."""


class Comment:
    """One comment. `gap`: blanks before it on its line; `blank`: an empty line is above it."""

    __slots__ = ("blank", "column", "gap", "line", "offset", "own_line", "text")

    def __init__(self, offset: int, text: str, *, line: int, column: int, gap: int, own_line: bool) -> None:
        self.offset = offset
        self.text = text.rstrip()
        self.line = line
        self.column = column
        self.gap = gap
        self.own_line = own_line
        self.blank = False


class Node:
    """A value. `raw` is its text in the file, without anchor; of a collection it is empty."""

    __slots__ = (
        "anchor",
        "column",
        "end",
        "entries",
        "flow",
        "kind",
        "owner",
        "raw",
        "start",
        "style",
        "tail",
        "value",
    )

    def __init__(self, kind: str, start: int, end: int) -> None:
        self.kind = kind  # scalar | alias | map | seq
        self.start = start
        self.end = end
        self.style = ""
        self.raw = ""
        self.value = ""
        self.anchor = ""
        self.flow = False
        self.column = 0
        self.entries: list[Entry] = []
        self.tail: list[Comment] = []  # comments after the last entry
        self.owner: Entry | None = None


class Entry:
    """One key with its value, or one item of a list."""

    __slots__ = ("blank", "comment", "holder", "key", "leading", "start", "value")

    def __init__(self, holder: Node, key: Node | None, value: Node, start: int) -> None:
        self.holder = holder
        self.key = key
        self.value = value
        self.start = start
        self.leading: list[Comment] = []
        self.comment: Comment | None = None  # on its line
        self.blank = False  # an empty line is above it


class Tree:
    """The root and what stands around it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.starts = [0, *(place + 1 for place, character in enumerate(source) if character == "\n")]
        self.lines = source.split("\n")
        self.spans: list[tuple[int, int]] = []  # scalars, anchors and aliases: no comment is in them
        self.dashes: list[int] = []
        self.marker = False  # whether the document begins with `---`
        self.root: Node | None = None

    def line_of(self, offset: int) -> int:
        """The index of the line of a character."""
        place = bisect_left(self.starts, offset + 1) - 1
        return max(place, 0)

    def column_of(self, offset: int) -> int:
        """How far from the beginning of its line."""
        return offset - self.starts[self.line_of(offset)]


def read_tree(source: str) -> Tree:
    """The tree of a file that the loader accepts. Unsupported if it has directives or odd line ends."""
    if any(character in source for character in "\r\x85\u2028\u2029"):
        raise Unsupported("it has line ends other than LF and CRLF")
    tree = Tree(source)
    _read_tokens(tree)
    _Builder(tree).build(yaml.parse(source, Loader=yaml.CSafeLoader))
    return tree


def find_comments(tree: Tree) -> list[Comment]:
    """All comments outside of scalars, and those behind `|` and `>`."""
    found: list[Comment] = []
    source, place = tree.source, 0
    for start, end in [*tree.spans, (len(source), len(source))]:
        while (sharp := source.find("#", place, start)) >= 0:
            line_end = source.find("\n", sharp)
            line_end = len(source) if line_end < 0 else line_end
            found.append(_comment(tree, sharp, line_end))
            place = line_end
        place = max(place, end)
        header = HEADER.match(source, start)
        if header and header[6] and start < end:
            found.append(_comment(tree, header.start(6), header.end(6)))
    return found


def every_entry(node: Node | None) -> Iterator[Entry]:
    """All entries in the order of the file, outer ones first."""
    for entry in node.entries if node is not None else ():
        yield entry
        yield from every_entry(entry.value)


def _comment(tree: Tree, start: int, end: int) -> Comment:
    line = tree.line_of(start)
    before = tree.source[tree.starts[line] : start]
    gap = len(before) - len(before.rstrip(" \t"))
    text = tree.source[start:end]
    return Comment(start, text, line=line, column=len(before), gap=gap, own_line=not before.strip())


def _read_tokens(tree: Tree) -> None:
    for token in yaml.scan(tree.source, Loader=yaml.CSafeLoader):
        start, end = _place(token.start_mark), _place(token.end_mark)
        if isinstance(token, DirectiveToken):
            raise Unsupported("it begins with a directive (`%`)")
        if isinstance(token, BlockEntryToken):
            tree.dashes.append(start)
        elif isinstance(token, ScalarToken | AnchorToken | AliasToken) and end > start:
            tree.spans.append((start, end))


def _place(mark: Any) -> int:
    return int(mark.index)


class _Builder:
    """Nodes from events."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.stack: list[Node] = []
        self.keys: list[Node | None] = []  # of each open map: the key that waits for its value

    def build(self, events: Iterator[Event]) -> None:
        for event in events:
            if isinstance(event, DocumentStartEvent):
                self.tree.marker = bool(event.explicit)
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                node = self.stack.pop()
                self.keys.pop()
                node.end = _place(event.end_mark if node.flow else event.start_mark)
                if node.kind == "seq" and not node.flow:
                    self.take_dashes(node)
            elif isinstance(event, ScalarEvent | AliasEvent):
                self.put(self.leaf(event))
            elif isinstance(event, MappingStartEvent | SequenceStartEvent):
                self.open(event)

    def open(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        start, end = _place(event.start_mark), _place(event.end_mark)
        node = Node("map" if isinstance(event, MappingStartEvent) else "seq", start, end)
        node.flow = bool(event.flow_style)
        node.anchor = event.anchor or ""
        self.put(node)
        self.stack.append(node)
        self.keys.append(None)

    def leaf(self, event: ScalarEvent | AliasEvent) -> Node:
        start, end = _place(event.start_mark), _place(event.end_mark)
        if isinstance(event, AliasEvent):
            node = Node("alias", start, end)
            node.raw = f"*{event.anchor}"
            return node
        node = Node("scalar", start, end)
        node.style, node.value, node.anchor = event.style or "", event.value, event.anchor or ""
        if end > start:
            place = bisect_left(self.tree.spans, (start, -1))
            if node.anchor:
                place += 1
            if place < len(self.tree.spans) and self.tree.spans[place][1] <= end:
                node.start, node.end = self.tree.spans[place]
                node.raw = self.tree.source[node.start : node.end]
            else:  # an anchor and nothing behind it
                node.start = node.end
        return node

    def put(self, node: Node) -> None:
        if not self.stack:
            self.tree.root = node
            node.column = self.tree.column_of(node.start)
            return
        holder, key = self.stack[-1], self.keys[-1]
        if holder.kind == "map" and key is None:
            self.keys[-1] = node
            return
        entry = Entry(holder, key, node, key.start if key is not None else node.start)
        if key is not None and key.anchor:
            raise Unsupported("a key has an anchor")
        node.owner = entry
        holder.entries.append(entry)
        self.keys[-1] = None
        if not holder.entries[1:] and holder.kind == "map":
            holder.column = self.tree.column_of(entry.start)

    def take_dashes(self, node: Node) -> None:
        """The items of a list begin with their dashes, which events do not tell."""
        first = bisect_left(self.tree.dashes, self.first_dash(node))
        column = self.tree.column_of(self.tree.dashes[first])
        dashes = [
            dash
            for dash in self.tree.dashes[first : bisect_left(self.tree.dashes, node.end)]
            if self.tree.column_of(dash) == column
        ]
        if len(dashes) != len(node.entries):
            raise Unsupported("its lists are written in an unusual way")
        node.column = column
        for entry, dash in zip(node.entries, dashes, strict=True):
            entry.start = dash

    def first_dash(self, node: Node) -> int:
        """Behind the anchor, if there is one."""
        if not node.anchor:
            return node.start
        return node.start + len(node.anchor)
