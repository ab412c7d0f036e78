"""Identifiers."""

import os
import time

import pytest

from engine.core.ids import DRAWN, uuid7


def test_ids_are_version_7_unique_and_ordered_by_time() -> None:
    """RFC 9562: version, variant, milliseconds first; no two alike, also over several draws of random bytes."""
    before = time.time_ns() // 1_000_000
    ids = [uuid7() for _ in range(DRAWN * 5)]
    after = time.time_ns() // 1_000_000
    assert {(found.version, found.variant) for found in ids} == {(7, "specified in RFC 4122")}
    assert ids == sorted(set(ids))
    assert all(before <= found.int >> 80 <= after for found in ids)


def test_ids_keep_their_order_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written later is larger, whatever the clock says; it is taken up again once it is ahead."""
    first = uuid7()
    monkeypatch.setattr(time, "time_ns", lambda: 1_600_000_000_000_000_000)
    back = [uuid7() for _ in range(1000)]
    assert [first, *back] == sorted({first, *back})
    monkeypatch.undo()
    assert uuid7() > back[-1]


def test_a_forked_child_makes_other_ids() -> None:
    """Random bytes drawn before the fork are not used twice."""
    uuid7()
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, uuid7().bytes[6:])
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 16) != uuid7().bytes[6:]
    os.close(reading)
    os.close(writing)
