"""The structure of a pipeline as a Mermaid flowchart, for pages that draw those."""

from collections.abc import Sequence

from engine.pipeline.graph.tree import Block, Graph

LONGEST = 120  # characters of one line of a label
ESCAPED = {"&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "#": "#35;", "`": "#96;", "\\": "#92;"}
BRACKETS = {"call": ("[[", "]]"), "wait": ("{{", "}}")}
LABELS = {"handler": "on error", "undo": "undo", "notify": "notify"}


def render_mermaid(graph: Graph) -> str:
    """A `flowchart TD`; every text is quoted and escaped."""
    writer = _Writer()
    writer.add("flowchart TD")
    starts = [writer.node("(", [start.title, *start.notes], ")") for start in graph.starts]
    last = writer.sequence(graph.blocks, starts or [writer.node("(", ["by hand"], ")")])
    end = writer.node("([", ["outputs: " + ", ".join(graph.outputs)] if graph.outputs else ["end"], "])")
    writer.join(last, end)
    if graph.on_error:
        writer.aside(end, "on error", graph.on_error)
    if graph.finally_:
        frame = writer.frame(["finally"], graph.finally_)
        writer.join([end], frame)
    return "\n".join(writer.lines) + "\n"


class _Writer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0
        self.depth = 0

    def add(self, line: str) -> None:
        self.lines.append("  " * self.depth + line)

    def name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def node(self, left: str, label: Sequence[str], right: str) -> str:
        name = self.name()
        self.depth += 1
        self.add(f'{name}{left}"{_label(label)}"{right}')
        self.depth -= 1
        return name

    def join(self, before: Sequence[str], after: str) -> None:
        self.depth += 1
        for name in before:
            self.add(f"{name} --> {after}")
        self.depth -= 1

    def sequence(self, blocks: Sequence[Block], last: list[str]) -> list[str]:
        """Write the blocks one after the other; the names at the end."""
        for block in blocks:
            name = self.block(block)
            self.join(last, name)
            for section in block.aside:
                self.aside(name, LABELS.get(section.role, section.title), section.blocks)
            last = [name]
        return last

    def block(self, block: Block) -> str:
        label = [part for part in (block.title, block.detail, block.name, *block.notes) if part]
        if not block.inner:
            left, right = BRACKETS.get(block.shape, ("[", "]"))
            return self.node(left, label, right)
        name = self.name()
        self.depth += 1
        self.add(f'subgraph {name}["{_label(label)}"]')
        for section in block.inner:
            if section.role == "body":
                self.sequence(section.blocks, [])
            else:
                self.depth += 1
                self.frame([section.title], section.blocks)
                self.depth -= 1
        self.add("end")
        self.depth -= 1
        return name

    def frame(self, label: Sequence[str], blocks: Sequence[Block]) -> str:
        name = self.name()
        self.depth += 1
        self.add(f'subgraph {name}["{_label(label)}"]')
        self.sequence(blocks, [])
        self.add("end")
        self.depth -= 1
        return name

    def aside(self, name: str, label: str, blocks: Sequence[Block]) -> None:
        frame = self.frame([label], blocks)
        self.depth += 1
        self.add(f"{name} -.-> {frame}")
        self.depth -= 1


def _label(lines: Sequence[str]) -> str:
    shown = (line if len(line) <= LONGEST else line[: LONGEST - 1] + "…" for line in lines)
    return "<br/>".join("".join(ESCAPED.get(character, character) for character in _plain(line)) for line in shown)


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
