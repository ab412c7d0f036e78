"""The order in which runs of a backlog are brought to the workers."""

from collections import deque
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.flow.execution import next_queue
from engine.flow.turns import LARGEST, LEAST, SLOW, Rounds, Window


def around(backlog: dict[UUID, deque[int]], after: UUID) -> list[UUID]:
    """The keys with something to do, from `after` on, around the circle: as the store tells them."""
    keys = sorted(key for key, runs in backlog.items() if runs)
    return [key for key in keys if key > after] + [key for key in keys if key <= after]


def bring(rounds: Rounds, backlog: dict[UUID, deque[int]], wanted: int) -> list[UUID]:
    """One round: whose runs were taken."""
    taken = []
    for key, runs in rounds.share(around(backlog, rounds.after), wanted):
        for _ in range(min(runs, len(backlog[key]))):
            backlog[key].popleft()
            taken.append(key)
    return taken


@given(
    st.dictionaries(st.uuids(), st.integers(1, 30), min_size=1, max_size=12),
    st.integers(1, 9),
    st.lists(st.uuids(), max_size=60),
)
def test_nobody_is_starved(counts: dict[UUID, int], wanted: int, newcomers: list[UUID]) -> None:
    """However much comes in for other keys meanwhile, each key that waits gets a turn within one circle."""
    backlog = {key: deque(range(count)) for key, count in counts.items()}
    rounds, arriving = Rounds(), iter(newcomers)
    waited = dict.fromkeys(counts, 0)
    while any(backlog.values()):
        for key in [key for _, key in zip(range(2), arriving, strict=False)]:
            backlog.setdefault(key, deque()).append(0)
        active = around(backlog, rounds.after)
        taken = set(bring(rounds, backlog, wanted))
        assert taken
        for key in active:
            waited[key] = 0 if key in taken else waited.get(key, 0) + 1
            assert waited[key] <= (len(counts) + len(newcomers)) // wanted + 1


@given(st.sets(st.uuids(), min_size=1, max_size=20), st.integers(1, 50))
def test_shares_are_equal(keys: set[UUID], wanted: int) -> None:
    """All that is wanted is shared out, and nobody gets two more than another."""
    shares = dict(Rounds().share(sorted(keys), wanted))
    counts = [shares.get(key, 0) for key in keys]
    assert sum(counts) == wanted
    assert max(counts) - min(counts) <= 1


@given(st.sets(st.text("abcd", min_size=1, max_size=2), min_size=1), st.text("abcd", min_size=1, max_size=2))
def test_each_queue_is_visited_in_turn(wanted: set[str], start: str) -> None:
    """Branches of a run in different queues all get on, whichever the others want."""
    seen, current = [], start
    for _ in range(len(wanted)):
        current = next_queue(current, wanted)
        seen.append(current)
    assert sorted(seen) == sorted(wanted)


def test_the_window_follows_the_workers() -> None:
    """It doubles while it is found empty, halves while it stays full, and asks for nothing while it is half full."""
    window = Window()
    assert [window.room(0, second) for second in range(3)] == [LEAST * 2, LEAST * 4, LEAST * 8]
    for second in range(20):
        window.room(0, 10.0 + second)
    assert window.size == LARGEST
    assert window.room(LARGEST, 30.0) == 0
    for step in range(20):
        window.room(LARGEST, 30.0 + step * (SLOW + 0.1))
    assert window.size == LEAST


@pytest.mark.parametrize("depth", range(LEAST * 2 + 1))
def test_the_window_is_never_overfilled(depth: int) -> None:
    window = Window()
    assert depth + window.room(depth, 1.0) <= max(depth, window.size)
