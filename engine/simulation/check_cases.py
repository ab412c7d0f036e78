"""What is wrong in a test file, with its place: keys, values, and names that the pipeline does not have."""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path as FilePath
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.pipeline.checking.keys import check_keys
from engine.pipeline.checking.values import (
    describe,
    need_bool,
    need_duration,
    need_integer,
    need_list,
    need_map,
    need_text,
    need_word,
)
from engine.pipeline.expression import ExpressionError, compile_template, parse_condition
from engine.pipeline.expression.errors import Complaint, did_you_mean
from engine.pipeline.expression.moments import parse_moment
from engine.pipeline.grammar.section import Key, Section
from engine.pipeline.grammar.tests import TEST_CASE, TEST_FILE, TEST_SECTIONS
from engine.pipeline.loader import YamlError, load_yaml
from engine.pipeline.marks import Path
from engine.pipeline.source import Source
from engine.pipeline.spec import Pipeline
from engine.simulation.check_assertions import check_assertion
from engine.simulation.names import called, step_names, walk_all

MOCK_ROOTS = frozenset({"with", "attempt"})  # what a mock's output may use


MAY_BE_EMPTY = frozenset({"test_expect", "test_response", "test_step", "test_error"})
ITEMS = re.compile(r"\[[^\[\]]*\]")  # `label[2]`: one item of a loop


