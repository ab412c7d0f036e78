"""How scalars are written: quotes only where they are needed, the text of block scalars untouched."""

from yaml.resolver import Resolver

from engine.pipeline.formatting.tree import HEADER, Node, Tree
from engine.pipeline.loader import FALSE, FLOAT, INTEGER, NOT_JSON, NULL, TRUE

INDICATORS = frozenset("-?:,[]{}#&*!|>'\"%@`=<~ ")
IN_FLOW = frozenset(",[]{}:#?")
OLD_WORDS = frozenset({"y", "Y", "n", "N"})  # booleans of YAML 1.1 that not every reader knows
STEP = 2


def scalar_text(node: Node, *, flow: bool = False) -> str:
    """A scalar as it is written, without anchor. It may have several lines."""
    if node.style in ("'", '"') and "\n" not in node.raw and can_be_plain(node.value, flow=flow):
        return node.value
    return node.raw


def can_be_plain(value: str, *, flow: bool) -> bool:
    """Whether a text without quotes is the same text to every reader, of YAML 1.1 as of 1.2."""
    if not value or not value.isprintable() or value[0] in INDICATORS or value[-1] in " :":
        return False
    if ": " in value or " #" in value or (flow and not IN_FLOW.isdisjoint(value)):
        return False
    if value in NULL | TRUE | FALSE | OLD_WORDS or any(rule.fullmatch(value) for rule in (INTEGER, FLOAT, NOT_JSON)):
        return False
    resolvers = Resolver.yaml_implicit_resolvers
    return not any(rule.match(value) for _, rule in [*resolvers.get(value[0], []), *resolvers.get(None, [])])


def continued(raw: str, indent: int) -> list[str]:
    """The lines of a plain or quoted scalar, those after the first with a new indentation."""
    first, *rest = raw.split("\n")
    lines = [line.strip(" \t") if line.strip(" \t") else "" for line in rest]
    return [first.rstrip(" \t"), *(" " * indent + line if line else "" for line in lines)]


def block_header(node: Node) -> str:
    """`|`, `>-`, ...; an indicator of indentation is rewritten for ours."""
    header = HEADER.match(node.raw)
    assert header is not None
    return header[1] + (str(STEP) if header[3] else "") + header[2] + header[4]


def block_lines(tree: Tree, node: Node, indent: int) -> list[str]:
    """The text of a block scalar, each line as it is, with a new indentation."""
    header = HEADER.match(node.raw)
    assert header is not None
    keep = "+" in header[2] + header[4]
    lines = tree.lines[tree.line_of(node.start) + 1 :]
    before = _indentation(lines, node.value)
    if before is None:
        return [""] * _count_kept(lines, node.value) if keep else []
    content: list[str] = []
    for line in lines:
        if line.strip(" ") and _leading(line) < before:
            break
        content.append(line[before:])
    if content and tree.source.endswith("\n") and len(content) == len(lines):
        content.pop()  # behind the last line break there is no line
    while content and not content[-1] and not keep:
        content.pop()
    return [" " * indent + line if line else "" for line in content]


def _indentation(lines: list[str], value: str) -> int | None:
    """Of the text in the file; None if it has no line but empty ones."""
    raw = next((line for line in lines if line.strip(" ")), None)
    text = next((line for line in value.split("\n") if line.strip(" ")), None)
    if raw is None or text is None:
        return None
    return _leading(raw) - _leading(text)


def _count_kept(lines: list[str], value: str) -> int:
    return min(len(lines), value.count("\n"))


def _leading(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
