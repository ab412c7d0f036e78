"""Binding triggers: secrets, paths, and what is left out."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from engine.core.catalog import Catalog
from engine.core.event import Delivery
from engine.errors import BadRequest
from engine.flow.receive import check_body
from engine.pipeline.check import check_text
from engine.pipeline.deployment import Deployment, deploy
from engine.pipeline.spec import Pipeline
from engine.plugin.host import load_catalog

SECRETS = {"A": "a-secret", "B": "b-secret"}


def pipeline(catalog: Catalog, text: str) -> Pipeline:
    report = check_text(text, catalog, env=["URL"])
    assert report.pipelines, report.problems
    found = report.pipelines[0]
    assert isinstance(found, Pipeline)
    return found


def make(id: str, *triggers: str, enabled: bool = True) -> str:
    listed = "".join(f"\n  - {trigger}" for trigger in triggers)
    return f"id: {id}\nenabled: {str(enabled).lower()}\ntriggers:{listed}\nsteps: [{{uses: value}}]"


def deployed(
    catalog: Catalog, *texts: str, secrets: Mapping[str, str] = SECRETS, env: Mapping[str, str] | None = None
) -> Deployment:
    return deploy([pipeline(catalog, text) for text in texts], catalog, secrets=secrets.get, env=env or {})


def test_a_trigger_gets_its_secrets_and_environment(catalog: Catalog) -> None:
    """A list of secrets is one that is being replaced."""
    trigger = (
        "{uses: webhook, with: {path: '${{ env.URL ?? 'x' }}/y', secret: ['${{ secrets.A }}', 'v1-${{ secrets.B }}']}}"
    )
    found = deployed(catalog, make("a", trigger.replace("'x'", "''x''")), env={"URL": "in"})
    assert not found.problems
    (endpoint,) = found.endpoints
    assert (endpoint.path, endpoint.methods, endpoint.max_body) == ("in/y", ("POST",), 1000)
    assert endpoint.bindings[0].config.secret == ["a-secret", "v1-b-secret"]


def test_a_missing_secret_turns_off_one_trigger_only(catalog: Catalog) -> None:
    """The problem stands at the trigger; the rest works."""
    found = deployed(
        catalog,
        make(
            "a", "{uses: webhook, with: {path: x, secret: '${{ secrets.GONE }}'}}", "{uses: schedule, with: {cron: x}}"
        ),
        make("b", "{uses: webhook, with: {path: y}}"),
    )
    (problem,) = found.problems
    assert problem.code == "E306"
    assert "the secret GONE is not set" in problem.message
    assert (problem.line, problem.column, problem.source_line[:8]) == (4, 5, "  - {use")
    assert [endpoint.path for endpoint in found.endpoints] == ["y"]
    assert len(found.schedules) == 1
    assert set(found.pipelines) == {"a", "b"}


def test_what_a_type_refuses_is_a_problem_without_the_secret(catalog: Catalog) -> None:
    """Its message may quote what it got; we do not."""

    found = deployed(
        catalog,
        make("a", "{uses: schedule, with: {cron: '${{ secrets.A }}', timezone: '${{ env.URL }}'}}"),
        secrets={"A": "0 25 * * *"},
        env={"URL": "UTC"},
    )
    (problem,) = found.problems
    assert problem.code == "E115"
    assert problem.message == "trigger `schedule`: hour cannot be 25"
    missing = deployed(catalog, make("a", "{uses: schedule, with: {cron: '${{ env.URL }}'}}"))
    assert "`env.URL` is not there" in missing.problems[0].message


@pytest.mark.parametrize(
    ("path", "endpoint", "parameters"),
    [
        ("static", "static", {}),
        ("/static/", "static", {}),
        ("a/b", "a/b", {}),
        ("a/x", "a/{id}", {"id": "x"}),
        ("z/b", "{any}/b", {"any": "z"}),
        ("z/x", "{any}/{id}", {"any": "z", "id": "x"}),
    ],
)
def test_paths_are_found(catalog: Catalog, path: str, endpoint: str, parameters: dict[str, str]) -> None:
    """Static ones win, then those whose parameters come late."""
    paths = ("{any}/{id}", "{any}/b", "a/{id}", "a/b", "static")
    found = deployed(
        catalog, *(make(f"p{n}", f"{{uses: webhook, with: {{path: '{item}'}}}}") for n, item in enumerate(paths))
    )
    result = found.find(path)
    assert result is not None
    assert (result[0].path, result[1]) == (endpoint, parameters)


@pytest.mark.parametrize("path", ["", "nope", "a/b/c", "a//b"])
def test_other_paths_are_not_found(catalog: Catalog, path: str) -> None:
    """Neither longer nor shorter ones, nor empty parameters."""
    found = deployed(
        catalog,
        make("a", "{uses: webhook, with: {path: 'a/{id}/b'}}"),
        make("b", "{uses: webhook, with: {path: '{x}/y'}}"),
    )
    assert found.find(path) is None
    assert found.find("/y") is None


def test_pipelines_share_a_path_if_they_agree(catalog: Catalog) -> None:
    """The same secret by another name is the same secret; another one is a problem for the later pipeline."""
    agreeing = [
        make(name, f"{{uses: webhook, with: {{path: x, secret: '${{{{ secrets.{secret} }}}}', events: [{name}]}}}}")
        for name, secret in (("a", "A"), ("b", "C"), ("c", "B"))
    ]
    found = deployed(catalog, *agreeing, secrets=SECRETS | {"C": "a-secret"})
    assert [binding.pipeline.id for binding in found.endpoints[0].bindings] == ["a", "b"]
    assert [(problem.code, problem.line) for problem in found.problems] == [("E117", 4)]


def test_a_disabled_pipeline_keeps_its_paths_and_loses_its_schedules(catalog: Catalog) -> None:
    """Its deliveries are recorded with that reason; the clock need not tick."""
    found = deployed(
        catalog,
        make(
            "a",
            "{uses: webhook, with: {path: x}}",
            "{uses: schedule, with: {cron: x}}",
            "{uses: event, with: {type: t}}",
            enabled=False,
        ),
    )
    assert len(found.endpoints) == 1
    assert found.schedules == ()
    assert len(found.events) == 1


def test_a_trigger_type_that_is_gone_is_a_problem(catalog: Catalog) -> None:
    """A plugin was removed since the version was made."""
    known = pipeline(catalog, make("a", "{uses: webhook, with: {path: x}}"))
    found = deploy([known], Catalog(), secrets=SECRETS.get, env={})
    assert [problem.code for problem in found.problems] == ["E113"]


def test_a_body_schema_is_checked_before_there_is_a_run() -> None:
    """What does not fit is told in so many words; without a schema anything is welcome."""
    schema = "{type: object, required: [text], properties: {text: {type: string, maxLength: 3}}}"
    text = f"id: a\ntriggers: [{{uses: webhook, with: {{path: x, auth: none, body_schema: {schema}}}}}]\n"
    report = check_text(text + "steps: [{uses: value}]", load_catalog().catalog)
    (found,) = deploy(report.pipelines, load_catalog().catalog, secrets={}.get, env={}).endpoints

    def send(body: bytes) -> str:
        try:
            check_body(found, Delivery("POST", "x", "", {"content-type": "application/json"}, body, datetime.now(UTC)))
        except BadRequest as error:
            return str(error)
        return "fits"

    assert send(b'{"text": "abc"}') == "fits"
    assert send(b'{"text": "abcd"}') == "the body does not fit: text: 'abcd' is too long"
    assert send(b"not json") == "the body does not fit: 'not json' is not of type 'object'"


def test_a_secret_that_is_looked_up_each_time_is_not_in_force_yet() -> None:
    """It is checked, and refused with a word why."""
    auth = "{hmac: {secret_ref: 'tenants/{tenant}/webhook', header: X-Sig}}"
    text = (
        f"id: a\ntriggers: [{{uses: webhook, with: {{path: 'in/{{tenant}}', auth: {auth}}}}}]\nsteps: [{{uses: value}}]"
    )
    report = check_text(text, load_catalog().catalog)
    assert not report.problems
    found = deploy(report.pipelines, load_catalog().catalog, secrets={}.get, env={})
    assert [problem.code for problem in found.problems] == ["E120"]
    assert not found.endpoints
