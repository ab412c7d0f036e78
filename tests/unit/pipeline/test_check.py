"""What is found before anything runs, and what comes out when nothing is wrong."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.catalog import Catalog, Scheme, TriggerKind, TriggerType
from engine.core.retry import RetryPolicy
from engine.pipeline.check import PipelineError, Report, check_text, format_problem, load_version
from engine.pipeline.spec import DEFAULT_RUN_TIMEOUT, Pipeline
from tests.unit.pipeline.conftest import AnyConfig, Bearer, Check, HookConfig, step

VALUE = step("value", AnyConfig)
FULL = """
# every key that there is
id: everything
name: All of it
description: |
  Long.
labels:
  repo: ${{ event.body.repo }}
  kind: test
triggers:
  - id: hook
    uses: webhook
    with: {path: in, secret: '${{ secrets.HOOK }}'}
    if: event.body.n > 0
    inputs: {n: '${{ event.body.n }}'}
  - uses: schedule
    with: {cron: '0 5 * * *'}
    inputs: {n: 1}
inputs:
  n: {type: integer, minimum: 1}
  names: {type: array, items: {type: string}, default: [a]}
vars:
  double: ${{ inputs.n * 2 }}
  both: {a: '${{ vars.double }}'}
timeout: 2h
steps:
  - id: first
    name: The first one
    uses: http.request
    if: vars.double > 1
    with:
      url: ${{ env.URL ?? 'https://x' }}/${{ vars.both.a }}
      headers: {authorization: 'Bearer ${{ secrets.TOKEN }}'}
    retry: {attempts: 5, delay: 2s, factor: 3, max_delay: 1m, max_elapsed: 1h, jitter: false, errors: [http.*],
            when: error.attempt < 3}
    timeout: 30s
    output: {status: '${{ result.status }}'}
    cache: {key: 'k-${{ inputs.n }}', ttl: 1d}
    idempotency_key: first-${{ inputs.n }}
    on_error:
      - id: fallback
        uses: value
        with: ${{ error.message }}
      - uses: value
        with: {x: '${{ steps.fallback.output }}'}
  - uses: value
    retry: 4
    cache: 10m
    on_error: continue
    with: [1, '${{ steps.first.output.status ?? 0 }}']
  - id: third
    uses: value
    with: {n: 1}
    on_error: {output: {n: '${{ error.attempt }}'}}
on_error:
  - uses: value
    with: ${{ error.step ~ (steps.third.output.n ?? '') }}
finally:
  - id: last
    uses: value
    with: ${{ run.outcome }}
outputs:
  n: ${{ steps.third.output.n }}
