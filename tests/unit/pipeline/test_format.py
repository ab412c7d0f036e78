"""Formatting: never another meaning, never a lost comment, never a second change."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipeline.formatting import format_text
from engine.pipeline.formatting.scalars import can_be_plain
from engine.pipeline.formatting.tree import find_comments, read_tree
from engine.pipeline.loader import YamlError, load_yaml
from tests.unit.pipeline.conftest import Check
from tests.unit.pipeline.messy import Messy

ROOT = Path(__file__).parents[3]
FILES = sorted([*ROOT.glob("pipelines/*.yaml"), ROOT / "project.yaml", *ROOT.glob("tests/language/**/*.yaml")])


def comments(text: str) -> Counter[str]:
    return Counter(comment.text for comment in find_comments(read_tree(text)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_examples_keep_their_meaning(path: Path) -> None:
    """Data and comments are the same, and what was formatted stays as it is."""
    text = path.read_text()
    try:
        before, _ = load_yaml(text)
    except YamlError:
        return
    formatted = format_text(text)
    assert formatted.left == ""
    assert load_yaml(formatted.text)[0] == before
    assert comments(formatted.text) == comments(text)
    assert format_text(formatted.text).text == formatted.text


@pytest.mark.parametrize("path", sorted(ROOT.glob("pipelines/*.yaml")), ids=lambda path: path.name)
def test_our_own_pipelines_are_formatted(path: Path) -> None:
    """The examples look as the formatter would write them."""
    assert format_text(path.read_text()).text == path.read_text()


@settings(max_examples=300, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_whatever_people_write(seed: int) -> None:
    """Random files in random styles: same data, same comments, and the second time nothing happens."""
    messy = Messy(seed)
    data = messy.data()
    text = messy.file(data)
    before, _ = load_yaml(text)
    formatted = format_text(text)
    assert formatted.left == "", text
    after, _ = load_yaml(formatted.text)
    assert after == before, text
    assert comments(formatted.text) == comments(text)
    assert format_text(formatted.text).text == formatted.text, text


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=12), st.booleans())
def test_a_text_that_can_be_plain_reads_the_same(value: str, flow: bool) -> None:
    """Without quotes it is the same text, for us and for readers of YAML 1.1."""
    import yaml

    if not can_be_plain(value, flow=flow):
        return
    text = f"k: [{value}]\n" if flow else f"k: {value}\n"
    expected = {"k": [value] if flow else value}
    assert load_yaml(text)[0] == expected
    assert yaml.safe_load(text) == expected


UGLY = """\
# yaml-language-server: $schema=../.hookwright/pipeline.schema.json


steps:
    # the first step
    -   uses: "value"     # returns it
        id: 'one'
        with: { text: "${{ event.body.x }}",
                 list: [1,
                   2] }
    - on_error: continue
      id: two
      # only sometimes
      if: "steps.one.status == 'succeeded'"
      uses: value
      with:
        query: |2
             select 1
           from t   # kept

        cron: "*/5 * * * *"
        no: 'no'
        port: '5'



triggers:
- {uses: webhook, with: {path: a, auth: none}}
name: "Ugly"
id: ugly

vars:
  b: 1
  a: 2
# the end
"""
TIDY = """\
# yaml-language-server: $schema=../.hookwright/pipeline.schema.json

id: ugly
name: Ugly

triggers:
  - {uses: webhook, with: {path: a, auth: none}}

vars:
  b: 1
  a: 2
steps:
  # the first step
  - id: one
    uses: value           # returns it
    with: {text: "${{ event.body.x }}", list: [1, 2]}
  - id: two
    # only sometimes
    if: steps.one.status == 'succeeded'
    uses: value
    with:
      query: |2
           select 1
         from t   # kept

      cron: "*/5 * * * *"
      no: 'no'
      port: '5'
    on_error: continue
