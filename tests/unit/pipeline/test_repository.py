"""Several pipelines together: calls, circles, versions of callees, files around those that are checked."""

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.catalog import Catalog
from engine.pipeline.check import Report, check_files, check_text, load_version, missing_secrets
from engine.pipeline.checking.callees import find_circle, sort_calls
from engine.pipeline.spec import Pipeline
from tests.unit.pipeline.conftest import Check


class Renamed(msgspec.Struct):
    """What a request returns after an upgrade."""

    code: int


CALLER = """id: order
steps:
  - id: price
    uses: pipeline:price
    with: {net: 5}
outputs:
  total: ${{ steps.price.output.gross }}
"""
CALLEE = """id: price
inputs: {net: integer, rate: {type: number, default: 0.2}}
steps:
  - id: sum
    uses: value
    with: {gross: '${{ inputs.net }}'}
outputs:
  gross: ${{ steps.sum.output.gross }}
  parts: {net: '${{ inputs.net }}', tax: 1}
"""


def problems(report: Report) -> list[str]:
    return [f"{item.file}:{item.line}:{item.column} {item.code} {item.message}" for item in report.problems]


def files(**texts: str) -> dict[str, str]:
    return {f"pipelines/{name}.yaml": text for name, text in texts.items()}


def by_id(report: Report) -> dict[str, Pipeline]:
    return {item.id: item for item in report.pipelines}


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_call_is_pinned_whatever_the_order_of_the_files(check: Check, names: tuple[str, str]) -> None:
    """The caller holds the callee as it was read."""
    report = check(files(**dict(zip(names, (CALLER, CALLEE), strict=True))))
    assert problems(report) == []
    found = by_id(report)
    assert found["order"].called == {"price": found["price"]}
    assert found["order"].steps[0].pipeline == "price"
    assert found["price"].called == {}


@pytest.mark.parametrize(
    ("caller", "problem"),
    [
        (CALLER.replace("pipeline:price", "pipeline:prize"), "4:20 E114 there is no pipeline `prize`"),
        (CALLER.replace("net: 5", "net: five"), "5:17 E121 input `net` must be a whole number"),
        (CALLER.replace("net: 5", "nett: 5, net: 5"), "5:12 E121 pipeline `price` has no input `nett`"),
        (CALLER.replace("net: 5", ""), "5:5 E121 pipeline `price` needs `net`"),
        (CALLER.replace("output.gross", "output.total"), "7:33 E403 pipeline `price` has no output `total`"),
        (CALLER.replace("output.gross", "output.parts.vat"), "7:39 E214 there is no field `vat`"),
    ],
)
def test_one_thing_is_wrong_with_a_call(check: Check, caller: str, problem: str) -> None:
    """It is found in the caller, whose file names the callee."""
    report = check(files(a=caller, b=CALLEE))
    assert len(report.problems) == 1, problems(report)
    assert problems(report)[0].startswith(f"pipelines/a.yaml:{problem}")
    assert [item.id for item in report.pipelines] == ["price"]


def calling(id: str, *callees: str) -> str:
    steps = [{"uses": f"pipeline:{name}"} for name in callees] or [{"uses": "value"}]
    return msgspec.json.encode({"id": id, "steps": steps}).decode()


def test_calls_must_not_go_in_a_circle(check: Check) -> None:
    """Each pipeline of the circle is told, at the call, with the way around."""
    report = check(
        files(a=calling("ping", "pong"), b=calling("pong", "hall"), c=calling("hall", "ping", "x"), d=calling("x"))
    )
    assert [(item.file[-6:], item.code, item.message) for item in report.problems] == [
        ("a.yaml", "E401", "the calls go in a circle: ping -> pong -> hall -> ping"),
        ("b.yaml", "E401", "the calls go in a circle: pong -> hall -> ping -> pong"),
        ("c.yaml", "E401", "the calls go in a circle: hall -> ping -> pong -> hall"),
    ]
    assert [item.id for item in report.pipelines] == ["x"]
    (own,) = check(
        files(a=calling("ping", "ping"), b="id: b\nsteps: [{uses: value}]", c=calling("c"), d=calling("d"))
    ).problems
    assert own.message == "the calls go in a circle: ping -> ping"


def test_many_circles_are_told_in_few_words(check: Check) -> None:
    """However many there are, and however long."""
    texts = {f"p{number:02}": calling(f"p{number:02}", f"p{(number + 1) % 40:02}") for number in range(40)}
    report = check(files(**texts))
    assert [item.code for item in report.problems] == ["E401"] * 40
    assert report.problems[0].message.endswith(
        "p00 -> p01 -> p02 -> p03 -> p04 -> p05 -> p06 -> p07 -> p08 -> p09 -> ... -> p00"
    )
    everybody = [f"p{number:02}" for number in range(40)]
    report = check(files(**{name: calling(name, *everybody) for name in everybody}))
    assert len(report.problems) == 40 * 3


