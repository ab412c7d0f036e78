"""YAML 1.2 (core schema) from libyaml's event stream: strict, bounded, with the place of everything.

Events and not nodes: libyaml's composer recurses in C and dies of deep nesting.
"""

import math
import re
from pathlib import Path as FilePath
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from engine.errors import HookwrightError
from engine.pipeline.marks import Mark, Marks, Path
from engine.pipeline.yaml_errors import DOLLAR, explain_syntax

MAX_SIZE = 1_000_000  # bytes, or characters, of a file
MAX_LINES = 50_000
MAX_DEPTH = 40
MAX_NODES = 20_000  # values of a file; an alias counts as much as what it stands for
SHOWN = 60  # characters of a file's own text in a message

NULL = frozenset({"", "~", "null", "Null", "NULL"})
TRUE = frozenset({"true", "True", "TRUE"})
FALSE = frozenset({"false", "False", "FALSE"})
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
TAG = re.compile(r"![^\s,\[\]{}]*")
ILLEGAL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SPLIT = "split it; long texts are read with `file('...')`"
INVISIBLE = re.compile("[\xa0\u2000-\u200f\u2028-\u202f\u205f-\u206f\ufeff]")


class YamlError(HookwrightError):
    """The file is not the YAML we read. Offsets are characters in the source."""

    def __init__(self, code: str, message: str, source: str, start: int, end: int = 0, help: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.source = source
        self.start = start
        self.end = max(end, start + 1)
        self.help = help


def load_yaml(text: str | bytes, file: str = "") -> tuple[Any, Marks]:
    """The data of one document and where it stands. YamlError if the text is not one."""
    source = decode(text)
    root = _Reader(source).read()
    marks: dict[Path, Mark] = {}
    data = _flatten(root, (), marks, (None, None)) if root is not None else None
    return data, Marks(source, marks)


def read_file(path: FilePath) -> bytes:
    """The bytes of a file, but not more than are needed to see that it is too large. OSError if it cannot be read."""
    with path.open("rb") as file:
        return file.read(MAX_SIZE + 1)


def decode(text: str | bytes) -> str:
    """UTF-8 without byte order mark and without control characters; YamlError names the place otherwise."""
    if len(text) > MAX_SIZE:
        raise YamlError("E003", f"the file is larger than {MAX_SIZE} characters", "", 0, help=SPLIT)
    source = (text if isinstance(text, str) else _decode(text)).removeprefix("\ufeff")
    if (illegal := ILLEGAL.search(source)) is not None:
        name = f"U+{ord(illegal[0]):04X}"
        help = 'in a text in double quotes it is written as an escape: "\\x1b"' if illegal[0] != "\0" else ""
        message = f"the control character {name} is not allowed"
        raise YamlError("E005", message, source, illegal.start(), help=help)
    if source.count("\n") + source.count("\r") > MAX_LINES:
        raise YamlError("E003", f"the file has more than {MAX_LINES} lines", "", 0, help=SPLIT)
    return source


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise YamlError("E005", "the file is UTF-16", "", 0, help="save it as UTF-8") from None
        before = text[: error.start].decode(errors="replace")
        after = text[error.start : error.start + 200].decode(errors="replace")
        raise YamlError("E005", "the file is not UTF-8", before + after, len(before), help="save it as UTF-8") from None


def _start(event: Event) -> int:
    return event.start_mark.index if event.start_mark is not None else 0


def _end(event: Event) -> int:
    return event.end_mark.index if event.end_mark is not None else 0


class _Node:
    """A value that is not flattened yet; an alias shares it."""

    __slots__ = ("end", "height", "items", "keys", "size", "start", "style", "value")

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.style = ""
        self.value: Any = None
        self.items: list[_Node] | None = None
        self.keys: dict[str, tuple[int, int]] | None = None  # of a mapping: offsets of the keys
        self.size = 1  # values in it, itself included, aliases expanded
        self.height = 0  # levels below it


class _Reader:
    """Builds nodes from events with a stack of its own. What aliases expand to is counted before it is built."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.anchors: dict[str, _Node] = {}
        self.stack: list[tuple[_Node, str | None]] = []  # open containers and their anchors
        self.key: list[str | None] = []  # of each open mapping: the key that waits for its value
        self.root: _Node | None = None
        self.count = 0

    def read(self) -> _Node | None:
        documents = 0
        try:
            for event in yaml.parse(self.source, Loader=yaml.CSafeLoader):
                if isinstance(event, DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise self.error("E004", "a file has one document", event, help="remove this `---`")
                self.event(event)
        except yaml.MarkedYAMLError as error:
            fault = explain_syntax(self.source, error)
            raise YamlError("E001", fault.message, self.source, fault.start, fault.end, fault.help) from None
        except yaml.YAMLError as error:
            raise YamlError("E001", f"this is not YAML: {error}", self.source, 0) from None
        return self.root

    def event(self, event: Event) -> None:
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            self.close(event)
            return
        if not isinstance(event, NodeEvent):
            return
        if self.stack and self.stack[-1][0].keys is not None and self.key[-1] is None:
            self.take_key(event)
            return
        if isinstance(event, AliasEvent):
            node = self.alias(event)
            self.take(event, node.size, node.height)
            self.place(node)
            return
        self.take(event, 1, 0)
        self.check_tag(event)
        node = _Node(_start(event))
        self.place(node)
        if isinstance(event, ScalarEvent):
            node.end = _end(event)
            node.style = event.style or ""
            node.value = event.value if node.style else self.resolve(event)
            if event.anchor:
                self.anchors[event.anchor] = node
            return
        assert isinstance(event, MappingStartEvent | SequenceStartEvent)
        node.items = []
        node.keys = {} if isinstance(event, MappingStartEvent) else None
        self.stack.append((node, event.anchor))
        self.key.append(None)
        if len(self.stack) > MAX_DEPTH:
            raise self.error("E003", f"nested deeper than {MAX_DEPTH} levels", event)

    def close(self, event: Event) -> None:
        """The end of a container: from now on aliases can name it."""
        node, anchor = self.stack.pop()
        self.key.pop()
        node.end = _end(event) if node.start == _end(event) else _start(event)
        for item in node.items or ():
            node.size += item.size
            node.height = max(node.height, item.height + 1)
        if anchor:
            self.anchors[anchor] = node

    def take(self, event: Event, size: int, height: int) -> None:
        """Count what is added to the file's data."""
        self.count += size
        if self.count > MAX_NODES:
            counted = "; an alias counts as often as it is used" if size > 1 else ""
            raise self.error("E003", f"a file may have {MAX_NODES} values{counted}", event, help=SPLIT)
        if len(self.stack) + height > MAX_DEPTH:
            raise self.error("E003", f"nested deeper than {MAX_DEPTH} levels", event)

    def place(self, node: _Node) -> None:
        """Put the node where it belongs."""
        if not self.stack:
            self.root = node
            return
        items = self.stack[-1][0].items
        assert items is not None
        items.append(node)
        self.key[-1] = None

    def alias(self, event: AliasEvent) -> _Node:
        node = self.anchors.get(event.anchor or "")
        if node is not None:
            return node
        name = (event.anchor or "")[:SHOWN]
        if any(anchor == event.anchor for _, anchor in self.stack):
            raise self.error("E003", f"`*{name}` contains itself", event, help="an alias stands below its anchor")
        hint = "a value that begins with `*` needs quotes"
        raise self.error("E001", f"there is no anchor `&{name}` above", event, help=hint)

    def take_key(self, event: NodeEvent) -> None:
        if not isinstance(event, ScalarEvent):
            raise self.not_a_key(event)
        self.check_tag(event)
        key = event.value
        if not event.style:
            self.check_plain_key(event, key)
        keys = self.stack[-1][0].keys
        assert keys is not None
        if key in keys:
            line = self.source.count("\n", 0, keys[key][0]) + 1
            hint = "the second would silently replace the first: remove one of them"
            raise self.error("E002", f"the key `{key[:SHOWN]}` stands here twice, first on line {line}", event, hint)
        keys[key] = (_start(event), _end(event))
        self.key[-1] = key
        if event.anchor:
            node = self.anchors[event.anchor] = _Node(_start(event))
            node.end, node.style, node.value = _end(event), event.style or "", key

    def check_plain_key(self, event: ScalarEvent, key: str) -> None:
        if key == "<<":
            raise self.error("E004", "merge keys (`<<`) are not supported", event, help="write the keys out")
        if key in NULL:
            raise self.error("E004", "a key is missing before `:`", event)
        if not key.isascii() and (found := INVISIBLE.search(key)) is not None:
            message = f"this key has the invisible character U+{ord(found[0]):04X} in it"
            raise self.error("E005", message, event, help="write the line again; it was probably copied from a page")

    def not_a_key(self, event: NodeEvent) -> YamlError:
        start = _start(event)
        before = self.source[max(start - 2, 0) : start + 1]
        if before.endswith("{{") and not before.startswith("$"):
            return YamlError("E004", "`{{ }}` is a map in a map in YAML", self.source, start - 1, start + 1, DOLLAR)
        hint = 'in `{...}` an expression needs quotes: "${{ ... }}"' if before.endswith("{{") else ""
        return self.error("E004", "a key must be a text", event, help=hint or "write `key: value`")

    def check_tag(self, event: NodeEvent) -> None:
        tag = getattr(event, "tag", None)
        if tag is None:
            return
        start = _start(event)
        written = TAG.match(self.source, start) or TAG.search(self.source, start, start + 2 * SHOWN)
        name = written[0] if written is not None else str(tag)
        place = written.start() if written is not None else start
        hint = "write the value without it, or in quotes if it is a text that begins with `!`"
        raise YamlError("E004", f"tags are not allowed: `{name[:SHOWN]}`", self.source, place, place + len(name), hint)

    def resolve(self, event: ScalarEvent) -> Any:
        """A plain scalar by the core schema of YAML 1.2."""
        text: str = event.value
        if text in NULL:
            return None
        if text in TRUE:
            return True
        if text in FALSE:
            return False
        if INTEGER.fullmatch(text):
            if len(text) <= 25:
                value = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
                if -(2**63) <= value < 2**64:
                    return value
        elif FLOAT.fullmatch(text):
            number = float(text) if len(text) <= 400 else math.inf
            if abs(number) <= 1.7e308:
                return number
        elif not NOT_JSON.fullmatch(text):
            return text
        hint = "quote it if it is a text"
        raise self.error("E004", f"`{text[:40]}` is not a number that JSON has", event, help=hint)

    def error(self, code: str, message: str, event: Event, help: str = "") -> YamlError:
        return YamlError(code, message, self.source, _start(event), _end(event), help)


def _flatten(node: _Node, path: Path, marks: dict[Path, Mark], key: tuple[int | None, int | None]) -> Any:
    """From nodes to plain data and marks, aliases expanded. Size and depth have been checked by the reader."""
    text = node.value if isinstance(node.value, str) else None
    marks[path] = Mark(node.start, node.end, node.style, text, *key)
    if node.items is None:
        return node.value
    if node.keys is None:
        return [_flatten(item, (*path, index), marks, (None, None)) for index, item in enumerate(node.items)]
    return {
        name: _flatten(item, (*path, name), marks, place)
        for (name, place), item in zip(node.keys.items(), node.items, strict=True)
    }
