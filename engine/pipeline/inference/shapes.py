"""Types from where they are declared: Structs, JSON Schemas, values in YAML, recorded events."""

import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Union

import msgspec

from engine.pipeline.expression.errors import ExpressionError
from engine.pipeline.expression.template import has_expression, whole_expression
from engine.pipeline.inference.types import (
    ARRAY,
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    Kind,
    Shape,
    Type,
    any_of,
    either,
    item_of,
    list_of,
    map_of,
    object_of,
    typed,
    word_of,
)

__all__ = ["Shape", "either", "is_whole", "item_of", "of_payload", "of_schema", "of_type", "of_value", "of_values"]

DEPTH = 12  # levels of a type that are looked at
LONGEST_WORD = 60  # characters of a text that is remembered as it is
PLAIN: dict[Any, Shape] = {
    NoneType: NULL,
    bool: BOOLEAN,
    int: INTEGER,
    float: NUMBER,
    str: STRING,
    bytes: STRING,
    list: ARRAY,
    tuple: ARRAY,
    set: ARRAY,
    frozenset: ARRAY,
    dict: OBJECT,
}
MORE = ("patternProperties", "allOf", "if", "dependentSchemas", "unevaluatedProperties")  # what can add fields
KINDS: dict[str, Type] = {
    "null": NULL,
    "boolean": BOOLEAN,
    "integer": INTEGER,
    "number": NUMBER,
    "string": STRING,
    "array": ARRAY,
    "object": OBJECT,
}


def of_type(annotation: Any, depth: int = DEPTH) -> Shape:
    """The type of a value that a plugin declares by an annotation, as it arrives in JSON."""
    description = ""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation, *extras = typing.get_args(annotation)
        description = next((item.description or "" for item in extras if isinstance(item, msgspec.Meta)), description)
    found = _of_bare(annotation, depth) if depth else None
    if description and isinstance(found, Type):
        return msgspec.structs.replace(found, description=description)
    return found


def of_value(value: Any) -> Shape:
    """The type of a value as it is written in YAML; an expression can be anything."""
    if isinstance(value, dict):
        return object_of({key: of_value(item) for key, item in value.items()})
    if isinstance(value, list):
        return list_of(any_of(of_value(item) for item in value))
    if isinstance(value, str):
        if has_expression(value):
            return None if is_whole(value) else STRING
        return word_of(value) if len(value) <= LONGEST_WORD and "$${{" not in value else STRING
    return PLAIN.get(type(value))


def of_values(values: Iterable[Any]) -> Shape:
    """The type of everything that has been seen in a place: recorded data, of which more may come."""
    return _settled(any_of(_seen(value) for value in values))


def of_schema(schema: Any, depth: int = DEPTH, root: Any = None) -> Shape:
    """The type that a JSON Schema describes. An object with `properties` has no others unless it says so."""
    if not isinstance(schema, dict) or not depth:
        return None
    root = schema if root is None else root
    if "$ref" in schema:
        return of_schema(_resolve(schema["$ref"], root), depth - 1, root)
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            if "properties" in schema or "items" in schema:
                return None
            return any_of(of_schema(item, depth - 1, root) for item in schema[word])
    if "const" in schema or isinstance(schema.get("enum"), list):
        found = any_of(of_value(item) for item in schema.get("enum", [schema.get("const")]))
    else:
        names = schema.get("type", _implied(schema))
        kinds = names if isinstance(names, list) else [names]
        found = any_of(_of_kind(name, schema, depth, root) for name in kinds)
    if "default" in schema:
        found = either(found, of_value(schema["default"]))
    description = schema.get("description")
    if isinstance(found, Type) and isinstance(description, str):
        return msgspec.structs.replace(found, description=description)
    return found


@lru_cache(maxsize=256)
def of_payload(publish: Callable[[str], dict[str, Any] | None], event_type: str) -> Shape:
    """The type of what a sender says its events of this type hold; it may add fields when it likes."""
    return _partial(of_schema(publish(event_type), depth=2 * DEPTH))


def is_whole(value: Any) -> bool:
    """Whether the value is a text that is exactly one expression; one that is not closed counts."""
    try:
        return isinstance(value, str) and "${{" in value and whole_expression(value)
    except ExpressionError:
        return True


