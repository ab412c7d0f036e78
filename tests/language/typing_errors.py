"""Where a typing error can be made in a pipeline file so that it must be found, and the errors themselves.

Left out by construction, because another spelling is just as right there: definitions (ids, names of inputs, variables,
outputs, labels, branches, loop variables), keys inside of data (`json:`, `headers:`, `params:`, a `schema:`, `form:`,
whatever a type takes as a free map), texts, names of secrets (compared with a store, not with a file), fields of values
of which nothing is known, and typing errors that happen to give another word that is possible in that place.
"""

import random
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.pipeline.checking.config import is_free
from engine.pipeline.expression import compile_template, parse_condition
from engine.pipeline.expression.filters import FILTERS
from engine.pipeline.expression.functions import FUNCTIONS
from engine.pipeline.expression.nodes import Access, Call, Field, Filter, Lambda, Name, Node, Test, children
from engine.pipeline.expression.operators import TESTS
from engine.pipeline.grammar.steps import SECTIONS
from engine.pipeline.loader import load_yaml
from engine.pipeline.marks import Path as Place

LETTERS = "abcdefghijklmnopqrstuvwxyz"
STEP_ID = re.compile(r"^\s*-? *id: ([a-z]\w*)$", re.MULTILINE)
KINDS = ("drop", "double", "swap", "replace")


class Spot(msgspec.Struct, frozen=True):
    """A word of a file. other: words that would be right in its place as well."""

    # key | with | uses | root | step | step field | field | variable | input | env | filter | function | test; or
    # perhaps: a field of a value of which something may be known
    kind: str
    start: int
    end: int
    word: str
    other: frozenset[str] = frozenset()