def test_calls_are_found_wherever_steps_stand(check: Check) -> None:
    """In every shape, in handlers, and among the tools of an agent."""
    text = """id: a
steps:
  - parallel: {one: [{uses: 'pipeline:b1'}]}
  - switch:
      - {if: run.id == 'x', steps: [{uses: 'pipeline:b2'}]}
      - else: [{steps: [{uses: 'pipeline:b3'}]}]
  - uses: value
    with: {tools: [{uses: 'pipeline:b4'}]}
    on_error: [{uses: 'pipeline:b5'}]
    compensate: [{uses: 'pipeline:b6'}]
  - wait: {approval: {prompt: ok?, notify: [{uses: 'pipeline:b7'}]}, timeout: 1h}
on_error: [{uses: 'pipeline:b8'}]
finally: [{uses: 'pipeline:b9'}]
"""
    others = {f"b{number}": calling(f"b{number}") for number in range(1, 10)}
    report = check(files(a=text, **others))
    assert problems(report) == []
    assert list(by_id(report)["a"].called) == list(others)


def test_who_calls_a_broken_pipeline_is_broken(check: Check) -> None:
    """A version holds its callees; the reason is told once for each call, up to the last caller."""
    report = check(files(a=calling("a", "b"), b=calling("b", "c"), c="id: c\nsteps: [{uses: nope}]", d=calling("d")))
    assert [(item.file[-6:], item.code) for item in report.problems] == [
        ("a.yaml", "E404"),
        ("b.yaml", "E404"),
        ("c.yaml", "E114"),
    ]
    assert report.problems[1].help == "they are in pipelines/c.yaml"
    assert [item.id for item in report.pipelines] == ["d"]


def test_callees_around_the_files_that_are_checked(check: Check, catalog: Catalog, tmp_path: Path) -> None:
    """They are read, not reported; in the same folder or anywhere below `pipelines/`."""
    check(files(a=CALLER, b=CALLEE) | {"pipelines/deep/c.yaml": calling("c", "d"), "pipelines/d.yaml": "id: d"})
    chosen = tmp_path / "pipelines" / "a.yaml"
    report = check_files([chosen], catalog, root=tmp_path)
    assert problems(report) == []
    assert [item.id for item in report.pipelines] == ["order"]
    assert list(report.pipelines[0].called) == ["price"]
    report = check_files([tmp_path / "pipelines" / "deep" / "c.yaml"], catalog, root=tmp_path)
    assert problems(report) == ["pipelines/deep/c.yaml:1:38 E404 pipeline `d` has errors"]


def test_a_misspelt_call_is_compared_with_the_pipelines_around(check: Check, catalog: Catalog, tmp_path: Path) -> None:
    """Also if only one file is checked."""
    check(files(a=CALLER.replace("pipeline:price", "pipeline:prise"), b=CALLEE))
    (found,) = check_files([tmp_path / "pipelines" / "a.yaml"], catalog, root=tmp_path).problems
    assert (found.code, found.help) == ("E114", "did you mean `price`?")


def test_unsaved_texts_take_the_place_of_files(check: Check, catalog: Catalog, tmp_path: Path) -> None:
    """As an editor has them."""
    check(files(a=CALLER, b=CALLEE))
    paths = [tmp_path / "pipelines" / name for name in ("a.yaml", "b.yaml")]
    report = check_files(
        paths, catalog, root=tmp_path, overlay={paths[1]: CALLEE.replace("  gross: ${{", "  total: ${{")}
    )
    assert problems(report) == ["pipelines/a.yaml:7:33 E403 pipeline `price` has no output `gross`"]


def test_calls_of_a_single_text(catalog: Catalog) -> None:
    """Without the others nothing is said about calls; with them everything."""
    assert problems(check_text(CALLER, catalog)) == []
    callee = check_text(CALLEE, catalog).pipelines[0]
    report = check_text(CALLER, catalog, callees=[callee])
    assert problems(report) == []
    assert report.pipelines[0].called == {"price": callee}
    assert [item.code for item in check_text(CALLER, catalog, callees=[]).problems] == ["E114"]


def test_a_version_is_rebuilt_with_its_callees(check: Check, catalog: Catalog) -> None:
    """Those that several call are kept once; nothing is asked of the disk."""
    found = by_id(
        check(
            files(
                a=calling("a", "b", "c"),
                b=calling("b", "d"),
                c=calling("c", "d"),
                d="id: d\nsteps: [{uses: value, with: \"${{ file('x.md') }}\"}]",
            )
            | {"x.md": "text"}
        )
    )
    source = found["a"].source
    assert list(msgspec.json.decode(source)["called"]) == ["b", "c", "d"]
    again = load_version(source, catalog)
    assert (again.version, again.source) == (found["a"].version, source)
    assert again.called["b"].called["d"].version == again.called["c"].called["d"].version == found["d"].version
    assert again.called["b"].called["d"].steps[0].with_.render({}) == "text"
    assert load_version(source, Catalog()).version == again.version


