"""What is offered at the cursor, also in documents that are half-typed."""

import random
from pathlib import Path

import pytest

from engine.editor.completion import complete
from engine.editor.definition import find_definition
from engine.editor.hover import find_hover
from engine.editor.symbols import outline
from engine.editor.tree import parse
from tests.language.catalog import FILES, ROOT
from tests.unit.editor.documents import after, offered, repository

HEAD = "id: draft\ninputs:\n  title: string\n  tags: {type: array, default: []}\nsteps:\n"
REQUEST = HEAD + "  - id: fetch\n    uses: http.request\n    with:\n      url: https://example.com\n"

KEYS = {
    "the start of an empty file": ("‸", "id", "uses"),
    "keys of a pipeline": ("id: a\n‸\n", "triggers", "id"),
    "keys of a step": (HEAD + "  - id: a\n    ‸\n", "uses", "id"),
    "keys of a step after a dash": (HEAD + "  - ‸", "uses", "url"),
    "keys of a step before others": (HEAD + "  - id: a\n    ‸\n    uses: value\n  - uses: value\n", "retry", "wait"),
    "fields of the step type": (HEAD + "  - uses: http.request\n    with:\n      ‸", "url", "collection"),
    "fields in flow style": (HEAD + "  - uses: http.request\n    with: {url: x, ‸}\n", "method", "url"),
    "fields in an open brace": (HEAD + "  - uses: http.request\n    with: {url: x, me‸", "method", "url"),
    "fields of a nested map": (HEAD + "  - uses: http.request\n    with:\n      auth:\n        ‸", "bearer", "url"),
    "fields of a trigger": ("id: a\ntriggers:\n  - uses: schedule\n    with:\n      ‸\n", "cron", "path"),
    "settings of a scheme": (
        "id: a\ntriggers:\n  - uses: webhook\n    with:\n      auth:\n        hmac:\n          ‸\n", "header", "cron",
    ),
    "keys of a nested section": (HEAD + "  - uses: value\n    retry:\n      ‸", "max_delay", "uses"),
    "keys of a branch": (HEAD + "  - switch:\n      - ‸\n", "if", "uses"),
    "keys of an inner step": (HEAD + "  - parallel:\n      a:\n        - id: x\n          ‸\n", "uses", "id"),
    "inputs of a called pipeline": (
        HEAD + "  - uses: pipeline:page-oncall\n    with:\n      ‸\n", "escalate_after", "key",
    ),
    "below a line that cannot be read": (
        HEAD + "  - uses: value\n    so: what: now\n  - uses: http.request\n    with:\n      ‸\n", "url", "uses",
    ),
    "above an open quote": (HEAD + "  - uses: http.request\n    with:\n      ‸\n    name: 'open\n", "url", "uses"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "yes", "no"), KEYS.values(), ids=KEYS)
def test_keys(text: str, yes: str, no: str) -> None:
    """Keys of the place are offered, those of other places and those that are there already are not."""
    labels = offered(text)
    assert yes in labels
    assert no not in labels


WORDS = {
    "step types": (HEAD + "  - uses: ‸\n", "http.request", "webhook"),
    "a step type that is begun": (HEAD + "  - uses: http.‸\n", "http.request", "webhook"),
    "pipelines to call": (HEAD + "  - uses: pipeline:‸\n", "pipeline:page-oncall", "pipeline:draft"),
    "trigger types": ("id: a\ntriggers:\n  - uses: ‸\n", "webhook", "http.request"),
    "enum words": (HEAD + "  - uses: http.request\n    with:\n      method: ‸\n", "PATCH", "url"),
    "words of the language": ("id: a\nconcurrency:\n  on_limit: ‸\n", "cancel_running", "fail"),
    "words in flow style": ("id: a\nconcurrency: {on_limit: ‸}\n", "drop", "fail"),
    "words in place of a map": (HEAD + "  - uses: value\n    on_error: ‸\n", "continue", "queue"),
    "true and false": ("id: a\nenabled: ‸\n", "false", "id"),
    "types of inputs": ("id: a\ninputs:\n  title: ‸\n", "string[]", "PATCH"),
}


