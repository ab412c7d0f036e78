"""What each filter, function and test does, with examples that a test evaluates: for docs, editor and console."""

import msgspec

from engine.pipeline.expression.manual_filters import LISTS, NUMBERS, OBJECTS, TEXT, TIMES, Entry

FUNCTIONS: tuple[Entry, ...] = (
    Entry(
        "object",
        "object(name=value, ...)",
        "An object.",
        (("object(name='Mia', tags=['a'])", '{"name": "Mia", "tags": ["a"]}'),),
    ),
    Entry(
        "now",
        "now()",
        "The time, as ISO 8601 text in UTC; the same for every attempt of a step.",
        (("now() | length > 19", "true"),),
    ),
    Entry(
        "date",
        "date(time, format, timezone)",
        "A time as text, as the filter `date`.",
        (("date(0)", '"1970-01-01T00:00:00Z"'),),
    ),
    Entry(
        "date_add",
        "date_add(time, duration)",
        "The time so much later; earlier with `-`.",
        (
            ("date_add('2026-03-01T09:00:00Z', '-1d')", '"2026-02-28T09:00:00Z"'),
            ("date_add('2026-03-01T09:00:00Z', '1h30m')", '"2026-03-01T10:30:00Z"'),
        ),
    ),
    Entry("duration", "duration(text)", "The seconds of a duration.", (("duration('1h30m')", "5400"),)),
    Entry("uuid", "uuid()", "A random id; the same for every attempt of a step.", (("uuid() | length", "36"),)),
    Entry(
        "range",
        "range(end)` or `range(start, end, step)",
        "Whole numbers; the end is not one of them.",
        (("range(3)", "[0, 1, 2]"), ("range(1, 6, 2)", "[1, 3, 5]")),
    ),
    Entry("min", "min(a, b, ...)", "The smallest argument, or that of one list.", (("min([3, 2])", "2"),)),
    Entry(
        "max",
        "max(a, b, ...)",
        "The largest argument, or that of one list.",
        (("max(1, event.body.issue.number)", "7"),),
    ),
    Entry(
        "file",
        "file(path)",
        "A file of the repository as text; the path is a literal text.",
        (("file('prompts/triage.md') | length > 0", "true"),),
    ),
    Entry(
        "template",
        "template(path, name=value, ...)",
        "A Jinja file of the repository, rendered with exactly these values.",
        (("template('prompts/hello.j2', name='Mia') | trim", '"Hello Mia"'),),
    ),
)
TESTS: tuple[Entry, ...] = (
    Entry(
        "defined",
        "is defined",
        "Whether it is there.",
        (("event.body.gone is defined", "false"), ("event.body.issue is defined", "true")),
    ),
    Entry("null", "is null", "Whether it is null or not there.", (("event.body.gone is null", "true"),)),
    Entry("string", "is string", "Whether it is text.", (("event.body.issue.title is string", "true"),)),
    Entry("number", "is number", "Whether it is a number.", (("1.5 is number", "true"),)),
    Entry("integer", "is integer", "Whether it is a whole number.", (("event.body.issue.number is integer", "true"),)),
    Entry("boolean", "is boolean", "Whether it is true or false.", (("1 is boolean", "false"),)),
    Entry("list", "is list", "Whether it is a list.", (("event.body.tags is list", "true"),)),
    Entry("object", "is object", "Whether it is an object.", (("event.body.tags is not object", "true"),)),
    Entry("empty", "is empty", "Whether a text, list or object has nothing in it.", (("'' is empty", "true"),)),
)
GROUPS = {"Text": TEXT, "Numbers": NUMBERS, "Lists": LISTS, "Objects and JSON": OBJECTS, "Times": TIMES}
FILTERS: tuple[Entry, ...] = tuple(entry for entries in GROUPS.values() for entry in entries)
EXAMPLE_SCOPE = msgspec.json.decode(
    b"""{"event": {"headers": {"x-github-event": "issues"}, "body": {
        "tags": ["bug", "urgent"],
        "issue": {"number": 7, "title": "Crash on start", "body": null},
        "people": [{"name": "Mia", "age": 41, "team": "core"}, {"name": "Bo", "age": 30, "team": "docs"},
                   {"name": "Al", "age": 22, "team": "core"}]}},
      "vars": {"channels": {"bug": "#core"}}}"""
)
EXAMPLE_FILES = {"prompts/triage.md": "Classify the issue.\n", "prompts/hello.j2": "Hello {{ name }}\n"}


def describe_filter(name: str) -> Entry | None:
    """The entry of a built-in filter; None for those of plugins."""
    return BY_FILTER.get(name)


def describe_function(name: str) -> Entry | None:
    """The entry of a function."""
    return BY_FUNCTION.get(name)


BY_FILTER = {entry.name: entry for entry in FILTERS}
BY_FUNCTION = {entry.name: entry for entry in FUNCTIONS}
