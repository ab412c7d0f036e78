"""Time-ordered identifiers (RFC 9562 UUID version 7)."""

import os
import time
import uuid

SIZE = 10  # random bytes in one identifier, of which 74 bits are used
RANDOM = 74
STEP = 40  # bits of a step within a millisecond: still a trillion guesses, and no run of them fills 74 bits
DRAWN = 100  # identifiers for which random bytes are drawn at once: a system call for each was an eighth of an ack


class _Entropy:
    """Random bytes of the system, drawn in bulk and used once."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._bytes, self._used = b"", 0

    def draw(self) -> bytes:
        if self._used >= len(self._bytes):
            self._bytes, self._used = os.urandom(SIZE * DRAWN), 0
        self._used += SIZE
        return self._bytes[self._used - SIZE : self._used]


_entropy = _Entropy()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_entropy.clear)  # a child must not repeat its parent's identifiers


class _Last:
    """The latest identifier of this process, as a number."""

    value = 0


def uuid7() -> uuid.UUID:
    """A new UUID version 7: 48 bits of Unix milliseconds, then 74 random bits. For one thread at a time.

    Each is larger than the one before, also within a millisecond and after the clock went back: RFC 9562, section 6.2,
    method 2 (the random part goes up by a random step). So rows that one process writes stand in the order of writing.
    """
    milliseconds = time.time_ns() // 1_000_000 & ((1 << 48) - 1)
    drawn = int.from_bytes(_entropy.draw(), "big")
    value = milliseconds << RANDOM | drawn & ((1 << RANDOM) - 1)
    if value <= _Last.value or milliseconds == _Last.value >> RANDOM:
        value = _Last.value + 1 + (drawn & ((1 << STEP) - 1))
    _Last.value = value
    return uuid.UUID(
        int=(value >> RANDOM) << 80 | 0x7 << 76 | (value >> 62 & 0xFFF) << 64 | 0b10 << 62 | value & ((1 << 62) - 1)
    )