def version(check: Check, name: str, **texts: str) -> Any:
    return by_id(check(files(**texts)))[name].version


def test_a_change_in_a_callee_is_a_new_version_of_its_callers(check: Check) -> None:
    """However far away it is; a comment there is none."""
    texts = {"a": calling("a", "b"), "b": calling("b", "c"), "c": "id: c\nsteps: [{uses: value, with: 1}]"}
    first = version(check, "a", **texts)
    assert version(check, "a", **texts | {"c": texts["c"] + " # the same"}) == first
    assert version(check, "a", **texts | {"c": texts["c"].replace("with: 1", "with: 2")}) != first
    assert version(check, "a", **texts | {"d": calling("d")}) == first


TREES = st.dictionaries(st.sampled_from("abcdefg"), st.frozensets(st.sampled_from("abcdefgx")), min_size=1)


@given(TREES)
def test_callees_come_first(calls: dict[str, frozenset[str]]) -> None:
    """Unless the calls go in a circle; every pipeline comes once."""
    order = sort_calls(calls)
    assert sorted(order) == sorted(calls)
    for caller in calls:
        for callee in calls[caller] & calls.keys():
            circle = find_circle(calls, caller, callee)
            if circle is None:
                assert order.index(callee) < order.index(caller)
            else:
                assert circle[0] == circle[-1] == caller
                assert circle[1] == callee
                assert all(two in calls[one] for one, two in itertools.pairwise(circle))


LEAF = st.integers(-(2**63), 2**63) | st.booleans() | st.text(alphabet="abc é#:{", max_size=5)
VALUES = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("xyz", max_size=2), inner)
)


@given(value=VALUES, other=VALUES)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_version_is_what_the_callee_does(catalog: Catalog, value: Any, other: Any) -> None:
    """Two callers have the same version exactly if their callees mean the same, down to the kind of a number."""

    def of(content: Any, *, indent: bool) -> str:
        data = msgspec.json.encode({"id": "c", "steps": [{"uses": "value", "with": content}]})
        callee = check_text(msgspec.json.format(data, indent=2 if indent else 0), catalog).pipelines[0]
        caller: Pipeline = check_text(calling("a", "c"), catalog, callees=[callee]).pipelines[0]
        return caller.version

    assert of(value, indent=True) == of(value, indent=False)
    assert (of(value, indent=False) == of(other, indent=False)) is (
        msgspec.json.encode(value) == msgspec.json.encode(other)
    )


def test_methods_and_defaults_of_a_shared_path(check: Check) -> None:
    """What is not written counts like what is written; the project's defaults count as well."""
    hook = "id: %s\ntriggers: [{uses: github.webhook, with: {path: x%s}}]\nsteps: [{uses: value}]"
    project = "defaults: {github.webhook: {with: {secret: '${{ secrets.A }}'}}}"
    same = files(a=hook % ("a", ""), b=hook % ("b", ", methods: [post], secret: '${{ secrets.A }}'"))
    assert problems(check(same | {"project.yaml": project})) == []
    report = check(same | {"project.yaml": project.replace("secrets.A", "secrets.B")})
    assert problems(report) == ["pipelines/b.yaml:2:76 E117 `/hooks/x` has another `secret` in pipelines/a.yaml"]


def test_secrets_that_nobody_has_set(check: Check) -> None:
    """Each pipeline that names one is told where; those of the project's defaults at its beginning."""
    report = check(
        files(a="id: a\nsteps:\n  - uses: value\n    with: ['${{ secrets.SET }}', '${{ secrets.GONE }}']")
        | {"project.yaml": "defaults: {http.request: {with: {url: '${{ secrets.URL }}'}}}"}
        | {"pipelines/b.yaml": "id: b\nsteps: [{uses: http.request}]"}
    )
    assert problems(report) == []
    found = missing_secrets(report.pipelines, {"SET"})
    assert [(item.code, item.file, item.line, item.column, item.message) for item in found] == [
        ("E306", "pipelines/a.yaml", 4, 39, "secret GONE is not set"),
        ("E306", "pipelines/b.yaml", 1, 1, "secret URL is not set"),
    ]
    assert missing_secrets(report.pipelines, {"SET", "GONE", "URL"}) == []


def test_a_version_outlives_a_change_of_a_plugins_types(check: Check, catalog: Catalog) -> None:
    """A run that waits for weeks finds out at the step in question whether it minds."""
    steps = "[{id: x, uses: http.request, with: {url: y}}, {uses: value, with: '${{ steps.x.output.status }}'}]"
    text = f"id: a\nsteps: {steps}"
    (found,) = check(text).pipelines
    other = msgspec.structs.replace(catalog.steps["http.request"], result=Renamed)
    changed = msgspec.structs.replace(catalog, steps={**catalog.steps, "http.request": other})
    assert load_version(found.source, changed).version == found.version
