"""The start form: fields from a pipeline's inputs, and values from what was typed."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from engine.pipeline.spec import Input
from engine.web.explain import show

PREFIX = "in."  # of the field names, so that an input cannot be mistaken for something else


class Field(Struct, frozen=True):
    """One field of the form."""

    name: str
    kind: str  # text | number | choice | json
    required: bool
    value: str
    hint: str
    choices: tuple[str, ...] = ()
    wrong: str = ""


def make_fields(
    inputs: Mapping[str, Input], *, typed: Mapping[str, str] | None = None, wrong: Mapping[str, str] | None = None
) -> list[Field]:
    """A field per input. typed: what was entered before. wrong: messages by input."""
    return [
        _field(name, item, (typed or {}).get(PREFIX + name), (wrong or {}).get(name, ""))
        for name, item in inputs.items()
    ]


def read_fields(inputs: Mapping[str, Input], typed: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Values by input, and messages for those that cannot be read. An empty optional field is left out."""
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, item in inputs.items():
        text = typed.get(PREFIX + name, "")
        kind, _ = _kind(item.schema)
        if text == "" and (not item.required or kind != "text"):
            continue
        try:
            values[name] = text if kind == "text" else _read(text, item.schema, kind)
        except (ValueError, RecursionError):
            wrong[name] = "is not a number" if kind == "number" else "is not valid JSON"
    return values, wrong


def _read(text: str, schema: dict[str, Any], kind: str) -> Any:
    if kind == "choice":
        return next((choice for choice in _choices(schema) if _label(choice) == text), text)
    if kind == "number":
        return msgspec.json.decode(text.strip(), type=int | float)
    return msgspec.json.decode(text)


def _field(name: str, item: Input, typed: str | None, wrong: str) -> Field:
    kind, choices = _kind(item.schema)
    if typed is not None:
        value = typed
    elif item.required or item.default is None:
        value = ""
    else:
        value = _label(item.default) if kind in ("text", "choice") else msgspec.json.encode(item.default).decode()
    hints = [str(item.schema.get("description", "")).strip(), _type(item.schema)]
    if not item.required:
        hints.append(f"default {show(item.default)}")
    return Field(name, kind, item.required, value, " · ".join(hint for hint in hints if hint), choices, wrong)


def _kind(schema: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    if choices := _choices(schema):
        return "choice", tuple(_label(choice) for choice in choices)
    return {"string": "text", "integer": "number", "number": "number"}.get(str(schema.get("type")), "json"), ()


def _choices(schema: dict[str, Any]) -> list[Any]:
    if isinstance(schema.get("enum"), list):
        return list(schema["enum"])
    return [True, False] if schema.get("type") == "boolean" else []


def _label(choice: Any) -> str:
    return choice if isinstance(choice, str) else msgspec.json.encode(choice).decode()


def _type(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if kind == "array" and isinstance(schema.get("items"), dict):
        return f"list of {schema['items'].get('type', 'anything')}"
    return kind if isinstance(kind, str) else "anything"
