"""YAML: what is read, what is refused, and where everything stands."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pipeline.loader import YamlError, load_yaml
from engine.pipeline.marks import Marks


@pytest.mark.parametrize(
    ("text", "data"),
    [
        # YAML 1.2: words and times are text
        ("[on, yes, NO, off, 12:30, 2026-03-01]", ["on", "yes", "NO", "off", "12:30", "2026-03-01"]),
        ("[true, True, FALSE, null, ~, Null]", [True, True, False, None, None, None]),
        ("[1, -2, +3, 0o17, 0x1F, 012]", [1, -2, 3, 15, 31, 12]),
        ("[1.5, .5, 1e3, -1.5E-2]", [1.5, 0.5, 1000.0, -0.015]),
        ("['1', \"true\", '']", ["1", "true", ""]),
        ("on: 1\n1: a\ntrue: b", {"on": 1, "1": "a", "true": "b"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: |\n  x\n   y\nb: >-\n  x\n  y", {"a": "x\n y\n", "b": "x y"}),
        ("\ufeffa: ü", {"a": "ü"}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        ("", None),
        ("# only a comment", None),
        ("a:", {"a": None}),
    ],
)
def test_what_is_read(text: str, data: Any) -> None:
    """Plain data by the core schema."""
    assert load_yaml(text)[0] == data
    assert load_yaml(text.encode())[0] == data


@pytest.mark.parametrize(
    ("text", "code", "message", "place", "help"),
    [
        ("a: 1\nb: 2\na: 3", "E002", "the key `a` stands here twice, first on line 1", (3, 1), None),
        ("a: {{ x }}", "E004", "`{{ }}` is a map in a map in YAML", (1, 4), "write expressions as `${{ ... }}`"),
        ("a: !!str x", "E004", "tags are not allowed: `!!str`", (1, 4), None),
        ("a: !!python/object/apply:os.system [ls]", "E004", "tags are not allowed: `!!python/object", (1, 4), None),
        ("!x a: 1", "E004", "tags are not allowed: `!x`", (1, 1), None),
        ("a: &x {b: 1}\nc:\n  <<: *x", "E004", "merge keys (`<<`) are not supported", (3, 3), "write the keys out"),
        ("a: *x", "E001", "there is no anchor `&x` above", (1, 4), "a value that begins with `*` needs quotes"),
        ("a: &x [*x]", "E003", "`*x` contains itself", (1, 8), None),
        ("? [a]\n: 1", "E004", "a key must be a text", (1, 3), None),
        ("? {a: 1}\n: 1", "E004", "a key must be a text", (1, 3), None),
        ("null: 1", "E004", "a key is missing before `:`", (1, 1), ""),
        ("a: 1\n---\nb: 2", "E004", "a file has one document", (2, 1), "remove this `---`"),
        ("a: .inf", "E004", "`.inf` is not a number that JSON has", (1, 4), "quote it if it is a text"),
        ("a: 99999999999999999999999", "E004", "is not a number that JSON has", (1, 4), "quote it if it is a text"),
        ("a: 1e999", "E004", "is not a number that JSON has", (1, 4), "quote it if it is a text"),
        ("a: .nan", "E004", "`.nan` is not a number that JSON has", (1, 4), "quote it if it is a text"),
        ("a: " + "9" * 5000, "E004", "is not a number that JSON has", (1, 4), None),
        ("a: 0x" + "f" * 30, "E004", "is not a number that JSON has", (1, 4), None),
        ("a: x\0y", "E005", "the control character U+0000 is not allowed", (1, 5), ""),
        ("a: 1\nb: x\x1b[2J", "E005", "the control character U+001B is not allowed", (2, 5), None),
        ("a: \ud800", "E005", "the control character U+D800 is not allowed", (1, 4), None),
        ("a: 1\n\xa0b: 1", "E005", "this key has the invisible character U+00A0 in it", (2, 1), None),
        ("\ufeffa: 1".encode("utf-16"), "E005", "the file is UTF-16", (1, 1), "save it as UTF-8"),
        (b"ok: 1\nb\xff: 1", "E005", "the file is not UTF-8", (2, 2), "save it as UTF-8"),
        ("a: '" + "x" * 1_000_000 + "'", "E003", "the file is larger than 1000000 characters", (1, 1), None),
        ("a: 1\n" + "#\n" * 50_000, "E003", "the file has more than 50000 lines", (1, 1), None),
        (
            "a: &a [" + "1," * 9 + "]\nb: [" + "*a," * 2000 + "]",
            "E003",
            "a file may have 20000 values; an alias",
            (2, 5999),
            None,
        ),
    ],
)
def test_what_is_refused(text: str | bytes, code: str, message: str, place: tuple[int, int], help: str | None) -> None:
    """One clear error with its place and advice."""
    with pytest.raises(YamlError) as caught:
        load_yaml(text)
    error = caught.value
    found = Marks(error.source, {}).place(error.start, error.end)
    assert error.code == code
    assert message in error.message
    assert (found.line, found.column) == place
    if help is not None:
        assert error.help == help


BOMBS = {
    "laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "\n".join(
        f"{new}: &{new} [{','.join(['*' + old] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "brackets": "[" * 500_000,
    "braces": "{a: " * 200_000,
    "dashes": "- " * 400_000,
    "keys": "\n".join(f"k{index}: 1" for index in range(60_000)),
    "one-key": "\n".join(["k: 1"] * 60_000),
    "quotes": "a: ${{ " + "'\\" * 400_000,
    "questions": "? " * 300_000,
    "alias-depth": "a0: &a0 [1]\n" + "\n".join(f"a{n + 1}: &a{n + 1} [*a{n}]" for n in range(5_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_bounded_in_time(name: str) -> None:
    """Whatever it is, the answer comes at once."""
    begun = time.perf_counter()
    code = ""
    try:
        load_yaml(BOMBS[name])
    except YamlError as error:
        code = error.code
    assert code in ("", "E001", "E002", "E003", "E004")
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    ("text", "path", "fragment"),
    [
        ("a: x ${{ here }}", ("a",), "here"),
        ("a: 'it''s ${{ here }}'", ("a",), "here"),
        ('a: "\\u0041\\n\\t \\x20 ${{ here }}"', ("a",), "here"),
        ('a: "x \\\n   y ${{ here }}"', ("a",), "here"),
        ("a: |  # comment\n\n    one\n      two ${{ here }}\n", ("a",), "here"),
        ("a: >-\n   one\n   two\n\n   three ${{ here }}\n", ("a",), "here"),
        ("a: one\n  two ${{ here }}", ("a",), "here"),
        ("a: 'one\n\n  two ${{ here }}'", ("a",), "here"),
        ("a: &anchor x ${{ here }}", ("a",), "here"),
        ("a: |2-\n    x ${{ here }}", ("a",), "here"),
        ("ä: [b, {c: 'ü😀 ${{ here }}'}]", ("ä", 1, "c"), "here"),
        ("a: 1\r\nb: |\r\n  x\r\n  ${{ here }}\r\n", ("b",), "here"),
    ],
)
def test_a_place_within_a_text_is_found_in_the_file(text: str, path: tuple[str | int, ...], fragment: str) -> None:
    """However the text is quoted or folded."""
    data, marks = load_yaml(text)
    value = data
    for part in path:
        value = value[part]
    start = value.index(fragment)
    place = marks.value(path, (start, start + len(fragment)))
    assert marks.line(place.line)[place.column - 1 :][: place.length] == fragment


def test_keys_and_values_have_places() -> None:
    """Keys of aliases have those of the original."""
    _, marks = load_yaml("top:\n  - key: value\n    list: [a, bb]\n")
    assert marks.key(("top", 0, "key")).column == 5
    value = marks.value(("top", 0, "list", 1))
    assert (value.line, value.column, value.length) == (3, 15, 2)
    assert marks.value(("top", 0, "gone")).line == 2


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=150)
def test_random_bytes_give_data_or_a_yaml_error(data: bytes) -> None:
    """Nothing else comes out, and places are within the file."""
    try:
        load_yaml(data)
    except YamlError as error:
        place = Marks(error.source, {}).place(error.start, error.end)
        assert place.line >= 1


YAMLISH = st.text(alphabet="ab:-[]{},'\"\n #&*|>!?%@`$\t0.", max_size=40)


@given(YAMLISH)
@settings(max_examples=300)
def test_random_yaml_gives_data_or_a_yaml_error(text: str) -> None:
    """Every text has a place for each of its characters."""
    try:
        _, marks = load_yaml(text)
    except YamlError:
        return
    for path, mark in marks.marks.items():
        for offset in range(len(mark.text or "")):
            place = marks.value(path, (offset, offset + 1))
            if mark.text is not None and not mark.text[offset].isspace() and mark.style != '"':
                assert marks.line(place.line)[place.column - 1] == mark.text[offset]
