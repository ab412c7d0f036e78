"""The reference of the language, written from its tables: `python -m engine.pipeline.reference > docs/reference.md`."""

import sys
from collections.abc import Iterator

from engine.pipeline.expression.manual import FUNCTIONS, GROUPS, TESTS
from engine.pipeline.expression.manual_filters import Entry
from engine.pipeline.grammar.examples import example_of
from engine.pipeline.grammar.section import Key, Section
from engine.pipeline.grammar.steps import SECTIONS

HEAD = """# Language reference

Every key, filter, function and test of the language, each with an example; what goes wrong has
[its own page](errors.md). This page is generated from the tables that the checker, the editor and the engine read:
`python -m engine.pipeline.reference > docs/reference.md`. For an introduction see [The pipeline language](language.md)
and [Expressions](expressions.md).

Kinds: *template* may contain `${{ }}`; *condition* is a bare expression that must be true or false; *duration* is
`500ms`, `30s`, `5m`, `2h`, `3d`, `1w` or `1h30m`; *steps* is a list of steps. Keys that begin with `x-` are yours.
"""
TITLES = {
    "pipeline": "Pipeline",
    "trigger": "Trigger",
    "step": "Step",
    "case": "A branch of `switch`",
    "wait_event": "An event of `wait`",
    "defaults": "An entry of `defaults`",
    "project": "project.yaml",
    "queue": "A queue",
    "connection": "A connection",
}
SCOPES = """## Which names can be used where

| place | may use |
|---|---|
| `with` of a trigger, of a connection, of the project's `defaults` | `secrets`, `env` |
| `with` in a pipeline's `defaults` | also `inputs`, `vars` |
| `if`, `inputs`, `dedup`, `debounce`, `batch` of a trigger | `event`, `env` |
| `labels`, a pipeline's `concurrency` and `rate_limit` | `event` or `events`, `inputs`, `env`, `run` |
| `vars` | the same and the `vars` above |
| steps | also `steps` that have certainly been reached, the loop's item and `index`; `secrets` only in `with` |
| `output`, `repeat.until` | also `result` |
| `on_error`, `retry.when`, `compensate` | also `error`; `compensate` its own step |
| `wait.events[].if` | also `incoming` |
| `approval.notify` | also `approval` |
| `outputs`, `finally` | steps that possibly did not run; `run.outcome`, `run.compensated` in `finally` |
| `respond` | also `outputs`, if `mode: sync` |

* `event` has `id`, `source`, `type`, `time`, `headers` (small letters), `query`, `path_params`, `body`.
* `run` has `id`, `url`, `pipeline`, `version`, `started_at`, `scheduled_at`, `trigger`, `labels`, `parent`,
  `replay_of`.
* `steps.ID` has `output`, `status` (`succeeded`, `recovered`, `failed`, `skipped`, `cancelled`, `running`), `error`,
  `cached`, `attempts`, `started_at`, `finished_at`, and for loops `errors`.
* `error` has `type`, `message`, `step`, `attempt`, `data`.
"""


def language_reference() -> str:
    """The page in Markdown."""
    return "\n".join([HEAD, *map(_section, SECTIONS.values()), SCOPES, *_manual()]).rstrip() + "\n"


def _section(section: Section) -> str:
    title = TITLES.get(section.name, f"`{section.name}`")
    return f"## {title}\n\n" + "\n".join(_key(section, key) for key in section.keys.values())


def _key(section: Section, key: Key) -> str:
    kind = " or ".join(f"`{word}`" for word in key.words) if key.words else key.kind.replace("_", " ")
    facts = [kind, "required" if key.required else f"default: {key.default}" if key.default else ""]
    lines = [f"### `{key.name}`" if section.name in ("pipeline", "trigger", "step") else f"**`{key.name}`**"]
    lines += ["", f"{key.meaning} *({'; '.join(fact for fact in facts if fact)})*", ""]
    if example := example_of(section.name, key.name):
        lines += ["```yaml", example, "```", ""]
    return "\n".join(lines)


def _manual() -> Iterator[str]:
    for title, entries in GROUPS.items():
        yield f"## Filters: {title.lower() if title != 'Objects and JSON' else 'objects and JSON'}\n\n{_table(entries)}"
    yield f"## Functions\n\n{_table(FUNCTIONS)}"
    yield f"## Tests\n\nEach also with `is not`.\n\n{_table(TESTS)}"


def _table(entries: tuple[Entry, ...]) -> str:
    rows = [
        f"| `{entry.usage}` | {entry.meaning} | "
        + "<br>".join(f"`{_cell(source)}` is `{_cell(value)}`" for source, value in entry.examples)
        + " |"
        for entry in entries
    ]
    return "\n".join(["| | | example |", "|---|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(language_reference())
