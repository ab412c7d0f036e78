"""Values with ``${{ }}`` in them: any tree, compiled once."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine.pipeline.expression.compile import Files
from engine.pipeline.expression.errors import Complaint, ExpressionError
from engine.pipeline.expression.expression import DEEP, Expression, Filters, make_compiler
from engine.pipeline.expression.parser import parse
from engine.pipeline.expression.secret import Secret, join
from engine.pipeline.expression.tokens import MAX_SOURCE
from engine.pipeline.expression.values import Frame, piece_of

Path = tuple[str | int, ...]
Run = Callable[[Frame], Any]
Report = Callable[[ExpressionError], None]
OPENING = re.compile(r"\$(\$?)\{\{")  # ${{, or $${{ which stands for a literal ${{
CLOSING = re.compile(r"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"|(\}\})""", re.DOTALL)


class Template:
    """A compiled value. `expressions` are those in it, each with the path to its text."""

    __slots__ = ("_run", "expressions", "literal", "roots", "secrets", "value", "volatile")

    def __init__(self, value: Any, run: Run | None, expressions: tuple[tuple[Path, Expression], ...]) -> None:
        self.value = value  # as it was written
        self._run = run
        self.literal = not expressions and run is None
        self.expressions = expressions
        self.roots = frozenset().union(*(expression.roots for _, expression in expressions))
        self.secrets = frozenset().union(*(expression.secrets for _, expression in expressions))
        self.volatile = any(expression.volatile for _, expression in expressions)

    def __repr__(self) -> str:
        return f"Template({self.value!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.value == self.value

    def __hash__(self) -> int:
        return hash(repr(self.value))

    def render(self, scope: Mapping[str, Any]) -> Any:
        """The value with every expression replaced. Secrets stay Secret. ExpressionError has the path."""
        if self._run is None:
            return self.value
        try:
            return self._run(Frame(scope))
        except RecursionError:
            raise ExpressionError(DEEP, code="E222") from None


def compile_template(
    value: Any, *, filters: Filters | None = None, files: Files | None = None, report: Report | None = None
) -> Template:
    """Compile any tree of JSON values. Without `report` the first ExpressionError is raised; with it, all are told."""
    builder = _Builder(filters, files, report)
    run = builder.build(value, ())
    return Template(value, run, tuple(builder.expressions))


def whole_expression(text: str) -> bool:
    """Whether the text is exactly one ``${{ }}``."""
    texts = expressions = 0
    for piece in _split(text):
        if not isinstance(piece, str):
            expressions += 1
            if expressions > 1:
                return False
        elif piece.strip():
            texts += 1
    return expressions == 1 and not texts


def has_expression(value: Any) -> bool:
    """Whether ``${{`` (not escaped) is anywhere in the tree's texts."""
    if isinstance(value, str):
        return any(not match[1] for match in OPENING.finditer(value))
    if isinstance(value, dict):
        return any(has_expression(item) for item in value.values())
    if isinstance(value, list):
        return any(has_expression(item) for item in value)
    return False


def _split(text: str) -> Iterator[str | tuple[int, int]]:
    """Literal text, and (start, end) of what stands between ``${{`` and ``}}``."""
    position = 0
    for _ in range(len(text)):
        opening = OPENING.search(text, position)
        if opening is None:
            break
        if opening[1]:
            yield text[position : opening.start()] + "${{"
            position = opening.end()
            continue
        if opening.start() > position:
            yield text[position : opening.start()]
        start = opening.end()
        limit = start + MAX_SOURCE + len("}}")
        closing = next((match for match in CLOSING.finditer(text, start, limit) if match[1]), None)
        if closing is None:
            if len(text) > limit and "}}" in text[limit - 1 :]:
                message = f"an expression may have {MAX_SOURCE} characters"
                raise ExpressionError(message, start=opening.start(), end=start, help="make variables of its parts")
            raise ExpressionError(
                "`${{` is not closed",
                start=opening.start(),
                end=start,
                help="add `}}`; ` #` in an unquoted value begins a comment; write `$${{` for a literal `${{`",
            )
        yield start, closing.start()
        position = closing.end()
    if position < len(text):
        yield text[position:]


class _Builder:
    def __init__(self, filters: Filters | None, files: Files | None, report: Report | None) -> None:
        self.filters = filters
        self.files = files
        self.report = report
        self.expressions: list[tuple[Path, Expression]] = []

    def build(self, value: Any, path: Path) -> Run | None:
        """A function for the value, or None if it is what it is."""
        if isinstance(value, str):
            return self.text(value, path) if "${{" in value else None
        if isinstance(value, dict):
            fields = [(key, self.build(item, (*path, key)), item) for key, item in value.items()]
            return _object(fields) if any(run for _, run, _ in fields) else None
        if isinstance(value, list):
            items = [(self.build(item, (*path, index)), item) for index, item in enumerate(value)]
            return _list(items) if any(run for run, _ in items) else None
        return None

    def text(self, text: str, path: Path) -> Run | None:
        try:
            pieces = [self.piece(text, piece, path) for piece in _split(text)]
        except ExpressionError as error:
            error.path = path
            if self.report is None:
                raise
            self.report(error)
            return None
        expressions = [piece for piece in pieces if isinstance(piece, Expression)]
        if len(expressions) == 1 and all(isinstance(piece, Expression) or not piece.strip() for piece in pieces):
            return _whole(expressions[0], path)
        if not expressions:
            literal = "".join(piece for piece in pieces if isinstance(piece, str))
            return lambda frame: literal
        return _joined(pieces, path)

    def piece(self, text: str, piece: str | tuple[int, int], path: Path) -> str | Expression:
        if isinstance(piece, str):
            return piece
        start, end = piece
        source = text[start:end]
        try:
            expression = Expression(source, parse(source), make_compiler(source, self.filters, self.files), start)
        except ExpressionError as error:
            moved = error.moved(start, path)
            if self.report is None:
                raise moved from None
            self.report(moved)
            return ""
        self.expressions.append((path, expression))
        return expression


def _object(fields: list[tuple[str, Run | None, Any]]) -> Run:
    return lambda frame: {key: item if run is None else run(frame) for key, run, item in fields}


def _list(items: list[tuple[Run | None, Any]]) -> Run:
    return lambda frame: [item if run is None else run(frame) for run, item in items]


def _whole(expression: Expression, path: Path) -> Run:
    run, start = expression.run, expression.start

    def whole(frame: Frame) -> Any:
        try:
            return run(frame)
        except ExpressionError as error:
            raise error.moved(start, path) from None

    return whole


def _joined(pieces: list[str | Expression], path: Path) -> Run:
    def joined(frame: Frame) -> str | Secret:
        texts: list[str | Secret] = []
        for piece in pieces:
            if isinstance(piece, str):
                texts.append(piece)
                continue
            try:
                text = piece_of(piece.run(frame))
                texts.append(frame.text(text) if isinstance(text, str) else text)
            except ExpressionError as error:
                raise error.moved(piece.start, path) from None
            except Complaint as complaint:
                raise ExpressionError(
                    complaint.message,
                    start=piece.start,
                    end=piece.start + len(piece.source),
                    help=complaint.help,
                    code=complaint.code,
                    path=path,
                ) from None
        return join(texts)

    return joined
