"""Keys of test files: `tests/**/*.test.yaml`."""

from engine.pipeline.grammar.section import Key, Section, section

OUTCOMES = ("succeeded", "failed", "cancelled", "not_triggered", "refused")
STATUSES = ("succeeded", "recovered", "failed", "skipped", "cancelled", "not_run")

CASE_KEYS = (
    Key("trigger", "id", "Which trigger takes the event, by its id.", "the first one that matches"),
    Key(
        "event",
        "section",
        "The event that starts the run, or the path of a JSON or YAML file that holds it, from the repository's root.",
        section="test_event",
    ),
    Key(
        "events",
        "list",
        "Events one after the other, for `batch` and `debounce`; each may have `after`.",
        section="test_event",
    ),
    Key("raw", "section", "The request as it comes in; its signature is checked.", section="test_raw"),
    Key("inputs", "map", "Inputs of a run that is started by hand or called.", "{}"),
    Key("vars", "map", "Values in place of those that the pipeline's `vars` would get.", "{}"),
    Key("env", "map", "Environment variables.", "`https://NAME.test`, in small letters, for each that is allowed"),
    Key("secrets", "map", "Values of secrets, for `raw`.", "a dummy for each"),
    Key("now", "text", "When the run starts: ISO 8601.", "2026-03-01T09:00:00Z"),
    Key("scheduled_at", "text", "`run.scheduled_at` of a run that a `schedule` started.", "`now`, with a schedule"),
    Key(
        "mocks",
        "map",
        "By step id, or step type or glob: what it answers, or a list for one call after the other.",
        "{}",
        section="test_mock",
    ),
    Key("timeline", "list", "Events that arrive while the run is under way.", "[]", section="test_timeline"),
    Key(
        "approvals",
        "map",
        "By step id: what is decided, or a list for one after the other.",
        "{}",
        section="test_approval",
    ),
    Key("crash_after", "id", "The engine dies once this step is done, and goes on; nothing may run twice."),
    Key("expect", "section", "What must come of it. What is not listed does not matter.", "{}", section="test_expect"),
)
FOREIGN = {
    "mock": "write `mocks:`",
    "fixtures": "write `mocks:`",
    "stubs": "write `mocks:`",
    "given": "write `event:` or `inputs:`",
    "assert": "write `expect: {assert: [...]}`",
    "assertions": "write `expect: {assert: [...]}`",
    "expected": "write `expect:`",
    "variables": "write `vars:`",
    "time": "write `now:`",
    "input": "write `inputs:`",
    "outcome": "write it inside `expect:`",
    "outputs": "write it inside `expect:`",
}
TEST_FILE = section(
    "test_file",
    "a test file",
    Key("pipeline", "id", "The pipeline's `id`.", required=True),
    Key("defaults", "section", "What every test has; a test's own keys are merged over it.", "{}", section="test_case"),
    Key("tests", "list", "The tests.", required=True, section="test_case"),
    foreign={
        **FOREIGN,
        "id": "write `pipeline:`",
        "name": "write it in each of `tests:`",
        "cases": "write `tests:`",
        "mocks": "write it inside `defaults:`, for all tests, or in a test",
        "event": "write it inside `defaults:`, for all tests, or in a test",
        "expect": "write it in each of `tests:`",
    },
)
TEST_CASE = section(
    "test_case",
    "a test",
    Key("name", "text", "What it shows, as a sentence.", "its number"),
    *CASE_KEYS,
    foreign=FOREIGN,
)
TEST_EVENT = section(
    "test_event",
    "an event",
    Key("id", "text", "Its id.", "evt-1, evt-2, ..."),
    Key("source", "text", "Who sent it, such as `github`; of a `webhook` also its path.", "the trigger's"),
    Key("type", "text", "Its type, such as `issues.opened`.", "the trigger's first"),
    Key("time", "text", "When it came.", "the test's clock"),
    Key("headers", "map", "Headers; names in any case.", "{}"),
    Key("query", "map", "The address's query.", "{}"),
    Key("path_params", "map", "Values of the `{parameters}` in the path.", "{}"),
    Key("body", "any", "The payload."),
    Key("after", "duration", "In `events`: how long after the first it comes.", "0s"),
    foreign={"payload": "write `body:`", "data": "write `body:`", "params": "write `path_params:`"},
)
TEST_RAW = section(
    "test_raw",
    "`raw`",
    Key("method", "text", "The request's method.", "POST"),
    Key("path", "text", "Its path below /hooks/.", "the trigger's"),
    Key("query", "text", "Its query, without `?`."),
    Key("headers", "map", "Its headers.", "{}"),
    Key("body", "any", "Its body: a text as it is, anything else as JSON."),
    Key("sign", "boolean", "Sign it as the sender would, with the test's secrets.", "false"),
    foreign={"url": "write `path:`", "json": "write `body:`"},
)
TEST_MOCK = section(
    "test_mock",
    "a mock",
    Key("output", "any", "What the step type returns; may use `${{ with.x }}` and `${{ attempt }}`."),
    Key("error", "section", "How it fails.", section="test_error"),
    Key("kept", "any", "What the step keeps, in place of its `output:`; recorded tests have it."),
    Key("after", "duration", "How long it takes.", "0s"),
    foreign={
        "result": "write `output:`",
        "returns": "write `output:`",
        "return": "write `output:`",
        "outputs": "write `output:`",
        "fail": "write `error: {type: ...}`",
        "raises": "write `error: {type: ...}`",
        "delay": "write `after:`",
        "status": "write it inside `output:`",
        "body": "write it inside `output:`",
    },
)
TEST_ERROR = section(
    "test_error",
    "a mock's `error`",
    Key(
        "type", "text", "Its type, such as `timeout`, `network`, `rate_limited`, `server_error`, `http.404`.", "failed"
    ),
    Key("message", "text", "Its message.", "the type"),
    Key(
        "retryable",
        "boolean",
        "Whether another attempt may help.",
        "true for timeout, network, rate_limited, server_error",
    ),
    Key("data", "any", "`error.data`."),
    Key("after", "duration", "`Retry-After`.", "none"),
    foreign={"code": "write `type:`", "retry": "write `retryable:`", "retry_after": "write `after:`"},
)
TEST_TIMELINE = section(
    "test_timeline",
    "an event of `timeline`",
    Key("after", "duration", "How long after the start of the run it comes.", required=True),
    Key("source", "text", "Who sent it.", "test"),
    Key("type", "text", "Its type.", "none"),
    *(TEST_EVENT.keys[name] for name in ("id", "headers", "query", "path_params", "body")),
    foreign={"at": "write `after:`, counted from the start of the run", "payload": "write `body:`"},
)
TEST_APPROVAL = section(
    "test_approval",
    "an approval",
    Key("approved", "boolean", "Whether it is approved.", required=True),
    Key("by", "text", "Who decides.", "somebody@example.com"),
    Key("form", "map", "What is filled in.", "{}"),
    Key("after", "duration", "How long after the question.", "0s"),
    foreign={"user": "write `by:`", "approver": "write `by:`", "at": "write `after:`, counted from the question"},
)
TEST_EXPECT = section(
    "test_expect",
    "`expect`",
    Key(
        "outcome",
        "word",
        "How it ends.",
        "succeeded, unless `error`, `compensated` or `response` is listed",
        OUTCOMES,
    ),
    Key("error", "map", "`type`, `message`, `step`, `attempt`, `data` of what made it fail."),
    Key("message", "text", "What a `stop` step said."),
    Key("ran", "list", "Steps that ran, in this order; others may be between."),
    Key("not_ran", "list", "Steps that did not run."),
    Key("skipped", "list", "Steps whose `if` was false."),
    Key("outputs", "any", "The pipeline's outputs."),
    Key("response", "section", "What the sender is answered.", section="test_response"),
    Key("labels", "map", "The run's labels."),
    Key("key", "text", "The key of the pipeline's `concurrency`, or else of its `rate_limit`."),
    Key("emitted", "list", "Events of `emit` steps: `type` and `body`."),
    Key("started", "list", "Runs of `pipeline.start` steps: `pipeline`, `inputs` and `labels`."),
    Key("compensated", "list", "Steps that were compensated, in this order."),
    Key("steps", "map", "By step: what it was given and what it came to.", section="test_step"),
    Key("elapsed", "text", "How long the run took, as a duration."),
    Key(
        "assert",
        "list",
        "Conditions over `steps`, `outputs`, `emitted`, `started`, `response`, `error`, `run`, `elapsed`.",
    ),
    foreign={
        "status": "write `outcome:`",
        "state": "write `outcome:`",
        "result": "write `outputs:`",
        "output": "write `outputs:`, or `steps: {ID: {output: ...}}`",
        "calls": "write `steps: {ID: {calls: 1}}`",
        "events": "write `emitted:`",
        "duration": "write `elapsed:`",
        "not_run": "write `not_ran:`",
        "run": "write `ran:`",
        "asserts": "write `assert:`",
    },
)
TEST_RESPONSE = section(
    "test_response",
    "`response`",
    Key("status", "integer", "Its status."),
    Key("headers", "map", "Its headers."),
    Key("body", "any", "Its body."),
    foreign={"code": "write `status:`", "json": "write `body:`"},
)
TEST_STEP = section(
    "test_step",
    "a step of `expect`",
    Key("with", "any", "What its last call was given."),
    Key("output", "any", "What it kept."),
    Key("calls", "integer", "How often it was called, all attempts and items together."),
    Key("status", "word", "How it stands.", words=STATUSES),
    Key("error", "map", "`type`, `message` of its error."),
    Key("errors", "list", "Of a loop: `{index, key, error}` of items that failed."),
    foreign={
        "input": "write `with:`",
        "inputs": "write `with:`",
        "result": "write `output:`",
        "count": "write `calls:`",
    },
)
TEST_SECTIONS: dict[str, Section] = {
    item.name: item
    for item in (
        TEST_FILE,
        TEST_CASE,
        TEST_EVENT,
        TEST_RAW,
        TEST_MOCK,
        TEST_ERROR,
        TEST_TIMELINE,
        TEST_APPROVAL,
        TEST_EXPECT,
        TEST_RESPONSE,
        TEST_STEP,
    )
}
