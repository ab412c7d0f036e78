"""The JSON Schemas: valid by themselves, and at one with the checker."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from engine.editor.schema import KINDS, encode_schema, make_schema, write_schemas
from engine.editor.schema_types import CODE, MIXED, WHOLE
from engine.pipeline.grammar.steps import SECTIONS
from engine.pipeline.grammar.tests import TEST_SECTIONS
from engine.pipeline.loader import load_yaml
from tests.language.catalog import FILES, ROOT, make_catalog

REPOSITORY = Path(__file__).parents[3]
TESTS = sorted((ROOT / "tests").glob("*.yaml"))


@pytest.fixture(scope="module")
def pipeline() -> Draft202012Validator:
    return Draft202012Validator(make_schema("pipeline", make_catalog()))


def read(path: Path) -> Any:
    return load_yaml(path.read_bytes())[0]


def wrong(validator: Draft202012Validator, data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(data)]


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_schemas(kind: Any) -> None:
    """They satisfy the metaschema of the draft they name, and nothing in them refers elsewhere."""
    schema = make_schema(kind, make_catalog())
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(re.findall(r'"\$ref": "([^#"]*)', encode_schema(schema))) <= {""}


@pytest.mark.parametrize(
    "path", [*FILES, *sorted((REPOSITORY / "pipelines").glob("*.yaml"))], ids=lambda path: path.stem
)
def test_good_pipelines(path: Path, pipeline: Draft202012Validator) -> None:
    """What `hookwright check` accepts, the schema accepts."""
    assert wrong(pipeline, read(path)) == []


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_good_tests(path: Path) -> None:
    """The example tests fit the schema of tests."""
    assert wrong(Draft202012Validator(make_schema("test", make_catalog())), read(path)) == []


@pytest.mark.parametrize("root", [ROOT, REPOSITORY], ids=["example", "ours"])
def test_good_project(root: Path) -> None:
    """So do the project files."""
    assert wrong(Draft202012Validator(make_schema("project", make_catalog())), read(root / "project.yaml")) == []


BAD = {
    "unknown key": "needs: [other]",
    "unknown key of a step": "steps: [{uses: value, retries: 3}]",
    "unknown step type": "steps: [{uses: http.requst}]",
    "unknown trigger type": "triggers: [{uses: webhok}]",
    "unknown field": "steps: [{uses: http.request, with: {ulr: x}}]",
    "unknown field of a trigger": "triggers: [{uses: schedule, with: {corn: x}}]",
    "unknown field in defaults": "defaults: {http.request: {with: {ulr: x}}}",
    "field of the wrong type": "steps: [{uses: http.request, with: {url: 3}}]",
    "text for a number": "steps: [{uses: store.query, with: {collection: x, limit: many}}]",
    "mixed text for a number": "steps: [{uses: store.query, with: {collection: x, limit: '1${{ 1 }}'}}]",
    "wrong word": "steps: [{uses: http.request, with: {url: x, method: FETCH}}]",
    "not a duration": "steps: [{uses: value, timeout: 30}]",
    "expression in a duration": "steps: [{uses: value, timeout: '${{ 1 }}'}]",
    "duration without unit": "timeout: '30'",
    "two shapes": "steps: [{uses: value, steps: []}]",
    "no shape": "steps: [{id: a}]",
    "wrong id": "id: Not An Id",
    "wrong step id": "steps: [{id: load-user, uses: value}]",
    "steps are no list": "steps: {uses: value}",
    "code with an expression": "steps: [{uses: sql.query, with: {connection: a, query: 'x ${{ inputs.a }}'}}]",
    "unknown scheme": "triggers: [{uses: webhook, with: {path: a, auth: {hamc: {}}}}]",
    "no scheme": "triggers: [{uses: webhook, with: {path: a, auth: nobody}}]",
    "wrong on_limit": "concurrency: {on_limit: wait}",
    "unknown input type": "inputs: {a: strin}",
    "rate without period": "rate_limit: {limit: 3}",
    "not on_error": "steps: [{uses: value, on_error: stop}]",
    "wait for a number": "steps: [{wait: 5}]",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_pipelines(text: str, pipeline: Draft202012Validator) -> None:
    """Errors of structure are found without the checker."""
    data = {"id": "a", "steps": [{"uses": "value"}], **yaml.safe_load(text)}
    assert wrong(pipeline, data)


def test_every_problem_of_a_bad_file(pipeline: Draft202012Validator) -> None:
    """One error each, not a wall: unknown keys, types, fields, a number for a duration, values in code."""
    found = wrong(pipeline, read(ROOT / "bad" / "many.yaml"))
    places = {message.partition(":")[0] for message in found}
    assert {"$", "$.steps[0].uses", "$.steps[1]", "$.steps[1].timeout", "$.steps[1].with", "$.steps[2].with.query"} < (
        places
    )
    assert len(found) < 12


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (WHOLE, "${{ a }}", True),
        (WHOLE, "  ${{ a | b('}}') }}\n", True),
        (WHOLE, "${{\n  a\n}}", True),
        (WHOLE, "${{ a }} ${{ b }}", False),
        (WHOLE, "x ${{ a }}", False),
        (WHOLE, "$${{ a }}", False),
        (MIXED, "x ${{ a }}", True),
        (MIXED, "${{ a }}", True),
        (MIXED, "$${{ a }}", False),
        (CODE, "select 1", True),
        (CODE, "select '$${{ x }}'", True),
        (CODE, "${{ file('sql/a.sql') }}", True),
        (CODE, "select ${{ inputs.a }}", False),
        (CODE, "${{ inputs.a }}", False),
    ],
)
def test_patterns(pattern: str, text: str, fits: bool) -> None:
    """What counts as an expression alone, as one within a text, and as code."""
    assert (re.search(pattern, text) is not None) == fits


def test_what_editors_show(pipeline: Draft202012Validator) -> None:
    """Every key of the language and every field of a plugin that has a description shows it, with its default."""
    defs = pipeline.schema["$defs"]
    schemas = [make_schema(kind, make_catalog())["$defs"] for kind in KINDS]
    for name, section in {**SECTIONS, **TEST_SECTIONS}.items():
        for found in schemas:
            schema = found.get(name)
            keys = schema and schema.get("allOf", schema.get("anyOf", [{}])[-1].get("allOf"))[0]["properties"]
            for key in section.keys.values():
                if schema and not (key.name == "with" and name in ("step", "trigger")):
                    assert key.meaning in keys[key.name]["description"]
    request = defs["with.http.request"]["allOf"][0]["properties"]
    assert request["method"]["default"] == "GET"
    assert request["url"]["description"] == "Where to. Required."
    assert defs["with.http.request"]["description"].startswith("Send one HTTP request")
    assert defs["with.http.request"]["defaultSnippets"][0]["body"] == {"url": "${1}"}


def test_files(tmp_path: Path) -> None:
    """One file for each kind, in a folder that is made."""
    paths = write_schemas(tmp_path / ".hookwright", make_catalog())
    assert [path.name for path in paths] == ["pipeline.schema.json", "test.schema.json", "project.schema.json"]
    assert all(msgspec.json.decode(path.read_bytes())["$schema"] for path in paths)