def _of_bare(annotation: Any, depth: int) -> Shape:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, UnionType):
        return any_of(of_type(item, depth - 1) for item in arguments if item is not msgspec.UnsetType)
    if origin is typing.Literal:
        return any_of(of_value(item) for item in arguments)
    if origin is not None and isinstance(origin, type):
        if issubclass(origin, Mapping):
            return map_of(of_type(arguments[1], depth - 1))
        if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
            return list_of(any_of(of_type(item, depth - 1) for item in arguments))
        if issubclass(origin, list | tuple | set | frozenset):
            return list_of(of_type(arguments[0], depth - 1))
        return None
    if not isinstance(annotation, type):
        return PLAIN.get(annotation)
    if issubclass(annotation, msgspec.Struct):
        return _of_struct(annotation, depth)
    if issubclass(annotation, Enum):
        return any_of(of_value(item.value) for item in annotation)
    if annotation.__module__ in ("datetime", "uuid", "decimal"):
        return STRING if annotation.__name__ != "timedelta" else None
    return PLAIN.get(annotation)


def _of_struct(struct: type[msgspec.Struct], depth: int) -> Shape:
    settings = struct.__struct_config__
    if settings.array_like:
        return ARRAY
    fields = {item.encode_name: of_type(item.type, depth - 1) for item in msgspec.structs.fields(struct)}
    if settings.tag_field:
        fields[settings.tag_field] = of_value(settings.tag)
    return object_of(fields)


def _of_kind(name: Any, schema: dict[str, Any], depth: int, root: Any) -> Shape:
    if name == "object":
        return _of_object(schema, depth, root)
    if name == "array":
        return _of_array(schema, depth, root)
    return KINDS.get(name) if isinstance(name, str) else None


def _of_object(schema: dict[str, Any], depth: int, root: Any) -> Shape:
    properties, more = schema.get("properties"), schema.get("additionalProperties")
    known = {} if not isinstance(properties, dict) else properties
    fields = {name: of_schema(item, depth - 1, root) for name, item in known.items()}
    if any(
        word in schema for word in ("patternProperties", "allOf", "if", "dependentSchemas", "unevaluatedProperties")
    ):
        return object_of(fields, closed=False)
    if isinstance(more, dict):
        return object_of(fields, closed=False, rest=of_schema(more, depth - 1, root))
    return object_of(fields, closed=more is False or (more is None and isinstance(properties, dict) and bool(known)))


def _of_array(schema: dict[str, Any], depth: int, root: Any) -> Shape:
    first = schema.get("prefixItems")
    if not isinstance(first, list):
        return list_of(of_schema(schema.get("items"), depth - 1, root))
    others = [] if schema.get("items") is False else [schema.get("items")]
    return list_of(any_of(of_schema(item, depth - 1, root) for item in [*first, *others]))


def _implied(schema: dict[str, Any]) -> list[str]:
    """The kind of a schema that does not name one; nothing else can have been meant."""
    if isinstance(schema.get("properties"), dict):
        return ["object"]
    return ["array"] if isinstance(schema.get("items"), dict) else ["any"]


def _resolve(reference: Any, root: Any) -> Any:
    """What a reference within the schema leads to; None if that is nothing."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found = root
    for part in reference[1:].split("/")[1:]:
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def _seen(value: Any) -> Shape:
    if isinstance(value, dict):
        fields = {key: _seen(item) for key, item in value.items()}
        return Type(frozenset({Kind.OBJECT}), fields=fields, closed=True, partial=True)
    if isinstance(value, list):
        return list_of(any_of(_seen(item) for item in value))
    return PLAIN.get(type(value))


def _partial(shape: Shape) -> Shape:
    found = typed(shape)
    if found is None:
        return None
    fields = {name: _partial(item) for name, item in found.fields.items()}
    return msgspec.structs.replace(found, fields=fields, item=_partial(found.item), partial=True)


def _settled(shape: Shape) -> Shape:
    """What was never seen but as null, or as an empty list, can be anything."""
    found = typed(shape)
    if found is None or not found.kinds - {Kind.NULL}:
        return None
    fields = {name: _settled(item) for name, item in found.fields.items()}
    return msgspec.structs.replace(found, fields=fields, item=_settled(found.item))
