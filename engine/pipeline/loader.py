"""YAML 1.2 (core schema) from libyaml's event stream: strict, bounded, with the place of everything.

Events and not nodes: libyaml's composer recurses in C and dies of deep nesting.
"""

import re
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

MAX_SIZE = 1_000_000  # characters of a file
MAX_DEPTH = 40
MAX_NODES = 20_000  # values of a file, aliases counted as often as they are used

NULL = frozenset({"", "~", "null", "Null", "NULL"})
TRUE = frozenset({"true", "True", "TRUE"})
FALSE = frozenset({"false", "False", "FALSE"})
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
ILLEGAL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
FLOW = re.compile(r"[\[{][^'\"#]*\$\{\{")


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
    data = _Flattener(source, marks).flatten(root, (), 0, None) if root is not None else None
    return data, Marks(source, marks)


def decode(text: str | bytes) -> str:
    """UTF-8 without byte order mark and without control characters; YamlError names the place otherwise."""
    if len(text) > MAX_SIZE:
        raise YamlError("E003", f"the file is larger than {MAX_SIZE} characters", "", 0)
    source = (text if isinstance(text, str) else _decode(text)).removeprefix("\ufeff")
    if (illegal := ILLEGAL.search(source)) is not None:
        name = f"U+{ord(illegal[0]):04X}"
        raise YamlError("E005", f"the control character {name} is not allowed", source, illegal.start())
    return source


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        before = text[: error.start].decode(errors="replace")
        readable = text.decode(errors="replace")
        raise YamlError("E005", "the file is not UTF-8", readable, len(before), help="save it as UTF-8") from None


def _start(event: Event) -> int:
    return event.start_mark.index if event.start_mark is not None else 0


def _end(event: Event) -> int:
    return event.end_mark.index if event.end_mark is not None else 0


class _Node:
    """A value that is not flattened yet; an alias shares it."""

    __slots__ = ("end", "items", "keys", "start", "style", "value")

    def __init__(self, start: int, style: str = "") -> None:
        self.start = start
        self.end = start
        self.style = style
        self.value: Any = None
        self.items: list[_Node] | None = None
        self.keys: dict[str, tuple[int, int]] | None = None  # of a mapping: offsets of the keys


