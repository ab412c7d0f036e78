"""Try an expression on some data: its value, what it is, the values of its paths, or what is wrong and where. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from engine.pipeline.expression import Expression, ExpressionError, Template, compile_template, parse_expression
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.expression.expression import Filters
from engine.pipeline.expression.template import has_expression
from engine.pipeline.expression.values import kind
from engine.pipeline.inference.names import references

LONGEST = 20_000  # characters of what is typed
LONGEST_VALUE = 200_000  # bytes of JSON that are handed on
NOT_HERE = {  # roots of other places, and why they are empty here
    "event": "no event was chosen",
    "inputs": "none were given",
    "steps": "no step has run here",
    "vars": "variables are evaluated when a run starts",
    "run": "there is no run here",
    "result": "no step has run here",
    "error": "nothing has failed here",
    "env": "environment variables belong to the process that executes runs",
    "incoming": "nothing is waited for here",
    "events": "this is one event, not a batch: use `event`",
}


class Mistake(msgspec.Struct, frozen=True):
    """Why there is no value. start and end are offsets in what was typed; line and column start at 1."""

    code: str
    message: str
    help: str
    start: int
    end: int
    line: int
    column: int
    length: int
    source_line: str


class Evaluation(msgspec.Struct, frozen=True):
    """What came of it. `values`: the paths that it uses and what they are, shortened."""

    kind: str = ""  # text | a number | a list | an object | true or false | null
    type: str = ""  # the kind with its size: `a list, 3 items`
    value: Any = None
    cut: bool = False  # the value is too large to be handed on; `preview` has its beginning
    preview: str = ""
    values: dict[str, Any] = {}
    error: Mistake | None = None


def evaluate(text: str, scope: Mapping[str, Any], *, filters: Filters | None = None) -> Evaluation:
    """The value of a bare expression, or of a text with ``${{ }}`` in it. Nothing is raised for what is typed.

    The scope's roots are all there is: `secrets` and everything else is a mistake that says why.
    """
    if len(text) > LONGEST:
        return _failed(text, ExpressionError(f"an expression may have {LONGEST} characters"))
    if not text.strip():
        return _failed(text, ExpressionError("there is nothing to evaluate", help="write an expression, `event.body`"))
    found: list[Expression] = []
    try:
        if has_expression(text):
            template = compile_template(text, filters=filters)
            found = [expression for _, expression in template.expressions]
        else:
            template = None
            found = [parse_expression(text, filters=filters)]
        for expression in found:
            _check_names(expression, scope)
        value = _render(template, found, scope)
        return _described(value, _values(found, scope))
    except ExpressionError as error:
        return _failed(text, error, _values(found, scope))
    except (RecursionError, ValueError, OverflowError) as error:  # a payload that JSON cannot carry back
        return _failed(text, ExpressionError(f"the value cannot be shown: {type(error).__name__}", code="E222"))


def describe(value: Any) -> str:
    """What a value is and how much of it: `a list, 3 items`."""
    sizes = {str: "character", list: "item", tuple: "item", dict: "field"}
    word = next((word for type_, word in sizes.items() if isinstance(value, type_)), "")
    if not word:
        return "a whole number" if isinstance(value, int) and not isinstance(value, bool) else kind(value)
    return f"{kind(value)}, {len(value)} {word}{'' if len(value) == 1 else 's'}"


def show_shortened(value: Any) -> str:
    """A value of `Evaluation.values` as text: JSON; what was cut, masked or is not there as it stands."""
    if isinstance(value, str) and (value in ("(not there)", "***") or (value.endswith("…") and value[0] in "[{")):
        return value
    return msgspec.json.encode(value).decode()


def _render(template: Template | None, found: Sequence[Expression], scope: Mapping[str, Any]) -> Any:
    return found[0].evaluate(scope) if template is None else template.render(scope)


def _check_names(expression: Expression, scope: Mapping[str, Any]) -> None:
    """Raise for the first root that is not in the scope."""
    for reference in references(expression.node):
        name, node = reference.root.name, reference.node
        if name in scope:
            continue
        start, end = node.start + expression.start, node.end + expression.start
        if name == "secrets":
            message = "secrets cannot be used here"
            help = "a secret is only read inside `with:` of a step or trigger, when it runs"
            raise ExpressionError(message, start=start, end=end, help=help, code="E305")
        known = ", ".join(f"`{item}`" for item in scope) or "only literals and functions"
        if name in NOT_HERE:
            raise ExpressionError(
                f"`{name}` is not available here: {NOT_HERE[name]}", start=start, end=end, help=f"there is: {known}",
                code="E206",
            )  # fmt: skip
        end = reference.root.end + expression.start
        help = did_you_mean(name, scope, f"there is: {known}")
        raise ExpressionError(f"there is no `{name}`", start=start, end=end, help=help, code="E203")


def _values(found: Sequence[Expression], scope: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for expression in found:
        if expression.roots <= set(scope):
            values |= expression.explain(scope)
    return values


def _described(value: Any, values: dict[str, Any]) -> Evaluation:
    encoded = msgspec.json.encode(value)
    cut = len(encoded) > LONGEST_VALUE
    return Evaluation(
        kind=kind(value),
        type=describe(value),
        value=None if cut else value,
        cut=cut,
        preview=encoded[:LONGEST_VALUE].decode("utf-8", "ignore") if cut else "",
        values=values,
    )


def _failed(text: str, error: ExpressionError, values: dict[str, Any] | None = None) -> Evaluation:
    start, end = (min(place, len(text)) for place in error.offset)
    marked = text[start:end]
    if marked.strip():
        start, end = start + len(marked) - len(marked.lstrip()), end - len(marked) + len(marked.rstrip())
    lines = _lines(text)
    number, begin, line = next((item for item in reversed(list(lines)) if item[1] <= start), (1, 0, text))
    mistake = Mistake(
        code=error.code,
        message=error.message,
        help=error.help,
        start=start,
        end=max(end, start),
        line=number,
        column=start - begin + 1,
        length=max(min(end, begin + len(line)) - start, 1),
        source_line=line,
    )
    return Evaluation(values=values or {}, error=mistake)


def _lines(text: str) -> Iterator[tuple[int, int, str]]:
    """Number, offset and text of each line."""
    begin = 0
    for number, line in enumerate(text.split("\n"), 1):
        yield number, begin, line
        begin += len(line) + 1
