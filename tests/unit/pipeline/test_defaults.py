"""`defaults:` of the pipeline and of the project: what wins, and where their problems are told."""

from typing import Any

import msgspec
import pytest

from engine.core.catalog import Catalog
from engine.pipeline.check import Report, check_text, load_version
from engine.pipeline.project import read_project
from engine.pipeline.spec import Pipeline, Step
from tests.unit.pipeline.conftest import Check


def errors(report: Report) -> list[str]:
    return [f"{item.file}:{item.line}:{item.column} {item.code} {item.message}" for item in report.problems]


def only(report: Report) -> Pipeline:
    assert errors(report) == []
    (pipeline,) = report.pipelines
    assert isinstance(pipeline, Pipeline)
    return pipeline


def first(check: Check, project: str, text: str) -> Step:
    return only(check({"project.yaml": project, "pipelines/a.yaml": text})).steps[0]


def values(step: Step) -> Any:
    return step.with_.render({"env": {}, "inputs": {}, "vars": {"team": "core"}})


PIPELINE = """
id: a
vars: {team: core}
defaults:
  http.*:
    with: {headers: {team: '${{ vars.team }}', x: glob}, method: POST, expect: [200]}
    timeout: 10s
  http.request:
    with: {headers: {x: exact}, follow: true}
steps:
  - uses: http.request
    with: {url: https://x, headers: {y: own}, expect: [404]}
"""
PROJECT = """
defaults:
  http.request:
    with: {url: https://project, headers: {z: project, x: project}, limit: 3}
    timeout: 1m
    retry: 7
"""


def test_the_step_wins_then_the_exact_name_then_the_glob_then_the_project(check: Check) -> None:
    """Maps are merged at every depth; lists and everything else are replaced."""
    step = first(check, PROJECT, PIPELINE)
    assert values(step) == {
        "url": "https://x",
        "headers": {"y": "own", "x": "exact", "team": "core", "z": "project"},
        "expect": [404],
        "follow": True,
        "method": "POST",
        "limit": 3,
    }
    assert step.timeout == 10
    assert step.retry is not None
    assert step.retry.policy.attempts == 7


def test_the_longer_of_two_globs_wins(check: Check) -> None:
    """Whatever their order."""
    globs = ["'http.*': {with: {url: long}}", "'*': {with: {url: short}}"]
    for order in (globs, globs[::-1]):
        text = f"id: a\ndefaults: {{{', '.join(order)}}}\nsteps: [{{uses: http.request}}]"
        assert values(first(check, "", text)) == {"url": "long"}


def test_a_way_to_authenticate_is_replaced_as_a_whole(check: Check, catalog: Catalog) -> None:
    """A step that names its own way does not get the default's beside it."""
    text = "id: a\ndefaults: {http.request: {with: {auth: {bearer: a}}}}\nsteps: [{uses: http.request, with: %s}]"
    assert values(first(check, "", text % "{url: x}"))["auth"] == {"bearer": "a"}
    assert values(first(check, "", text % "{url: x, auth: {bearer: b}}"))["auth"] == {"bearer": "b"}


def test_a_glob_gives_only_fields_that_the_type_has(check: Check) -> None:
    """`*.request` may name fields of several types."""
    text = (
        "id: a\ndefaults: {'*': {with: {query: select 1, method: POST}}}\nsteps: [{uses: http.request, with: {url: x}}]"
    )
    assert values(first(check, "", text)) == {"url": "x", "method": "POST"}


def test_triggers_get_the_defaults_of_the_project(check: Check) -> None:
    """And not those of the pipeline, which are for its steps."""
    project = "defaults: {github.webhook: {with: {secret: '${{ secrets.HOOK }}', events: [a]}}}"
    text = "id: a\ntriggers: [{uses: github.webhook, with: {path: x, events: [b]}}]\nsteps: [{uses: value}]"
    found = only(check({"project.yaml": project, "pipelines/a.yaml": text}))
    assert found.triggers[0].with_.value == {"path": "x", "events": ["b"], "secret": "${{ secrets.HOOK }}"}
    assert found.secrets == ("HOOK",)


