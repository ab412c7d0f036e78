"""`with:` against the Struct of its type: every field that is written out is checked before anything runs.

A field may be a literal of the right type, or a text with ``${{ }}``: wholly an expression it can become anything,
mixed with other text it is a text.
"""

import re
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from types import UnionType
from typing import Any, Union

import msgspec

from engine.core.duration import parse_duration
from engine.errors import BadValue
from engine.pipeline.checking.values import describe
from engine.pipeline.expression.compile import is_secret
from engine.pipeline.expression.errors import ExpressionError, did_you_mean
from engine.pipeline.expression.nodes import Call, Concat
from engine.pipeline.expression.template import compile_template, has_expression
from engine.pipeline.inference.shapes import is_whole, of_type
from engine.pipeline.inference.types import Shape, misfit, named
from engine.pipeline.marks import Path
from engine.pipeline.source import Source

AT = re.compile(r" - at `\$(.*)`$")
STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]|\[\.\.\.\]")
# names a field: "cron: hour cannot be 25", "`auth.hmac`: ..."
NAMED = re.compile(r"`([A-Za-z_]\w*)(?:\.[\w.]+)?`|([A-Za-z_]\w*):\s")
SAID = re.compile(r"Expected `(\w+)(?: \| null)?`, got `(\w+)`")
EXPECTED = re.compile(r"Expected `(\w+)(?: \| null)?`")
TEXTS = frozenset({"file", "template", "now", "uuid", "date", "date_add"})
WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "nothing",
}


def is_free(config: type[msgspec.Struct]) -> bool:
    """Whether the type takes anything as its `with` (its config wraps the whole in one field)."""
    return any(base.__name__ == "WholeConfig" for base in config.__mro__)


