"""What time it is: PostgreSQL's time, carried on by a clock that never jumps.

Times that one machine writes are read by others, and PostgreSQL decides what is due. So a process that holds runs asks
it for the time now and then, and counts on from there: whether its own clock is wrong, set back or set forward does
not matter. Before the first answer its own clock has to do.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

TREMBLE = 0.1  # seconds of difference that are no news: answers take their time


class Clock:
    """Aware UTC times. wall: seconds since 1970, may jump; monotonic: seconds since whenever, never jumps."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._ahead: float | None = None  # of the monotonic clock; None: nobody has told us yet

    def now(self) -> datetime:
        """The time."""
        if self._ahead is None:
            return datetime.fromtimestamp(self._wall(), UTC)
        return datetime.fromtimestamp(self._monotonic() + self._ahead, UTC)

    def mark(self) -> float:
        """Take this before asking for the time."""
        return self._monotonic()

    def set(self, told: datetime, asked: float) -> float:
        """Count on from the time that was told; by how many seconds that moves us. asked: what mark() said."""
        answered = self._monotonic()
        ahead = told.timestamp() - (asked + answered) / 2
        before = self._ahead if self._ahead is not None else self._wall() - answered
        moved = ahead - before
        if self._ahead is None or abs(moved) > TREMBLE + (answered - asked):
            self._ahead = ahead
        return moved

    def forget(self) -> None:
        """Back to our own clock."""
        self._ahead = None


CLOCK = Clock()  # of this process
