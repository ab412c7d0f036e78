"""Gives each comment and each empty line to the entry it belongs to."""

from bisect import bisect_left

from engine.pipeline.formatting.scalars import block_lines
from engine.pipeline.formatting.tree import Comment, Entry, Node, Tree, every_entry, find_comments


def attach_comments(tree: Tree) -> list[Comment]:
    """Comments and empty lines find their entries; returned are all comments, in the order of the file."""
    entries = list(every_entry(tree.root))
    starts = [entry.start for entry in entries]
    comments = find_comments(tree)
    kept = _kept_lines(tree, entries)
    for entry in entries:
        entry.blank = _is_blank(tree, tree.line_of(entry.start) - 1, kept)
    gap, depth, taken = -1, 0, False  # of the comments between the same two entries: how deep the last one went
    for comment in comments:
        comment.blank = comment.own_line and _is_blank(tree, comment.line - 1, kept)
        place = bisect_left(starts, comment.offset) - 1
        if place < 0 or tree.root is None:
            _header(tree, entries).append(comment)
            continue
        before = entries[place]
        after = entries[place + 1] if place + 1 < len(entries) else None
        if not comment.own_line:
            _behind(tree.root, before, comment)
            continue
        if place != gap:
            gap, depth, taken = place, _depth(before), False
        taken, depth = _between(tree.root, before, after, comment, depth, taken)
    return comments


def _header(tree: Tree, entries: list[Entry]) -> list[Comment]:
    assert tree.root is not None
    return entries[0].leading if entries else tree.root.tail


def _behind(root: Node, entry: Entry, comment: Comment) -> None:
    """On the line of an entry, or behind the bracket that closes what it stands in."""
    while entry.holder.flow and entry.holder.end <= comment.offset:
        if entry.holder.owner is None:
            root.tail.append(comment)
            return
        entry = entry.holder.owner
    if entry.comment is None:
        entry.comment = comment
    else:
        entry.leading.append(comment)


def _between(
    root: Node, before: Entry, after: Entry | None, comment: Comment, depth: int, taken: bool
) -> tuple[bool, int]:
    """On a line of its own: whether it leads the next entry, and how deep the collection is that took it."""
    value = before.value
    if value.end > comment.offset and value.start > comment.offset and (value.raw or value.flow):
        before.leading.append(comment)  # between a key and its value
        return taken, depth
    inside = _flow_around(before, comment.offset)
    if inside is not None:
        if after is not None and after.start < inside.end:
            after.leading.append(comment)
        else:
            inside.tail.append(comment)
        return taken, depth
    if after is not None and (taken or after.holder is value or comment.column <= after.holder.column):
        after.leading.append(comment)
        return True, depth
    end = after.holder if after is not None else None
    holder: Node | None = before.holder
    while holder is not None and holder is not end:
        outer = holder.owner
        at = _depth(outer) + 1 if outer is not None else 0
        if not holder.flow and at <= depth and (holder.column <= comment.column or outer is None):
            holder.tail.append(comment)
            return False, at
        holder = outer.holder if outer is not None else None
    if after is None:
        root.tail.append(comment)
        return False, 0
    after.leading.append(comment)
    return True, depth


def _flow_around(entry: Entry, offset: int) -> Node | None:
    """The innermost `[...]` or `{...}` that a place is in."""
    node: Node | None = entry.value
    while node is not None:
        if node.flow and node.start < offset < node.end:
            return node
        node = node.owner.holder if node.owner is not None else None
    return None


def _depth(entry: Entry) -> int:
    count = 0
    while entry.holder.owner is not None:
        entry = entry.holder.owner
        count += 1
    return count


def _kept_lines(tree: Tree, entries: list[Entry]) -> set[int]:
    """Lines that belong to the text of a block scalar, and so are not empty even if they look so."""
    kept: set[int] = set()
    for entry in entries:
        if entry.value.style in ("|", ">"):
            first = tree.line_of(entry.value.start) + 1
            kept.update(range(first, first + len(block_lines(tree, entry.value, 0))))
    return kept


def _is_blank(tree: Tree, line: int, kept: set[int]) -> bool:
    return 0 <= line < len(tree.lines) and line not in kept and not tree.lines[line].strip()
