"""The reference of step types, written from their Structs: `python -m engine.plugin.reference > docs/steps.md`."""

import inspect
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec

from engine.core.catalog import Catalog, Effect, StepType
from engine.plugin.config import WholeConfig

HEAD = """# Step types

What a step can do: the name after `uses:` and the fields of its `with:`. `hookwright plugins show NAME` prints the same
for what is installed. This page is generated from the code: `python -m engine.plugin.reference > docs/steps.md`.

Any text may hold `${{ }}` expressions. A field that is not known is an error, and so is a value of the wrong type:
`"5"` is not a number. Durations are written `500ms`, `30s`, `5m`, `2h`, `3d`, `1w`, `1h30m`.
"""
EFFECTS = {
    Effect.PURE: "pure: the same result every time, touches nothing; 3 attempts unless `retry` says otherwise",
    Effect.IDEMPOTENT: "idempotent: doing it twice is as good as once; 3 attempts unless `retry` says otherwise",
    Effect.EFFECT: "effect: doing it twice can be seen; 1 attempt unless `retry` says otherwise",
}
DEFAULT_TIMEOUT = 300.0  # seconds; what the engine allows a step that names no time of its own


def step_reference(catalog: Catalog) -> str:
    """The page in Markdown, one section for each step type, by name."""
    steps = [catalog.steps[name] for name in sorted(catalog.steps)]
    index = "\n".join(f"* [`{step.name}`](#{_anchor(step.name)}) {step.summary}" for step in steps)
    return f"{HEAD}\n{index}\n\n" + "\n".join(_section(step) for step in steps)


def example_of(config: type) -> str | None:
    """The YAML after `Example:` in a config's docstring, or None."""
    _, mark, example = inspect.cleandoc(config.__doc__ or "").partition("\nExample:\n")
    return textwrap.dedent(example).strip() if mark else None


def _section(step: StepType) -> str:
    text = inspect.cleandoc(step.config.__doc__ or "").partition("\nExample:\n")[0].strip()
    parts = [f"## {step.name}", text]
    if example := example_of(step.config):
        parts.append("```yaml\n- " + textwrap.indent(example, "  ").strip() + "\n```")
    if issubclass(step.config, WholeConfig):
        parts.append("`with` may be anything.")
    else:
        parts.append(_table(step.config, ("field", "type", "default", "meaning"), with_default=True))
    if inspect.isclass(step.result) and issubclass(step.result, msgspec.Struct):
        parts.append("Output:\n\n" + _table(step.result, ("field", "type", "meaning"), with_default=False))
    if more := (inspect.getdoc(step.function) or "").partition("\n\n")[2]:
        parts.append(more)
    parts.append(f"Effect: {EFFECTS[step.effect]}.  \nTime for one attempt: {_time(step.timeout)}.")
    return "\n\n".join(parts) + "\n"


