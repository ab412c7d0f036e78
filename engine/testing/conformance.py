"""What every step type owes its users, ours and strangers'. Used by `for problem in check_step_type(type): ...`."""

import inspect
from collections.abc import Iterator
from typing import Any

import msgspec

from engine.core.catalog import StepType
from engine.plugin import StepConfig, WholeConfig
from engine.plugin.config import MASK, SECRET_NAMES, marked_fields
from engine.plugin.reference import description, example_of

CANARY = "canary-value-that-must-not-be-shown"


def check_step_type(type_: StepType) -> list[str]:
    """One text for each promise that is broken; empty: the step type behaves."""
    return list(_problems(type_))


def _problems(type_: StepType) -> Iterator[str]:
    if not inspect.iscoroutinefunction(type_.function):
        yield "the function is not async"
    if not type_.summary:
        yield "the config has no docstring"
    if not (inspect.getdoc(type_.function) or ""):
        yield "the function has no docstring"
    if example_of(type_.config) is None:
        yield "the config's docstring has no `Example:`"
    for what, subject in (("config", type_.config), ("result", type_.result)):
        try:
            msgspec.json.schema(subject)
        except TypeError as error:
            yield f"no JSON schema can be made of the {what}: {error}"
    for config in _configs(type_.config):
        yield from _config_problems(config)
    if inspect.isclass(type_.result) and issubclass(type_.result, msgspec.Struct):
        for field in _fields(type_.result):
            if not description(field.type):
                yield f"the output's field `{field.name}` has no description"


def _config_problems(config: type[msgspec.Struct]) -> Iterator[str]:
    if not config.__struct_config__.forbid_unknown_fields:
        yield f"{config.__name__} takes unknown fields without a word"
    if not config.__struct_config__.frozen:
        yield f"{config.__name__} is not frozen"
    secret = marked_fields(config, "secret")
    for field in _fields(config):
        if not description(field.type):
            yield f"field `{field.name}` of {config.__name__} has no description"
        if field.name in SECRET_NAMES and field.name not in secret:
            yield f"field `{field.name}` of {config.__name__} is named like a secret and is not SecretText"
    if issubclass(config, WholeConfig):
        return
    filled = _filled(config)
    for name in secret:
        if f"{name}={MASK!r}" not in repr(filled):
            yield f"field `{name}` of {config.__name__} is shown in the repr"
    if CANARY in "".join(str(part) for part in filled.__rich_repr__() if part[0] in secret):
        yield f"{config.__name__} shows secrets in its rich repr"


def _filled(config: type[msgspec.Struct]) -> Any:
    """An instance whose every field holds the canary; validation is of no interest here."""
    bases, namespace = (config,), {"__post_init__": lambda _self: None}
    unchecked = msgspec.defstruct(config.__name__, [], bases=bases, namespace=namespace, frozen=True, kw_only=True)
    return unchecked(**dict.fromkeys(config.__struct_fields__, CANARY))


def _fields(config: type[msgspec.Struct]) -> tuple[msgspec.inspect.Field, ...]:
    information = msgspec.inspect.type_info(config)
    assert isinstance(information, msgspec.inspect.StructType)
    return information.fields


def _configs(config: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """The config and the configs inside it."""
    todo, seen = [config], set[type]()
    while todo:
        current = todo.pop()
        if current in seen or not issubclass(current, StepConfig):
            continue
        seen.add(current)
        yield current
        for field in _fields(current):
            todo += _structs(field.type)


def _structs(type_: msgspec.inspect.Type) -> list[type[msgspec.Struct]]:
    match type_:
        case msgspec.inspect.StructType():
            return [type_.cls]
        case msgspec.inspect.Metadata():
            return _structs(type_.type)
        case msgspec.inspect.UnionType():
            return [found for member in type_.types for found in _structs(member)]
        case msgspec.inspect.ListType():
            return _structs(type_.item_type)
        case msgspec.inspect.DictType():
            return _structs(type_.value_type)
    return []
