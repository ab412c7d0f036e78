"""One compiled expression."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine.pipeline.expression.compile import Compiler, Files, is_secret
from engine.pipeline.expression.errors import Complaint, ExpressionError
from engine.pipeline.expression.filters import FILTERS
from engine.pipeline.expression.functions import FUNCTIONS
from engine.pipeline.expression.nodes import Access, Lambda, Name, Node, children
from engine.pipeline.expression.parser import parse
from engine.pipeline.expression.values import Frame, boolean, shorten

Filters = Mapping[str, Callable[..., Any]]
DEEP = "this value is nested too deeply"
OPEN, CLOSE = "${{", "}}"


class Expression:
    """A parsed and compiled expression; it never changes."""

    __slots__ = ("_run", "node", "roots", "secrets", "source", "start", "volatile")

    def __init__(self, source: str, node: Node, compiler: Compiler, start: int = 0) -> None:
        self.source = source
        self.node = node
        self.start = start  # offset of the source in the text it was found in
        self._run = compiler.strict(node)
        self.roots = frozenset(compiler.roots)
        self.secrets = frozenset(compiler.secrets)
        self.volatile = compiler.volatile  # uses now() or uuid()

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The value; ExpressionError if something is missing or does not fit."""
        return self.run(Frame(scope))

    def run(self, frame: Frame) -> Any:
        """As evaluate, with a budget that is shared with others."""
        try:
            return self._run(frame)
        except RecursionError:
            raise ExpressionError(DEEP, end=len(self.source), code="E222") from None

    def condition(self, scope: Mapping[str, Any]) -> bool:
        """The value, which must be true or false."""
        value = self.evaluate(scope)
        if value is True or value is False:
            return bool(value)
        try:
            return boolean(value, "a condition")
        except Complaint as complaint:
            raise ExpressionError(
                complaint.message, end=len(self.source), help=complaint.help, code=complaint.code
            ) from None

    def explain(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """What the paths in it are in this scope, shortened: {"event.body.sender.type": "Bot"}."""
        values: dict[str, Any] = {}
        frame = Frame(scope)
        for path in _paths(self.node, frozenset()):
            compiler = make_compiler(self.source)
            try:
                value = compiler.maybe(path)(frame)
            except (ExpressionError, RecursionError) as error:
                value = f"({error})"
            values[self.source[path.start : path.end]] = shorten(value)
        return values


def parse_expression(text: str, *, filters: Filters | None = None, files: Files | None = None) -> Expression:
    """The expression; ExpressionError with the place in the text. filters: those of plugins, by name."""
    node = parse(text)
    return Expression(text, node, make_compiler(text, filters, files))


def parse_condition(text: str, *, filters: Filters | None = None, files: Files | None = None) -> Expression:
    """A condition: bare, or wholly within ``${{ }}``. Offsets of errors count in the whole text."""
    found = text.find(OPEN)
    if found < 0:
        return parse_expression(text, filters=filters, files=files)
    stripped = text.strip()
    if not (stripped.startswith(OPEN) and stripped.endswith(CLOSE)) or stripped.find(OPEN, 1) >= 0:
        raise ExpressionError(
            "`if:` is an expression already",
            start=found,
            end=found + len(OPEN),
            help="remove `${{` and `}}`: mixed with other text it would always be true",
            code="E212",
        )
    start = found + len(OPEN)
    inner = text[start : text.rindex(CLOSE)]
    try:
        return Expression(inner, parse(inner), make_compiler(inner, filters, files), start)
    except ExpressionError as error:
        raise error.moved(start) from None


def make_compiler(source: str, filters: Filters | None = None, files: Files | None = None) -> Compiler:
    """A compiler that knows the built-ins and the given filters."""
    return Compiler(source, filters=FILTERS, functions=FUNCTIONS, foreign=filters or {}, files=files)


def _paths(node: Node, hidden: frozenset[str]) -> Iterator[Node]:
    """The longest paths that begin with a root."""
    if isinstance(node, Lambda):
        yield from _paths(node.body, hidden | {node.name})
        return
    if isinstance(node, Name) and node.name not in hidden:
        yield node
        return
    if isinstance(node, Access) and isinstance(node.base, Name) and not is_secret(node):
        parts = [child for part in node.parts for child in children(part)]
        if node.base.name not in hidden and not _mentions([*parts], hidden):
            yield node
        for part in parts:
            yield from _paths(part, hidden)
        return
    if not is_secret(node):
        for child in children(node):
            yield from _paths(child, hidden)


def _mentions(nodes: list[Node], names: frozenset[str]) -> bool:
    while nodes:
        node = nodes.pop()
        if isinstance(node, Name) and node.name in names:
            return True
        nodes.extend(children(node))
    return False