# the end
"""


def test_a_file_is_tidied_up() -> None:
    """Indentation, key order, quotes, empty lines; comments go with their keys; block scalars keep their text."""
    assert format_text(UGLY).text == TIDY
    assert format_text(TIDY).text == TIDY


def test_the_version_is_the_same(check: Check) -> None:
    """Formatting deploys nothing new."""
    (before,) = check(UGLY).pipelines
    (after,) = check(TIDY).pipelines
    assert before.version == after.version
    assert before.source != after.source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1,2]\n", "a: [1, 2]\n"),
        ("a: {b: {c: }}\n", "a: {b: {c}}\n"),
        ("a: [b: 1]\n", "a: [{b: 1}]\n"),
        ("a: &x {b: 1}\nc: *x\n", "a: &x {b: 1}\nc: *x\n"),
        ("a: &x\n    b: 1\nc: [*x, *x]\n", "a: &x\n  b: 1\nc: [*x, *x]\n"),
        ("a:\n- &x b\n-   &y\n    c: 1\n- *x\n", "a:\n  - &x b\n  - &y\n    c: 1\n  - *x\n"),
        ("a: &x\nb: *x\n", "a: &x\nb: *x\n"),
        ("---\n# c\na: 1\n", "# c\n---\na: 1\n"),
        ("a: one\n     two\n", "a: one\n  two\n"),
        ("a: 'one\n\n     two'\n", "a: 'one\n\n  two'\n"),
        ('a: "one \\\n   two"\n', 'a: "one \\\n  two"\n'),
        ("a: >-\n      folded\n      text\n", "a: >-\n  folded\n  text\n"),
        ("a: |\n  no end", "a: |\n  no end"),
        ("\ufeffa: 1\r\nb:   'x'\r\n", "a: 1\nb: x\n"),
        ("? a\n: 1\n", "a: 1\n"),
        ("- a: 1\n", None),
        ("text\n", None),
        ("", None),
        ("# only a comment\n", None),
        ("%YAML 1.2\n---\na: 1\n", None),
        ("a: '\u2028'\n", None),
        ("&k a: 1\n", None),
        ("{a: 1, b: [2]}\n", "{a: 1, b: [2]}\n"),
        ("a: {\n  # why\n  b: 1,\n  c: 2 # because\n}\n", "a:\n  # why\n  b: 1\n  c: 2 # because\n"),
        ("a: # why\n  1\n", "a: 1 # why\n"),
        ("a:\n  # why\n  1\n", "# why\na: 1\n"),
        ("- - a\n", None),
    ],
)
def test_small_things(text: str, expected: str | None) -> None:
    """One line each; None: it is left alone."""
    formatted = format_text(text)
    if expected is None:
        assert formatted.left
        assert formatted.text == text
    else:
        assert (formatted.text, formatted.left) == (expected, "")
        assert format_text(expected).text == expected


def test_a_long_line_in_brackets_is_broken() -> None:
    """What does not fit into 120 columns becomes a block, from outside inwards."""
    text = "a: {b: [" + ", ".join(f"{{name: item_{number}, size: {number}}}" for number in range(6)) + "]}\n"
    lines = format_text(text).text.splitlines()
    assert lines[:3] == ["a:", "  b:", "    - {name: item_0, size: 0}"]


def test_order_that_counts_is_kept() -> None:
    """Variables, branches, inputs and `with` stay as they are; so does everything in a file with anchors."""
    text = "id: a\nvars: {z: 1, b: 2}\nsteps:\n  - parallel: {z: [], a: []}\n  - {uses: v, with: {uses: 1, id: 2}}\n"
    assert format_text(text).text == text
    anchored = "steps:\n  - &one {uses: value}\n  - *one\nid: a\n"
    assert format_text(anchored).text == anchored


def test_a_broken_file_is_told() -> None:
    """With the loader's own error."""
    with pytest.raises(YamlError):
        format_text("a: [\n")