class ConfigCheck:
    """Checks one `with:`."""

    def __init__(self, source: Source, uses: str, shape: Callable[[str], Shape] | None = None) -> None:
        self.source = source
        self.uses = uses
        self.shape = shape  # of a text that is wholly an expression; None: not known
        self.params = False  # whether the type has a field of this name, for values that go into code

    def check(self, path: Path, value: Any, config: type[msgspec.Struct]) -> None:
        """Note what is wrong with the value; `path` leads to it."""
        if is_free(config):
            return
        if isinstance(value, str) and is_whole(value):
            self.expression(path, value, dict, f"`with` of {self.uses}")
            return
        self.params = any(field.encode_name == "params" for field in msgspec.structs.fields(config))
        self.struct(path, {} if value is None else value, config, top=True)

    def value(self, path: Path, value: Any, annotation: Any, what: str) -> None:
        """Check one value against a type."""
        annotation, literal = _unwrap(annotation)
        if (
            literal
            and has_expression(value)
            and not (isinstance(value, str) and is_whole(value) and _reads_file(value))
        ):
            self.code(path, value, what)
            return
        if isinstance(value, str) and has_expression(value):
            self.text(path, value, annotation, what)
            return
        if not has_expression(value) and not _has_struct(annotation):
            self.convert(path, value, annotation, what)
            return
        self.container(path, value, annotation, what)

    def container(self, path: Path, value: Any, annotation: Any, what: str) -> None:
        member = _member_for(value, annotation)
        origin, arguments = typing.get_origin(member), typing.get_args(member)
        if isinstance(member, type) and issubclass(member, msgspec.Struct):
            self.struct(path, value, member)
        elif isinstance(value, dict) and origin in (dict, Mapping, typing.get_origin(Mapping[str, str])) and arguments:
            for key, item in value.items():
                self.value((*path, key), item, arguments[1], f"`{key}` in {what}")
        elif isinstance(value, list) and arguments and origin in (list, tuple, set, frozenset):
            for index, item in enumerate(value):
                kind = arguments[index] if origin is tuple and index < len(arguments) else arguments[0]
                self.value(
                    (*path, index), item, arguments[0] if kind is Ellipsis else kind, f"{what}, item {index + 1}"
                )
        elif not has_expression(value):
            self.convert(path, value, annotation, what)
        elif not _takes(annotation, type(value)):
            self.source.error("E107", path, f"{what} cannot be {describe(value)}")

    def struct(self, path: Path, value: Any, config: type[msgspec.Struct], *, top: bool = False) -> None:
        if not isinstance(value, dict):
            message = f"`with` of {self.uses} must be a map" if top else f"this must be a map, not {describe(value)}"
            self.source.error("E107", path, message)
            return
        before = self.source.count
        fields = {field.encode_name: field for field in msgspec.structs.fields(config)}
        tag = config.__struct_config__.tag_field
        owner = self.uses if top else f"`{path[-1]}`"
        for key, item in value.items():
            if key in fields:
                self.value((*path, key), item, fields[key].type, f"`{key}` of {self.uses}")
            elif key != tag and config.__struct_config__.forbid_unknown_fields:
                hint = did_you_mean(key, fields, f"it has: {', '.join(fields)}" if fields else "it has none")
                self.source.error("E105", (*path, key), f"{owner} has no input `{key}`", hint, key=True)
        missing = [name for name, field in fields.items() if field.required and name not in value]
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            self.source.error("E106", path, f"{owner} needs {names}", key=True)
        if self.source.count == before and not has_expression(value):
            self.build(path, value, config)

    def build(self, path: Path, value: Any, config: type[msgspec.Struct]) -> None:
        """Everything is written out: make the Struct, so that its own checks have their say.

        A field that is refused is left aside, or replaced by an example, to hear what is wrong with the others.
        """
        try:
            msgspec.convert(value, config, strict=True)
        except msgspec.ValidationError as error:
            message, where = _place(str(error))
            cause = error.__cause__
            if isinstance(cause, BadValue):
                culprit = (where and str(where[0])) or _culprit(value, config, str(error))
                at = (*path, *(where or ((culprit,) if culprit else ())))
                self.source.error("E115", at, cause.message, cause.help, offset=cause.span)
                rest = _without(value, config, culprit) if culprit else None
                if rest is not None:
                    self.build(path, rest, config)
                return
            if not where:
                named = NAMED.match(message)
                name = (named[1] or named[2]) if named else ""
                culprit = name if name in value else _culprit(value, config, str(error))
                where = (culprit,) if culprit else ()
            self.source.error("E115", (*path, *where), _plain(message))
        except Exception as error:  # noqa: BLE001 - a plugin's own check may raise anything
            self.source.error("E115", path, f"{self.uses}: {error}")

    def text(self, path: Path, value: str, annotation: Any, what: str) -> None:
        takes = _takes(annotation, str)
        if not is_whole(value):
            hint = "make the whole value one `${{ }}` to keep its type"
            if not takes:
                self.source.error("E107", path, f"{what} is not a text, but a mix of text and expressions is", hint)
        elif not takes and _is_text(value):
            self.source.error("E107", path, f"{what} cannot be a text")
        else:
            self.expression(path, value, annotation, what)

    def expression(self, path: Path, value: str, annotation: Any, what: str) -> None:
        """An expression that can never yield what is needed."""
        given = self.shape(value) if self.shape is not None else None
        needed = misfit(given, of_type(annotation))
        if needed:
            start, end = value.find("${{") + len("${{"), value.rfind("}}")
            text = value[start:end]
            inner = (start + len(text) - len(text.lstrip()), start + len(text.rstrip()))
            self.source.error("E107", path, f"{what} must be {needed}, this is {named(given)}", offset=inner)

    def convert(self, path: Path, value: Any, annotation: Any, what: str) -> None:
        try:
            msgspec.convert(value, annotation, strict=True)
        except msgspec.ValidationError as error:
            message, where = _place(str(error))
            if message.startswith("Invalid enum value") and not where:
                words = _words(annotation)
                hint = did_you_mean(value, words, f"one of: {', '.join(words)}") if isinstance(value, str) else ""
                self.source.error("E107", path, f"{what} cannot be `{value}`", hint)
                return
            self.source.error("E107", (*path, *where), f"{what} {_plain(message)}")
        except Exception as error:  # noqa: BLE001 - a plugin's own check may raise anything
            self.source.error("E107", path, f"{what}: {error}")
        else:
            self.duration(path, value, annotation, what)

    def duration(self, path: Path, value: Any, annotation: Any, what: str) -> None:
        """A duration that is written out, also where the Struct cannot be made because of expressions beside it."""
        if isinstance(value, str) and _is_marked(annotation, "duration"):
            try:
                parse_duration(value)
            except ValueError:
                hint = "write for example 500ms, 30s, 5m, 2h, 3d, 1h30m"
                self.source.error("E107", path, f"{what} is not a duration: `{value[:60]}`", hint)

    def code(self, path: Path, value: Any, what: str) -> None:
        start = value.find("${{") if isinstance(value, str) else 0
        help = "pass the value through a field of its own; `file('...')` is allowed"
        if self.params:
            help = f"pass the value through `params:` and write `:name` in the {path[-1]}"
        self.source.error(
            "E304",
            path,
            f"{what} is code and cannot be assembled from values",
            help,
            offset=(start, start + 3) if isinstance(value, str) else None,
        )


