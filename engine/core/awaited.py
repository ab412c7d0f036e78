"""What a run waits for, as events are looked up by it: kinds of events, and values that their fields must have.

A condition such as `incoming.body.id == inputs.id` is known before the event comes: the path and the value are. Equal
values have equal keys, so that one event finds the waits that mean it among very many. The key only chooses whom to
wake: the condition itself is evaluated by the run.
"""

import hashlib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

Path = tuple[str | int, ...]  # fields and indexes below `incoming`

ANY = UUID(int=0)  # the key of waits that name no value


class Kind(NamedTuple):
    """Which events: globs of source and type (None: any), and the fields whose values are compared."""

    source: str | None
    type: str | None
    paths: tuple[Path, ...] = ()

    @property
    def id(self) -> UUID:
        """Equal for equal kinds."""
        return _digest(msgspec.json.encode(self))

    def covers(self, source: str, type_: str) -> bool:
        """Whether events of this source and type are meant."""
        return (self.source is None or fnmatchcase(source, self.source)) and (
            self.type is None or fnmatchcase(type_, self.type)
        )


class Awaited(NamedTuple):
    """One of the events that end a wait."""

    kind: Kind
    key: UUID = ANY


def fingerprint(awaited: Sequence[Awaited]) -> UUID:
    """Equal for waits for the same events."""
    return _digest(msgspec.json.encode([(one.kind, one.key) for one in awaited]))


def key_of(view: Mapping[str, Any], paths: Sequence[Path]) -> UUID | None:
    """The key of an event for these paths; None: it has none of the values that a wait can name."""
    if not paths:
        return ANY
    values = []
    for path in paths:
        found, value = _follow(view, path)
        if not found or not is_plain(value):
            return None
        values.append(value)
    return key_for(values)


def key_for(values: Sequence[Any]) -> UUID:
    """The key for these values, all of them plain: the same for equal ones (1 is 1.0; true is not 1, nor is '1')."""
    parts = [_spell(value) for value in values]
    return _digest(b"".join(b"%d:%s" % (len(part), part) for part in parts))


def is_plain(value: Any) -> bool:
    """Whether it is text, a number, true, false or null."""
    return value is None or isinstance(value, str | int | float)


def _follow(value: Any, path: Path) -> tuple[bool, Any]:
    for part in path:
        if isinstance(part, str):
            if not isinstance(value, Mapping) or part not in value:
                return False, None
        elif not isinstance(value, list | tuple | str) or part >= len(value):
            return False, None
        value = value[part]
    return True, value


def _spell(value: Any) -> bytes:
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if value is None or isinstance(value, bool):
        return repr(value).encode()
    if isinstance(value, float):
        if not value.is_integer():
            return b"f" + repr(value).encode()
        value = int(value)
    return b"i%x" % value


def _digest(data: bytes) -> UUID:
    return UUID(bytes=hashlib.sha256(data).digest()[:16])