x-mine: [anything]
"""


def errors(report: Report) -> list[str]:
    return [f"{item.line}:{item.column} {item.code} {item.message}" for item in report.problems]


def only(report: Report) -> Pipeline:
    assert not report.problems, "\n".join(map(format_problem, report.problems))
    (pipeline,) = report.pipelines
    assert isinstance(pipeline, Pipeline)
    return pipeline


def test_a_file_with_every_key_becomes_a_pipeline(check: Check) -> None:
    """With the names that the engine works with."""
    found = only(check({"pipelines/a.yaml": FULL, "project.yaml": "language: 1\nenv: [URL]"}))
    assert (found.id, found.name, found.description, found.enabled) == ("everything", "All of it", "Long.\n", True)
    assert found.labels["repo"].render({"event": {"body": {"repo": "a/b"}}}) == "a/b"
    assert [trigger.id for trigger in found.triggers] == ["hook", "schedule"]
    assert found.triggers[0].position.line == 11
    assert found.inputs["n"].required
    assert found.inputs["names"].default == ["a"]
    assert list(found.vars) == ["double", "both"]
    assert found.timeout == 7200
    assert found.secrets == ("HOOK", "TOKEN")
    assert found.env == ("URL",)
    assert found.file == "pipelines/a.yaml"
    assert list(found.outputs) == ["n"]

    first, second, third = found.steps
    assert (first.key, first.id, first.name, first.timeout) == ("first", "first", "The first one", 30)
    assert first.retry is not None
    assert first.retry.policy == RetryPolicy(
        attempts=5, delay=2, factor=3, max_delay=60, max_elapsed=3600, jitter=False, errors=("http.*",)
    )
    assert first.retry.when is not None
    assert first.retry.when.condition({"error": {"attempt": 1}})
    assert first.cache is not None
    assert first.cache.key is not None
    assert (first.cache.ttl, first.cache.key.render({"inputs": {"n": 7}})) == (86400, "k-7")
    assert first.on_error.mode == "steps"
    assert [step.key for step in first.on_error.steps] == ["fallback", "first.on_error[1]"]
    assert (second.key, second.id, second.name) == ("steps[1]", None, "value")
    assert second.retry is not None
    assert second.retry.policy == RetryPolicy(attempts=4)
    assert second.on_error.mode == "continue"
    assert third.on_error.mode == "output"
    assert [step.key for step in (*found.on_error, *found.finally_)] == ["on_error[0]", "last"]


def test_the_smallest_pipeline(check: Check) -> None:
    """Everything else has a default."""
    found = only(check("id: a\nsteps: [{uses: value}]"))
    assert (found.name, found.description, found.timeout, found.triggers) == ("a", "", DEFAULT_RUN_TIMEOUT, ())
    assert found.steps[0].retry is None
    assert found.steps[0].with_.render({}) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1 E104 the file is empty"),
        ("[a]", "1:1 E103 a pipeline must be a map, this is a list"),
        ("steps: [{uses: value}]", "1:1 E104 a pipeline needs `id`"),
        ("id: a", "1:1 E104 a pipeline needs at least one step"),
        ("id: a\nsteps: []", "2:8 E104 a pipeline needs at least one step"),
        ("id: a\nsteps: {uses: value}", "2:8 E103 `steps` must be a list, this is a map"),
        ("id: 5\nsteps: [{uses: value}]", "1:5 E103 `id` must be a text, this is a number"),
        ("id: a\nsteps: [{uses: value, with: '${{ x }}'}]", "2:34 E203 there is no `x`"),
        ("id: a\nsteps: [{uses: '${{ run.id }}'}]", "2:16 E119 `uses` cannot contain an expression"),
        ("id: a\nsteps: [{uses: value, timeout: 0s}]", "2:32 E108 `timeout` must be above zero"),
        ("id: a\nsteps: [{uses: value, retry: 0}]", "2:30 E103 `retry` must be 1 to 100"),
        ("id: a\nsteps: [{uses: value, retry: 1.5}]", "2:30 E103 `retry` must be a number or a map"),
        ("id: a\nsteps: [{uses: value, if: 5}]", "2:27 E103 a condition is an expression"),
        (
            "id: a\nsteps: [{uses: value, with: '${{ events }}'}]",
            "2:34 E206 `events` is not available here: no trigger",
        ),
        ("id: a\ninputs: {n-x: string}\nsteps: [{uses: value}]", "2:10 E109 `n-x` is not a name"),
        ("id: a\nvars: {s: '${{ secrets.A }}'}\nsteps: [{uses: value}]", "2:16 E305 secrets can only be used"),
        (
            "id: a\nvars: {s: '${{ steps.x.output }}'}\nsteps: [{id: x, uses: value}]",
            "2:16 E206 `steps` is not available here",
        ),
        (
            "id: a\nlabels: {s: '${{ vars.x }}'}\nvars: {x: 1}\nsteps: [{uses: value}]",
            "2:18 E206 `vars` is not available here",
        ),
        ("id: a\nsteps: [{uses: value, with: '${{ result }}'}]", "2:34 E206 `result` is not available here"),
        ("id: a\nsteps: [{uses: value, output: '${{ secrets.A }}'}]", "2:36 E305 secrets can only be used"),
        ("id: a\nsteps: [{uses: value, with: '${{ 5 | nope }}'}]", "2:38 E202 there is no filter `nope`"),
        ("id: a\nsteps: [{uses: value, with: '${{ [1] | map(i => i ~ j) }}'}]", "2:53 E203 there is no `j`"),
        (
            "id: a\nsteps: [{uses: value, with: '${{ run.outcome }}'}]",
            "2:34 E206 `run.outcome` is only known in `finally`",
        ),
        ("id: a\nsteps: [{uses: value, with: '${{ env }}'}]", "2:34 E209 an environment variable is named literally"),
        (
            "id: a\nsteps: [{id: x, uses: sql.query, with: {query: a, params: 5}}]",
            "2:59 E107 `params` of sql.query must be a map",
        ),
    ],
)
def test_one_thing_is_wrong(check: Check, text: str, problem: str) -> None:
    """It is found, at its place, and nothing else is."""
    report = check(text)
    assert not report.pipelines
    assert len(report.problems) == 1, errors(report)
    assert errors(report)[0].startswith(problem)


TRIGGER = "id: a\ninputs: {n: integer}\ntriggers:\n  - uses: %s\n    with: %s\n    %s\nsteps: [{uses: value}]"


@pytest.mark.parametrize(
    ("uses", "with_", "more", "problem"),
    [
        ("webhook", "{path: x}", "inputs: {}", "6:5 E121 the trigger gives no value for `n`"),
        ("webhook", "{path: x}", "inputs: {n: 1, m: 2}", "6:20 E121 this pipeline has no input `m`"),
        ("webhook", "{path: x}", "inputs: {n: '1'}", "6:17 E121 input `n` must be a whole number"),
        ("webhook", "{path: '${{ event.x }}'}", "inputs: {n: 1}", "5:23 E206 `event` is not available here"),
        ("webhook", "{path: x}", "inputs: {n: '${{ inputs.n }}'}", "6:22 E206 `inputs` is not available here"),
        ("webhook", "{path: x}", "inputs: {n: '${{ secrets.A }}'}", "6:22 E305 secrets can only be used inside"),
        ("webhook", "{pth: x, path: y}", "inputs: {n: 1}", "5:12 E105 webhook has no input `pth`"),
        ("schedule", "{cron: '0 25 * * *'}", "inputs: {n: 1}", "5:18 E115 hour cannot be 25"),
        ("schedule", "{cron: '0 5 * * *', timezone: Mars}", "inputs: {n: 1}", "5:41 E115 there is no time zone Mars"),
        (
            "schedule",
            "{cron: '0 5 * * *'}",
            "inputs: {n: '${{ event.body }}'}",
            "6:22 E206 `event` is not available here",
        ),
    ],
)
def test_one_thing_is_wrong_with_a_trigger(check: Check, uses: str, with_: str, more: str, problem: str) -> None:
    """What a trigger may use, and what its type wants."""
    report = check(TRIGGER % (uses, with_, more))
    assert len(report.problems) == 1, errors(report)
    assert errors(report)[0].startswith(problem)


@pytest.mark.parametrize(
    ("auth", "problem"),
    [
        ("{demo: {bearer: '${{ secrets.A }}'}}", None),
        ("none", "W302 anybody can start runs of this pipeline: `auth: none` checks nothing"),
        ("{dmeo: {bearer: '${{ secrets.A }}'}}", "E111 there is no signature scheme `dmeo`"),
        ("{demo: {baerer: '${{ secrets.A }}', bearer: x}}", "E105 `demo` has no input `baerer`"),
        ("{demo: '${{ secrets.A }}'}", "E107 `demo` cannot be a text"),
    ],
)
def test_the_settings_of_a_signature_scheme_are_checked(auth: str, problem: str | None) -> None:
    """Before there are secrets to check them with."""

    class Hook(HookConfig, frozen=True):
        auth: Any = None

    scheme = Scheme("demo", Bearer, verify=lambda delivery, config: None, sign=lambda body, headers, config, now: {})
    trigger = TriggerType("webhook", TriggerKind.WEBHOOK, Hook)
    known = Catalog(triggers={"webhook": trigger}, schemes={"demo": scheme}, steps={"value": VALUE})
    text = f"id: a\ntriggers: [{{uses: webhook, with: {{path: x, auth: {auth}}}}}]\nsteps: [{{uses: value}}]"
    found = [f"{item.code} {item.message}" for item in check_text(text, known).problems]
    assert found == ([problem] if problem else [])


def test_a_broken_file_does_not_affect_the_others(check: Check) -> None:
    """All problems of all files come together."""
    report = check(
        {
            "pipelines/a.yaml": "id: a\nsteps: [{uses: value}]",
            "pipelines/b.yaml": "id: [",
            "pipelines/c.yaml": b"\xff",
            "pipelines/d.yaml": "id: d\nsteps: [{uses: nope}]",
        }
    )
    assert [item.id for item in report.pipelines] == ["a"]
    assert [item.file for item in report.problems] == ["pipelines/b.yaml", "pipelines/c.yaml", "pipelines/d.yaml"]


def test_an_id_is_used_once_in_a_repository(check: Check) -> None:
    """The first file keeps it."""
    text = "id: a\nsteps: [{uses: value}]"
    report = check({"pipelines/1.yaml": text, "pipelines/2.yaml": text})
    assert [item.file for item in report.pipelines] == ["pipelines/1.yaml"]
    assert errors(report) == ["1:5 E402 there is a pipeline `a` already, in pipelines/1.yaml"]


def hook(id: str, uses: str, **with_: object) -> str:
    settings = msgspec.json.encode({"path": "x", "secret": "${{ secrets.A }}"} | with_).decode()
    return f"id: {id}\ntriggers:\n  - uses: {uses}\n    with: {settings}\nsteps: [{{uses: value}}]"


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (hook("b", "github.webhook"), "`/hooks/x` belongs to `webhook` in pipelines/1.yaml; this is `github.webhook`"),
        (hook("b", "webhook", secret="${{ secrets.B }}"), "`/hooks/x` has another `secret` in pipelines/1.yaml"),
        (hook("b", "webhook", path="/x/", auth="none"), "`/hooks/x` has another `auth` in pipelines/1.yaml"),
    ],
)
def test_triggers_on_one_path_agree(check: Check, second: str, message: str) -> None:
    """Otherwise a signature would hold for one and not for the other."""
    report = check({"pipelines/1.yaml": hook("a", "webhook", events=["a"]), "pipelines/2.yaml": second})
    assert [item.message for item in report.problems if item.severity == "error"] == [message]
    assert [item.id for item in report.pipelines] == ["a"]


def test_triggers_on_one_path_may_differ_in_events(check: Check) -> None:
    """One app, many pipelines."""
    files = {"pipelines/1.yaml": hook("a", "webhook"), "pipelines/2.yaml": hook("b", "webhook", events=["x"])}
    report = check(files)
    assert not report.problems
    assert len(report.pipelines) == 2


def test_warnings_do_not_keep_a_pipeline_from_running(check: Check) -> None:
    """They are shown all the same."""
    report = check(
        "id: a\ntriggers: [{uses: webhook, with: {path: x, auth: none}}]\n"
        "steps:\n  - {id: x, uses: value, if: event.body.n == 1}\n  - {uses: value, with: '${{ steps.x.output }}'}"
    )
    assert [item.code for item in report.problems] == ["W302", "W301"]
    assert len(report.pipelines) == 1


@pytest.mark.parametrize(
    "with_",
    [
        "${{ steps.x.output ?? 1 }}",
        "${{ steps.x.output | default(1) }}",
        "${{ steps.x.output is defined }}",
        "${{ steps.x.status }}",
        "${{ steps.x.output if steps.x.status == 'succeeded' else 1 }}",
        "${{ 1 ?? steps.x.output ?? 2 }}",
    ],
)
def test_a_step_that_may_not_have_run_can_be_read_with_care(check: Check, with_: str) -> None:
    """A fallback, a test, or a look at its status."""
    text = f'id: a\nsteps:\n  - {{id: x, uses: value, if: run.trigger == "a"}}\n  - {{uses: value, with: "{with_}"}}'
    assert not check(text).problems


def test_files_are_part_of_the_version(check: Check) -> None:
    """What file() and template() read is kept with it; the disk is not asked again."""
    text = "id: a\nsteps: [{uses: value, with: \"${{ file('prompts/p.md') ~ template('t.j2', x=1) }}\"}]"
    files = {"pipelines/a.yaml": text, "prompts/p.md": "one ", "t.j2": "{{ x }}!"}
    first = only(check(files))
    assert first.files == ("prompts/p.md", "t.j2")
    second = only(check(files | {"prompts/p.md": "two "}))
    assert first.version != second.version
    assert first.steps[0].with_.render({}) == "one 1!"
    assert second.steps[0].with_.render({}) == "two 1!"


def test_a_version_is_rebuilt_from_its_source(check: Check, catalog: Catalog) -> None:
    """The very same pipeline."""
    found = only(check({"pipelines/a.yaml": FULL, "project.yaml": "env: [URL]"}))
    again = load_version(found.source, catalog)
    assert again.version == found.version
    assert again.source == found.source
    assert again.steps == found.steps
    assert (again.triggers, again.labels, again.vars, again.outputs) == (
        found.triggers,
        found.labels,
        found.vars,
        found.outputs,
    )
    assert (again.secrets, again.env, again.files, again.timeout) == (
        found.secrets,
        found.env,
        found.files,
        found.timeout,
    )


def test_a_version_can_be_loaded_where_a_plugin_is_missing(check: Check) -> None:
    """The run finds that out at the step in question; a version that is no pipeline cannot be loaded."""
    found = only(check("id: a\nsteps: [{id: x, uses: http.request, with: {url: x}}]"))
    assert load_version(found.source, Catalog()).steps[0].uses == "http.request"
    broken = msgspec.json.encode(
        {"file": "a", "yaml": "id: a\nsteps: [{uses: value, if: '&&'}]", "files": {}, "env": []}
    )
    with pytest.raises(PipelineError, match="`&&` is not an operator"):
        load_version(broken, Catalog())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("id: a\nsteps: [{uses: value}]", "# c\nid:   'a'\nsteps:\n- uses: value  # d\n", True),
        ("id: a\nsteps: [{uses: value}]", "id: a\nsteps: [{uses: value, with: 1}]", False),
        (
            "id: a\nvars: {a: 1, b: 2}\nsteps: [{uses: value}]",
            "id: a\nvars: {b: 2, a: 1}\nsteps: [{uses: value}]",
            False,
        ),
        ("id: a\nsteps: [{uses: value, with: 1}]", "id: a\nsteps: [{uses: value, with: 1.0}]", False),
        ('id: a\nsteps: [{uses: value, with: "x"}]', "id: a\nsteps: [{uses: value, with: |-\n  x\n  }]", True),
    ],
)
def test_the_version_is_what_the_file_means(check: Check, one: str, other: str, same: bool) -> None:
    """Comments and formatting do not matter."""
    try:
        second = check(other).pipelines[0].version
    except IndexError:
        second = check("id: a\nsteps:\n  - uses: value\n    with: |-\n      x").pipelines[0].version
    assert (only(check(one)).version == second) is same


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("env: [A-B]", "1:7 E103 this is not the name of an environment variable"),
        ("env: A", "1:6 E103 `env` must be a list, this is a text"),
        ("language: 2", "1:11 E111 this version of Hookwright knows `language: 1`"),
        ("envs: [A]", "1:1 E101 project.yaml has no key `envs`"),
        ("[a]", "1:1 E103 project.yaml must be a map, this is a list"),
        ("a: [", "2:1 E001"),
    ],
)
def test_problems_of_the_project(check: Check, text: str, problem: str) -> None:
    """They are told; the pipelines are checked all the same."""
    report = check({"project.yaml": text, "pipelines/a.yaml": "id: a\nsteps: [{uses: value}]"})
    assert [item.file for item in report.problems] == ["project.yaml"]
    assert errors(report)[0].startswith(problem) or problem.startswith("2:1")
    assert len(report.pipelines) == 1


def test_a_file_that_cannot_be_read_is_a_problem(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A directory, or one that has gone."""
    from engine.pipeline.check import check_files

    root = tmp_path_factory.mktemp("root")
    report = check_files([root / "gone.yaml", root], catalog, root=root)
    assert [item.code for item in report.problems] == ["E005", "E005"]


