"""From the table of keys to JSON Schema: one definition for each section, with what may stand in its place."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from engine.core.duration import parse_duration
from engine.editor.schema_types import DURATION, MIXED, NOT_A_DURATION, WHOLE, Schema, notes, object_schema
from engine.pipeline.grammar.examples import example_of
from engine.pipeline.grammar.section import Key, Section

INPUT_TYPES = ("string", "integer", "number", "boolean", "object", "any")
NAME = "^[A-Za-z_][A-Za-z0-9_]{0,99}$"
IDS = {  # what an `id` looks like; else that of a step
    "pipeline": "^[a-z][a-z0-9-]{0,99}$",
    "trigger": "^[a-z][a-z0-9_.-]{0,99}$",
}
STEP_ID = "^[a-z][a-z0-9_]{0,99}$"
NAMES = {"pipeline": "pipeline", "trigger": "trigger"}  # keys that hold the id of one of these
OWN_KEYS = "^x-"  # keys that begin with `x-` are the author's own
NOT_LIST = "this must be a list, or one expression alone: ${{ ... }}"
NOT_NUMBER = "this must be a whole number, or one expression alone: ${{ ... }}"
LIMIT: dict[str, Any] = {"type": ["integer", "string"], "pattern": WHOLE, "patternErrorMessage": NOT_NUMBER}
LIST: dict[str, Any] = {"type": ["array", "string"], "pattern": WHOLE, "patternErrorMessage": NOT_LIST}
DURATION_SCHEMA: Schema = {
    "type": "string",
    "pattern": DURATION,
    "patternErrorMessage": NOT_A_DURATION,
    "errorMessage": NOT_A_DURATION,
}
WAIT_SCHEMA: Schema = {**DURATION_SCHEMA, "pattern": f"{DURATION}|{MIXED}"}
STEPS: Schema = {"type": "array", "items": {"$ref": "#/$defs/step"}}
SHORT: Mapping[str, Schema] = {  # what may stand in place of a section's map; its type joins `object`
    "dedup": {"type": "string"},
    "retry": {"type": "integer", "minimum": 1},
    "for_each": LIST,
    "cache": DURATION_SCHEMA,
    "wait": WAIT_SCHEMA,
    "on_error": STEPS,
    "test_event": {"type": "string"},
    "test_mock": {"type": "array", "items": {"$ref": "#/$defs/test_mock"}},
    "test_approval": {"type": "array", "items": {"$ref": "#/$defs/test_approval"}},
}
WORDS: Mapping[str, tuple[str, ...]] = {"on_error": ("fail", "continue")}  # words in place of a section's map
EITHER: Mapping[tuple[str, str], Schema] = {  # kinds `any` and `template` that are not anything at all
    ("pipeline", "description"): {"type": ["string", "null"]},
    ("step", "sensitive"): {"type": ["boolean", "array"], "items": {"type": "string"}},
    ("for_each", "max_errors"): {"type": ["integer", "string"], "pattern": r"^[0-9]+(?:\.[0-9]+)?%$"},
    ("for_each", "items"): LIST,
    ("concurrency", "limit"): LIMIT,
    ("rate_limit", "limit"): LIMIT,
    ("respond", "status"): LIMIT,
    ("respond", "after"): {"type": "string"},
    ("project", "queues"): {
        "type": ["array", "object", "null"],
        "items": {"type": "string"},
        "additionalProperties": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/queue"}]},
    },
    ("test_expect", "emitted"): {"type": ["array", "null"]},
    ("test_expect", "started"): {"type": ["array", "null"]},
    ("test_step", "errors"): {"type": ["array", "null"]},
}
KINDS: Mapping[str, Schema] = {
    "text": {"type": "string"},
    "condition": {"type": ["string", "boolean"]},
    "duration": DURATION_SCHEMA,
    "duration_template": WAIT_SCHEMA,
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "template": {},
    "any": {},
}


def section_schemas(sections: Iterable[Section]) -> dict[str, Schema]:
    """The definitions by name, as `$defs`. References between them are `#/$defs/NAME`."""
    return {section.name: section_schema(section) for section in sections}


def section_schema(section: Section) -> Schema:
    """A map with the section's keys, and whatever may stand in its place."""
    properties = {key.name: key_schema(section, key) for key in section.keys.values()}
    schema = object_schema(properties, [key.name for key in section.keys.values() if key.required])
    schema["allOf"][0]["patternProperties"] = {OWN_KEYS: {}}
    schema["title"] = section.name
    if short := SHORT.get(section.name):
        types = short["type"] if isinstance(short["type"], list) else [short["type"]]
        schema |= {**short, "type": ["object", *types]}
    if words := WORDS.get(section.name):
        title = schema.pop("title")
        schema = {"title": title, "anyOf": [{"enum": list(words)}, schema]}
    return schema


