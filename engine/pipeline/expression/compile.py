"""From nodes to Python closures, once per expression; an evaluation then only calls functions."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.pipeline.expression.accessors import compile_access
from engine.pipeline.expression.errors import Complaint, ExpressionError, did_you_mean
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
    Filter,
    Items,
    Lambda,
    Literal,
    Name,
    Negative,
    Node,
    Not,
    Or,
    Pipe,
    Test,
    count,
)
from engine.pipeline.expression.operators import OPERATORS, TESTS, join_pieces
from engine.pipeline.expression.secret import Secret, has_secret
from engine.pipeline.expression.signature import Builtin
from engine.pipeline.expression.values import ABSENT, Frame, Missing, boolean, contains, equal, order, refused_secret

Run = Callable[[Frame], Any]
Files = Callable[[str], str]
MAYBE = (Name, Access, Pipe, Choice, Call)  # what can turn out not to be there


class Compiler:
    """Compiles one expression and collects what it uses."""

    def __init__(
        self,
        source: str,
        *,
        filters: Mapping[str, Builtin],
        functions: Mapping[str, Builtin],
        foreign: Mapping[str, Callable[..., Any]],
        files: Files | None,
    ) -> None:
        self.source = source
        self.filters = filters
        self.functions = functions
        self.foreign = foreign
        self.files = files
        self.roots: set[str] = set()
        self.secrets: set[str] = set()
        self.volatile = False
        self.locals: list[str] = []

    def strict(self, node: Node) -> Run:
        """A function for the value; something missing is an error."""
        run = self.maybe(node)
        if not isinstance(node, MAYBE):
            return run

        def strict(frame: Frame) -> Any:
            value = run(frame)
            if value.__class__ is Missing:
                raise value.error()
            return value

        return strict

    def maybe(self, node: Node) -> Run:
        """A function for the value, or a Missing if it is not there."""
        return COMPILERS[type(node)](self, node)

    def literal(self, node: Literal) -> Run:
        value = node.value
        return lambda frame: value

    def items(self, node: Items) -> Run:
        runs = [self.strict(item) for item in node.items]
        return lambda frame: [run(frame) for run in runs]

    def name(self, node: Name) -> Run:
        name = node.name
        if name in self.locals:
            return lambda frame: frame.names[name]
        if name == "secrets":
            raise dynamic_secret(node)
        self.roots.add(name)

        def root(frame: Frame) -> Any:
            value = frame.scope.get(name, ABSENT)
            return Missing(name, node.start, node.end) if value is ABSENT else value

        return root

    def negative(self, node: Negative) -> Run:
        run = self.strict(node.value)
        subtract = OPERATORS["-"]
        return self.guarded(node.start, node.end, lambda frame: subtract(0, run(frame), frame))

    def arithmetic(self, node: Arithmetic) -> Run:
        first = self.strict(node.first)
        rest = [(OPERATORS[item.operator], self.strict(item.value), item.start, item.end) for item in node.rest]

        def arithmetic(frame: Frame) -> Any:
            value = first(frame)
            for operator, run, start, end in rest:
                try:
                    value = operator(value, run(frame), frame)
                except Complaint as complaint:
                    raise located(complaint, start, end) from None
            return value

        return arithmetic

    def concat(self, node: Concat) -> Run:
        parts = [(self.strict(item), item.start, item.end) for item in node.items]
        return lambda frame: join_pieces(parts, frame)

    def compare(self, node: Compare) -> Run:
        left, right, operator = self.strict(node.left), self.strict(node.right), node.operator
        if operator == "==":
            return self.guarded(node.start, node.end, lambda frame: equal(left(frame), right(frame), frame))
        if operator == "!=":
            return self.guarded(node.start, node.end, lambda frame: not equal(left(frame), right(frame), frame))
        if operator == "in":
            return self.guarded(node.start, node.end, lambda frame: contains(right(frame), left(frame), frame))
        if operator == "not in":
            return self.guarded(node.start, node.end, lambda frame: not contains(right(frame), left(frame), frame))
        return self.guarded(node.start, node.end, lambda frame: order(left(frame), right(frame), operator))

    def test(self, node: Test) -> Run:
        if node.test not in TESTS:
            raise ExpressionError(
                f"there is no test `is {node.test}`",
                start=node.end - len(node.test),
                end=node.end,
                help=did_you_mean(node.test, TESTS, f"there are: {', '.join(TESTS)}"),
                code="E202",
            )
        negated, test = node.negated, TESTS[node.test]
        if node.test not in ("defined", "null"):
            value = self.strict(node.value)
            return lambda frame: test(value(frame)) is not negated
        maybe = self.maybe(node.value)
        return lambda frame: test(maybe(frame)) is not negated

    def negation(self, node: Not) -> Run:
        run = self.boolean(node.value, "what `not` turns round")
        return lambda frame: not run(frame)

    def both(self, node: And) -> Run:
        runs = [self.boolean(item, "each side of `and`") for item in node.items]
        return lambda frame: all(run(frame) for run in runs)

    def either(self, node: Or) -> Run:
        runs = [self.boolean(item, "each side of `or`") for item in node.items]
        return lambda frame: any(run(frame) for run in runs)

    def choice(self, node: Choice) -> Run:
        condition = self.boolean(node.condition, "what follows `if`")
        then, otherwise = self.maybe(node.then), self.maybe(node.otherwise)
        return lambda frame: then(frame) if condition(frame) else otherwise(frame)

    def boolean(self, node: Node, where: str) -> Run:
        run = self.strict(node)
        return self.guarded(node.start, node.end, lambda frame: boolean(run(frame), where))

    def guarded(self, start: int, end: int, run: Run) -> Run:
        def guarded(frame: Frame) -> Any:
            try:
                return run(frame)
            except Complaint as complaint:
                raise located(complaint, start, end) from None

        return guarded

    def pipe(self, node: Pipe) -> Run:
        run = self.maybe(node.base)
        start = node.base.start
        for stage in node.stages:
            if isinstance(stage, Fallback):
                run = self.fallback(run, stage.value)
            elif stage.name == "default":
                run = self.fallback(run, self.default_argument(stage))
            else:
                run = self.filter(run, stage, start, node.base)
        return run

    def fallback(self, run: Run, fallback: Node) -> Run:
        other = self.maybe(fallback)

        def fallen(frame: Frame) -> Any:
            value = run(frame)
            return other(frame) if value is None or value.__class__ is Missing else value

        return fallen

    def default_argument(self, stage: Filter) -> Node:
        if len(stage.arguments.positional) != 1 or stage.arguments.named:
            raise ExpressionError(
                "`default` takes one argument",
                start=stage.start,
                end=stage.end,
                help="as in `default('')`",
                code="E202",
            )
        return stage.arguments.positional[0]

    def filter(self, run: Run, stage: Filter, start: int, base: Node) -> Run:
        if stage.name in self.foreign:
            return self.plugin_filter(run, stage)
        builtin = self.filters.get(stage.name)
        if builtin is None:
            if stage.name in self.functions:
                hint = f"`{stage.name}` is a function: write `{stage.name}(...)`"
            else:
                hint = did_you_mean(stage.name, [*self.filters, *self.foreign, "default"])
            raise ExpressionError(
                f"there is no filter `{stage.name}`", start=stage.start, end=stage.end, help=hint, code="E202"
            )
        if not builtin.secrets and is_secret(base):
            raise located(refused_secret(), stage.start, stage.end)
        arguments = self.arguments(builtin, stage.name, stage.arguments, stage.start, stage.end, 1)
        self.volatile |= builtin.volatile
        return self.invoke(builtin, run, arguments, stage.start, stage.end, self.source[start : stage.end])

    def plugin_filter(self, run: Run, stage: Filter) -> Run:
        function = self.foreign[stage.name]
        positional = [self.argument(node) for node in stage.arguments.positional]
        named = [(name, self.argument(node)) for name, node in stage.arguments.named]

        def foreign(frame: Frame) -> Any:
            value = run(frame)
            if value.__class__ is Missing:
                raise value.error()
            values = [argument(frame) for argument in positional]
            keywords = {name: argument(frame) for name, argument in named}
            if has_secret([value, values, keywords]):
                raise located(refused_secret(), stage.start, stage.end)
            try:
                return function(value, *values, **keywords)
            except ExpressionError:
                raise
            except Exception as error:
                message = f"the filter `{stage.name}` failed: {error}"
                raise ExpressionError(message, start=stage.start, end=stage.end, code="E227") from error

        return foreign

    def call(self, node: Call) -> Run:
        builtin = self.functions.get(node.name)
        name_end = node.start + len(node.name)
        if builtin is None:
            if node.name in self.filters:
                hint = f"`{node.name}` is a filter: write `value | {node.name}`"
            else:
                hint = did_you_mean(node.name, self.functions)
            message = f"there is no function `{node.name}`"
            raise ExpressionError(message, start=node.start, end=name_end, help=hint, code="E202")
        arguments = self.arguments(builtin, node.name, node.arguments, node.start, name_end, 0)
        self.volatile |= builtin.volatile
        if builtin.prepare is not None:
            try:
                function = builtin.prepare(node.arguments, self.files)
            except Complaint as complaint:
                raise located(complaint, node.start, node.end) from None
            builtin = Builtin(function, builtin.name, any_named=True)
        source = self.source[node.start : node.end]
        return self.invoke(builtin, None, arguments, node.start, node.end, source)

    def arguments(
        self, builtin: Builtin, name: str, given: Arguments, start: int, end: int, offset: int
    ) -> tuple[list[Run], list[tuple[str, Run]]]:
        try:
            builtin.check(len(given.positional) + offset, [key for key, _ in given.named], offset)
        except Complaint as complaint:
            raise located(complaint, start, end) from None
        return [self.argument(node) for node in given.positional], [
            (key, self.argument(node)) for key, node in given.named
        ]

    def argument(self, node: Node) -> Run:
        return self.function(node) if isinstance(node, Lambda) else self.strict(node)

    def function(self, node: Lambda) -> Run:
        name = node.name
        if name in self.roots or name in self.locals or name in ROOTS:
            raise ExpressionError(
                f"`{name}` would hide another name", start=node.start, end=node.start + len(name), help="choose another"
            )
        self.locals.append(name)
        body = self.strict(node.body)
        self.locals.pop()
        cost = count(node.body)

        def make(frame: Frame) -> Any:
            names = frame.names

            def call(item: Any) -> Any:
                frame.charge(cost)
                names[name] = item
                return body(frame)

            return call

        return make

    def invoke(
        self,
        builtin: Builtin,
        run: Run | None,
        arguments: tuple[list[Run], list[tuple[str, Run]]],
        start: int,
        end: int,
        source: str,
    ) -> Run:
        """Call a built-in; `run` is what stands left of the `|`."""
        function, secrets, (positional, named) = builtin.function, builtin.secrets, arguments
        if run is not None and not positional and not named and not secrets:

            def short(frame: Frame) -> Any:
                value = run(frame)
                if value.__class__ is Missing:
                    raise value.error()
                if value.__class__ is Secret:
                    raise located(refused_secret(), start, end)
                try:
                    result = function(frame, value)
                except Complaint as complaint:
                    raise located(complaint, start, end) from None
                return Missing(source, start, end) if result is ABSENT else result

            return short

        def invoke(frame: Frame) -> Any:
            values: list[Any] = []
            if run is not None:
                value = run(frame)
                if value.__class__ is Missing:
                    raise value.error()
                values.append(value)
            for argument in positional:
                values.append(argument(frame))  # noqa: PERF401
            keywords = {key: argument(frame) for key, argument in named}
            if not secrets and any(value.__class__ is Secret for value in values):
                raise located(refused_secret(), start, end)
            try:
                result = function(frame, *values, **keywords)
            except Complaint as complaint:
                raise located(complaint, start, end) from None
            return Missing(source, start, end) if result is ABSENT else result

        return invoke


def dynamic_secret(node: Node) -> ExpressionError:
    """A secret that is not named on the spot."""
    return ExpressionError(
        "a secret is named literally",
        start=node.start,
        end=node.end,
        help="write `secrets.NAME`; a computed name could not be checked",
        code="E301",
    )


def is_secret(node: Node) -> bool:
    """Whether the node is ``secrets.NAME``."""
    return isinstance(node, Access) and isinstance(node.base, Name) and node.base.name == "secrets"


def located(complaint: Complaint, start: int, end: int) -> ExpressionError:
    """The complaint with its place."""
    return ExpressionError(complaint.message, start=start, end=end, help=complaint.help, code=complaint.code)


ROOTS = frozenset({"event", "inputs", "vars", "env", "run", "steps", "secrets", "error", "result"})
COMPILERS: dict[type[Node], Callable[[Compiler, Any], Run]] = {
    Literal: Compiler.literal,
    Items: Compiler.items,
    Name: Compiler.name,
    Access: compile_access,
    Call: Compiler.call,
    Pipe: Compiler.pipe,
    Negative: Compiler.negative,
    Arithmetic: Compiler.arithmetic,
    Concat: Compiler.concat,
    Compare: Compiler.compare,
    Test: Compiler.test,
    Not: Compiler.negation,
    And: Compiler.both,
    Or: Compiler.either,
    Choice: Compiler.choice,
}