class CaseCheck:
    """The check of one file."""

    def __init__(
        self,
        source: Source,
        pipelines: dict[str, Pipeline],
        catalog: Catalog,
        root: FilePath,
        env: Iterable[str] | None,
    ) -> None:
        self.source = source
        self.pipelines = pipelines
        self.catalog = catalog
        self.root = root
        self.env = None if env is None else sorted(env)
        self.pipeline: Pipeline | None = None
        self.names: list[str] = []
        self.types: list[str] = []

    def file(self, data: Any) -> Pipeline | None:
        """Note everything that is wrong; the pipeline, if there is one of this id."""
        if not isinstance(data, dict):
            self.source.error(
                "E103", (), f"a test file must be a map, this is {describe(data)}", "begin with `pipeline:`"
            )
            return None
        check_keys(self.source, (), data, TEST_FILE)
        for key in ("pipeline", "tests"):
            if key not in data:
                self.source.error("E104", (), f"a test file needs `{key}`")
        if "pipeline" in data:
            self._pipeline(data["pipeline"])
        if data.get("defaults") is not None:
            shared = need_map(self.source, ("defaults",), data["defaults"], "`defaults`")
            self.case(("defaults",), shared)
        seen: dict[str, int] = {}
        for index, item in enumerate(need_list(self.source, ("tests",), data.get("tests"), "`tests`")):
            path: Path = ("tests", index)
            if not isinstance(item, dict):
                self.source.error("E103", path, f"a test must be a map, this is {describe(item)}", "begin with `name:`")
                continue
            self.case(path, item)
            name = item.get("name")
            if isinstance(name, str) and name in seen:
                self.source.error("E110", (*path, "name"), f"there is a test `{name}` already, on line {seen[name]}")
            elif isinstance(name, str):
                seen[name] = self.source.marks.value(path).line
        return self.pipeline

    def case(self, path: Path, data: dict[str, Any]) -> None:
        """One test, or the defaults of all."""
        self.section(path, data, TEST_CASE)
        if sum(key in data for key in ("event", "events", "raw")) > 1:
            self.source.error("E502", path, "a test has one of `event`, `events` and `raw`")
        for key, declared in (("inputs", "inputs"), ("vars", "vars")):
            if self.pipeline is not None and isinstance(data.get(key), dict):
                self._among(
                    (*path, key), data[key], getattr(self.pipeline, declared), f"the pipeline has no {key[:-1]}"
                )
        if self.env is not None and isinstance(data.get("env"), dict):
            self._among((*path, "env"), data["env"], self.env, "project.yaml does not allow the variable")
        if isinstance(data.get("trigger"), str) and self.pipeline is not None:
            known = [trigger.id for trigger in self.pipeline.triggers]
            if data["trigger"] not in known:
                self._unknown(
                    (*path, "trigger"), f"the pipeline has no trigger `{data['trigger']}`", data["trigger"], known
                )
        if isinstance(data.get("crash_after"), str):
            self._step((*path, "crash_after"), data["crash_after"])
        for key in ("now", "scheduled_at"):
            if isinstance(data.get(key), str):
                self._moment((*path, key), data[key])

    def section(self, path: Path, data: Any, section: Section) -> None:
        """A map of the grammar: its keys, and their values by kind."""
        if data is None and section.name in MAY_BE_EMPTY:
            return
        if not isinstance(data, dict):
            self.source.error("E103", path, f"{section.what} must be a map, this is {describe(data)}")
            return
        check_keys(self.source, path, data, section)
        for key in section.keys.values():
            if key.required and key.name not in data:
                self.source.error("E104", path, f"{section.what} needs `{key.name}`")
            if key.name in data:
                self.value((*path, key.name), data[key.name], key)

    def value(self, path: Path, value: Any, key: Key) -> None:
        """The value of a key, by its kind."""
        special = SPECIAL.get(key.section) or SPECIAL_KEYS.get((path[0] == "tests" and len(path) > 2, key.name))
        if special is not None:
            special(self, path, value)
            return
        what = f"`{key.name}`"
        match key.kind:
            case "text" | "id":
                self._text(path, value, what)
            case "boolean":
                need_bool(self.source, path, value, what, default=False)
            case "integer":
                need_integer(self.source, path, value, what, least=0, most=1_000_000)
            case "duration":
                self._duration(path, value, what)
            case "word":
                need_word(self.source, path, value, what, key.words)
            case "map":
                need_map(self.source, path, value, what)
            case "list":
                need_list(self.source, path, value, what)
            case "section":
                self.section(path, value, TEST_SECTIONS[key.section])

    # Values with rules of their own

    def event(self, path: Path, value: Any) -> None:
        """An event, or the path of its file."""
        if isinstance(value, str):
            file = self.root / value
            try:
                text = file.read_bytes()
                if file.suffix == ".json":
                    msgspec.json.decode(text)
                else:
                    load_yaml(text, value)
            except OSError as error:
                self.source.error(
                    "E211", path, f"`{value}` cannot be read: {error.strerror}", "paths begin at the root"
                )
            except (YamlError, msgspec.DecodeError) as error:
                self.source.error("E211", path, f"`{value}` cannot be read: {error}")
            return
        self.section(path, value, TEST_SECTIONS["test_event"])

    def events(self, path: Path, value: Any) -> None:
        """A list of events; an empty one starts nothing."""
        items = need_list(self.source, path, value, "`events`")
        if isinstance(value, list) and not items:
            self.source.error("E103", path, "`events` is empty")
        for index, item in enumerate(items):
            self.event((*path, index), item)

    def timeline(self, path: Path, value: Any) -> None:
        """Events with their times."""
        for index, item in enumerate(need_list(self.source, path, value, "`timeline`")):
            self.section((*path, index), item, TEST_SECTIONS["test_timeline"])

    def mocks(self, path: Path, value: Any) -> None:
        """By step id, or step type or glob."""
        for name, item in need_map(self.source, path, value, "`mocks`").items():
            self._mocked((*path, name), name)
            answers = item if isinstance(item, list) else [item]
            if isinstance(item, list) and not item:
                self.source.error("E103", (*path, name), "a list of mocks needs at least one")
            for index, answer in enumerate(answers):
                self.mock((*path, name, index) if isinstance(item, list) else (*path, name), answer)

    def mock(self, path: Path, value: Any) -> None:
        """One answer: an output, what is kept, or an error."""
        section = TEST_SECTIONS["test_mock"]
        if not isinstance(value, dict):
            self.source.error("E103", path, f"a mock must be a map, this is {describe(value)}", "write `{output: ...}`")
            return
        self.section(path, value, section)
        known = all(key in section.keys for key in value)
        if known and sum(key in value for key in ("output", "error", "kept")) != 1:
            hint = "as in `{output: {status: 200}}`" if not value else ""
            self.source.error("E502", path, "a mock has either `output` or `error`", hint)
        if "output" in value:
            self._template((*path, "output"), value["output"])

    def approvals(self, path: Path, value: Any) -> None:
        """By step id."""
        section = TEST_SECTIONS["test_approval"]
        asking = self._asking()
        for name, item in need_map(self.source, path, value, "`approvals`").items():
            if self.pipeline is not None and name not in asking:
                self._unknown((*path, name), f"no step `{name}` waits for an approval", name, asking, key=True)
            for index, answer in enumerate(item if isinstance(item, list) else [item]):
                self.section((*path, name, index) if isinstance(item, list) else (*path, name), answer, section)

    def expectation(self, path: Path, value: Any) -> None:
        """What is expected."""
        self.section(path, value, TEST_SECTIONS["test_expect"])
        if not isinstance(value, dict) or self.pipeline is None:
            return
        for key in ("ran", "not_ran", "skipped", "compensated"):
            for index, name in enumerate(value[key] if isinstance(value.get(key), list) else []):
                if isinstance(name, str):
                    self._step((*path, key, index), name)
                else:
                    self.source.error(
                        "E103", (*path, key, index), f"a step is named by a text, this is {describe(name)}"
                    )
        outputs = value.get("outputs")
        if isinstance(outputs, dict) and self.pipeline.outputs and not self._stops():
            self._among((*path, "outputs"), outputs, self.pipeline.outputs, "the pipeline has no output")
        if isinstance(value.get("labels"), dict):
            self._among((*path, "labels"), value["labels"], self.pipeline.labels, "the pipeline has no label")

    def steps(self, path: Path, value: Any) -> None:
        """What is expected of single steps."""
        for name, item in need_map(self.source, path, value, "`steps`").items():
            self._step((*path, name), name, key=True)
            self.section((*path, name), item, TEST_SECTIONS["test_step"])

    def assertions(self, path: Path, value: Any) -> None:
        """Conditions."""
        for index, text in enumerate(need_list(self.source, path, value, "`assert`")):
            where = (*path, index)
            if isinstance(text, bool):
                continue
            if not isinstance(text, str):
                hint = "put it in quotes" if isinstance(text, dict) else ""
                self.source.error("E103", where, f"an assertion is an expression, this is {describe(text)}", hint)
                continue
            try:
                expression = parse_condition(text, filters=self.catalog.filters)
            except ExpressionError as error:
                message = error.message.replace("`if:`", "`assert:`")
                self.source.error(error.code, where, message, error.help, offset=error.offset)
                continue
            names = self.names if self.pipeline is not None else None
            for found in check_assertion(expression, names):
                self.source.error(found.code, where, found.message, found.help, offset=(found.start, found.end))

    def text_or_number(self, path: Path, value: Any) -> None:
        """A key may look like a number."""
        if isinstance(value, dict | list | bool):
            self.source.error("E103", path, f"`{path[-1]}` must be a text, this is {describe(value)}")

    # Names

    def _pipeline(self, name: Any) -> None:
        if not isinstance(name, str):
            need_text(self.source, ("pipeline",), name, "`pipeline`")
            return
        self.pipeline = self.pipelines.get(name)
        if self.pipeline is None:
            self._unknown(("pipeline",), f"there is no pipeline `{name}`, or it has errors", name, self.pipelines)
            return
        everything = called(self.pipeline)
        self.names = step_names(everything)
        self.types = sorted({place.step.uses for _, place in walk_all(self.pipeline) if place.step.uses})

    def _step(self, path: Path, name: str, *, key: bool = False) -> None:
        if self.pipeline is not None and name.rpartition("/")[2] not in self.names:
            self._unknown(path, f"the pipeline has no step `{name}`", name, self.names, key=key)

    def _mocked(self, path: Path, name: str) -> None:
        if self.pipeline is None or ITEMS.sub("", name).rpartition("/")[2] in self.names:
            return
        if not any(fnmatchcase(used, name) for used in self.types):
            message = f"the pipeline has no step `{name}` and uses no step type of this name"
            self._unknown(path, message, name, [*self.names, *self.types], key=True)

    def _asking(self) -> list[str]:
        if self.pipeline is None:
            return []
        return [
            place.name
            for _, place in walk_all(self.pipeline)
            if place.step.wait is not None and place.step.wait.approval is not None
        ]

    def _stops(self) -> bool:
        return any(place.step.uses == "stop" for _, place in walk_all(self.pipeline)) if self.pipeline else False

    def _among(self, path: Path, given: dict[str, Any], known: Iterable[str], what: str) -> None:
        names = list(known)
        for name in given:
            if name not in names:
                self._unknown((*path, name), f"{what} `{name}`", name, names, key=True)

    def _unknown(self, path: Path, message: str, name: str, known: Iterable[str], *, key: bool = False) -> None:
        names = list(known)
        listing = f"there is: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}" if names else ""
        self.source.error("E501", path, message, did_you_mean(name, names, listing), key=key)

    # Plain values

    def _text(self, path: Path, value: Any, what: str) -> None:
        """Any text: what looks like an expression is not evaluated in a test file."""
        if not isinstance(value, str):
            hint = "put it in quotes" if isinstance(value, int | float) else ""
            self.source.error("E103", path, f"{what} must be a text, this is {describe(value)}", hint)

    def _duration(self, path: Path, value: Any, what: str) -> None:
        if value not in ("0s", "0"):
            need_duration(self.source, path, value, what)

    def _moment(self, path: Path, value: str) -> None:
        try:
            parse_moment(value)
        except Complaint as complaint:
            self.source.error("E103", path, complaint.message, "as in 2026-03-01T09:00:00Z")

    def _template(self, path: Path, value: Any) -> None:
        def note(error: ExpressionError) -> None:
            self.source.error(error.code, (*path, *error.path), error.message, error.help, offset=error.offset)

        template = compile_template(value, filters=self.catalog.filters, report=note)
        for root in sorted(template.roots - MOCK_ROOTS):
            message = f"a mock's output knows `with` and `attempt`, not `{root}`"
            self.source.error("E206", path, message, "write `$${{` for a text that begins with `${{`")


Check = Callable[[CaseCheck, Path, Any], None]
SPECIAL: dict[str, Check] = {
    "test_event": lambda check, path, value: (check.events if path[-1] == "events" else check.event)(path, value),
    "test_timeline": CaseCheck.timeline,
    "test_mock": CaseCheck.mocks,
    "test_approval": CaseCheck.approvals,
    "test_expect": CaseCheck.expectation,
    "test_step": CaseCheck.steps,
}
SPECIAL_KEYS: dict[tuple[bool, str], Check] = {
    (True, "assert"): CaseCheck.assertions,
    (True, "elapsed"): CaseCheck.text_or_number,
    (True, "key"): CaseCheck.text_or_number,
}
