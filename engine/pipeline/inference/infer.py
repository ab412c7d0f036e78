"""What an expression yields, and what in it cannot be right: inference over its tree."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.expression.nodes import (
    Access,
    And,
    Arithmetic,
    Call,
    Choice,
    Compare,
    Concat,
    Fallback,
    Field,
    Index,
    Items,
    Lambda,
    Literal,
    Name,
    Negative,
    Node,
    Not,
    Or,
    Pipe,
    Slice,
    Test,
)
from engine.pipeline.inference import filters as infer_calls
from engine.pipeline.inference.names import Finding, Names, make_reference, references, resolve
from engine.pipeline.inference.shapes import of_value
from engine.pipeline.inference.types import (
    BOOLEAN,
    INTEGER,
    NEVER,
    NUMBER,
    SECRET,
    STRING,
    Kind,
    Shape,
    any_of,
    either,
    field_of,
    fields_of,
    item_of,
    kind_of,
    lacks,
    list_of,
    typed,
    without_null,
)

Filters = Mapping[str, Callable[..., Any]]
Note = Callable[[Node, Shape], None]
TEXT_LIKE = (Kind.STRING, Kind.NUMBER, Kind.BOOLEAN, Kind.SECRET)  # what can be put into text
REFUSED = "a secret can only be passed on, joined with text, or encoded with `| b64encode`"


class Inference:
    """One expression in its place. `findings` grows while its parts are looked at."""

    def __init__(
        self, names: Names, *, source: str = "", filters: Filters | None = None, watch: Note | None = None
    ) -> None:
        self.names = names
        self.source = source
        self.filters: Filters = filters or {}
        self.watch = watch  # is told what each part is, before anything that follows it
        self.findings: list[Finding] = []
        self.arguments: dict[str, Shape] = {}  # of the lambdas around this place

    def shape(self, node: Node, *, guarded: bool = False) -> Shape:
        """What the part yields if it yields anything. guarded: something catches it if it is not there."""
        paths = isinstance(node, Name | Access | Pipe)
        found = self._path(node, guarded) if paths else INFER[type(node)](self, node)
        if self.watch is not None:
            self.watch(node, found)
        return found

    def note(self, code: str, message: str, node: Any, help: str = "") -> None:
        """Remember what is wrong with a part."""
        self.findings.append(Finding(code, message, node.start, node.end, help))

    def need_boolean(self, shape: Shape, node: Node, where: str) -> None:
        """Complain about what can never be true or false, in the evaluator's words."""
        if not lacks(shape, Kind.BOOLEAN):
            return
        help = "compare it with something"
        if not lacks(shape, Kind.ARRAY, Kind.STRING, Kind.OBJECT):
            help = "did you mean `| length > 0`?"
        elif not lacks(shape, Kind.NUMBER):
            help = "did you mean `!= 0`?"
        self.note("E226", f"{where} must be true or false, this is {kind_of(shape)}", node, help)

    def need_piece(self, shape: Shape, node: Any) -> None:
        """Complain about what cannot be put into text."""
        if lacks(shape, *TEXT_LIKE):
            help = "use `| to_json` or `| join(', ')`"
            self.note("E224", f"{kind_of(shape)} cannot be put into text", node, help)

    def apply(self, function: Lambda, item: Shape) -> Shape:
        """What a lambda yields for such an argument."""
        before = self.arguments
        self.arguments = {**before, function.name: item}
        found = self.shape(function.body)
        self.arguments = before
        return found

    def field(self, shape: Shape, name: str, place: Any, path: str, *, guarded: bool = False) -> Shape:
        """What a field is; a complaint if there cannot be one of this name."""
        known = typed(shape)
        if known is None or not known.kinds - {Kind.NULL}:
            return None
        if lacks(known, Kind.OBJECT):
            hint = ""
            if Kind.ARRAY in known.kinds:
                hint = f"take one item with `[0]`, or that field of all with `| map('{name}')`"
            what = f"`{path}` is {kind_of(known)}" if path else f"this is {kind_of(known)}"
            self.note("E228", f"{what} and has no field `{name}`", place, hint)
            return None
        found = field_of(known, name)
        if found is not NEVER or name in known.fields:
            return found
        help = did_you_mean(name, known.fields)
        if known.partial and guarded and not help:
            return None  # not seen so far, but the author expects it to be missing
        if not help:
            shown = ", ".join(list(known.fields)[:20]) or "nothing"
            help = f"known are: {shown}; add `?? null` if it may have others" if known.partial else f"it has: {shown}"
        self.note("E214", f"there is no field `{name}`", place, help)
        return None

    def _path(self, node: Node, guarded: bool) -> Shape:
        if isinstance(node, Pipe):
            return self._pipe(node, guarded)
        if isinstance(node, Access):
            return self._access(node, guarded)
        name = getattr(node, "name", "")
        if name in self.arguments:
            return self.arguments[name]
        reference = next(references(node, guarded=guarded))
        found = resolve(reference, self.names)
        self.findings += found.findings
        return found.shape

    def _access(self, node: Access, guarded: bool) -> Shape:
        base, used = node.base, 0
        if isinstance(base, Name) and base.name not in self.arguments:
            reference = make_reference(node, base, guarded)
            if self.watch is not None:  # who watches wants to know of every part
                reference = msgspec.structs.replace(reference, fields=())
            found = resolve(reference, self.names)
            self.findings += found.findings
            shape, used = found.shape, found.used
        else:
            shape = self.shape(base, guarded=guarded)
        previous = node.parts[used - 1].end if used else base.end
        for part in node.parts[used:]:
            if self.watch is not None:
                self.watch(part, shape)
            path = self.source[node.start : previous]
            if isinstance(part, Field):
                place = Place(part.end - len(part.name), part.end)
                shape = self.field(shape, part.name, place, path, guarded=guarded)
            elif isinstance(part, Index):
                shape = self._index(shape, part, path, guarded)
            else:
                shape = self._slice(shape, part, path)
            previous = part.end
        return shape

    def _index(self, shape: Shape, part: Index, path: str, guarded: bool) -> Shape:
        key = self.shape(part.key)
        known, index = typed(shape), typed(key)
        if known is None or not known.kinds - {Kind.NULL}:
            return None
        if lacks(known, Kind.OBJECT, Kind.ARRAY, Kind.STRING):
            self.note("E228", f"`{path}` is {kind_of(known)} and has no items", part)
            return None
        takes_text, takes_number = not lacks(known, Kind.OBJECT), not lacks(known, Kind.ARRAY, Kind.STRING)
        if (not takes_text or lacks(key, Kind.STRING)) and (not takes_number or lacks(key, Kind.NUMBER)):
            wanted = "text" if takes_text else "a whole number"
            message = f"`{path}` is {kind_of(known)}; its index must be {wanted}, this is {kind_of(key)}"
            self.note("E228", message, part.key)
            return None
        found: Shape = NEVER
        if takes_text and not lacks(key, Kind.STRING):
            found = self._computed_field(known, index.words if index is not None else None, part, path, guarded)
        if takes_number and not lacks(key, Kind.NUMBER):
            found = either(found, item_of(known) if Kind.ARRAY in known.kinds else NEVER)
            found = either(found, STRING if Kind.STRING in known.kinds else NEVER)
        return found

    def _computed_field(
        self, shape: Shape, words: tuple[str, ...] | None, part: Index, path: str, guarded: bool
    ) -> Shape:
        if isinstance(part.key, Literal) and words is not None:
            return self.field(shape, words[0], part, path, guarded=guarded)
        if words is not None:
            found = any_of(field_of(shape, word) for word in words)
            return None if found is NEVER else found
        known = typed(shape)
        if known is None or not known.closed:
            return either(any_of(fields_of(shape).values()), known.rest) if known is not None else None
        return any_of(known.fields.values()) if known.fields else None

    def _slice(self, shape: Shape, part: Slice, path: str) -> Shape:
        for bound in (part.low, part.high):
            if bound is not None and lacks(found := self.shape(bound), Kind.INTEGER, Kind.NUMBER):
                message = f"the bounds of a slice are whole numbers, this is {kind_of(found)}"
                self.note("E228", message, bound)
        known = typed(shape)
        if known is None:
            return None
        if lacks(known, Kind.ARRAY, Kind.STRING):
            self.note("E228", f"`{path}` is {kind_of(known)}; only lists and texts can be cut", part)
            return None
        return msgspec.structs.replace(known, kinds=known.kinds & {Kind.ARRAY, Kind.STRING}, words=None)

    def _pipe(self, node: Pipe, guarded: bool) -> Shape:
        first = node.stages[0]
        caught = isinstance(first, Fallback) or first.name == "default"
        shape = self.shape(node.base, guarded=guarded or caught)
        for number, stage in enumerate(node.stages):
            if self.watch is not None:
                self.watch(stage, shape)
            following = node.stages[number + 1 : number + 2]
            again = any(isinstance(item, Fallback) or item.name == "default" for item in following)
            if isinstance(stage, Fallback):
                shape = either(without_null(shape), self.shape(stage.value, guarded=again))
            elif stage.name == "default":
                values = [self.shape(item, guarded=again) for item in stage.arguments.positional]
                shape = either(without_null(shape), any_of(values))
            else:
                shape = infer_calls.filtered(self, stage, shape)
        return shape

    def _literal(self, node: Literal) -> Shape:
        return of_value(node.value) if not isinstance(node.value, str) else of_text(node.value)

    def _items(self, node: Items) -> Shape:
        return list_of(any_of(self._all(node.items)))

    def _call(self, node: Call) -> Shape:
        return infer_calls.called(self, node)

    def _negative(self, node: Negative) -> Shape:
        shape = self.shape(node.value)
        self._need_number(shape, node.value, "-")
        return _number(shape)

    def _arithmetic(self, node: Arithmetic) -> Shape:
        shape = self.shape(node.first)
        for operation in node.rest:
            other = self.shape(operation.value)
            if operation.operator == "+":
                shape = self._plus(shape, other, operation)
                continue
            self._need_number(shape, operation, operation.operator)
            self._need_number(other, operation, operation.operator)
            whole = _number(shape) is INTEGER and _number(other) is INTEGER
            shape = INTEGER if whole and operation.operator != "/" else NUMBER
        return shape

    def _plus(self, left: Shape, right: Shape, place: Any) -> Shape:
        lists = not lacks(left, Kind.ARRAY) and not lacks(right, Kind.ARRAY)
        numbers = not lacks(left, Kind.NUMBER) and not lacks(right, Kind.NUMBER)
        if not lists and not numbers:
            help = "" if lacks(left, Kind.STRING) and lacks(right, Kind.STRING) else "use `~` to join text"
            self.note("E225", f"`+` cannot add {kind_of(left)} and {kind_of(right)}", place, help)
            return None
        if not lists:
            return INTEGER if _number(left) is INTEGER and _number(right) is INTEGER else NUMBER
        return None if numbers else list_of(either(item_of(left), item_of(right)))

    def _need_number(self, shape: Shape, place: Any, operator: str) -> None:
        if lacks(shape, Kind.NUMBER):
            help = "" if lacks(shape, Kind.STRING) else "turn the text into a number with `| int` or `| float`"
            self.note("E225", f"`{operator}` needs numbers, this is {kind_of(shape)}", place, help)

    def _concat(self, node: Concat) -> Shape:
        shapes = self._all(node.items)
        for shape, item in zip(shapes, node.items, strict=True):
            self.need_piece(shape, item)
        if any(shape is None for shape in shapes):
            return None if "secrets" in self.names.roots else STRING
        secret = any(Kind.SECRET in kinds_of(shape) for shape in shapes)
        return either(STRING, SECRET) if secret else STRING

    def _compare(self, node: Compare) -> Shape:
        left, right = self.shape(node.left), self.shape(node.right)
        if is_secret(left) or is_secret(right):
            self.note("E307", REFUSED, node, "it must not be compared, filtered or printed")
        elif node.operator in ("in", "not in"):
            infer_calls.check_contains(self, right, left, node)
        elif node.operator not in ("==", "!="):
            pairs = ((Kind.NUMBER,), (Kind.STRING,))
            if not any(not lacks(left, *kinds) and not lacks(right, *kinds) for kinds in pairs):
                mixed = {kind_of(left), kind_of(right)} == {"a number", "text"}
                help = "turn the text into a number with `| int` or `| float`" if mixed else ""
                message = f"`{node.operator}` cannot compare {kind_of(left)} with {kind_of(right)}"
                self.note("E225", message, node, help)
        else:
            self._equal(left, right, node)
        return BOOLEAN

    def _equal(self, left: Shape, right: Shape, node: Compare) -> None:
        """Two values that can never be equal."""
        one, two = typed(left), typed(right)
        if one is None or two is None or not one.kinds - {Kind.NULL} or not two.kinds - {Kind.NULL}:
            return
        shared = _wide(one.kinds) & _wide(two.kinds)
        always = "always" if node.operator == "!=" else "never"
        if not shared:
            help = (
                "turn the text into a number with `| int`"
                if {*map(kind_of, (one, two))} == {"a number", "text"}
                else ""
            )
            self.note("W304", f"{kind_of(one)} is never equal to {kind_of(two)}: this is {always} true", node, help)
        elif shared == {Kind.STRING} and one.words and two.words and not {*one.words} & {*two.words}:
            wrong, known = (two, one) if len(two.words) <= len(one.words) else (one, two)
            if isinstance(node.left, Literal) and isinstance(node.right, Literal):
                return
            word = (wrong.words or ("",))[0]
            listing = f"one of: {', '.join((known.words or ())[:20])}"
            help = did_you_mean(word, known.words or (), listing)
            self.note("W304", f"this is {always} true: the value is never `{word}`", node, help)

    def _test(self, node: Test) -> Shape:
        self.shape(node.value, guarded=node.test in ("defined", "null"))
        return BOOLEAN

    def _not(self, node: Not) -> Shape:
        self.need_boolean(self.shape(node.value), node.value, "what `not` turns round")
        return BOOLEAN

    def _logic(self, node: And | Or) -> Shape:
        word = "and" if isinstance(node, And) else "or"
        for item in node.items:
            self.need_boolean(self.shape(item), item, f"each side of `{word}`")
        return BOOLEAN

    def _choice(self, node: Choice) -> Shape:
        self.need_boolean(self.shape(node.condition), node.condition, "what follows `if`")
        return either(self.shape(node.then), self.shape(node.otherwise))

    def _lambda(self, node: Lambda) -> Shape:
        self.apply(node, None)  # in a place where none belongs
        return None

    def _all(self, nodes: tuple[Node, ...]) -> list[Shape]:
        return [self.shape(node) for node in nodes]


