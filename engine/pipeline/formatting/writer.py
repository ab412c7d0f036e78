"""Writes a tree: two blanks a level, keys in the usual order, `{}` and `[]` where they fit."""

from engine.pipeline.formatting.scalars import STEP, block_header, block_lines, continued, scalar_text
from engine.pipeline.formatting.tree import Comment, Entry, Node, Tree, every_entry
from engine.pipeline.key_order import sorted_places, step_into

WIDTH = 120
ALIGNED = 2  # a comment further away than this stands in a column


def write(tree: Tree, place: str) -> str:
    """The file. place: what its root is, see key_order; an empty text keeps the order of all keys."""
    return _Writer(tree, place).file()


class _Writer:
    def __init__(self, tree: Tree, place: str) -> None:
        self.tree = tree
        self.place = place
        self.lines: list[str] = []
        self.open = -1  # number of lines when a text ended that would take in empty lines (`|+`)

    def file(self) -> str:
        root = self.tree.root
        assert root is not None
        entries = root.entries
        header = entries[0].leading if entries else []
        blank = bool(entries) and entries[0].blank
        self.comments(header, 0, first=True)
        if entries:
            entries[0].leading, entries[0].blank = [], False
        if self.tree.marker:
            self.lines.append("---")
        elif header and blank:
            self.lines.append("")
        if line := self.flow(root, 0):
            self.lines.append(line)
        else:
            self.collection(root, 0, self.place)
        return "\n".join(self.lines) + "\n"

    def empty_line(self) -> None:
        if len(self.lines) != self.open:
            self.lines.append("")

    def comments(self, comments: list[Comment], indent: int, *, first: bool = False) -> None:
        for comment in comments:
            if comment.blank and not first:
                self.empty_line()
            first = False
            self.lines.append(" " * indent + comment.text)

    def collection(self, node: Node, indent: int, place: str) -> None:
        """A map or list, one entry a line."""
        entries = node.entries
        if node.kind == "map" and not _has_reference(node):
            keys = [entry.key.value if entry.key is not None else "" for entry in entries]
            entries = [entries[index] for index in sorted_places(place, keys)]
        for number, entry in enumerate(entries):
            key: str | int = entry.key.value if entry.key is not None else number
            self.entry(entry, indent, step_into(place, key), first=number == 0)
        self.comments(node.tail, indent)

    def entry(self, entry: Entry, indent: int, place: str, *, first: bool) -> None:
        value = entry.value
        block = _is_collection(value) and not self.flow(value, indent + self.head_width(entry))
        if entry.key is None and block and not value.anchor:
            self.hoist(entry)
        comments = entry.leading
        if not first and (comments[0].blank if comments else entry.blank):
            self.empty_line()
        self.comments(comments, indent, first=True)
        if comments and entry.blank:
            self.lines.append("")
        head = f"{scalar_text(entry.key)}:" if entry.key is not None else "-"
        line = " " * indent + head
        anchor = f" &{value.anchor}" if value.anchor else ""
        if block:
            self.block(entry, line + anchor, indent, place)
            return
        if value.style in ("|", ">"):
            self.add(f"{line}{anchor} {block_header(value)}", entry.comment)
            self.lines += block_lines(self.tree, value, indent + STEP)
            if "+" in value.raw[:3]:
                self.open = len(self.lines)
            return
        text = self.flow(value, 0) if _is_collection(value) else scalar_text(value)
        if not text:
            self.add(line + anchor, entry.comment)
            return
        parts = continued(text, indent + STEP)
        self.lines += [f"{line}{anchor} {parts[0]}", *parts[1:]]
        self.add(self.lines.pop(), entry.comment)

    def block(self, entry: Entry, line: str, indent: int, place: str) -> None:
        """A collection over several lines, below its key or behind its dash."""
        value = entry.value
        if entry.key is not None or value.anchor:
            self.add(line, entry.comment)
            self.collection(value, indent + STEP, place)
            return
        before = len(self.lines)
        self.collection(value, indent + STEP, place)
        self.lines[before] = line + " " + self.lines[before][indent + STEP :]

    def hoist(self, entry: Entry) -> None:
        """Comments between a dash and what stands behind it go above the dash."""
        found: list[Comment] = []
        inner, place = entry.value, entry
        while _is_collection(inner) and inner.entries:
            if place.comment is not None:
                found.append(place.comment)
                place.comment = None
            place = self.first_written(inner)
            found += place.leading
            place.leading = []
            if place.key is not None or place.value.anchor:
                break
            inner = place.value
        if found:
            found[0].blank, entry.blank = entry.blank, False
            entry.leading += found

    def first_written(self, node: Node) -> Entry:
        """The entry that will come first: keys of a step are put in order."""
        if node.kind == "seq" or _has_reference(node):
            return node.entries[0]
        keys = [entry.key.value if entry.key is not None else "" for entry in node.entries]
        return node.entries[sorted_places(self.place_of(node), keys)[0]]

    def place_of(self, node: Node) -> str:
        """What a node is, by the way that leads to it."""
        path: list[str | int] = []
        while node.owner is not None:
            entry = node.owner
            path.append(entry.key.value if entry.key is not None else 0)
            node = entry.holder
        place = self.place
        for key in reversed(path):
            place = step_into(place, key)
        return place

    def head_width(self, entry: Entry) -> int:
        anchor = len(entry.value.anchor) + 2 if entry.value.anchor else 0
        return (len(scalar_text(entry.key)) + 2 if entry.key is not None else 2) + anchor

    def flow(self, node: Node, width: int) -> str:
        """A collection in brackets on one line; empty if it was not written so, has comments, or is too long."""
        if not node.flow or any(_is_multiline(entry) for entry in every_entry(node)) or _has_comments(node):
            return ""
        text = _in_line(node).removeprefix(f"&{node.anchor} ")
        return text if width + len(text) <= WIDTH or not node.entries else ""

    def add(self, line: str, comment: Comment | None) -> None:
        if comment is None:
            self.lines.append(line)
            return
        gap = max(comment.gap, 1)
        if gap > ALIGNED:
            gap = max(comment.column - len(line), 1)
        self.lines.append(line + " " * gap + comment.text)


def _in_line(node: Node) -> str:
    anchor = f"&{node.anchor} " if node.anchor else ""
    if not _is_collection(node):
        return (anchor + scalar_text(node, flow=True)).rstrip()
    if node.kind == "seq":
        return f"{anchor}[{', '.join(_in_line(entry.value) for entry in node.entries)}]"
    return f"{anchor}{{{', '.join(_pair(entry) for entry in node.entries)}}}"


def _pair(entry: Entry) -> str:
    assert entry.key is not None
    key, value = scalar_text(entry.key, flow=True), _in_line(entry.value)
    return f"{key}: {value}" if value else key


def _is_collection(node: Node) -> bool:
    return node.kind in ("map", "seq")


def _is_multiline(entry: Entry) -> bool:
    return "\n" in entry.value.raw or (entry.key is not None and "\n" in entry.key.raw)


def _has_comments(node: Node) -> bool:
    return bool(node.tail) or any(
        entry.leading or entry.comment is not None or entry.value.tail for entry in every_entry(node)
    )


def _has_reference(node: Node) -> bool:
    """Whether an anchor or alias is in it: those must stay in their order."""
    return any(entry.value.anchor or entry.value.kind == "alias" for entry in every_entry(node))
