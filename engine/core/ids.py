"""Time-ordered identifiers (RFC 9562 UUID version 7)."""

import os
import time
import uuid

SIZE = 10  # random bytes in one identifier, of which 74 bits are used
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


def uuid7() -> uuid.UUID:
    """A new UUID version 7: 48 bits of Unix milliseconds, then 74 random bits. For one thread at a time."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(_entropy.draw(), "big")
    return uuid.UUID(
        int=(milliseconds & ((1 << 48) - 1)) << 80
        | 0x7 << 76
        | (random >> 62 & 0xFFF) << 64
        | 0b10 << 62
        | random & ((1 << 62) - 1)
    )
