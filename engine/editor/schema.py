"""JSON Schemas (draft 2020-12) of pipelines, tests and the project file, with every installed plugin's fields.

They serve completion, hover and the first errors in any editor; `hookwright check` finds more. Whatever it accepts in
structure, they accept.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.core.catalog import Catalog
from engine.editor.schema_grammar import STEPS, input_schema, section_schemas
from engine.editor.schema_types import Schema, with_schema
from engine.pipeline.grammar.steps import SECTIONS
from engine.pipeline.grammar.tests import TEST_SECTIONS

Kind = Literal["pipeline", "test", "project"]
KINDS: tuple[Kind, ...] = ("pipeline", "test", "project")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLES: Mapping[Kind, str] = {
    "pipeline": "Hookwright pipeline",
    "test": "Tests of a Hookwright pipeline",
    "project": "Hookwright project",
}
ROOTS: Mapping[Kind, str] = {"pipeline": "pipeline", "test": "test_file", "project": "project"}
SHAPES = ("uses", "steps", "parallel", "switch", "wait")
CALL = "^pipeline:[a-z][a-z0-9-]{0,99}$"


def make_schema(kind: Kind, catalog: Catalog) -> Schema:
    """The schema of one kind of file."""
    sections = {**SECTIONS, **TEST_SECTIONS}
    defs = {**section_schemas(sections.values()), "steps": STEPS, "input": input_schema()}
    defs |= {f"with.{name}": with_schema(name, type_.config) for name, type_ in sorted(catalog.steps.items())}
    for name, trigger in sorted(catalog.triggers.items()):
        defs[f"trigger.{name}"] = with_schema(name, trigger.config, catalog.schemes)
    defs["step"] = _step(defs["step"], catalog)
    defs["trigger"] = _trigger(defs["trigger"], catalog)
    for name in ("pipeline", "project"):
        _keys(defs[name])["defaults"] |= {"properties": _defaults(catalog, triggers=name == "project")}
    root = {**defs.pop(ROOTS[kind])}
    root.pop("title")
    used = _reachable(root, defs)
    head = {"$schema": DIALECT, "description": f"{TITLES[kind]}. Made by `hookwright schema`."}
    return {**head, **root, "$defs": {name: schema for name, schema in defs.items() if name in used}}


def encode_schema(schema: Schema) -> str:
    """The schema as a file."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=1).decode() + "\n"


def write_schemas(folder: Path, catalog: Catalog, kinds: Iterable[Kind] = KINDS) -> list[Path]:
    """Write `KIND.schema.json` for each kind; the paths. The folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / schema_name(kind) for kind in kinds]
    for kind, path in zip(kinds, paths, strict=True):
        path.write_text(encode_schema(make_schema(kind, catalog)), encoding="utf-8")
    return paths


def schema_name(kind: Kind) -> str:
    """The name of a kind's file."""
    return f"{kind}.schema.json"


def modeline(kind: Kind, folder: str) -> str:
    """The comment that tells the YAML language server which schema a file has. folder: as seen from that file."""
    return f"# yaml-language-server: $schema={folder}/{schema_name(kind)}"


def _step(schema: Schema, catalog: Catalog) -> Schema:
    """A step: one shape, and the `with` of its type."""
    names = sorted(catalog.steps)
    properties = _keys(schema)
    properties["uses"] |= _uses(names, {name: catalog.steps[name].summary for name in names}, calls=True)
    with_ = _take_with(schema)
    message = "a step has one of `uses`, `steps`, `parallel`, `switch`, `wait`"
    one = [{"required": [shape], "errorMessage": message} for shape in SHAPES]
    alone = [
        {
            "if": {"required": [shape]},
            "then": {"properties": dict.fromkeys(SHAPES[index + 1 :], False)},
        }
        for index, shape in enumerate(SHAPES[:-1])
    ]
    return {**schema, "anyOf": one, "allOf": [*schema["allOf"], *alone, *_by_type(names, "with", with_)]}


def _trigger(schema: Schema, catalog: Catalog) -> Schema:
    names = sorted(catalog.triggers)
    properties = _keys(schema)
    properties["uses"] |= _uses(names, {name: catalog.triggers[name].summary for name in names}, calls=False)
    with_ = _take_with(schema)
    return {**schema, "allOf": [*schema["allOf"], *_by_type(names, "trigger", with_)]}


def _uses(names: list[str], summaries: Mapping[str, str], *, calls: bool) -> Schema:
    texts = [summaries[name] for name in names]
    what = "step" if calls else "trigger"
    words: Schema = {
        "enum": names,
        "enumDescriptions": texts,
        "markdownEnumDescriptions": texts,
        "errorMessage": f"there is no {what} type of this name; `hookwright plugins list` shows the installed ones",
    }
    if not calls:
        return words
    return {"anyOf": [words, {"type": "string", "pattern": CALL, "patternErrorMessage": words["errorMessage"]}]}


def _by_type(names: list[str], prefix: str, otherwise: Schema) -> list[Schema]:
    """`uses` selects the `with`: only the chosen one completes, explains and complains."""
    chosen: list[Schema] = [
        {
            "if": {"properties": {"uses": {"const": name}}, "required": ["uses"]},
            "then": {"properties": {"with": {"$ref": f"#/$defs/{prefix}.{name}"}}},
        }
        for name in names
    ]
    known = {"properties": {"uses": {"enum": names}}, "required": ["uses"]}
    return [*chosen, {"if": known, "else": {"properties": {"with": otherwise}}}]


def _keys(schema: Schema) -> Schema:
    """The properties of a section."""
    found: Schema = schema["allOf"][0]["properties"]
    return found


def _take_with(schema: Schema) -> Schema:
    """Remove `with` from the keys, where it would be offered twice; it stays allowed."""
    keys = schema["allOf"][0]
    keys["patternProperties"] = {**keys["patternProperties"], "^with$": {}}
    found: Schema = keys["properties"].pop("with")
    return found


def _defaults(catalog: Catalog, *, triggers: bool) -> dict[str, Any]:
    """`defaults:` by type; globs and other names may have any `with`."""
    found = {name: ("with", type_.summary) for name, type_ in sorted(catalog.steps.items())}
    if triggers:
        for name, type_ in sorted(catalog.triggers.items()):
            found.setdefault(name, ("trigger", type_.summary))
    return {
        name: {
            "description": summary,
            "allOf": [
                {"$ref": "#/$defs/defaults"},
                {"properties": {"with": {"$ref": f"#/$defs/{prefix}.{name}"}}},
            ],
        }
        for name, (prefix, summary) in found.items()
    }


def _reachable(schema: Any, defs: Mapping[str, Schema]) -> set[str]:
    """Names of the definitions that a schema refers to."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            reference = value.get("$ref")
            if isinstance(reference, str) and (name := reference.removeprefix("#/$defs/")) not in found:
                found.add(name)
                waiting.append(defs[name])
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found