class Place(msgspec.Struct, frozen=True):
    """A range of the expression."""

    start: int
    end: int


def infer(node: Node, names: Names, *, filters: Filters | None = None) -> Shape:
    """What the expression yields if it yields anything."""
    return Inference(names, filters=filters).shape(node)


def of_text(text: str) -> Shape:
    """The type of a text in an expression: there it is never a template."""
    return of_value(text) if "${{" not in text else STRING


def is_secret(shape: Shape) -> bool:
    """Whether the value can only be a secret."""
    return kinds_of(shape) == {Kind.SECRET}


def kinds_of(shape: Shape) -> frozenset[Kind]:
    """The kinds that are known."""
    found = typed(shape)
    return found.kinds if found is not None else frozenset()


def _number(shape: Shape) -> Shape:
    """INTEGER if it can only be a whole number."""
    known = kinds_of(shape) & {Kind.INTEGER, Kind.NUMBER}
    return INTEGER if known == {Kind.INTEGER} else NUMBER


def _wide(kinds: frozenset[Kind]) -> frozenset[Kind]:
    return kinds | {Kind.NUMBER} if Kind.INTEGER in kinds else kinds


INFER: dict[type[Node], Callable[[Inference, Any], Shape]] = {
    Literal: Inference._literal,
    Items: Inference._items,
    Call: Inference._call,
    Negative: Inference._negative,
    Arithmetic: Inference._arithmetic,
    Concat: Inference._concat,
    Compare: Inference._compare,
    Test: Inference._test,
    Not: Inference._not,
    And: Inference._logic,
    Or: Inference._logic,
    Choice: Inference._choice,
    Lambda: Inference._lambda,
}
