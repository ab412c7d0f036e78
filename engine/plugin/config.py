"""The base of every `with:`: strict fields, durations checked, secrets never shown."""

from functools import cache
from typing import Annotated, Any

import msgspec

from engine.core.duration import parse_duration

MASK = "***"
SECRET_NAMES = frozenset({"api_key", "password", "secret", "token"})  # masked even if the author forgot SecretText

# Text that must never be shown: `token: Annotated[SecretText, Meta(description="...")]`.
SecretText = Annotated[str, msgspec.Meta(extra={"secret": True}, extra_json_schema={"writeOnly": True})]
# A duration as authors write it; parse_duration() gives seconds. StepConfig refuses what is not one.
Duration = Annotated[str, msgspec.Meta(extra={"duration": True}, examples=["30s", "10m", "2h", "7d"])]


class StepConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Base of every step's and trigger's `with:`. The docstring's first line is shown in lists and editors.

    Fields of type `Duration` are checked; fields of type `SecretText`, or named token, secret, password or api_key,
    are masked in the repr. A subclass with a __post_init__ of its own calls super().__post_init__(). What it raises as
    ValueError becomes the message for the author.

    Structs are frozen at run time; type checkers want subclasses to repeat `frozen=True`.
    """

    def __post_init__(self) -> None:
        for name in marked_fields(type(self), "duration"):
            value = getattr(self, name)
            if value is None:
                continue
            try:
                parse_duration(value)
            except ValueError as error:
                raise ValueError(f"`{name}`: {error}") from None

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        hidden = SECRET_NAMES.union(marked_fields(type(self), "secret"))
        values = [(name, getattr(self, name)) for name in self.__struct_fields__]
        return [(name, MASK if name in hidden and value is not None else value) for name, value in values]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class WholeConfig(StepConfig, frozen=True):
    """Base for a step whose `with:` may be anything at all: a text, a list, a map with any keys.

    The checker and the engine hand the whole `with` over as the one field: `{"value": with}`.
    """

    value: Annotated[Any, msgspec.Meta(description="The whole of `with`.")] = None


@cache
def marked_fields(config: type[msgspec.Struct], mark: str) -> tuple[str, ...]:
    """Names of the fields whose type carries Meta(extra={mark: True})."""
    information = msgspec.inspect.type_info(config)
    assert isinstance(information, msgspec.inspect.StructType)
    return tuple(field.name for field in information.fields if _is_marked(field.type, mark))


def _is_marked(type_: msgspec.inspect.Type, mark: str) -> bool:
    if isinstance(type_, msgspec.inspect.Metadata):
        return bool((type_.extra or {}).get(mark)) or _is_marked(type_.type, mark)
    return isinstance(type_, msgspec.inspect.UnionType) and any(_is_marked(member, mark) for member in type_.types)
