"""What is known about the fields of a value before anything runs. None: anything is possible."""

import typing
from collections.abc import Mapping
from types import UnionType
from typing import Any, Union

import msgspec

from engine.pipeline.expression.errors import ExpressionError
from engine.pipeline.expression.template import whole_expression

Shape = Mapping[str, Any] | None  # field -> Shape


def of_type(annotation: Any, depth: int = 8) -> Shape:
    """The fields of a Struct; of Struct | None as well, since a field of null is not there."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (Union, UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        return of_type(members[0], depth) if len(members) == 1 else None
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) and depth:
        return {field.encode_name: of_type(field.type, depth - 1) for field in msgspec.structs.fields(annotation)}
    return None


def of_value(value: Any) -> Shape:
    """The fields of a value as it is written in YAML; an expression can be anything."""
    if isinstance(value, dict):
        return {key: of_value(item) for key, item in value.items()}
    return None


def of_schema(schema: Any, depth: int = 8) -> Shape:
    """The fields of a JSON Schema that allows no others."""
    if not isinstance(schema, dict) or not depth or schema.get("additionalProperties") is not False:
        return None
    properties = schema.get("properties")
    if not isinstance(properties, dict) or "patternProperties" in schema:
        return None
    return {name: of_schema(item, depth - 1) for name, item in properties.items()}


def either(one: Shape, other: Shape) -> Shape:
    """The fields that one of two values can have."""
    if one is None or other is None:
        return None
    both = {name: either(one[name], other[name]) for name in one if name in other}
    return {**one, **other, **both}


def item_of(shape: Shape) -> Shape:
    """What the items of a list look like."""
    return None


def is_whole(value: Any) -> bool:
    """Whether the value is a text that is exactly one expression; one that is not closed counts."""
    try:
        return isinstance(value, str) and "${{" in value and whole_expression(value)
    except ExpressionError:
        return True
