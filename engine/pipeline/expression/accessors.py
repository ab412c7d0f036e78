"""Fields, indexes, slices: the way into a value."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from engine.pipeline.expression.errors import ExpressionError
from engine.pipeline.expression.nodes import Access, Field, Index, Name, Slice
from engine.pipeline.expression.secret import Secret, SecretName
from engine.pipeline.expression.values import ABSENT, Frame, Missing, is_number, kind

if TYPE_CHECKING:
    from engine.pipeline.expression.compile import Compiler

Run = Callable[[Frame], Any]


def compile_access(compiler: "Compiler", node: Access) -> Run:
    """A function for ``base.field[index]``."""
    base = node.base
    if isinstance(base, Name) and base.name == "secrets" and "secrets" not in compiler.locals:
        return _secret(compiler, node)
    walk = _walk(compiler, node)
    if not isinstance(base, Name) or base.name in compiler.locals:
        return walk
    names = [part.name for part in node.parts if isinstance(part, Field)]
    if len(names) != len(node.parts):
        return walk
    root = base.name

    def fields(frame: Frame) -> Any:
        """The usual case: only fields that are there."""
        value = frame.scope.get(root, ABSENT)
        for name in names:
            if value.__class__ is not dict:
                return walk(frame)
            value = value.get(name, ABSENT)
        return walk(frame) if value is ABSENT else value

    return fields


def _secret(compiler: "Compiler", node: Access) -> Run:
    first = node.parts[0]
    if not isinstance(first, Field) or len(node.parts) > 1:
        raise ExpressionError(
            "a secret is named literally",
            start=node.start,
            end=node.end,
            help="write `secrets.NAME`; a computed name could not be checked, and a secret has no fields",
            code="E301",
        )
    compiler.secrets.add(first.name)
    secret = Secret((SecretName(first.name),))
    return lambda frame: secret


def _walk(compiler: "Compiler", node: Access) -> Run:
    base = compiler.maybe(node.base)
    source = compiler.source
    start = node.start
    getters = [_getter(compiler, part) for part in node.parts]
    ends = [part.end for part in node.parts]

    def walk(frame: Frame) -> Any:
        value = base(frame)
        previous = node.base.end
        for getter, end in zip(getters, ends, strict=True):
            if value.__class__ is Missing:
                return value
            container = value
            value, key = getter(frame, value, source[start:previous])
            if value is ABSENT:
                return Missing(source[start:end], start, end, container, key)
            previous = end
        return value

    return walk


Getter = Callable[[Frame, Any, str], tuple[Any, Any]]


def _getter(compiler: "Compiler", part: Field | Index | Slice) -> Getter:
    if isinstance(part, Field):
        return _field(part)
    if isinstance(part, Index):
        return _index(compiler, part)
    return _slice(compiler, part)


def _field(part: Field) -> Getter:
    name = part.name

    def get(frame: Frame, value: Any, path: str) -> tuple[Any, Any]:
        if isinstance(value, Mapping):
            return value.get(name, ABSENT), name
        if value is None:
            return ABSENT, name
        hint = ""
        if isinstance(value, list | tuple):
            hint = f"take one item with `[0]`, or that field of all with `| map('{name}')`"
        message = f"`{path}` is {kind(value)} and has no field `{name}`"
        raise ExpressionError(message, start=part.start, end=part.end, help=hint, code="E228")

    return get


def _index(compiler: "Compiler", part: Index) -> Getter:
    run = compiler.strict(part.key)

    def get(frame: Frame, value: Any, path: str) -> tuple[Any, Any]:
        key = run(frame)
        if value is None:
            return ABSENT, key
        if isinstance(value, Mapping):
            if isinstance(key, str):
                return value.get(key, ABSENT), key
            wanted = "text"
        elif isinstance(value, list | tuple | str):
            if isinstance(key, int) and not isinstance(key, bool):
                return (value[key] if -len(value) <= key < len(value) else ABSENT), key
            wanted = "a whole number"
        else:
            message = f"`{path}` is {kind(value)} and has no items"
            raise ExpressionError(message, start=part.start, end=part.end, code="E228")
        message = f"`{path}` is {kind(value)}; its index must be {wanted}, this is {kind(key)}"
        raise ExpressionError(message, start=part.key.start, end=part.key.end, code="E228")

    return get


def _slice(compiler: "Compiler", part: Slice) -> Getter:
    low = compiler.strict(part.low) if part.low is not None else None
    high = compiler.strict(part.high) if part.high is not None else None

    def get(frame: Frame, value: Any, path: str) -> tuple[Any, Any]:
        if value is None:
            return ABSENT, None
        if not isinstance(value, list | tuple | str):
            message = f"`{path}` is {kind(value)}; only lists and texts can be cut"
            raise ExpressionError(message, start=part.start, end=part.end, code="E228")
        bounds = [None if run is None else run(frame) for run in (low, high)]
        for bound in bounds:
            if bound is not None and (not is_number(bound) or isinstance(bound, float)):
                message = f"the bounds of a slice are whole numbers, this is {kind(bound)}"
                raise ExpressionError(message, start=part.start, end=part.end, code="E228")
        cut = value[bounds[0] : bounds[1]]
        frame.charge(1 + len(cut) // (16 if isinstance(cut, str) else 1))
        return (cut if isinstance(cut, str) else list(cut)), None

    return get