@pytest.mark.parametrize(("text", "yes", "no"), WORDS.values(), ids=WORDS)
def test_words(text: str, yes: str, no: str) -> None:
    """Values are offered where only some are possible."""
    labels = offered(text)
    assert yes in labels
    assert no not in labels


NAMES = {
    "roots": (REQUEST + "      body: ${{ ‸ }}\n", "inputs", "result"),
    "roots without the end": (REQUEST + "      body: ${{ ‸\n", "secrets", "result"),
    "functions": (REQUEST + "      body: ${{ ‸ }}\n", "date_add", "upper"),
    "inputs": (REQUEST + "      body: ${{ inputs.‸ }}\n", "title", "fetch"),
    "inputs that are begun": (REQUEST + "      body: ${{ inputs.ti‸\n", "title", "fetch"),
    "inputs in quotes": (REQUEST + '      body: "a ${{ inputs.‸"\n', "title", "fetch"),
    "inputs in flow style": (HEAD + '  - uses: value\n    with: {a: "${{ inputs.‸\n', "title", "fetch"),
    "steps above": (REQUEST + "  - uses: value\n    with: ${{ steps.‸ }}\n", "fetch", "title"),
    "a step's fields": (REQUEST + "  - uses: value\n    with: ${{ steps.fetch.‸ }}\n", "output", "body"),
    "a step's output": (REQUEST + "  - uses: value\n    with: ${{ steps.fetch.output.‸ }}\n", "body", "output"),
    "the result": (REQUEST + "    output: ${{ result.‸ }}\n", "status", "fetch"),
    "filters": (REQUEST + "      body: ${{ inputs.title | ‸ }}\n", "upper", "inputs"),
    "tests": (REQUEST + "      body: ${{ inputs.title is ‸ }}\n", "defined", "upper"),
    "a condition": (REQUEST + "  - uses: value\n    if: ‸\n", "steps", "secrets"),
    "a condition that is begun": (REQUEST + "  - uses: value\n    if: steps.fetch.output.‸\n", "status", "steps"),
    "a condition in quotes": (REQUEST + "  - uses: value\n    if: 'inputs.‸'\n", "title", "steps"),
    "block text": (REQUEST + "      body: |\n        Hello ${{ inputs.‸\n        and so on\n", "title", "steps"),
    "files": (REQUEST + "      body: ${{ file('‸') }}\n", "prompts/triage.md", "inputs"),
    "the run's fields": ("id: a\nlabels:\n  a: ${{ run.‸ }}\nsteps: []\n", "started_at", "a"),
    "environment variables": (REQUEST + "      body: ${{ env.‸ }}\n", "CRM_URL", "title"),
    "secrets": (REQUEST + "      body: ${{ secrets.‸ }}\n", "SLACK_TOKEN", "title"),
    "no secrets in labels": ("id: a\nlabels:\n  a: ${{ ‸ }}\nsteps: []\n", "run", "secrets"),
    "words of a step's status": (REQUEST + "  - uses: value\n    if: steps.fetch.status == '‸'\n", "skipped", "steps"),
    "fields of a lambda's argument": (
        REQUEST + "      body: ${{ [run] | map(one => one.‸) }}\n",
        "started_at",
        "title",
    ),
    "the argument of a lambda": (REQUEST + "      body: ${{ inputs.tags | map(tag => ‸) }}\n", "tag", "upper"),
}


@pytest.mark.parametrize(("text", "yes", "no"), NAMES.values(), ids=NAMES)
def test_names_in_expressions(text: str, yes: str, no: str) -> None:
    """Names that the place can use, with the fields of what is known."""
    labels = offered(text)
    assert yes in labels
    assert no not in labels


def test_no_names_in_texts() -> None:
    """Within quotes in an expression nothing is offered."""
    assert offered(REQUEST + "      body: ${{ inputs.title == 'inp‸' }}\n") == {}


