"""What the JSON Schema of a file says about a place in it: keys, words, descriptions."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from engine.editor.schema_types import Schema
from engine.pipeline.marks import Path


class Offer(msgspec.Struct, frozen=True):
    """Something that can be written in a place."""

    label: str
    detail: str = ""
    documentation: str = ""
    required: bool = False
    takes: str = ""  # of a key: object, array or a scalar


class Knowledge:
    """One schema, asked about places."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.defs: Mapping[str, Schema] = schema["$defs"]

    def at(self, data: Any, path: Path) -> list[Schema]:
        """Every schema that holds for the value at the path, as the data around it selects them."""
        found = list(self._spread(self.schema, data))
        for key in path:
            value = _child(data, key)
            found = [part for schema in found for child in _step(schema, key) for part in self._spread(child, value)]
            data = value
        return found

    def keys(self, data: Any, path: Path) -> list[Offer]:
        """Keys that the map at the path can have."""
        offers: dict[str, Offer] = {}
        schemas = self.at(data, path)
        needed = {name for schema in schemas for name in schema.get("required", ())}
        barred = {name for schema in schemas for name, value in schema.get("properties", {}).items() if value is False}
        for schema in schemas:
            for name, child in schema.get("properties", {}).items():
                if name not in offers and name not in barred and isinstance(child, dict) and set(child) - {"const"}:
                    offers[name] = self._key(name, child, required=name in needed)
        return list(offers.values())

    def words(self, data: Any, path: Path) -> list[Offer]:
        """Values that the place allows by name."""
        offers: dict[str, Offer] = {}
        for schema in self.at(data, path):
            texts = schema.get("markdownEnumDescriptions", ())
            for index, word in enumerate(schema.get("enum", ())):
                label = word if isinstance(word, str) else msgspec.json.encode(word).decode()
                offers.setdefault(label, Offer(label, documentation=texts[index] if index < len(texts) else ""))
            if schema.get("type") == "boolean" or (
                isinstance(schema.get("type"), list) and "boolean" in schema["type"]
            ):
                for label in ("true", "false"):
                    offers.setdefault(label, Offer(label))
        return list(offers.values())

    def describe(self, data: Any, path: Path) -> str:
        """What is known about the place, in Markdown; empty if that is nothing."""
        for schema in self.at(data, path):
            text = schema.get("markdownDescription") or schema.get("description")
            if text:
                return _with_notes(str(text), schema)
        return ""

    def takes_map(self, data: Any, path: Path) -> bool:
        """Whether a map can stand there."""
        return any("properties" in schema for schema in self.at(data, path))

    def _key(self, name: str, schema: Schema, *, required: bool) -> Offer:
        """A key; what its schema refers to tells what it takes."""
        parts = list(self._spread(schema, None))
        types = [type_ for part in parts for type_ in _types(part)]
        text = next((part[note] for part in parts for note in NOTES if part.get(note)), "")
        shown = " or ".join(dict.fromkeys(WORDS.get(type_, type_) for type_ in types if type_ != "null"))
        takes = types[0] if types else ""
        return Offer(name, shown, str(text), required or "Required." in str(text), takes)

    def _spread(self, schema: Any, value: Any, depth: int = 0) -> Iterator[Schema]:
        """The schema and those that stand in it for the same value."""
        if not isinstance(schema, dict) or depth > 12:
            return
        yield schema
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield from self._spread(self.defs.get(reference.removeprefix("#/$defs/")), value, depth + 1)
        for part in (*schema.get("allOf", ()), *schema.get("anyOf", ())):
            yield from self._spread(part, value, depth + 1)
        if "if" in schema:
            chosen = "then" if _fits(schema["if"], value) else "else"
            yield from self._spread(schema.get(chosen), value, depth + 1)


NOTES = ("markdownDescription", "description")
WORDS = {"object": "map", "array": "list", "string": "text"}


def _with_notes(text: str, schema: Schema) -> str:
    """The description with default and examples."""
    if "default" in schema and "Default:" not in text:
        text += f" Default: `{_shown(schema['default'])}`."
    if schema.get("examples"):
        text += "\n\nExample: " + ", ".join(f"`{_shown(example)}`" for example in schema["examples"][:3])
    return text


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _types(schema: Schema) -> list[str]:
    found = schema.get("type", ())
    if not found and "enum" in schema:
        return ["string"]
    return [found] if isinstance(found, str) else list(found)


def _child(data: Any, key: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(key)
    if isinstance(data, list) and isinstance(key, int) and key < len(data):
        return data[key]
    return None


def _step(schema: Schema, key: str | int) -> Iterator[Any]:
    """Schemas of a child."""
    if isinstance(key, int):
        if "items" in schema:
            yield schema["items"]
        return
    properties = schema.get("properties", {})
    if key in properties:
        yield properties[key]
        return
    for pattern, child in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            yield child
            return
    if isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"]


def _fits(condition: Schema, value: Any) -> bool:
    return bool(_validator(msgspec.json.encode(condition)).is_valid(value))


@lru_cache(maxsize=1024)
def _validator(schema: bytes) -> Any:
    return Draft202012Validator(msgspec.json.decode(schema))