def _culprit(value: dict[str, Any], config: type[msgspec.Struct], message: str) -> str | None:
    """The field that a Struct's own check complains about: without it, the complaint is another one."""
    required = {field.encode_name for field in msgspec.structs.fields(config) if field.required}
    for name in value:
        if name in required:
            continue
        try:
            msgspec.convert({key: item for key, item in value.items() if key != name}, config, strict=True)
        except msgspec.ValidationError as error:
            if str(error) == message:
                continue
        return name
    given = [name for name in value if name in required]
    return given[0] if len(given) == 1 else None


def _without(value: dict[str, Any], config: type[msgspec.Struct], name: str) -> dict[str, Any] | None:
    """The fields without this one; with the type's example in its place if it is required, None if there is none."""
    field = next((field for field in msgspec.structs.fields(config) if field.encode_name == name), None)
    if field is None or name not in value:
        return None
    rest = {key: item for key, item in value.items() if key != name}
    if not field.required:
        return rest
    examples = _examples(field.type)
    return {**rest, name: examples[0]} if examples and examples[0] != value[name] else None


def _examples(annotation: Any) -> list[Any]:
    while typing.get_origin(annotation) is typing.Annotated:
        annotation, *extras = typing.get_args(annotation)
        for extra in extras:
            if isinstance(extra, msgspec.Meta) and extra.examples:
                return extra.examples
    return []


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    """The type, and whether it is marked as code."""
    literal = False
    probe = annotation
    while typing.get_origin(probe) is typing.Annotated:
        base, *extras = typing.get_args(probe)
        for extra in extras:
            if isinstance(extra, msgspec.Meta) and (extra.extra or {}).get("template") == "literal":
                literal = True
        probe = base
    if typing.get_origin(probe) in (Union, UnionType):
        literal = literal or any(_unwrap(member)[1] for member in typing.get_args(probe))
    return annotation, literal


def _is_marked(annotation: Any, mark: str) -> bool:
    """Whether the type, or a member of it, carries Meta(extra={mark: True})."""
    if typing.get_origin(annotation) is typing.Annotated:
        base, *extras = typing.get_args(annotation)
        marked = (isinstance(extra, msgspec.Meta) and bool((extra.extra or {}).get(mark)) for extra in extras)
        return any(marked) or _is_marked(base, mark)
    if typing.get_origin(annotation) in (Union, UnionType):
        return any(_is_marked(member, mark) for member in typing.get_args(annotation))
    return False


