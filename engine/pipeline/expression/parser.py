"""From tokens to nodes, by precedence. The grammar is in docs/expressions.md."""

from typing import NoReturn

from engine.pipeline.expression.errors import ExpressionError
from engine.pipeline.expression.nodes import (
    Access,
    And,
    Arguments,
    Arithmetic,
    Call,
    Choice,
    Compare,
    Concat,
    Fallback,
    Field,
    Filter,
    Index,
    Items,
    Lambda,
    Literal,
    Name,
    Negative,
    Node,
    Not,
    Operation,
    Or,
    Pipe,
    Slice,
    Test,
)
from engine.pipeline.expression.tokens import RESERVED, Token, tokenize, unquote

MAX_DEPTH = 32  # brackets, choices and signs inside each other
COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
WORDS = {"None": "null", "none": "null", "nil": "null", "undefined": "null", "True": "true", "False": "false"}
CONSTANTS = {"true": True, "false": False, "null": None}


def parse(source: str) -> Node:
    """The expression's tree; ExpressionError if it is not one."""
    return _Parser(source).parse()


class _Parser:
    __slots__ = ("depth", "index", "kind", "source", "tokens")

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokenize(source)
        self.index = 0
        self.kind = self.tokens[0][0]
        self.depth = 0

    def parse(self) -> Node:
        if self.kind == "end":
            raise ExpressionError("the expression is empty", end=len(self.source))
        node = self.expression()
        if self.kind != "end":
            self.unexpected()
        return node

    # tokens

    def next(self) -> Token:
        token = self.tokens[self.index]
        self.index += 1
        self.kind = self.tokens[self.index][0] if token[0] != "end" else "end"
        return token

    def accept(self, kind: str) -> bool:
        if self.kind != kind:
            return False
        self.next()
        return True

    def expect(self, kind: str, why: str) -> Token:
        if self.kind != kind:
            self.unexpected(f"`{kind}` is missing {why}")
        return self.next()

    def peek(self) -> str:
        """The kind of the token after this one."""
        return self.tokens[min(self.index + 1, len(self.tokens) - 1)][0]

    def unexpected(self, expected: str = "") -> NoReturn:
        kind, text, start, end = self.tokens[self.index]
        if kind == "end":
            raise ExpressionError(expected or "the expression ends too early", start=max(start - 1, 0), end=end)
        if kind == "=":
            raise ExpressionError("`=` is not an operator here", start=start, end=end, help="use `==`")
        if kind == "=>":
            raise ExpressionError(
                "a lambda can only be an argument of a filter", start=start, end=end, help="as in `map(o => o.id)`"
            )
        raise ExpressionError(f"`{text}` is not expected here", start=start, end=end, help=expected)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            _, _, start, end = self.tokens[self.index]
            raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels", start=start, end=end)

    # operators, loosest first

    def expression(self) -> Node:
        self.deeper()
        node = self.either()
        if self.kind == "if":
            self.next()
            condition = self.either()
            if self.kind != "else":
                self.unexpected("`else` is missing: write `a if condition else b`")
            self.next()
            otherwise = self.expression()
            node = Choice(node.start, otherwise.end, condition, node, otherwise)
        self.depth -= 1
        return node

    def either(self) -> Node:
        node = self.both()
        if self.kind != "or":
            return node
        items = [node]
        while self.accept("or"):
            items.append(self.both())
        return Or(node.start, items[-1].end, tuple(items))

    def both(self) -> Node:
        node = self.negation()
        if self.kind != "and":
            return node
        items = [node]
        while self.accept("and"):
            items.append(self.negation())
        return And(node.start, items[-1].end, tuple(items))

    def negation(self) -> Node:
        if self.kind != "not":
            return self.comparison()
        self.deeper()
        start = self.next()[2]
        value = self.negation()
        self.depth -= 1
        return Not(start, value.end, value)

    def comparison(self) -> Node:
        left = self.concatenation()
        kind = self.kind
        if kind == "is":
            return self.test(left)
        if kind in COMPARISONS or kind == "in":
            self.next()
        elif kind == "not" and self.peek() == "in":
            self.next()
            self.next()
            kind = "not in"
        else:
            return left
        right = self.concatenation()
        if self.kind in COMPARISONS or self.kind in ("in", "is"):
            _, text, start, end = self.tokens[self.index]
            raise ExpressionError(
                f"`{text}`: comparisons cannot be chained", start=start, end=end, help="join two comparisons with `and`"
            )
        return Compare(left.start, right.end, kind, left, right)

    def test(self, value: Node) -> Node:
        self.next()
        negated = self.accept("not")
        kind, text, _, end = self.tokens[self.index]
        if kind not in ("name", "null", "true", "false", "in"):
            self.unexpected("the name of a test is missing, as in `is defined`")
        self.next()
        if self.kind == "(":
            self.unexpected(f"`is {text}` takes no arguments")
        return Test(value.start, end, value, text, negated)

    def concatenation(self) -> Node:
        node = self.sum()
        if self.kind != "~":
            return node
        items = [node]
        while self.accept("~"):
            items.append(self.sum())
        return Concat(node.start, items[-1].end, tuple(items))

    def sum(self) -> Node:
        node = self.product()
        if self.kind not in ("+", "-"):
            return node
        rest: list[Operation] = []
        while self.kind in ("+", "-"):
            operator, _, start, end = self.next()
            rest.append(Operation(operator, self.product(), start, end))
        return Arithmetic(node.start, rest[-1].value.end, node, tuple(rest))

    def product(self) -> Node:
        node = self.unary()
        if self.kind not in ("*", "/", "//", "%"):
            return node
        rest: list[Operation] = []
        while self.kind in ("*", "/", "//", "%"):
            operator, _, start, end = self.next()
            rest.append(Operation(operator, self.unary(), start, end))
        return Arithmetic(node.start, rest[-1].value.end, node, tuple(rest))

    def unary(self) -> Node:
        if self.kind != "-":
            return self.chain()
        self.deeper()
        start = self.next()[2]
        value = self.unary()
        self.depth -= 1
        if type(value) is Literal and type(value.value) in (int, float):
            return Literal(start, value.end, -value.value)
        return Negative(start, value.end, value)

    def chain(self) -> Node:
        base = self.postfix()
        if self.kind not in ("|", "??"):
            return base
        stages: list[Filter | Fallback] = []
        end = base.end
        while self.kind in ("|", "??"):
            if self.next()[0] == "??":
                value = self.fallback()
                end = value.end
                stages.append(Fallback(value.start, end, value))
            else:
                stages.append(self.filter())
                end = self.tokens[self.index - 1][3]
        return Pipe(base.start, end, base, tuple(stages))

    def fallback(self) -> Node:
        """A plain value; also a negative number, which the grammar would otherwise want in brackets."""
        if self.kind == "-" and self.peek() == "number":
            start = self.next()[2]
            literal = self.atom()
            assert isinstance(literal, Literal)
            return Literal(start, literal.end, -literal.value)
        return self.postfix()

    def filter(self) -> Filter:
        if self.kind != "name":
            self.unexpected("the name of a filter is missing after `|`")
        _, name, start, end = self.next()
        while self.kind == "." and self.peek() == "name":
            self.next()
            _, part, _, end = self.next()
            name += "." + part
        arguments = self.arguments() if self.kind == "(" else Arguments()
        return Filter(start, end, name, arguments)

    # values

    def postfix(self) -> Node:
        base = self.atom()
        if self.kind not in (".", "[", "("):
            return base
        parts: list[Field | Index | Slice] = []
        while True:
            if self.kind == ".":
                parts.append(self.field())
            elif self.kind == "[":
                parts.append(self.index_or_slice())
            elif self.kind == "(":
                self.method(base, parts)
            else:
                break
        return Access(base.start, parts[-1].end, base, tuple(parts))

    def field(self) -> Field:
        start = self.next()[2]
        kind, text, begin, end = self.tokens[self.index]
        if kind != "name" and text not in RESERVED:
            if kind == "number":
                raise ExpressionError(
                    f"`.{text}` is not a field", start=begin, end=end, help=f"write `[{text}]` for an item of a list"
                )
            self.unexpected("the name of a field is missing after `.`")
        self.next()
        return Field(start, end, text)

    def index_or_slice(self) -> Index | Slice:
        start = self.next()[2]
        low = None if self.kind == ":" else self.expression()
        if self.accept(":"):
            high = None if self.kind == "]" else self.expression()
            return Slice(start, self.expect("]", "after the slice")[3], low, high)
        assert low is not None
        return Index(start, self.expect("]", "after the index")[3], low)

    def method(self, base: Node, parts: list[Field | Index | Slice]) -> NoReturn:
        last = parts[-1] if parts else base
        name = last.name if isinstance(last, Field) else ""
        owner = self.source[base.start : parts[-2].end if len(parts) > 1 else base.end]
        raise ExpressionError(
            "values have no methods",
            start=last.start,
            end=self.tokens[self.index][3],
            help=f"use a filter: `{owner} | {name}`" if name else "use a filter: `value | filter`",
        )

    def atom(self) -> Node:
        kind, text, start, end = self.tokens[self.index]
        if kind == "name":
            self.next()
            if self.kind == "(":
                return self.call(text, start)
            if text in WORDS:
                raise ExpressionError(f"`{text}` is not a name here", start=start, end=end, help=f"use `{WORDS[text]}`")
            return Name(start, end, text)
        if kind == "string":
            return Literal(start, end, unquote(self.next()))
        if kind == "number":
            self.next()
            return Literal(start, end, self.number(text, start, end))
        if kind in CONSTANTS:
            self.next()
            return Literal(start, end, CONSTANTS[kind])
        if kind == "(":
            self.next()
            node = self.expression()
            self.expect(")", "to close the bracket")
            return node
        if kind == "[":
            return self.items()
        return self.unexpected("a value is missing here")

    def number(self, text: str, start: int, end: int) -> int | float:
        if len(text) > 400:
            raise ExpressionError("this number is too long", start=start, end=end)
        value = int(text) if text.isdigit() else float(text)
        if abs(value) > 1.7e308 or (isinstance(value, int) and value >= 2**64):
            raise ExpressionError("this number is too large", start=start, end=end)
        return value

    def items(self) -> Node:
        start = self.next()[2]
        items: list[Node] = []
        while self.kind != "]":
            items.append(self.expression())
            if not self.accept(","):
                break
        return Items(start, self.expect("]", "to close the list")[3], tuple(items))

    def call(self, name: str, start: int) -> Node:
        arguments = self.arguments()
        return Call(start, self.tokens[self.index - 1][3], name, arguments)

    def arguments(self) -> Arguments:
        self.next()
        positional: list[Node] = []
        named: dict[str, Node] = {}
        while self.kind != ")":
            kind, text, start, end = self.tokens[self.index]
            after = self.peek()
            if kind == "name" and after == "=>":
                positional.append(self.function(text, start))
            elif after == "=" and (kind == "name" or text in RESERVED):
                self.next()
                self.next()
                if text in named:
                    raise ExpressionError(f"`{text}` is given twice", start=start, end=end, code="E202")
                named[text] = self.expression()
            elif named:
                self.unexpected("arguments with a name come last")
            else:
                positional.append(self.expression())
            if not self.accept(","):
                break
        self.expect(")", "to close the arguments")
        return Arguments(tuple(positional), tuple(named.items()))

    def function(self, name: str, start: int) -> Node:
        self.next()
        self.next()
        body = self.expression()
        return Lambda(start, body.end, name, body)
