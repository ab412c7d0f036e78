"""What people write that YAML cannot read: each mistake is told in plain words, where it is, with a way out."""

import pytest

from engine.pipeline.loader import YamlError, load_yaml
from engine.pipeline.marks import Marks

FLOW = "an expression without quotes inside `[...]` or `{...}`"
ENDS = "`: ` ends an unquoted value"
INSIDE = "`: ` ends an unquoted value, inside an expression as well"
QUOTED = "something follows a text in quotes"
BEGUN = "this key cannot stand here: the value above it has begun already"
FIT = "this line does not fit to those above it"
TAB = "a tab stands in the indentation"
BLOCK = "nothing may follow `|` or `>` on its line"


@pytest.mark.parametrize(
    ("text", "message", "place", "help"),
    [
        # expressions
        ("with: {a: ${{ run.id }}}", FLOW, "1:11", 'needs quotes: "${{ ... }}"'),
        ("with: [a, ${{ x['b'] }}]", FLOW, "1:11", "needs quotes"),
        ("a: {% if x %}", "a value that begins with `{%` is not a text", "1:4", "write expressions as `${{ ... }}`"),
        ("a: ${{ 'b: c' }}", INSIDE, "1:10", "put the whole value in quotes"),
        ("a: ${{ x ? 1 : 2 }}", INSIDE, "1:14", "write `a if condition else b`"),
        ("a: ${{ {b: 1} }}", INSIDE, "1:10", "write `object(name=value)`"),
        ("a: Re: ${{ x }}", ENDS, "1:6", "put the whole value in quotes"),
        # quotes
        ("a: 'it's'", QUOTED, "1:8", "write `''` for a `'` inside single quotes"),
        ('a: "x "y" z"', QUOTED, "1:8", 'write `\\"` for a `"` inside'),
        ("if: 'a' == b", QUOTED, "1:9", "put the whole value in double quotes"),
        ('if: "a" == b', QUOTED, "1:9", "put the whole value in single quotes"),
        ("a: 1\nb: 'x\nc: 2", "this text is not closed", "2:4", "in single quotes write `''`"),
        ('a: "c:\\dir"', "`\\d` is not an escape that YAML has", "1:7", "use single quotes"),
        ('a: "\\u12"', "`\\u` is not an escape that YAML has", "1:5", "use single quotes"),
        # brackets
        ("a: [1, 2", "this `[` is not closed", "1:4", "`]` ends it"),
        ("a: {b: 1\nc: 2", "this `{` is not closed", "1:4", "`}` ends it"),
        ("a: ['b' c]", "a `,` or `]` is missing here", "1:9", "needs quotes"),
        ("a: {b: 1}}", "`}` closes nothing", "1:10", "needs quotes"),
        ("if: [1] == x", "something follows a list or map in brackets", "1:9", "put the whole value in quotes"),
        # signs at the beginning of a value
        ("a: @x", "a value cannot begin with `@`", "1:4", "put the value in quotes"),
        ("a: %x", "a value cannot begin with `%`", "1:4", "put the value in quotes"),
        ("a: ? x", "a value cannot begin with `?`", "1:4", "put the value in quotes"),
        ("a: ,x", "a value cannot begin with `,`", "1:4", "put the value in quotes"),
        ("a: *.example.com", "`*` is followed by the name of an anchor", "1:4", "begins with `*` needs quotes"),
        ("a: & b", "`&` is followed by the name of an anchor", "1:4", "begins with `&` needs quotes"),
        ("a: - b", "a list begins on a line of its own", "1:4", "in quotes"),
        ("a: > x", BLOCK, "1:6", "begins on the next line"),
        ("a: | x\n  y", BLOCK, "1:6", "begins on the next line"),
        # lines
        ("a:\n\t- b", TAB, "2:1", "use spaces"),
        ("a:\n  b: |\n    x\n\ty\nc: 1", TAB, "4:1", "use spaces"),
        ("a:\n  b: 1\n c: 2", FIT, "3:2", "begin in the same column"),
        ("s:\n  - id: a\n   uses: b", FIT, "3:4", "begin in the same column"),
        ("s:\n  - id: a\n      uses: b", BEGUN, "3:7", "begin in the same column"),
        ("a: 1\nb\nc: 2", "this line is no `key: value`", "2:1", "a `:` is missing"),
        ("a: 1\n...\nb: 2", "a file has one document, and it has ended above", "3:1", "remove the `...`"),
        ("a: 1\n<<<<<<< HEAD\nb: 2\n=======\n", "a merge conflict is left in the file", "2:1", "keep one of the two"),
        ("%YAML 2.0\n---\na: 1", "this is not YAML: found incompatible YAML document", "1:1", ""),
    ],
)
def test_mistakes_are_explained(text: str, message: str, place: str, help: str) -> None:
    """The place is where the author has to look, not where the parser gave up."""
    with pytest.raises(YamlError) as caught:
        load_yaml(text)
    error = caught.value
    found = Marks(error.source, {}).place(error.start, error.end)
    assert (error.code, error.message, f"{found.line}:{found.column}") == ("E001", message, place)
    assert help in error.help


@pytest.mark.parametrize(
    "text",
    [
        'a: "' + "[" * 900_000,
        "a: '" + "{[ " * 300_000,
        "a: " + "${{ " * 200_000 + ": x",
        "a: " + "'a' " * 200_000,
        "a: " + " {{" * 300_000 + ": x",
    ],
)
def test_a_line_of_a_megabyte_is_looked_at_in_part(text: str) -> None:
    """The search for the reason is bounded: without that, these lines would take minutes."""
    with pytest.raises(YamlError) as caught:
        load_yaml(text)
    assert caught.value.code in ("E001", "E004")
    assert len(caught.value.message) < 200