class _Reader:
    """Builds nodes from events with a stack of its own."""

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
            raise self.syntax_error(error) from None
        except yaml.YAMLError as error:
            raise YamlError("E001", f"this is not YAML: {error}", self.source, 0) from None
        return self.root

    def event(self, event: Event) -> None:
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            node, anchor = self.stack.pop()
            self.key.pop()
            node.end = _end(event) if node.start == _end(event) else _start(event)
            if anchor:
                self.anchors[anchor] = node
            return
        if not isinstance(event, NodeEvent):
            return
        if self.stack and self.stack[-1][0].keys is not None and self.key[-1] is None:
            self.take_key(event)
            return
        self.count += 1
        if self.count > MAX_NODES:
            raise self.error("E003", f"a file may have {MAX_NODES} values", event)
        if isinstance(event, AliasEvent):
            self.place(self.alias(event))
            return
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self.error("E004", f"tags are not allowed: `{tag}`", event, help="write the value without `!`")
        node = _Node(_start(event))
        self.place(node)
        if isinstance(event, ScalarEvent):
            node.end = _end(event)
            node.style = event.style or ""
            node.value = event.value if node.style else self.resolve(event)
            if event.anchor:
                self.anchors[event.anchor] = node
            return
        node.items = []
        if isinstance(event, MappingStartEvent):
            node.keys = {}
        assert isinstance(event, MappingStartEvent | SequenceStartEvent)
        self.stack.append((node, event.anchor))
        self.key.append(None)
        if len(self.stack) > MAX_DEPTH:
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
        if any(anchor == event.anchor for _, anchor in self.stack):
            raise self.error("E003", f"`*{event.anchor}` contains itself", event)
        hint = "a value that begins with `*` needs quotes"
        raise self.error("E001", f"there is no anchor `&{event.anchor}` above", event, help=hint)

    def take_key(self, event: NodeEvent) -> None:
        if not isinstance(event, ScalarEvent):
            before = self.source[max(_start(event) - 2, 0) : _start(event) + 1]
            hint = 'in `{...}` an expression needs quotes: "${{ ... }}"'
            if before.endswith("{{"):
                hint = "write expressions as `${{ ... }}`"
            raise self.error("E004", "a key must be a text", event, help=hint)
        if event.tag is not None:
            raise self.error("E004", f"tags are not allowed: `{event.tag}`", event)
        key = event.value
        if not event.style and key == "<<":
            raise self.error("E004", "merge keys (`<<`) are not supported", event, help="write the keys out")
        if not event.style and key in NULL:
            raise self.error("E004", "a key is missing before `:`", event)
        keys = self.stack[-1][0].keys
        assert keys is not None
        if key in keys:
            line = self.source.count("\n", 0, keys[key][0]) + 1
            raise self.error("E002", f"the key `{key[:80]}` stands here twice, first on line {line}", event)
        keys[key] = (_start(event), _end(event))
        self.key[-1] = key

    def resolve(self, event: ScalarEvent) -> Any:
        """A plain scalar by the core schema of YAML 1.2."""
        text: str = event.value
        if text in NULL:
            return None
        if text in TRUE:
            return True
        if text in FALSE:
            return False
        if INTEGER.fullmatch(text) and len(text) <= 25:
            value = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            if -(2**63) <= value < 2**64:
                return value
        elif FLOAT.fullmatch(text) and len(text) <= 400:
            number = float(text)
            if abs(number) <= 1.7e308:
                return number
        elif not NOT_JSON.fullmatch(text) and not INTEGER.fullmatch(text) and not FLOAT.fullmatch(text):
            return text
        raise self.error("E004", f"`{text[:40]}` is not a number that JSON has", event, help="quote it if it is a text")

    def error(self, code: str, message: str, event: Event, help: str = "") -> YamlError:
        return YamlError(code, message, self.source, _start(event), _end(event), help)

    def syntax_error(self, error: yaml.MarkedYAMLError) -> YamlError:
        mark = error.problem_mark or error.context_mark
        index = getattr(mark, "index", 0) if mark is not None else 0
        message = (error.problem or "this is not YAML").replace("\t", "a tab")
        if error.context:
            message += f" {error.context}"
        return YamlError("E001", f"YAML: {message}", self.source, index, help=self.hint(error, index))

    def hint(self, error: yaml.MarkedYAMLError, index: int) -> str:
        start = self.source.rfind("\n", 0, index) + 1
        line = self.source[start : (self.source.find("\n", index) + 1) or len(self.source)]
        context = error.context_mark
        begin = getattr(context, "index", index) if context is not None else index
        around = self.source[self.source.rfind("\n", 0, begin) + 1 : index + 1] + line[index - start :]
        problem = error.problem or ""
        if FLOW.search(around):
            return 'inside `[...]` and `{...}` an expression needs quotes: "${{ ... }}"'
        if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in problem or "\t" in problem:
            return "use spaces: YAML does not allow tabs for indentation"
        if re.search(r"(:|-)\s+\{\{", line):
            return "write expressions as `${{ ... }}`"
        if "mapping values" in problem:
            return "`: ` in an unquoted value begins a new key: put the value in quotes"
        if "'%'" in problem or "'@'" in problem or "'`'" in problem:
            return "put the value in quotes"
        if (
            "could not find expected ':'" in problem
            or "block mapping" in problem
            or "block mapping" in str(error.context)
        ):
            return "is the indentation right? Each line needs `key: value`"
        return ""


class _Flattener:
    """From nodes to plain data and marks; aliases are expanded and counted."""

    def __init__(self, source: str, marks: dict[Path, Mark]) -> None:
        self.source = source
        self.marks = marks

    def flatten(self, node: _Node, path: Path, depth: int, key: tuple[int, int] | None) -> Any:
        if len(self.marks) >= MAX_NODES:
            message = f"a file may have {MAX_NODES} values; aliases count as often as they are used"
            raise YamlError("E003", message, self.source, node.start)
        if depth > MAX_DEPTH:
            raise YamlError("E003", f"nested deeper than {MAX_DEPTH} levels", self.source, node.start)
        text = node.value if isinstance(node.value, str) else None
        self.marks[path] = Mark(node.start, node.end, node.style, text, *(key or (None, None)))
        if node.items is None:
            return node.value
        if node.keys is None:
            return [self.flatten(item, (*path, index), depth + 1, None) for index, item in enumerate(node.items)]
        return {
            name: self.flatten(item, (*path, name), depth + 1, place)
            for (name, place), item in zip(node.keys.items(), node.items, strict=True)
        }
