"""From a plugin's Struct to the JSON Schema of a `with:`: every field also takes an expression, except code.

Written flat, with as few `anyOf` as possible: editors complete, explain and complain better that way.
"""

import inspect as introspect
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import inspect

from engine.core.catalog import Scheme
from engine.plugin.config import WholeConfig
from engine.plugin.reference import description

Schema = dict[str, Any]

# An expression, alone: texts in quotes may hold `}}`. JavaScript and Python read all of these alike.
WHOLE = r"""^\s*\$\{\{(?:'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"|(?!\}\})[^'"])*\}\}\s*$"""
MIXED = r"(?:^|[^$])\$\{\{"  # an expression somewhere; `$${{` is a literal `${{`
CODE = r"""^\s*\$\{\{\s*file\s*\(\s*(?:'[^']*'|"[^"]*")\s*\)\s*\}\}\s*$|^(?:\$\$\{\{|(?!\$\{\{)[\s\S])*$"""
DURATION = r"^(?:[0-9]{1,9}(?:\.[0-9]{1,3})?(?:ms|s|m|h|d|w))+$"
NOT_A_DURATION = "this is not a duration: write for example 500ms, 30s, 5m, 2h, 3d, 1h30m"
NOT_LITERAL = (
    "this is code: pass values through a field such as `params`; of expressions only ${{ file('...') }} is allowed"
)
PYTHON_ONLY = ("(?P", "(?i", "(?x", "(?s", "(?m", "(?a", "\\Z", "\\A")  # in patterns of Structs
JSON_TYPES = {"BoolType": "boolean", "IntType": "integer", "FloatType": "number", "NoneType": "null"}
WORDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "nothing",
    "array": "a list",
    "object": "a map",
}
TEXTS = ("StrType", "BytesType", "ByteArrayType", "DateTimeType", "TimeType", "DateType", "UUIDType", "DecimalType",
         "TimeDeltaType", "MemoryViewType")  # fmt: skip
BOUNDS = {
    "ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum", "multiple_of": "multipleOf",
}  # fmt: skip


def with_schema(name: str, config: type[msgspec.Struct], schemes: Mapping[str, Scheme] | None = None) -> Schema:
    """What may stand in `with:` of a type.

    Nothing is required in it: `defaults` may give the rest. schemes: those that the `auth` of a trigger may name.
    """
    text = notes(_summary(config))
    if issubclass(config, WholeConfig):
        return {"title": name, **text}
    schema = _Builder(schemes or {}).struct(config, place="with")
    schema["type"] = ["object", "null", "string"]
    return {"title": name, **text, **schema, "pattern": WHOLE, "patternErrorMessage": _not_whole(["object"])}


def object_schema(properties: Schema, needed: Sequence[str], *, enforce: bool = True, closed: bool = True) -> Schema:
    """A map with these keys. needed: keys that are offered all at once, and missed if `enforce` says so.

    The properties stand in `allOf`, so that editors that insert a whole map insert what is needed, not every default.
    """
    keys: Schema = {"properties": properties}
    if closed:
        keys["additionalProperties"] = False
    schema: Schema = {"type": "object", "allOf": [keys]}
    if needed and enforce:
        schema["required"] = list(needed)
    if needed:
        body = {name: f"${{{number}}}" for number, name in enumerate(needed, 1)}
        schema["defaultSnippets"] = [{"label": "required keys", "description": ", ".join(needed), "body": body}]
    return schema


def or_expression(schema: Schema, *, mixed: bool = False) -> Schema:
    """The same or an expression: alone, or within a text if texts are welcome in its place."""
    types = _types(schema)
    if types is None or "string" in types:
        return schema
    pattern = MIXED if mixed else WHOLE
    if types and not _has_words(schema):
        return {**schema, "type": [*types, "string"], "pattern": pattern, "patternErrorMessage": _not_whole(types)}
    facts = {key: schema[key] for key in NOTES if key in schema}
    bare = {key: value for key, value in schema.items() if key not in NOTES}
    return {**facts, "anyOf": [*_options(bare), {"type": "string", "pattern": pattern}]}


def notes(text: str, *, default: Any = None, examples: Any = (), required: bool = False) -> Schema:
    """What an editor shows about a value."""
    shown = text
    if required:
        shown = f"{shown} Required.".strip()
    found: Schema = {}
    if shown:
        found |= {"description": shown, "markdownDescription": shown}
    if default is not None:
        found["default"] = default
    if examples:
        found["examples"] = list(examples)
    return found