def test_recorded_events(tmp_path: Path) -> None:
    """Fields of `event` come from the events that the repository has recorded."""
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "opened.json").write_text('{"type": "issues.opened", "body": {"issue": {"number": 7}}}')
    text = "id: a\ntriggers:\n  - uses: webhook\n    with: {path: a, auth: none}\nsteps:\n  - uses: value\n    with: "
    assert "issue" in offered(text + "${{ event.body.‸ }}\n", tmp_path)
    assert "number" in offered(text + "${{ event.body.issue.‸ }}\n", tmp_path)


def test_typed_events() -> None:
    """Fields of `event` come from the payloads that a sender has published."""
    text = (
        "id: a\ntriggers:\n  - uses: github.webhook\n    with: {path: a, secret: x, events: [issues.opened]}\nsteps:\n"
        "  - uses: value\n    with: ${{ event.body.‸ }}\n"
    )
    assert {"issue", "repository", "sender"} <= offered(text).keys()


TEST = "pipeline: order-status\ntests:\n  - name: a\n"
TESTS = {
    "the pipeline": ("pipeline: ‸\n", "order-status"),
    "keys of a test": (TEST + "    ‸\n", "mocks"),
    "inputs of the pipeline": (TEST + "    inputs:\n      ‸\n", "order"),
    "steps to mock": (TEST + "    mocks:\n      ‸\n", "get"),
    "expectations": (TEST + "    expect:\n      ‸\n", "not_ran"),
    "steps that ran": (TEST + "    expect:\n      ran: [‸]\n", "get"),
    "an outcome": (TEST + "    expect: {outcome: ‸}\n", "not_triggered"),
}


@pytest.mark.parametrize(("text", "label"), TESTS.values(), ids=TESTS)
def test_tests(text: str, label: str) -> None:
    """Test files are completed from the pipeline that they test."""
    assert label in offered(text, file="tests/draft.test.yaml")


def test_what_is_inserted() -> None:
    """A word that is begun is replaced, a map begins on the next line, an existing colon is kept."""
    assert after(HEAD + "  - us‸", "uses") == HEAD + "  - uses: "
    assert after(HEAD + "  - id: a\n    wi‸\n", "with") == HEAD + "  - id: a\n    with: \n"
    assert after(HEAD + "  - uses: http.request\n    wi‸\n", "with") == (
        HEAD + "  - uses: http.request\n    with:\n      \n"
    )
    assert after(HEAD + "  - uses: http.request\n    wi‸th: {}\n", "with") == (
        HEAD + "  - uses: http.request\n    with: {}\n"
    )
    assert after("id: a\ntri‸", "triggers") == "id: a\ntriggers:\n  - "
    assert after(REQUEST + "      me‸", "method") == REQUEST + "      method: "
    assert (
        after(REQUEST + "      body: ${{ inputs.ti‸tle }}\n", "title") == REQUEST + "      body: ${{ inputs.title }}\n"
    )


def test_required_fields_come_first() -> None:
    """Fields that are needed are marked, so that the editor sorts them first."""
    fields = offered(HEAD + "  - uses: store.query\n    with:\n      ‸")
    assert fields["collection"].first
    assert not fields["limit"].first


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """YAML that is not ours gets nothing."""
    assert offered("services:\n  ‸", tmp_path, "compose.yaml") == {}


def test_nothing_breaks() -> None:
    """Wherever a document is cut and whatever is put in, every question has an answer."""
    chance = random.Random(3)
    for path in FILES:
        text = path.read_text()
        for _ in range(2):
            offset = chance.randrange(len(text))
            junk = chance.choice(
                ["", "${{ ", "'", '"', "{", "[", ": ", "- ", "&a ", "*a", "\t", "|", "🎉", "\x07", "${{ steps."]
            )
            source = text[:offset] + junk + (text[offset:] if chance.random() < 0.6 else "")
            draft = ROOT / "pipelines" / path.name
            where = repository(ROOT, {draft: source})
            complete(where, draft, source, offset + len(junk))
            find_hover(where, draft, source, offset)
            find_definition(where, draft, source, offset)
            tree = parse(source)
            if tree is not None:
                outline(tree)
