"""Steps that call other pipelines: inputs that are handed over, outputs that come back."""

from pathlib import Path

import pytest

from engine.pipeline.check import check_files, check_text
from engine.pipeline.spec import Pipeline
from tests.language.catalog import make_catalog

CALLEE = """
id: price
inputs:
  sku: string
  amount: {type: integer, minimum: 1, default: 1}
steps:
  - id: got
    uses: value
    with: {cents: 5}
outputs: {cents: "${{ steps.got.output.cents }}"}
"""
HEAD = "id: a\ninputs: {n: integer}\nsteps:\n"  # three lines


@pytest.fixture(scope="module")
def callee() -> Pipeline:
    (pipeline,) = check_text(CALLEE, make_catalog()).pipelines
    assert isinstance(pipeline, Pipeline)
    return pipeline


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("- {uses: pipeline:price, with: {sku: a}}", ""),
        ("- {uses: pipeline:price, with: {sku: a, amount: '${{ inputs.n }}'}}", ""),
        ("- {uses: pipeline:price, with: {sku: '${{ secrets.A }}'}}", ""),
        ("- {uses: pipeline:price, with: '${{ object(sku=1) }}'}", ""),
        ("- {uses: pipeline:price, with: {sku: a}, retry: 2, for_each: [1], idempotency_key: x}", ""),
        ("- uses: pipeline:price", "4:5 E121 pipeline `price` needs `sku`; add them to `with:`"),
        ("- {uses: pipeline:price, with: {amount: 2}}", "4:28 E121 pipeline `price` needs `sku`"),
        ("- {uses: pipeline:price, with: {sku: a, sum: 1}}", "4:43 E121 pipeline `price` has no input `sum`"),
        (
            "- {uses: pipeline:price, with: {sku: a, amuont: 1}}",
            "4:43 E121 pipeline `price` has no input `amuont`; did",
        ),
        ("- {uses: pipeline:price, with: {sku: 3}}", "4:40 E121 input `sku`"),
        ("- {uses: pipeline:price, with: {sku: a, amount: 0}}", "4:51 E121 input `amount`"),
        ("- {uses: pipeline:price, with: [a]}", "4:34 E103 `with` of a call must be a map of inputs, this is a list"),
        ("- {uses: pipeline:price, with: a}", "4:34 E103 `with` of a call must be a map of inputs, this is a text"),
        ("- uses: pipeline:prices", "4:20 E114 there is no pipeline `prices`; did you mean `price`?"),
        ("- uses: 'pipeline:'", "4:11 E114 there is no pipeline ``"),
        ("- uses: pipeline:${{ inputs.n }}", "4:11 E119 `uses` cannot contain an expression"),
    ],
)
def test_what_is_handed_over(steps: str, expected: str, callee: Pipeline) -> None:
    """Values for the declared inputs, of the right type."""
    report = check_text(f"{HEAD}  {steps}", make_catalog(), callees=[callee])
    found = [f"{item.line}:{item.column} {item.code} {item.message}; {item.help}" for item in report.problems]
    assert len(found) == (1 if expected else 0), found
    assert not expected or found[0].startswith(expected), found


def test_what_comes_back(callee: Pipeline) -> None:
    """The declared outputs, and no others."""
    call = "  - {id: c, uses: pipeline:price, with: {sku: a}}\n"
    use = "  - {uses: value, with: '${{ steps.c.output.%s }}'}"
    assert not check_text(HEAD + call + use % "cents", make_catalog(), callees=[callee]).problems
    (problem,) = check_text(HEAD + call + use % "cent", make_catalog(), callees=[callee]).problems
    assert (problem.code, problem.message) == ("E403", "pipeline `price` has no output `cent`")


def test_a_call_is_pinned(callee: Pipeline) -> None:
    """With the caller's version; its step knows the callee."""
    report = check_text(f"{HEAD}  - {{uses: pipeline:price, with: {{sku: a}}}}", make_catalog(), callees=[callee])
    (pipeline,) = report.pipelines
    assert (pipeline.steps[0].shape, pipeline.steps[0].pipeline) == ("call", "price")
    assert pipeline.called["price"].version == callee.version


@pytest.mark.parametrize(
    ("with_", "expected"),
    [
        ("{pipeline: price, inputs: {sku: a}}", ""),
        ("{pipeline: '${{ inputs.n }}s'}", ""),
        ("{pipeline: prices}", "4:45 E114 there is no pipeline `prices`; did you mean `price`?"),
        ("{pipeline: price}", "4:28 E121 pipeline `price` needs `sku`; add them to `inputs:`"),
        ("{pipeline: price, inputs: {sku: a, sum: 1}}", "4:69 E121 pipeline `price` has no input `sum`"),
        ("{pipeline: price, inputs: {sku: 3}}", "4:66 E121 input `sku`"),
        ("{pipeline: price, inputs: {sku: '${{ inputs.n }}'}}", "4:66 E121 input `sku` must be a text, this is"),
    ],
)
def test_what_is_started(with_: str, expected: str, callee: Pipeline) -> None:
    """As with a call: the pipeline is there, its inputs are given."""
    report = check_text(f"{HEAD}  - {{uses: pipeline.start, with: {with_}}}", make_catalog(), callees=[callee])
    found = [f"{item.line}:{item.column} {item.code} {item.message}; {item.help}" for item in report.problems]
    assert len(found) == (1 if expected else 0), found
    assert not expected or found[0].startswith(expected), found


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_who_is_started_is_known_whatever_the_order_of_the_files(tmp_path: Path, names: tuple[str, str]) -> None:
    """Pipelines may start each other; they are not pinned, and their inputs are checked."""
    starter = "id: order\ninputs: {a: string}\nsteps: [{uses: pipeline.start, with: {pipeline: price, inputs: {m: 5}}}]"
    callee = "id: price\ninputs: {net: integer}\nsteps: [{uses: pipeline.start, with: {pipeline: order}}]"
    for name, text in zip(names, (starter, callee), strict=True):
        (tmp_path / f"{name}.yaml").write_text(text)
    report = check_files(sorted(tmp_path.glob("*.yaml")), make_catalog(), root=tmp_path)
    assert sorted(f"{problem.code} {problem.message}" for problem in report.problems) == [
        "E121 pipeline `order` needs `a`",
        "E121 pipeline `price` has no input `m`",
        "E121 pipeline `price` needs `net`",
    ]