NOTES = ("description", "markdownDescription", "default", "examples")


class _Builder:
    """Walks the types of one Struct.

    place: `with` for the Struct itself; `map` within it, where `defaults` may give a part; `list` for what stands in a
    list or in `auth`, and is whole.
    """

    def __init__(self, schemes: Mapping[str, Scheme]) -> None:
        self.schemes = schemes
        self.open: list[type] = []  # Structs that are being written: one in itself becomes anything

    def struct(self, config: type[msgspec.Struct], *, place: str) -> Schema:
        if config in self.open:
            return {"type": "object"}
        self.open.append(config)
        information = inspect.type_info(config)
        assert isinstance(information, inspect.StructType)
        fields: Schema = {}
        if isinstance(information.tag_field, str):
            fields[information.tag_field] = {"const": information.tag}
        needed = [field.encode_name for field in information.fields if field.required]
        for field in information.fields:
            fields[field.encode_name] = self.field(field, place)
        self.open.pop()
        return object_schema(fields, needed, enforce=place == "list", closed=information.forbid_unknown_fields)

    def field(self, field: inspect.Field, place: str) -> Schema:
        required = field.required and place != "list"
        facts = notes(
            description(field.type), default=_default(field), examples=_examples(field.type), required=required
        )
        if place == "with" and field.name == "auth" and self.schemes and _has(field.type, inspect.DictType):
            return {**self.auth(), **facts}
        return {**self.value(field.type, "list" if place == "list" or field.name == "auth" else "map"), **facts}

    def auth(self) -> Schema:
        """`auth:` of a trigger: one scheme with its settings, or the word none."""
        options = {}
        for name, scheme in sorted(self.schemes.items()):
            schema = self.struct(scheme.config, place="list")
            if scheme.short:
                schema = {**schema, "type": ["object", "string", "array"]}
            options[name] = {**notes(_summary(scheme.config)), **or_expression(schema)}
        schema = {**object_schema(options, ()), "minProperties": 1, "maxProperties": 1, "type": ["object", "string"]}
        message = f"a map with one of {', '.join(options)}; or the word none, which lets everybody in"
        return {**schema, "pattern": f"^none$|{WHOLE}", "patternErrorMessage": message, "errorMessage": message}

    def value(self, type_: inspect.Type, place: str = "map") -> Schema:
        """A value of this type, or an expression."""
        bare, marks = _unwrap(type_)
        if marks.get("template") == "literal":
            return {"type": "string", "pattern": CODE, "patternErrorMessage": NOT_LITERAL}
        if marks.get("duration"):
            return self.duration(bare)
        return or_expression(self.bare(bare, place), mixed=_takes_text(bare))

    def duration(self, type_: inspect.Type) -> Schema:
        types = ["string", "null"] if _has(type_, inspect.NoneType) else "string"
        pattern = f"{DURATION}|{MIXED}"
        return {
            "type": types,
            "pattern": pattern,
            "patternErrorMessage": NOT_A_DURATION,
            "errorMessage": NOT_A_DURATION,
        }

    def bare(self, type_: inspect.Type, place: str) -> Schema:
        name = type(type_).__name__
        if name in JSON_TYPES:
            return {"type": JSON_TYPES[name], **_bounds(type_)}
        if name in TEXTS:
            return _text(type_)
        match type_:
            case inspect.Metadata():
                return self.value(type_, place)
            case inspect.LiteralType():
                return {"enum": list(type_.values)}
            case inspect.EnumType():
                return {"enum": [member.value for member in type_.cls]}
            case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
                return {"type": "array", **_items(self.value(type_.item_type, "list")), **_lengths(type_, "Items")}
            case inspect.TupleType():
                count = len(type_.item_types)
                options = [self.value(item, "list") for item in type_.item_types]
                return {"type": "array", "prefixItems": options, "minItems": count, "maxItems": count}
            case inspect.DictType():
                value = self.value(type_.value_type, place)
                extra = {"additionalProperties": value} if value else {}
                return {"type": "object", **extra, **_lengths(type_, "Properties")}
            case inspect.StructType():
                return self.struct(type_.cls, place=place)
            case inspect.UnionType():
                return self.union(type_, place)
        return {}

    def union(self, type_: inspect.UnionType, place: str) -> Schema:
        """One flat schema if the members are told apart by their JSON type, else `anyOf`."""
        options = [self.bare(_unwrap(member)[0], place) for member in type_.types if not _is_unset(member)]
        if any(not option for option in options):
            return {}
        merged: Schema = {}
        kinds: list[str] = []
        for option in options:
            types = _types(option)
            if types is None or _has_words(option) or set(types) & set(kinds):
                return {"anyOf": options} if len(options) > 1 else options[0]
            kinds += types
            merged |= {key: value for key, value in option.items() if key != "type"}
        return {"type": kinds if len(kinds) > 1 else kinds[0], **merged}