def test_secrets_in_the_version_are_names_only(check: Check) -> None:
    """The source has what the author wrote."""
    found = only(check("id: a\nsteps: [{uses: value, with: '${{ secrets.TOKEN }}'}]"))
    assert b"secrets.TOKEN" in found.source


KEYS = st.sampled_from(
    [
        *("id", "name", "description", "labels", "enabled", "triggers", "inputs", "vars", "timeout", "steps"),
        *("on_error", "finally", "outputs", "uses", "with", "if", "retry", "output", "cache", "idempotency_key"),
        *("key", "ttl", "attempts", "delay", "when", "errors", "path", "cron", "url", "headers"),
        *("query", "n", "x-a", "for_each"),
    ]
)
LEAVES = st.sampled_from(
    [
        *(None, True, 1, 1.5, "a", "value", "http.request", "sql.query", "webhook", "schedule", "30s", "continue"),
        *("${{ inputs.a }}", "${{ steps.a.output }}", "${{ secrets.A }}", "x ${{ event.body.x ?? 1 }}", "${{"),
        *("${{ 1 + }}", "a == 1", "{{ x }}", "${{ [1] | map(i => i) }}"),
    ]
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=30
)
STEPS = st.lists(st.dictionaries(KEYS, TREES, max_size=6), max_size=3)


@given(st.dictionaries(KEYS, TREES, max_size=8), STEPS, STEPS)
@settings(max_examples=120, deadline=None)
def test_any_tree_is_a_pipeline_or_has_problems(catalog: Catalog, tree: dict, steps: list, triggers: list) -> None:  # type: ignore[type-arg]
    """The checker never breaks, whatever stands where."""
    tree = tree | {"steps": steps, "triggers": triggers}
    report = check_text(msgspec.json.encode(tree), catalog)
    assert bool(report.pipelines) is not any(item.severity == "error" for item in report.problems)
    for item in report.problems:
        assert format_problem(item)


@given(st.binary(max_size=100))
def test_random_bytes_only_give_problems(catalog: Catalog, data: bytes) -> None:
    """No pipeline, no exception."""
    report = check_text(data, catalog)
    assert report.problems
    assert not report.pipelines
