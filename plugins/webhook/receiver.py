"""What all webhook triggers are configured with: where they listen, which secrets count, which events they want."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from msgspec import Meta

from engine.plugin import StepConfig

LARGEST = 100_000_000  # bytes a body may have at most
SIZE = re.compile(r"([0-9]{1,9}) ?(B|KB|MB|KIB|MIB)?", re.IGNORECASE)
UNITS = {"B": 1, "KB": 1000, "MB": 1_000_000, "KIB": 1024, "MIB": 1024**2}
SEGMENT = re.compile(r"[A-Za-z0-9._~@:+-]+|\{[a-z][a-z0-9_]*\}")
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

# One secret, or several while one is replaced by the next: each of them is accepted.
Secrets = Annotated[str | list[str], Meta(extra={"secret": True}, extra_json_schema={"writeOnly": True})]


class Receiver(StepConfig, frozen=True, kw_only=True):
    """Where a trigger listens."""

    path: Annotated[str, Meta(description="Path below /hooks/; {name} takes one segment.", examples=["orders/{shop}"])]
    methods: Annotated[list[str], Meta(description="HTTP methods that are accepted.")] = msgspec.field(
        default_factory=lambda: ["POST"]
    )
    max_body: Annotated[
        int | str,
        Meta(description="Most bytes of a body, as a number or like 1MB; 0: HOOKWRIGHT_MAX_BODY.", examples=["5MB"]),
    ] = 0
    events: Annotated[
        list[str],
        Meta(description="Wanted types of event; `issues` includes `issues.opened` and all others of it, * is any."),
    ] = msgspec.field(default_factory=lambda: ["*"])

    def __post_init__(self) -> None:
        super().__post_init__()
        path = self.path.strip("/")
        if len(path) > 200 or not all(_is_segment(part) for part in path.split("/")):
            raise ValueError("`path` is made of letters, digits, ._~@:+- and {names}, in segments parted by /")
        methods = [method.upper() for method in self.methods]
        if not methods or not METHODS.issuperset(methods):
            raise ValueError(f"`methods` is a list of {', '.join(sorted(METHODS))}")
        if not self.events or not all(self.events):
            raise ValueError("`events` is empty: nothing would ever match; leave it out to take all events")
        msgspec.structs.force_setattr(self, "path", path)
        msgspec.structs.force_setattr(self, "methods", methods)
        msgspec.structs.force_setattr(self, "max_body", parse_size(self.max_body))


class SignedReceiver(Receiver, frozen=True, kw_only=True):
    """A receiver with a secret that the sender shares."""

    secret: Annotated[Secrets, Meta(description="The secret, or a list of all that are in use.")]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_secrets(self.secret)


def wants(event_type: str, config: Receiver) -> bool:
    """Whether `events` names it: the type itself, a part before a dot or slash, or a pattern with *."""
    events = config.events
    return event_type in events or any(_includes(pattern, event_type) for pattern in events)


def secrets_of(value: str | list[str]) -> Sequence[str]:
    """Always a list; the first one signs."""
    return [value] if isinstance(value, str) else value


def check_secrets(value: str | list[str], name: str = "secret") -> None:
    """ValueError if there is none, or an empty one: that would let everybody in."""
    if not value or not all(secrets_of(value)):
        raise ValueError(f"`{name}` is empty")


def parse_size(size: int | str) -> int:
    """Bytes of a written size. ValueError if it is none, or more than LARGEST."""
    if isinstance(size, str):
        found = SIZE.fullmatch(size.strip())
        if found is None:
            raise ValueError(f"`max_body`: {size!r} is not a size: write for example 500KB, 1MB, 2MiB")
        size = int(found[1]) * UNITS[(found[2] or "B").upper()]
    if not 0 <= size <= LARGEST:
        raise ValueError(f"`max_body` is at most {LARGEST:,} bytes")
    return size


def _includes(pattern: str, event_type: str) -> bool:
    return (
        pattern in ("*", event_type)
        or event_type.startswith((f"{pattern}.", f"{pattern}/"))
        or ("*" in pattern and fnmatchcase(event_type, pattern))
    )


def _is_segment(part: str) -> bool:
    return part not in (".", "..") and SEGMENT.fullmatch(part) is not None