def _unwrap(type_: inspect.Type) -> tuple[inspect.Type, Mapping[str, Any]]:
    """The type without its notes, and the marks in them; a union has those of its members."""
    marks: dict[str, Any] = {}
    while isinstance(type_, inspect.Metadata):
        marks |= type_.extra or {}
        type_ = type_.type
    if isinstance(type_, inspect.UnionType):
        for member in type_.types:
            marks |= {key: value for key, value in _unwrap(member)[1].items() if key in ("template", "duration")}
    return type_, marks


def _has(type_: inspect.Type, kind: type) -> bool:
    bare = _unwrap(type_)[0]
    if isinstance(bare, inspect.UnionType):
        return any(_has(member, kind) for member in bare.types)
    return isinstance(bare, kind)


def _is_unset(type_: inspect.Type) -> bool:
    return type(type_).__name__ == "UnsetType"


def _takes_text(type_: inspect.Type) -> bool:
    """Whether a text can be such a value, so that one with expressions in it may become one."""
    bare = _unwrap(type_)[0]
    if isinstance(bare, inspect.UnionType):
        return any(_takes_text(member) for member in bare.types)
    if isinstance(bare, inspect.LiteralType):
        return any(isinstance(value, str) for value in bare.values)
    return isinstance(bare, inspect.EnumType) or type(bare).__name__ in TEXTS


def _types(schema: Schema) -> list[str] | None:
    """The JSON types that a schema names; None: any. Empty: it cannot be told from `type`."""
    if not schema or not set(schema) - set(NOTES):
        return None
    found = schema.get("type", [])
    return [found] if isinstance(found, str) else list(found)


def _has_words(schema: Schema) -> bool:
    return "enum" in schema or "const" in schema or "anyOf" in schema


def _options(schema: Schema) -> list[Schema]:
    return list(schema["anyOf"]) if set(schema) == {"anyOf"} else [schema]


def _text(type_: inspect.Type) -> Schema:
    if not isinstance(type_, inspect.StrType):
        return {"type": "string"}
    schema: Schema = {"type": "string"}
    if type_.min_length == 1:
        schema["minLength"] = 1
    if type_.pattern and not any(mark in type_.pattern for mark in PYTHON_ONLY):
        schema["pattern"] = f"(?:{type_.pattern})|{MIXED}"
    return schema


def _bounds(type_: inspect.Type) -> Schema:
    return {word: limit for name, word in BOUNDS.items() if (limit := getattr(type_, name, None)) is not None}


def _lengths(type_: inspect.Type, what: str) -> Schema:
    found: Schema = {}
    for name, word in (("min_length", "min"), ("max_length", "max")):
        if getattr(type_, name, None) is not None:
            found[word + what] = getattr(type_, name)
    return found


def _not_whole(types: Sequence[str]) -> str:
    words = " or ".join(WORDS[name] for name in types if name != "null")
    return f"this must be {words}, or one expression alone: ${{{{ ... }}}}"


def _items(value: Schema) -> Schema:
    return {"items": value} if value else {}


def _default(field: inspect.Field) -> Any:
    value = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        assert callable(field.default_factory)
        value = field.default_factory()
    if value is None or value is msgspec.NODEFAULT or value is msgspec.UNSET or value in ({}, []):
        return None
    return msgspec.to_builtins(value)


def _examples(type_: inspect.Type) -> Any:
    if isinstance(type_, inspect.Metadata):
        return (type_.extra_json_schema or {}).get("examples", ()) or _examples(type_.type)
    if isinstance(type_, inspect.UnionType):
        return next((found for member in type_.types if (found := _examples(member))), ())
    return ()


def _summary(config: type) -> str:
    text = introspect.cleandoc(config.__dict__.get("__doc__") or "")
    return text.partition("\nExample:\n")[0].strip()