def _bare(annotation: Any) -> Any:
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _members(annotation: Any) -> list[Any]:
    bare = _bare(annotation)
    if typing.get_origin(bare) in (Union, UnionType):
        return [member for item in typing.get_args(bare) for member in _members(item)]
    return [bare]


def _has_struct(annotation: Any) -> bool:
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, msgspec.Struct):
            return True
        if any(_has_struct(item) for item in typing.get_args(member) if item is not Ellipsis):
            return True
    return False


def _member_for(value: Any, annotation: Any) -> Any:
    """Of a union, the type that a value like this can only mean."""
    members = _members(annotation)
    if isinstance(value, dict):
        structs = [item for item in members if isinstance(item, type) and issubclass(item, msgspec.Struct)]
        for struct in structs:
            settings = struct.__struct_config__
            if settings.tag_field and value.get(settings.tag_field) == settings.tag:
                return struct
        if structs and (len(structs) == 1 or not structs[0].__struct_config__.tag_field):
            return structs[0]
        return next((item for item in members if typing.get_origin(item) is dict), annotation)
    if isinstance(value, list):
        kinds = (list, tuple, set, frozenset)
        return next((item for item in members if typing.get_origin(item) in kinds), annotation)
    return annotation


def _takes(annotation: Any, kind: type) -> bool:
    """Whether a value of this Python type can fit at all."""
    for member in _members(annotation):
        origin = typing.get_origin(member) or member
        if member is Any or member is kind or origin is kind:
            return True
        if origin is typing.Literal and any(isinstance(item, kind) for item in typing.get_args(member)):
            return True
        if kind is str and isinstance(origin, type):
            if issubclass(origin, Enum | str):
                return True
            if origin.__module__ in ("datetime", "uuid", "decimal") or issubclass(origin, bytes | bytearray):
                return True
        if kind is dict and isinstance(origin, type) and issubclass(origin, msgspec.Struct | Mapping):
            return True
        if kind is list and origin in (list, tuple, set, frozenset):
            return True
    return False


def _words(annotation: Any) -> list[str]:
    """The texts that an enum or a Literal allows."""
    words: list[str] = []
    for member in _members(annotation):
        if typing.get_origin(member) is typing.Literal:
            words += [str(item) for item in typing.get_args(member)]
        elif isinstance(member, type) and issubclass(member, Enum):
            words += [str(item.value) for item in member]
    return words


def _is_text(text: str) -> bool:
    """Whether an expression can only yield text."""
    try:
        template = compile_template(text, files=lambda path: "")
    except ExpressionError:
        return False
    (node,) = [expression.node for _, expression in template.expressions]
    return is_secret(node) or isinstance(node, Concat) or (isinstance(node, Call) and node.name in TEXTS)


def _reads_file(text: str) -> bool:
    try:
        template = compile_template(text, files=lambda path: "")
    except ExpressionError:
        return False
    nodes = [expression.node for _, expression in template.expressions]
    return len(nodes) == 1 and isinstance(nodes[0], Call) and nodes[0].name == "file"


def _place(message: str) -> tuple[str, Path]:
    """msgspec's message without its path, and the path."""
    found = AT.search(message)
    if found is None:
        return message, ()
    path: list[str | int] = []
    for step in STEP.finditer(found[1]):
        if step[1] is None and step[2] is None:
            break  # a key of a map that msgspec does not name
        path.append(step[1] if step[1] is not None else int(step[2]))
    return message[: found.start()], tuple(path)


def _plain(message: str) -> str:
    """msgspec's words in ours."""
    said = SAID.search(message)
    if said:
        words = f"must be {WORDS.get(said[1], said[1])}, this is {WORDS.get(said[2], said[2])}"
        return message[: said.start()] + words + message[said.end() :]
    expected = EXPECTED.match(message)
    if expected:
        return f"must be {WORDS.get(expected[1], expected[1])}{message[expected.end() :]}"
    return message
