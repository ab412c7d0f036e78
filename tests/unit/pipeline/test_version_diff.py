"""What two versions are made of, side by side."""

from typing import Any

import msgspec

from engine.pipeline.version_diff import diff_sources


def stored(yaml: str, **more: Any) -> bytes:
    """A version as it is stored."""
    return msgspec.json.encode({"file": "p.yaml", "yaml": yaml, "files": {}, "env": [], **more})


def test_every_part_has_a_diff_of_its_own() -> None:
    """The file, what it reads, the defaults, the pipelines it calls; parts that are equal are left out."""
    called = {"file": "c.yaml", "yaml": "id: c\n", "files": {"x.txt": "same\n"}, "env": []}
    old = stored("id: p\na: 1\n", files={"t.md": "one\n"}, called={"c": called})
    new = stored(
        "id: p\na: 2", files={"t.md": "one\ntwo\n", "u.md": "new\n"}, defaults={"r": 1},
        called={"c": {**called, "yaml": "id: c\nb: 1\n"}},
    )  # fmt: skip
    assert diff_sources(old, new, names=("v1", "v2")).splitlines() == [
        "--- pipeline (v1)", "+++ pipeline (v2)", "@@ -1,2 +1,2 @@", " id: p", "-a: 1", "+a: 2",
        "--- /dev/null", "+++ pipeline, defaults (v2)", "@@ -0,0 +1,3 @@", "+{", '+  "r": 1', "+}",
        "--- pipeline, file t.md (v1)", "+++ pipeline, file t.md (v2)", "@@ -1 +1,2 @@", " one", "+two",
        "--- /dev/null", "+++ pipeline, file u.md (v2)", "@@ -0,0 +1 @@", "+new",
        "--- pipeline:c (v1)", "+++ pipeline:c (v2)", "@@ -1 +1,2 @@", " id: c", "+b: 1",
    ]  # fmt: skip


def test_equal_versions_have_no_diff() -> None:
    """Not even an empty one."""
    assert diff_sources(stored("id: p\n"), stored("id: p\n"), names=("a", "b")) == ""
