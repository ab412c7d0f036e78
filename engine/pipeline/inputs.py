"""Declared inputs: JSON Schemas that are safe to use on what strangers send."""

from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import referencing
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from engine.pipeline.expression.errors import Complaint, suggest
from engine.pipeline.expression.filters_text import compile_pattern
from engine.pipeline.spec import Input, Validator

WORDS = {"str": "string", "int": "integer", "bool": "boolean", "float": "number", "dict": "object", "map": "object"}
WORDS = {"str": "string", "text": "string", "int": "integer", "bool": "boolean", "float": "number", "dict": "object"}
TYPES = ("string", "integer", "number", "boolean", "object", "any")
SHOWN = 5  # messages for one input


def make_input(declaration: Any) -> Input:
    """An input from ``TYPE``, ``TYPE[]`` or a JSON Schema. ValueError says what is wrong with it."""
    if isinstance(declaration, str):
        schema = _shorthand(declaration)
        return Input(schema=schema, required=True, validator=make_validator(schema))
    if not isinstance(declaration, dict):
        raise ValueError(f"an input is one of {', '.join(TYPES)}, or a JSON Schema")  # noqa: TRY004 - of the file
    if isinstance(declaration.get("required"), bool):
        raise ValueError("an input has no `required`: it is required if it has no `default`")  # noqa: TRY004
    schema = dict(declaration)
    _check_types(schema)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = ".".join(str(part) for part in error.absolute_path)
        raise ValueError(f"this is not a JSON Schema: {where + ': ' if where else ''}{error.message[:200]}") from None
    _check_patterns(schema)
    validator = make_validator(schema)
    default = schema.get("default")
    if default is not None and (wrong := validator(default)):
        raise ValueError(f"the default does not fit: {wrong[0]}")
    return Input(schema=schema, required="default" not in schema, default=default, validator=validator)


def make_validator(schema: dict[str, Any]) -> Validator:
    """A function that says what is wrong with a value; built once."""
    kind = schema.get("type")
    if len(schema) == 1 and isinstance(kind, str) and kind in SIMPLE:
        check, text = SIMPLE[kind]
        return lambda value: [] if check(value) else [f"must be {text}"]
    if not schema:
        return lambda value: []
    registry: referencing.Registry[Any] = referencing.Registry()  # an empty one: nothing is fetched
    validator: Any = STRICT(schema, registry=registry, format_checker=FORMATS)

    def validate(value: Any) -> list[str]:
        messages: list[str] = []
        try:
            for error in validator.iter_errors(value):
                where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
                messages.append((f"{where.lstrip('.')}: " if where else "") + _shorten(error.message))
                if len(messages) == SHOWN:
                    break
        except RecursionError:
            messages.append("is nested too deeply")
        except referencing.exceptions.Unresolvable as error:
            messages.append(f"the schema refers to something unknown: {error}")
        return messages

    return validate


def _shorthand(text: str) -> dict[str, Any]:
    name = text.removesuffix("[]")
    if name not in TYPES:
        close = suggest(name, [*TYPES])
        close = WORDS.get(name, close)
        hint = f"did you mean `{close}`?" if close else f"one of {', '.join(TYPES)}, or one of them with `[]`"
        raise ValueError(f"there is no type `{text[:60]}`; {hint}")
    schema = {} if name == "any" else {"type": name}
    return {"type": "array", "items": schema} if text.endswith("[]") else schema


def _check_types(schema: Any) -> None:
    """A clear word about wrong types; jsonschema's is long."""
    if isinstance(schema, dict):
        kind = schema.get("type")
        if isinstance(kind, str) and kind not in JSON_TYPES:
            close = WORDS.get(kind) or suggest(kind, JSON_TYPES)
            hint = f"did you mean `{close}`?" if close else f"one of {', '.join(JSON_TYPES)}"
            raise ValueError(f"there is no type `{kind[:60]}`; {hint}")
        for child in _subschemas(schema):
            _check_types(child)


def _check_patterns(schema: Any) -> None:
    if isinstance(schema, dict):
        patterns = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
        if isinstance(schema.get("patternProperties"), dict):
            patterns += list(schema["patternProperties"])
        for pattern in patterns:
            try:
                compile_pattern(pattern)
            except Complaint as complaint:
                raise ValueError(f"{complaint.message}; {complaint.help}".rstrip("; ")) from None
        for child in _subschemas(schema):
            _check_patterns(child)


def _subschemas(schema: dict[str, Any]) -> Iterator[Any]:
    for key, value in schema.items():
        if key in ("properties", "patternProperties", "$defs", "dependentSchemas") and isinstance(value, dict):
            yield from value.values()
        elif key in ("allOf", "anyOf", "oneOf", "prefixItems") and isinstance(value, list):
            yield from value
        elif key in ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"):
            yield value


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """`pattern` by RE2: what strangers send must not make it slow."""
    if isinstance(instance, str) and not compile_pattern(pattern).search(instance):
        yield ValidationError(f"{instance[:60]!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        compiled = compile_pattern(pattern)
        for key, value in instance.items():
            if compiled.search(key):
                yield from validator.descend(value, subschema, path=key, schema_path=pattern)


def _shorten(message: str) -> str:
    return message if len(message) <= 300 else message[:299] + "…"


def _is_integer(value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


FORMATS = Draft202012Validator.FORMAT_CHECKER
JSON_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
SIMPLE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "string": (lambda value: isinstance(value, str), "a text"),
    "integer": (_is_integer, "a whole number"),
    "number": (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "object": (lambda value: isinstance(value, dict), "an object"),
}
STRICT: Any = jsonschema.validators.extend(
    Draft202012Validator, {"pattern": _pattern, "patternProperties": _pattern_properties}
)