def key_schema(section: Section, key: Key) -> Schema:
    """What may stand behind a key, and what an editor shows about it."""
    text = key.meaning + (f" Default: {_shown(key)}." if key.default and not key.required else "")
    facts = notes(text, default=_default(key), required=key.required)
    example = key.example or example_of(section.name, key.name)
    plain = _plain_example(key, example)
    if plain is not None:
        facts["examples"] = [plain]
    elif example:
        facts["markdownDescription"] += f"\n\n```yaml\n{example}\n```"
    return {**_value(section, key), **facts}


def input_schema() -> Schema:
    """A declared input: a type, or a JSON Schema."""
    types = [*INPUT_TYPES, *(f"{name}[]" for name in INPUT_TYPES)]
    return {
        "anyOf": [
            {"enum": types},
            {
                "type": "object",
                "properties": {
                    "type": notes("Type of the value.")
                    | {"anyOf": [{"enum": [*INPUT_TYPES[:5], "array", "null"]}, {"type": "array"}]},
                    "description": notes("For people, forms and AI tools.") | {"type": "string"},
                    "default": notes("The value if none is given; an input without a `default` is required."),
                    "enum": notes("The values that are allowed.") | {"type": "array"},
                    "format": notes("Format of a text: `date`, `date-time`, `email`, `uri`, `duration`."),
                    "pattern": notes("Regular expression (RE2) that a text must match."),
                    "minimum": notes("The least number."),
                    "maximum": notes("The largest number."),
                    "minLength": notes("The least characters."),
                    "maxLength": notes("The most characters."),
                    "items": notes("JSON Schema of a list's items."),
                    "properties": notes("JSON Schemas of an object's fields."),
                    "required": notes("Names of the fields that an object must have.") | {"type": "array"},
                    "additionalProperties": notes("`false`: an object has no other fields."),
                },
            },
        ]
    }


def _value(section: Section, key: Key) -> Schema:
    if (section.name, key.name) in EITHER:
        return dict(EITHER[section.name, key.name])
    if key.kind in KINDS:
        return dict(KINDS[key.kind])
    maker: Callable[[Section, Key], Schema] = MAKERS[key.kind]
    return maker(section, key)


def _id(section: Section, key: Key) -> Schema:
    owner = section.name if key.name == "id" else NAMES.get(key.name, "")
    pattern = IDS.get(owner, STEP_ID)
    glue = "`_`" if pattern == STEP_ID else "`-`"
    message = f"an id is made of small letters, digits and {glue}, a letter first"
    return {"type": "string", "pattern": pattern, "patternErrorMessage": message}


def _word(section: Section, key: Key) -> Schema:
    return {"enum": list(key.words)}


def _list(section: Section, key: Key) -> Schema:
    items: Schema = {"$ref": f"#/$defs/{key.section}"} if key.section else {"type": "string"}
    return {"type": ["array", "null"], "items": items}


def _map(section: Section, key: Key) -> Schema:
    schema: Schema = {"type": ["object", "null"]}
    if key.name == "parallel":
        return {"type": "object", "additionalProperties": {"$ref": "#/$defs/steps"}}
    if (section.name, key.name) in (("pipeline", "inputs"), ("approval", "form")):
        return {**schema, "patternProperties": {NAME: {"$ref": "#/$defs/input"}}, "additionalProperties": False}
    if key.name == "with":
        return {}
    if key.section:
        return {**schema, "additionalProperties": {"$ref": f"#/$defs/{key.section}"}}
    return schema


def _templates(section: Section, key: Key) -> Schema:
    if key.name in ("vars", "inputs"):
        return {"type": ["object", "null"], "patternProperties": {NAME: {}}, "additionalProperties": False}
    return {"type": ["object", "null"]}


def _steps(section: Section, key: Key) -> Schema:
    if key.name in ("notify", "compensate", "on_error", "finally"):
        return {**STEPS, "type": ["array", "null"]}
    return {"$ref": "#/$defs/steps"}


def _section(section: Section, key: Key) -> Schema:
    return {"$ref": f"#/$defs/{key.section}"}


MAKERS: Mapping[str, Callable[[Section, Key], Schema]] = {
    "id": _id,
    "word": _word,
    "list": _list,
    "map": _map,
    "templates": _templates,
    "steps": _steps,
    "section": _section,
}


def _shown(key: Key) -> str:
    """The default as text: values in code, words as they are."""
    return f"`{key.default}`" if _default(key) is not None or key.default in ("{}", "[]") else key.default


def _default(key: Key) -> Any:
    """The default as a value; None where it is told in words."""
    text = key.default
    if key.kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if key.kind == "integer" and text.isdecimal():
        return int(text)
    if key.kind == "number" and text.isdecimal():
        return float(text)
    if key.kind == "word" and text in key.words:
        return text
    if key.kind.startswith("duration") and text:
        try:
            parse_duration(text)
        except ValueError:
            return None
        return text
    return None


def _plain_example(key: Key, example: str) -> Any:
    """The example's value if it can be offered as it is: no list, no map, no expression."""
    if key.kind in ("condition", "steps") or key.name == "uses" or not example or "${{" in example:
        return None
    try:
        found = yaml.safe_load(example)
    except yaml.YAMLError:
        return None
    value = found.get(key.name) if isinstance(found, dict) else None
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None