def _table(config: type[msgspec.Struct], head: tuple[str, ...], *, with_default: bool) -> str:
    rows = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, type_, default, meaning in _fields(config, prefix=""):
        cells = [f"`{name}`", type_, default, meaning] if with_default else [f"`{name}`", type_, meaning]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _fields(config: type[msgspec.Struct], *, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and meaning of each field; fields of nested Structs follow theirs."""
    for field in _information(config).fields:
        name = prefix + field.encode_name
        yield name, _type(field.type), _default(field), _meaning(field.type)
        for nested in _structs(field.type):
            if issubclass(nested, config.__mro__[1]):  # a config in a config; results name theirs in the text
                yield from _fields(nested, prefix=f"{name}." if not _is_list(field.type) else f"{name}[].")


def _information(config: type[msgspec.Struct]) -> msgspec.inspect.StructType:
    information = msgspec.inspect.type_info(config)
    assert isinstance(information, msgspec.inspect.StructType)
    return information


def _plain(type_: msgspec.inspect.Type) -> msgspec.inspect.Type:
    while isinstance(type_, msgspec.inspect.Metadata):
        type_ = type_.type
    return type_


def _members(type_: msgspec.inspect.Type) -> list[msgspec.inspect.Type]:
    plain = _plain(type_)
    if not isinstance(plain, msgspec.inspect.UnionType):
        return [plain]
    return [_plain(member) for member in plain.types]


def _structs(type_: msgspec.inspect.Type) -> Iterator[type[msgspec.Struct]]:
    for member in _members(type_):
        if isinstance(member, msgspec.inspect.StructType):
            yield member.cls
        elif isinstance(member, msgspec.inspect.ListType):
            yield from _structs(member.item_type)


def _is_list(type_: msgspec.inspect.Type) -> bool:
    return any(isinstance(member, msgspec.inspect.ListType) for member in _members(type_))


def _type(type_: msgspec.inspect.Type) -> str:
    if _marked(type_, "duration"):
        return "duration"
    words = [_word(member) for member in _members(type_)]
    return " or ".join(dict.fromkeys(word for word in words if word and word != "null")) or "any"


def _word(type_: msgspec.inspect.Type) -> str:
    match type_:
        case msgspec.inspect.ListType():
            item = _type(type_.item_type)
            return f"list of {item}" if item != "any" else "list"
        case msgspec.inspect.DictType():
            value = _type(type_.value_type)
            return f"map of {value}" if value != "any" else "map"
        case msgspec.inspect.LiteralType():
            return ", ".join(f"`{value}`" for value in type_.values)
        case msgspec.inspect.StructType():
            return "map"
    return {
        "StrType": "text",
        "IntType": "integer",
        "FloatType": "number",
        "BoolType": "boolean",
        "NoneType": "null",
    }.get(type(type_).__name__, {"AnyType": "any", "DateTimeType": "time"}.get(type(type_).__name__, ""))


def _marked(type_: msgspec.inspect.Type, mark: str) -> bool:
    if isinstance(type_, msgspec.inspect.Metadata):
        return bool((type_.extra or {}).get(mark)) or _marked(type_.type, mark)
    return isinstance(type_, msgspec.inspect.UnionType) and any(_marked(member, mark) for member in type_.types)


def _default(field: msgspec.inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{msgspec.json.encode(field.default_factory()).decode()}`"
    if field.default in (None, msgspec.UNSET, msgspec.NODEFAULT):
        return ""
    return (
        f"`{field.default}`" if isinstance(field.default, str) else f"`{msgspec.json.encode(field.default).decode()}`"
    )


def _meaning(type_: msgspec.inspect.Type) -> str:
    """Description, bounds and first example."""
    text = description(type_)
    if isinstance(type_, msgspec.inspect.Metadata):
        examples = (type_.extra_json_schema or {}).get("examples", [])
        if examples and not _marked(type_, "duration"):
            shown = examples[0] if isinstance(examples[0], str) else msgspec.json.encode(examples[0]).decode()
            text += f" Example: `{shown}`"
    plain = _plain(type_)
    if isinstance(plain, msgspec.inspect.IntType | msgspec.inspect.FloatType) and plain.ge is not None:
        text += f" From {plain.ge}" + (f" to {plain.le}." if plain.le is not None else ".")
    return text


def description(type_: msgspec.inspect.Type) -> str:
    """What Meta(description=...) says about a field, also where it stands on a member of a union."""
    if isinstance(type_, msgspec.inspect.Metadata):
        return str((type_.extra_json_schema or {}).get("description", "")) or description(type_.type)
    if isinstance(type_, msgspec.inspect.UnionType):
        return next((text for member in type_.types if (text := description(member))), "")
    return ""


def _time(seconds: float | None) -> str:
    whole = seconds or DEFAULT_TIMEOUT
    text = f"{whole / 60:g}m" if whole >= 60 else f"{whole:g}s"
    return f"`{text}`" + ("" if seconds else ", the engine's default")


def _anchor(name: str) -> str:
    return name.replace(".", "")


def main() -> Any:
    """Print the page for everything that is installed."""
    from engine.plugin.host import load_catalog

    sys.stdout.write(step_reference(load_catalog().catalog))


if __name__ == "__main__":
    main()