class Survey:
    """The spots of one file."""

    def __init__(self, path: Path, catalog: Catalog, pipelines: frozenset[str]) -> None:
        self.text = path.read_text()
        self.catalog = catalog
        self.pipelines = pipelines
        self.data, self.marks = load_yaml(self.text)
        self.ids = frozenset(STEP_ID.findall(self.text))
        self.roots = frozenset(
            {"event", "events", "inputs", "vars", "env", "run", "steps", "secrets", "error", "result", "outputs"}
            | {"incoming", "approval", "index", "item"}
        )
        self.spots: dict[int, Spot] = {}

    def survey(self) -> list[Spot]:
        """Every spot, in the order of the file."""
        self.section("pipeline", (), self.data)
        self.values((), self.data)
        return [self.spots[start] for start in sorted(self.spots)]

    def add(self, kind: str, place: Any, word: str, other: Any = ()) -> None:
        start = self.marks.starts[place.line - 1] + place.column - 1
        if self.text[start : start + len(word)] == word and len(word) > 1:
            self.spots.setdefault(start, Spot(kind, start, start + len(word), word, frozenset(other)))

    def section(self, name: str, path: Place, value: Any) -> None:
        """The keys of a map of the grammar, and what is below them."""
        if not isinstance(value, dict):
            return
        keys = SECTIONS[name].keys
        for key, item in value.items():
            if key not in keys:
                continue
            where = (*path, key)
            self.add("key", self.marks.key(where), key, keys)
            known = keys[key]
            if known.kind == "steps" or (key == "on_error" and isinstance(item, list)):
                self.sections("step", where, item)
            elif key == "parallel":
                for branch, steps in item.items():
                    self.sections("step", (*where, branch), steps)
            elif key == "defaults":
                for type_, entry in item.items():
                    self.section("defaults", (*where, type_), entry)
                    self.with_((*where, type_, "with"), type_, entry.get("with"))
            elif known.section:
                self.sections(known.section, where, item)
        if isinstance(value.get("uses"), str):
            self.uses((*path, "uses"), value["uses"], trigger=name == "trigger")
            self.with_((*path, "with"), value["uses"], value.get("with"))

    def sections(self, name: str, path: Place, value: Any) -> None:
        if isinstance(value, list):
            for index, item in enumerate(value):
                self.section(name, (*path, index), item)
        else:
            self.section(name, path, value)

    def uses(self, path: Place, uses: str, *, trigger: bool) -> None:
        types = self.catalog.triggers if trigger else self.catalog.steps
        other = {*types, *(f"pipeline:{name}" for name in self.pipelines)}
        self.add("uses", self.marks.value(path), uses, other)

    def with_(self, path: Place, uses: str, value: Any) -> None:
        """The fields of a type's Struct, and of the Structs in it; the inputs of a pipeline."""
        if not isinstance(value, dict):
            return
        if uses.startswith("pipeline:"):
            for key in value:
                self.add("with", self.marks.key((*path, key)), key)
            return
        type_ = self.catalog.steps.get(uses) or self.catalog.triggers.get(uses)
        if type_ is not None and not is_free(type_.config):
            self.fields(path, value, type_.config)

    def fields(self, path: Place, value: Mapping[str, Any], config: type[msgspec.Struct]) -> None:
        fields = {field.encode_name: field for field in msgspec.structs.fields(config)}
        for key, item in value.items():
            if key in fields:
                self.add("with", self.marks.key((*path, key)), key, fields)
                self.nested((*path, key), item, fields[key].type)
        if isinstance(value.get("uses"), str):  # a tool
            self.uses((*path, "uses"), value["uses"], trigger=False)

    def nested(self, path: Place, value: Any, annotation: Any) -> None:
        """Structs inside of a field; of several, the one that has the keys."""
        structs = list(_structs(annotation))
        for index, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(item, dict):
                for struct in structs:
                    if item.keys() <= {field.encode_name for field in msgspec.structs.fields(struct)}:
                        self.fields(path if index is None else (*path, index), item, struct)

    def values(self, path: Place, value: Any) -> None:
        """The expressions in a value."""
        if isinstance(value, dict):
            for key, item in value.items():
                self.values((*path, key), item)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.values((*path, index), item)
        elif isinstance(value, str) and self._is_condition(path):
            expression = parse_condition(value, filters=self.catalog.filters, files=_no_file)
            self.expression(path, expression.node, expression.start)
        elif isinstance(value, str) and "${{" in value:
            template = compile_template(value, filters=self.catalog.filters, files=_no_file)
            for _, expression in template.expressions:
                self.expression(path, expression.node, expression.start)

    def _is_condition(self, path: Place) -> bool:
        return bool(path) and path[-1] in ("if", "until", "when") and "with" not in path

    def expression(self, path: Place, node: Node, start: int, hidden: frozenset[str] = frozenset()) -> None:
        def add(kind: str, begin: int, word: str, other: Any = ()) -> None:
            self.add(kind, self.marks.value(path, (start + begin, start + begin + len(word))), word, other)

        if isinstance(node, Name):
            add("root", node.start, node.name, self.roots | hidden | self._loops())
        elif isinstance(node, Access) and isinstance(node.base, Name) and node.base.name not in hidden:
            self.reference(node, node.base.name, add)
        elif isinstance(node, Filter):
            add("filter", node.start, node.name, {*FILTERS, "default", *self.catalog.filters})
        elif isinstance(node, Call):
            add("function", node.start, node.name, FUNCTIONS)
        elif isinstance(node, Test):
            add("test", node.end - len(node.test), node.test, TESTS)
        inner = hidden | {node.name} if isinstance(node, Lambda) else hidden
        for child in children(node):
            self.expression(path, child, start, inner)

    def reference(self, node: Access, root: str, add: Any) -> None:
        kinds = {"steps": "step", "vars": "variable", "inputs": "input", "env": "env", "run": "field", "error": "field"}
        kinds |= {"event": "field", "incoming": "field", "approval": "field"}
        declared = {
            "steps": self.ids,
            "vars": self.data.get("vars") or {},
            "inputs": self.data.get("inputs") or {},
        }
        for index, part in enumerate(node.parts):
            if not isinstance(part, Field):
                return
            begin = part.end - len(part.name)
            if index == 0 and root in kinds:
                add(kinds[root], begin, part.name, declared.get(root, ()))
            elif index == 1 and root == "steps":
                add("step field", begin, part.name)
            elif root != "secrets":
                add("perhaps", begin, part.name)

    def _loops(self) -> frozenset[str]:
        """Names of loop variables of the whole file."""

        def find(value: Any) -> Iterator[str]:
            if isinstance(value, dict):
                if isinstance(value.get("for_each"), dict):
                    yield value["for_each"].get("as", "item")
                for item in value.values():
                    yield from find(item)
            elif isinstance(value, list):
                for item in value:
                    yield from find(item)

        return frozenset(find(self.data))


def mistype(spot: Spot, kind: str, chance: random.Random) -> str | None:
    """The word with one typing error of this kind; None if it comes out as a word that is right as well."""
    word = spot.word
    for _ in range(10):
        at = chance.randrange(len(word))
        if kind == "drop":
            wrong = word[:at] + word[at + 1 :]
        elif kind == "double":
            wrong = word[: at + 1] + word[at:]
        elif kind == "swap":
            at = min(at, len(word) - 2)
            wrong = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        else:
            wrong = word[:at] + chance.choice(LETTERS) + word[at + 1 :]
        if wrong != word and wrong not in spot.other and not wrong.startswith("x-"):
            return wrong
    return None


def _structs(annotation: Any) -> Iterator[type[msgspec.Struct]]:
    """The Structs in a type, not those in their fields."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _structs(argument)


def _no_file(path: str) -> str:
    return ""