@pytest.mark.parametrize(
    ("defaults", "problem"),
    [
        ("{http.requst: {timeout: 1s}}", "E114 there is no step type `http.requst`"),
        ("{'htp.*': {timeout: 1s}}", "E114 no step type is called like `htp.*`"),
        ("{http.request: 5}", "E103 an entry of `defaults` must be a map, this is a number"),
        ("[a]", "E103 `defaults` must be a map, this is a list"),
        ("{http.request: {if: true}}", "E101 an entry of `defaults` has no key `if`"),
        ("{http.request: {with: {ulr: x}}}", "E105 http.request has no input `ulr`"),
        ("{'http.*': {with: {ulr: x}}}", "E105 nothing called like `http.*` has an input `ulr`"),
        ("{http.request: {with: [a]}}", "E107 `with` of an entry of `defaults` must be a map, this is a list"),
        ("{http.request: {with: {limit: 11}}}", "E107 `limit` of http.request"),
        ("{http.request: {with: {url: '${{ steps.x.output }}'}}}", "E206 `steps` is not available here"),
        ("{http.request: {with: {url: '${{ event.id }}'}}}", "E206 `event` is not available here"),
        ("{http.request: {with: {url: '${{ inputs.x }}'}}}", "E207 this pipeline has no input `x`"),
        ("{http.request: {timeout: 5}}", "E108 `timeout` needs a unit"),
        ("{http.request: {queue: ia}}", "E111 there is no queue `ia`"),
        ("{http.request: {rate_limit: {limit: 5}}}", "E104 `rate_limit` needs `period`"),
        ("{http.request: {concurrency: {limit: 0}}}", "E103 `limit` must be 1 to 1e+06"),
    ],
)
def test_a_default_is_checked_where_it_stands(check: Check, defaults: str, problem: str) -> None:
    """Once, whether no step gets it or two do."""
    for steps in ("[{uses: value}]", "[{uses: http.request, with: {url: x}}, {uses: http.request, with: {url: y}}]"):
        report = check(
            {"project.yaml": "queues: [ai]", "pipelines/a.yaml": f"id: a\ndefaults: {defaults}\nsteps: {steps}"}
        )
        assert len(report.problems) == 1, errors(report)
        assert errors(report)[0].split(" ", 1)[1].startswith(problem)
        assert report.problems[0].line == 2
        assert not report.pipelines


@pytest.mark.parametrize(
    ("defaults", "problem"),
    [
        ("{http.requst: {timeout: 1s}}", "project.yaml:1:12 E114 there is no step or trigger type `http.requst`"),
        ("{schedule: {timeout: 1s}}", "project.yaml:1:23 E101 a trigger has no `timeout`"),
        ("{schedule: {with: {timezone: '${{ inputs.x }}'}}}", "project.yaml:1:45 E206 `inputs` is not available here"),
        ("{http.request: {with: {url: '${{ env.NOPE }}'}}}", "project.yaml:1:48 E209 `NOPE` is not in `env:`"),
    ],
)
def test_defaults_of_the_project_are_checked_without_a_pipeline(check: Check, defaults: str, problem: str) -> None:
    """They are told with project.yaml."""
    report = check({"project.yaml": f"defaults: {defaults}", "pipelines/a.yaml": "id: a\nsteps: [{uses: value}]"})
    assert len(report.problems) == 1, errors(report)
    assert errors(report)[0].startswith(problem)
    assert len(report.pipelines) == 1  # it has nothing to do with that


def test_what_is_wrong_only_in_a_pipeline_is_told_once_at_the_default(check: Check) -> None:
    """The project cannot know which inputs there are; every pipeline that gets the default is affected."""
    project = "defaults: {http.request: {with: {url: 'https://x/${{ inputs.customer }}'}}}"
    files = {
        "project.yaml": project,
        "pipelines/a.yaml": "id: a\nsteps: [{uses: http.request}]",
        "pipelines/b.yaml": "id: b\nsteps: [{uses: http.request}, {uses: http.request}]",
        "pipelines/c.yaml": "id: c\ninputs: {customer: string}\nsteps: [{uses: http.request}]",
    }
    report = check(files)
    assert errors(report) == ["project.yaml:1:54 E207 this pipeline has no input `customer`"]
    assert report.problems[0].help
    assert [item.id for item in report.pipelines] == ["c"]


