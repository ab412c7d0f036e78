"""The structure of a pipeline as text, with lines."""

from collections.abc import Sequence

from engine.pipeline.graph.tree import Block, Graph, Section

WIDTH = 100  # columns; longer lines are cut
MARKS = {"action": "●", "call": "▸", "group": "▣", "parallel": "⫴", "switch": "◆", "wait": "◷"}
TITLES = {"handler": "on error", "undo": "undo", "notify": "notify"}


def render_text(graph: Graph, *, width: int = WIDTH) -> str:
    """The tree, one line a step and one for its notes. No line is longer than `width`."""
    lines = [graph.id + (f"  {graph.name}" if graph.name else "")]
    if graph.description:
        lines.append(graph.description)
    lines += [f"⚡ {start.title}" + _joined(start.notes) for start in graph.starts]
    if graph.notes:
        lines.append("· " + " · ".join(graph.notes))
    lines.append("│")
    parts = [Section("body", "", graph.blocks)]
    if graph.on_error:
        parts.append(Section("handler", "on error, after the run has failed", graph.on_error))
    if graph.finally_:
        parts.append(Section("body", "finally, in any case", graph.finally_))
    _sequence(graph.blocks, "", lines, more=len(parts) > 1)
    for place, part in enumerate(parts[1:], 2):
        last = place == len(parts)
        lines.append(("└─ " if last else "├─ ") + part.title)
        _sequence(part.blocks, "   " if last else "│  ", lines)
    if graph.outputs:
        lines.append("→ " + ", ".join(graph.outputs))
    return "\n".join(_cut(line, width) for line in lines) + "\n"


def _sequence(blocks: Sequence[Block], margin: str, lines: list[str], *, more: bool = False) -> None:
    for place, block in enumerate(blocks):
        last = place == len(blocks) - 1 and not more
        head = f"{MARKS.get(block.shape, '●')} {block.title}"
        if block.detail:
            head += f"  {block.detail}"
        if block.name:
            head += f"  “{block.name}”"
        lines.append(margin + ("└─ " if last else "├─ ") + head)
        inner = margin + ("   " if last else "│  ")
        rest = "│ " if block.sections else "  "
        lines += [inner + rest + note for note in block.notes]
        _sections(block.sections, inner, lines)


def _sections(sections: Sequence[Section], margin: str, lines: list[str]) -> None:
    for place, section in enumerate(sections):
        last = place == len(sections) - 1
        if section.role == "body":
            _sequence(section.blocks, margin, lines, more=not last)
            continue
        title = TITLES.get(section.role, section.title)
        lines.append(margin + ("└─ " if last else "├─ ") + title + ("" if section.role == "case" else ":"))
        _sequence(section.blocks, margin + ("   " if last else "│  "), lines)


def _joined(notes: Sequence[str]) -> str:
    return "  " + " · ".join(notes) if notes else ""


def _cut(line: str, width: int) -> str:
    line = "".join(character if character.isprintable() else "\ufffd" for character in line)
    return line if len(line) <= width else line[: width - 1] + "…"
