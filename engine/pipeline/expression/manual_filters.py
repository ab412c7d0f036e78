"""The filters' part of the manual."""

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """One filter, function or test. examples: expression and the JSON of its value in EXAMPLE_SCOPE."""

    name: str
    usage: str  # Markdown inside one pair of backticks
    meaning: str
    examples: tuple[tuple[str, str], ...]


TEXT = (
    Entry("lower", "lower", "Small letters.", (("'ABC' | lower", '"abc"'),)),
    Entry("upper", "upper", "Capital letters.", (("event.body.issue.title | upper", '"CRASH ON START"'),)),
    Entry(
        "trim",
        "trim` or `trim(characters)",
        "Without white space, or these characters, at both ends.",
        (("'  a b ' | trim", '"a b"'), ("'--a--' | trim('-')", '"a"')),
    ),
    Entry("replace", "replace(old, new)", "Every `old` by `new`.", (("'a b' | replace(' ', '-')", '"a-b"'),)),
    Entry(
        "truncate",
        "truncate(length, end='…')",
        "At most so many characters, the end included.",
        (("'a long text' | truncate(6)", '"a lon…"'), ("'abcdef' | truncate(3, end='')", '"abc"')),
    ),
    Entry("startswith", "startswith(text)", "Whether it begins so.", (("'abc' | startswith('a')", "true"),)),
    Entry("endswith", "endswith(text)", "Whether it ends so.", (("'abc' | endswith('bc')", "true"),)),
    Entry(
        "contains",
        "contains(part)",
        "Whether a text, list or object has this part, item or key.",
        (("event.body.tags | contains('bug')", "true"), ("'abc' | contains('x')", "false")),
    ),
    Entry(
        "matches",
        "matches(pattern)",
        "Whether the regular expression (RE2) is found; `^` and `$` bind it to the ends.",
        (("'v1.2.3' | matches('^v\\\\d+\\\\.')", "true"),),
    ),
    Entry(
        "split",
        "split` or `split(separator)",
        "A list, cut at white space or at the separator.",
        (("'a,b' | split(',')", '["a", "b"]'),),
    ),
    Entry(
        "join",
        "join` or `join(separator)",
        "One text of a list.",
        (("event.body.tags | join(', ')", '"bug, urgent"'),),
    ),
    Entry("string", "string", "Text of a text, a number or a boolean.", (("1.50 | string", '"1.5"'),)),
    Entry("slugify", "slugify", "Small letters, digits and `-`.", (("'Größe & Höhe' | slugify", '"grosse-hohe"'),)),
    Entry(
        "slack_escape",
        "slack_escape",
        "`&`, `<`, `>` made harmless for Slack.",
        (("'<b>&' | slack_escape", '"&lt;b&gt;&amp;"'),),
    ),
    Entry(
        "html_escape",
        "html_escape",
        "`&`, `<`, `>` and quotes made harmless for HTML.",
        (("'<b>' | html_escape", '"&lt;b&gt;"'),),
    ),
    Entry(
        "urlencode",
        "urlencode",
        "Percent-encoded text; a query of an object.",
        (("'a/b' | urlencode", '"a%2Fb"'), ("object(q='a b', page=2) | urlencode", '"q=a%20b&page=2"')),
    ),
    Entry(
        "b64encode",
        "b64encode",
        "Base64; also of secrets.",
        (("'user:password' | b64encode", '"dXNlcjpwYXNzd29yZA=="'),),
    ),
    Entry("sha256", "sha256", "The hash in hexadecimal.", (("'' | sha256 | truncate(8, end='')", '"e3b0c442"'),)),
    Entry(
        "hmac",
        "hmac(key, algorithm='sha256')",
        "The HMAC in hexadecimal (`sha1`, `sha512` as well); text and key may be secrets.",
        (("'text' | hmac('key') | truncate(8, end='')", '"6afa9046"'),),
    ),
)
NUMBERS = (
    Entry(
        "int",
        "int",
        "A whole number of a text or number; a fraction is cut off.",
        (("'42' | int", "42"), ("2.9 | int", "2")),
    ),
    Entry("float", "float", "A number of a text.", (("'1.5' | float", "1.5"),)),
    Entry(
        "round",
        "round` or `round(digits)",
        "Rounded; halves away from zero.",
        (("2.5 | round", "3"), ("1.005 | round(2)", "1.01")),
    ),
    Entry("sum", "sum", "The sum of a list.", (("[1, 2, 3] | sum", "6"),)),
    Entry("min", "min", "The smallest of a list; of an empty one it is not there.", (("['b', 'a'] | min", '"a"'),)),
    Entry("max", "max", "The largest of a list; of an empty one it is not there.", (("[] | max ?? 0", "0"),)),
)
LISTS = (
    Entry("length", "length", "Of a list, a text, an object.", (("event.body.tags | length", "2"),)),
    Entry(
        "first",
        "first",
        "The first item; of an empty list it is not there.",
        (("event.body.tags | first", '"bug"'),),
    ),
    Entry(
        "last",
        "last",
        "The last item; of an empty list it is not there.",
        (("event.body.tags | last", '"urgent"'),),
    ),
    Entry(
        "map",
        "map(what)",
        "A field, or what a lambda makes, of each item.",
        (
            ("event.body.people | map('name')", '["Mia", "Bo", "Al"]'),
            ("event.body.people | map(p => p.age + 1)", "[42, 31, 23]"),
        ),
    ),
    Entry(
        "where",
        "where(what)",
        "The items for which it is true.",
        (("event.body.people | where(p => p.age > 30) | map('name')", '["Mia"]'),),
    ),
    Entry(
        "any",
        "any` or `any(what)",
        "Whether it is true for one.",
        (("event.body.people | any(p => p.team == 'docs')", "true"),),
    ),
    Entry(
        "all",
        "all` or `all(what)",
        "Whether it is true for each.",
        (("event.body.people | all(p => p.age is integer)", "true"),),
    ),
    Entry(
        "sort_by",
        "sort_by(what)",
        "In order; equal ones stay as they are.",
        (("event.body.people | sort_by('name') | map('name')", '["Al", "Bo", "Mia"]'),),
    ),
    Entry(
        "group_by",
        "group_by(what)",
        "A list of `{key, items}`.",
        (("event.body.people | group_by('team') | map(g => g.key ~ g.items | length)", '["core2", "docs1"]'),),
    ),
    Entry("unique", "unique` or `unique(what)", "Without repeats.", (("[3, 3.0, '3'] | unique", '[3, "3"]'),)),
    Entry(
        "flatten",
        "flatten",
        "Lists within the list by their items, one level.",
        (("[[1], [2, 3]] | flatten", "[1, 2, 3]"),),
    ),
    Entry("reverse", "reverse", "Backwards; also of a text.", (("[1, 2] | reverse", "[2, 1]"),)),
    Entry("chunk", "chunk(size)", "Lists of at most so many items.", (("[1, 2, 3] | chunk(2)", "[[1, 2], [3]]"),)),
    Entry(
        "zip",
        "zip(other)",
        "Pairs from two lists of one length.",
        (("['a', 'b'] | zip([1, 2])", '[["a", 1], ["b", 2]]'),),
    ),
)
OBJECTS = (
    Entry("keys", "keys", "The names of the fields.", (("object(a=1, b=2) | keys", '["a", "b"]'),)),
    Entry("values", "values", "The values of the fields.", (("object(a=1, b=2) | values", "[1, 2]"),)),
    Entry("items", "items", "A list of `{key, value}`.", (("object(a=1) | items", '[{"key": "a", "value": 1}]'),)),
    Entry(
        "pick",
        "pick(names...)",
        "These fields; those that do not exist are left out.",
        (("event.body.issue | pick('number', 'gone')", '{"number": 7}'),),
    ),
    Entry("omit", "omit(names...)", "The other fields.", (("object(a=1, b=2) | omit('a')", '{"b": 2}'),)),
    Entry(
        "merge",
        "merge(other)",
        "Both; the other's fields win.",
        (("object(a=1, b=2) | merge(object(b=3))", '{"a": 1, "b": 3}'),),
    ),
    Entry(
        "to_json",
        "to_json` or `to_json(indent)",
        "JSON as text.",
        (("object(a=[1]) | to_json", '"{\\"a\\":[1]}"'),),
    ),
    Entry("from_json", "from_json", "The value of a JSON text.", (("'[1, null]' | from_json", "[1, null]"),)),
    Entry(
        "default",
        "default(value)",
        "The value if it is null or not there: the same as `??`.",
        (("event.body.issue.gone | default(0)", "0"),),
    ),
)
TIMES = (
    Entry(
        "date",
        "date` or `date(format, timezone)",
        "A time as ISO 8601 text in UTC, or in this format and time zone.",
        (
            ("'2026-03-01T10:00:00+01:00' | date", '"2026-03-01T09:00:00Z"'),
            ("'2026-03-01T09:00:00Z' | date('%d.%m. %H:%M', 'Europe/Berlin')", '"01.03. 10:00"'),
        ),
    ),
)