def test_a_missing_field_is_told_at_the_step(check: Check) -> None:
    """A default need not be complete."""
    report = check("id: a\ndefaults: {http.request: {with: {follow: true}}}\nsteps:\n  - uses: http.request")
    assert errors(report) == ["pipelines/a.yaml:4:5 E106 http.request needs `url`"]


def test_a_version_is_rebuilt_without_the_project(check: Check, catalog: Catalog) -> None:
    """Only the defaults that the pipeline gets are kept with it, and only they are part of its version."""
    files = {"project.yaml": PROJECT, "pipelines/a.yaml": PIPELINE}
    found = only(check(files))
    again = load_version(found.source, catalog)
    assert (again.version, again.source, again.steps) == (found.version, found.source, found.steps)
    assert "http.request" in msgspec.json.decode(found.source)["defaults"]
    other = only(check(files | {"project.yaml": PROJECT + "  sql.query: {timeout: 9s}\n"}))
    assert other.version == found.version
    changed = only(check(files | {"project.yaml": PROJECT.replace("limit: 3", "limit: 4")}))
    assert changed.version != found.version


def test_a_text_can_be_checked_with_a_project(catalog: Catalog) -> None:
    """As an editor does."""
    project = read_project("env: [URL]\ndefaults: {http.request: {with: {url: '${{ env.URL }}'}}}", catalog)
    report = check_text("id: a\nsteps: [{uses: http.request}]", catalog, project=project)
    assert only(report).env == ("URL",)


def test_queues_are_those_of_the_project(check: Check, catalog: Catalog) -> None:
    """Of steps and of defaults; a stored version does not ask again, nor does a text without a project."""
    text = "id: a\nsteps: [{uses: value, queue: %s}]"
    files = {"project.yaml": "queues: [ai]", "pipelines/a.yaml": text % "ai"}
    assert load_version(only(check(files)).source, catalog).steps[0].queue is not None
    assert only(check(files | {"pipelines/a.yaml": text % "default"})).id == "a"
    assert only(check(files | {"pipelines/a.yaml": text % "'${{ run.pipeline }}'"})).id == "a"
    report = check(files | {"pipelines/a.yaml": text % "aii"})
    assert errors(report) == ["pipelines/a.yaml:2:30 E111 there is no queue `aii`"]
    assert report.problems[0].help == "did you mean `ai`?"
    assert only(check_text(text % "any", catalog)).id == "a"


@pytest.mark.parametrize(
    ("project", "problem"),
    [
        ("queues: [A b]", "project.yaml:1:10 E109 `A b` is not an id"),
        ("queues: x", "project.yaml:1:9 E103 `queues` must be a list, this is a text"),
        ("connections: {db: {with: {}}}", "project.yaml:1:15 E104 a connection needs `uses`"),
        ("connections: {db: {uses: x, wiht: {}}}", "project.yaml:1:29 E101 a connection has no key `wiht`"),
        ("connections: {db: postgres}", "project.yaml:1:19 E103 a connection must be a map, this is a text"),
        ("connections: {d-b: {uses: x}}", "project.yaml:1:15 E109 `d-b` is not a name"),
        ("connections: {db: {uses: x, with: {dsn: '${{ env.A }}'}}}", "project.yaml:1:50 E209 `A` is not in `env:`"),
        ("connections: {db: {uses: x, with: {dsn: '${{ run.id }}'}}}", "project.yaml:1:46 E206 `run` is not available"),
    ],
)
def test_one_thing_is_wrong_with_the_project(check: Check, project: str, problem: str) -> None:
    """It is found, at its place, and nothing else is."""
    report = check({"project.yaml": project})
    assert len(report.problems) == 1, errors(report)
    assert errors(report)[0].startswith(problem)


def test_what_a_project_says(catalog: Catalog) -> None:
    """Connections may use secrets and the environment."""
    connection = "{uses: postgres, with: {dsn: '${{ secrets.DSN }}', x: '${{ env.A }}'}}"
    project = read_project(f"env: [A]\nqueues: [ai]\nconnections: {{db: {connection}}}", catalog)
    assert project.problems == ()
    assert (set(project.env), set(project.queues)) == ({"A"}, {"default", "ai"})
    assert project.connections["db"].uses == "postgres"
    assert project.connections["db"].with_.secrets == {"DSN"}
