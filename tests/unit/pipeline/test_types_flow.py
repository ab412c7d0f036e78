"""Types flow through a file: from inputs, settings, events and called pipelines to where they are used."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from engine.core.catalog import Catalog
from engine.pipeline.check import check_files, check_text
from engine.pipeline.checking.events import Recorded
from tests.unit.pipeline.conftest import RULES, Check

ISSUE = {"type": "object", "properties": {"number": {"type": "integer"}, "title": {"type": "string"}}}
PAYLOADS = {
    "issues.opened": {"type": "object", "properties": {"issue": ISSUE, "action": {"type": "string"}}},
    "push": {"type": "object", "properties": {"ref": {"type": "string"}, "action": {"type": "string"}}},
}
HEAD = """id: a
inputs:
  n: integer
  text: string
  kind: {enum: [bug, docs]}
  tags: {type: array, items: {type: object, properties: {name: {type: string}}}}
steps:
  - id: get
    uses: http.request
    with: {url: https://x.example}
"""


class Reply(Struct):
    """An answer."""

    text: str
    json: Any = None


def answer_of(with_: Mapping[str, Any]) -> dict[str, Any]:
    """As steps that ask a model declare it."""
    return {"json": with_["schema"]}


@pytest.fixture
def typed(catalog: Catalog) -> Catalog:
    """With a step whose result follows from its `with`, and payloads of a sender."""
    ask = msgspec.structs.replace(catalog.steps["value"], name="ask", result=Reply, result_of=answer_of)
    rules = msgspec.structs.replace(RULES, payload=PAYLOADS.get)
    github = msgspec.structs.replace(catalog.triggers["github.webhook"], webhook=rules)
    return msgspec.structs.replace(
        catalog, steps={**catalog.steps, "ask": ask}, triggers={**catalog.triggers, "github.webhook": github}
    )


def found(text: str, catalog: Catalog) -> list[str]:
    report = check_text(text, catalog)
    return [f"{item.line}:{item.column} {item.code} {item.message}" for item in report.problems]


@pytest.mark.parametrize(
    ("step", "marked", "problem"),
    [
        (
            "{uses: http.request, with: {url: '${{ inputs.n }}'}}",
            "inputs.n",
            "E107 `url` of http.request must be a text, this is a whole number",
        ),
        (
            "{uses: http.request, with: {url: x, limit: '${{ inputs.text }}'}}",
            "inputs.text",
            "E107 `limit` of http.request must be a whole number, this is a text",
        ),
        (
            "{uses: http.request, with: {url: x, headers: {a: '${{ inputs.tags }}'}}}",
            "inputs.tags",
            "E107 `a` in `headers` of http.request must be a text, this is a list",
        ),
        (
            "{uses: http.request, with: {url: x, method: '${{ inputs.kind }}'}}",
            "inputs.kind",
            "E107 `method` of http.request must be one of `GET`, `POST`, this is one of `bug`, `docs`",
        ),
        (
            "{uses: http.request, with: '${{ inputs.tags }}'}",
            "inputs.tags",
            "E107 `with` of http.request must be a map, this is a list",
        ),
        ("{uses: value, with: 'x ${{ inputs.tags }}'}", "inputs.tags", "E224 a list cannot be put into text"),
        (
            "{uses: value, if: inputs.tags}",
            "inputs.tags",
            "E226 a condition must be true or false, this is a list",
        ),
        ("{uses: value, if: inputs.n}", "inputs.n", "E226 a condition must be true or false, this is a number"),
        (
            "{uses: value, if: inputs.kind == 'bugg'}",
            "inputs.kind == 'bugg'",
            "W304 this is never true: the value is never `bugg`",
        ),
        (
            "{for_each: '${{ inputs.n }}', uses: value}",
            "'${{ inputs.n }}'",
            "E225 the items must be a list, this is a whole number",
        ),
        (
            "{for_each: '${{ inputs.tags }}', uses: value, with: '${{ item.nmae }}'}",
            "nmae",
            "E214 there is no field `nmae`",
        ),
        ("{uses: value, with: '${{ steps.get.output.statsu }}'}", "statsu", "E214 there is no field `statsu`"),
        ("{uses: value, with: '${{ steps[\"get\"].output.statsu }}'}", "statsu", "E214 there is no field `statsu`"),
        ("{uses: value, with: '${{ (inputs.tags | first).x }}'}", "x", "E214 there is no field `x`"),
        (
            "{uses: value, with: '${{ 1 if true else inputs.text.x }}'}",
            "x",
            "E228 `inputs.text` is text and has no field `x`",
        ),
    ],
)
def test_one_thing_is_wrong(step: str, marked: str, problem: str, catalog: Catalog) -> None:
    """What an expression yields does not fit where it stands."""
    (found,) = check_text(f"{HEAD}  - {step}\n", catalog).problems
    assert f"{found.code} {found.message}" == problem
    assert found.source_line[found.column - 1 :][: found.length] == marked


@pytest.mark.parametrize(
    "step",
    [
        "{uses: http.request, with: {url: '${{ steps.get.output.body.url }}', limit: '${{ inputs.n }}'}}",
        "{uses: http.request, with: {url: '${{ secrets.URL }}', auth: {bearer: '${{ secrets.A }}'}}}",
        "{uses: http.request, with: {url: x, json: '${{ inputs.tags }}', follow: '${{ inputs.n > 1 }}'}}",
        "{uses: http.request, with: {url: x, headers: '${{ steps.get.output.body }}'}}",
        "{uses: value, if: steps.get.output.body}",
        "{for_each: '${{ steps.get.output.body.items }}', uses: value, with: '${{ item.anything }}'}",
    ],
)
def test_nothing_is_wrong(step: str, catalog: Catalog) -> None:
    """What fits, and what is not known."""
    assert found(f"{HEAD}  - {step}\n", catalog) == []


def test_a_result_that_follows_from_the_settings(typed: Catalog) -> None:
    """`json` of an answer has the fields of the schema, with or without the answer of a failure."""
    text = """id: a
steps:
  - id: ask
    uses: ask
    with: {schema: {properties: {label: {enum: [bug, docs]}}}}
    output: ${{ result.json }}
    on_error: {output: {label: none, sorry: true}}
  - uses: value
    with: ${{ steps.ask.output.label ~ steps.ask.output.sorry ~ steps.ask.output.lable }}
  - if: steps.ask.output.label == 'bugs'
    uses: value
"""
    assert found(text, typed) == [
        "9:82 E214 there is no field `lable`",
        "10:9 W304 this is never true: the value is never `bugs`",
    ]
    assert found(text.replace("{enum: [bug, docs]}", "'${{ run.id }}'"), typed) == []
    assert found(text.replace("schema:", "other:"), typed) == []  # the type's own function fails


def test_payloads_are_narrowed_by_the_events_of_the_trigger(typed: Catalog) -> None:
    """One event has its own fields, several have those of all, and of all events nothing is known."""
    text = """id: a
triggers:
  - uses: github.webhook
    with: {path: x, events: [issues.opened]}
steps:
  - uses: value
    with: ${{ event.body.issue.number ~ event.body.issue.nmuber ~ event.body.action }}
  - uses: value
    with: ${{ event.body.issue.milestone ?? event.body.ref ?? 'x' }}
"""
    assert found(text, typed) == ["7:58 E214 there is no field `nmuber`"]
    both = text.replace("[issues.opened]", "[issues.opened, push]").replace("nmuber", "title").replace("milestone", "x")
    assert found(both, typed) == []
    assert found(text.replace("[issues.opened]", "[]"), typed) == []


def test_recorded_events_type_what_nothing_else_does(catalog: Catalog, tmp_path: Path) -> None:
    """A field that no event had is found, and one that is expected to be missing is not."""
    path = tmp_path / "a.yaml"
    path.write_text("""id: a
triggers: [{uses: webhook, with: {path: orders}}]
steps:
  - uses: value
    with: ${{ event.body.order.id ~ event.body.oder.id ~ event.body.note ?? '' }}
  - uses: value
    with: ${{ event.body.noet ?? '' }}
""")
    samples = [Recorded({"order": {"id": 1}}), Recorded({"order": {"id": 2}, "note": None})]
    assert check_files([path], catalog, root=tmp_path).problems == []
    report = check_files([path], catalog, root=tmp_path, recorded=samples)
    assert [item.message for item in report.problems] == ["there is no field `oder`", "there is no field `noet`"]


def test_outputs_of_called_pipelines(check: Check) -> None:
    """The caller knows what the callee's outputs hold, and what its inputs take."""
    callee = "id: b\ninputs: {n: integer}\nsteps: [{uses: value}]\noutputs: {sum: {net: '${{ inputs.n * 2 }}'}}\n"
    caller = """id: a
inputs: {t: string}
steps:
  - id: call
    uses: pipeline:b
    with: {n: '${{ inputs.t }}'}
  - uses: value
    with: ${{ steps.call.output.sum.nett }}
  - if: steps.call.output.sum.net < 'a'
    uses: value
"""
    report = check({"pipelines/b.yaml": callee, "pipelines/a.yaml": caller})
    assert [f"{item.line} {item.code} {item.message}" for item in report.problems] == [
        "6 E121 input `n` must be a whole number, this is a text",
        "8 E214 there is no field `nett`",
        "9 E225 `<` cannot compare a number with text",
    ]
