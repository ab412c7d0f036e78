"""Whatever is in a file, the checker answers with problems, never with a crash, and in bounded time."""

import random
import time

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.pipeline.check import check_files, check_text
from engine.pipeline.grammar.steps import SECTIONS
from engine.pipeline.report import format_problem
from tests.language.catalog import FILES, ROOT, make_catalog
from tests.unit.pipeline.test_loader import BOMBS

TEXTS = [path.read_text() for path in FILES]
PIECES = [
    "${{",
    "}}",
    ": ",
    " #",
    "- ",
    "\t",
    "\n",
    "  ",
    "'",
    '"',
    "{",
    "}",
    "[",
    "]",
    "&a",
    "*a",
    "!x",
    "|",
    "??",
    "\x00",
    "\ufeff",
    "\u202e",
]
WORDS = [
    "steps",
    "if",
    "uses",
    "with",
    "null",
    "1e999",
    "true",
    "-",
    "[]",
    "{}",
    "secrets.X",
    "item",
    "pipeline:",
    "for_each",
]
KEYS = sorted({name for section in SECTIONS.values() for name in section.keys} | {"else"})


def check(text: str | bytes) -> None:
    """Check it, and show what was found."""
    report = check_text(text, make_catalog(), root=ROOT)
    for problem in report.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.length >= 1
        assert format_problem(problem)
    assert len({pipeline.id for pipeline in report.pipelines}) == len(report.pipelines)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_random_bytes(data: bytes) -> None:
    """Most are not even UTF-8."""
    check(data)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.sampled_from(WORDS)
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
        max_leaves=20,
    )
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_values_under_our_keys(value: object) -> None:
    """Every key meets every kind of value."""
    check(msgspec.json.encode(value))


@given(st.integers(0, len(TEXTS) - 1), st.randoms(use_true_random=False), st.integers(1, 6))
@settings(max_examples=200, deadline=None)
def test_files_with_pieces_cut_out_and_put_in(index: int, chance: random.Random, times: int) -> None:
    """Valid files, damaged here and there."""
    text = TEXTS[index]
    for _ in range(times):
        at = chance.randrange(len(text) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            text = text[:at] + text[at + chance.randrange(1, 30) :]
        elif kind == 1:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif kind == 2:
            lines = text.splitlines(keepends=True)
            spot = chance.randrange(max(len(lines), 1))
            text = "".join([*lines[:spot], *lines[spot + 1 :]])
        else:
            other = chance.randrange(len(text) + 1)
            text = text[:at] + text[other : other + 60] + text[at:]
    check(text)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_go_through_the_checker(name: str) -> None:
    """Generous: the benchmark measures; this only sees whether something explodes."""
    begun = time.perf_counter()
    check(BOMBS[name])
    assert time.perf_counter() - begun < 5


def test_a_huge_file_is_not_read_whole(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ten megabytes: one error, and the others are checked."""
    folder = tmp_path_factory.mktemp("huge")
    (folder / "big.yaml").write_bytes(b"a: b\n" * 2_000_000)
    (folder / "good.yaml").write_text("id: good\nsteps:\n  - uses: value\n    with: {a: 1}\n")
    report = check_files(sorted(folder.glob("*.yaml")), make_catalog(), root=folder)
    assert [(item.code, item.message) for item in report.problems] == [
        ("E003", "the file is larger than 1000000 characters")
    ]
    assert [pipeline.id for pipeline in report.pipelines] == ["good"]


@pytest.mark.parametrize(
    ("text", "code", "help"),
    [
        # what YAML 1.1 readers would turn into something else is a text here, and the message says what to write
        ("enabled: NO", "E103", "write `true` or `false` without quotes"),
        ("enabled: 'true'", "E103", "write `true` or `false` without quotes"),
        ("on: push", "E101", "write `triggers:`"),
        ("timeout: 22:22", "E108", "30s"),
        ("timeout: 1_000", "E108", "30s"),
        ("name: 2026-03-01", "", ""),
        ("name: 5", "E103", "put it in quotes"),
        ("true: 5", "E101", "it has"),
        ("5: 5", "E101", "it has"),
    ],
)
def test_words_of_yaml_1_1(text: str, code: str, help: str) -> None:
    """`NO` is no false, `on` is no true, `22:22` is not 1342."""
    report = check_text(f"id: a\n{text}\nsteps:\n  - uses: value\n    with: {{a: 1}}\n", make_catalog())
    assert [problem.code for problem in report.problems] == [code] * bool(code)
    assert all(help in problem.help for problem in report.problems)


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_other_line_ends_make_no_difference(ending: str) -> None:
    """Version and places are the same."""
    text = TEXTS[0]
    plain, other = (check_text(item, make_catalog(), root=ROOT) for item in (text, text.replace("\n", ending)))
    assert [(item.code, item.line, item.column) for item in plain.problems] == [
        (item.code, item.line, item.column) for item in other.problems
    ]
    assert [item.version for item in plain.pipelines] == [item.version for item in other.pipelines]


MANY = {
    "steps": "steps:\n" + "".join(f"  - id: s{n}\n    usess: value\n    with: {{a: 1}}\n" for n in range(3_000)),
    "references": "steps:\n"
    + "".join(f"  - id: s{n}\n    uses: value\n    with: '${{{{ steps.x{n} }}}}'\n" for n in range(1_100)),
    "expressions": "steps:\n  - uses: value\n    with: >\n      " + "${{ rn.id }} " * 2_000,
    "variables": "vars:\n" + "".join(f"  v{n}: '${{{{ vars.v{n + 1} }}}}'\n" for n in range(2_000)),
    "keys": "".join(f"k{n}: 1\n" for n in range(19_000)),
}


@pytest.mark.parametrize("name", MANY)
def test_thousands_of_problems_are_cut(name: str) -> None:
    """Not one by one in ever longer time, nor each with a line of a megabyte."""
    begun = time.perf_counter()
    report = check_text(f"id: a\n{MANY[name]}", make_catalog())
    assert len(report.problems) == 1001
    assert any("these are the first 1000" in problem.message for problem in report.problems)
    assert sum(len(problem.source_line) + len(problem.help) for problem in report.problems) < 1_000_000
    assert not report.pipelines
    assert time.perf_counter() - begun < 15
