"""Lists of steps: `steps`, `on_error`, `finally`, and what stands inside of a step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from engine.pipeline.checking.blocks import empty, find_branches, find_cases, note_unreachable
from engine.pipeline.checking.calls import read_action, read_call, read_uses
from engine.pipeline.checking.expressions import Desk, compile_condition, compile_value, shape_of
from engine.pipeline.checking.keys import check_keys
from engine.pipeline.checking.limits import read_concurrency, read_key, read_queue, read_rate_limit
from engine.pipeline.checking.loops import BEFORE, read_for_each, read_repeat
from engine.pipeline.checking.retry import read_cache, read_on_unknown, read_retry
from engine.pipeline.checking.sensitive import read_sensitive
from engine.pipeline.checking.shapes import find_shape
from engine.pipeline.checking.step_ids import Hidden, Later, find_ids
from engine.pipeline.checking.values import STEP_ID, describe, need_duration, need_id, need_list, need_text, need_word
from engine.pipeline.checking.waits import read_wait
from engine.pipeline.expression import compile_template
from engine.pipeline.grammar.section import FAIL_OR_CONTINUE
from engine.pipeline.grammar.steps import ON_ERROR, STEP
from engine.pipeline.inference.names import Names, StepView, guarded_steps
from engine.pipeline.inference.types import NULL, Shape, either, list_of, nullable
from engine.pipeline.marks import Path
from engine.pipeline.spec import Case, OnError, Position, Step

__all__ = ["STEP_ROOTS", "StepReader", "find_ids"]

STEP_ROOTS = ("event", "inputs", "vars", "env", "run", "steps")
NO_WITH = compile_template({})
Views = Mapping[str, StepView]


class Inner(msgspec.Struct, frozen=True):
    """What a shape brings to its step. fields: of the Step; views: steps inside of it that can be seen later."""

    fields: dict[str, Any]
    result: Shape = None
    views: Views = {}
    callee: str = ""


class StepReader:
    """Reads the steps of one pipeline in the order in which they run."""

    def __init__(self, desk: Desk, names: Names, ids: dict[str, Path]) -> None:
        self.desk = desk
        self.source = desk.source
        self.names = names  # what every step may use here, `steps` aside
        self.ids = ids  # all step ids of the file, and where each is
        self.views: Views = {}  # steps that can be seen here; replaced, never changed
        self.last: Shape = None  # what is known of the output of the step that was read last

    def read(self, path: Path, value: Any, prefix: str, *extra: str) -> tuple[Step, ...]:
        """The steps of a list. prefix: of the keys of steps without an id. extra: more roots, such as `error`."""
        steps: list[Step] = []
        self.last = None
        items = need_list(self.source, path, value, f"`{path[-1]}`")
        for index, item in enumerate(items):
            where = (*path, index)
            if not isinstance(item, dict):
                hint = "begin with `uses:`"
                self.source.error("E103", where, f"a step must be a map, this is {describe(item)}", hint)
                continue
            steps.append(self.step(where, item, f"{prefix}[{index}]", extra))
        note_unreachable(self.source, path, items)
        return tuple(steps)

    def visible(self, extra: tuple[str, ...], place: Path = ()) -> Names:
        """What a step at this place may use; or what stands below all steps."""
        return msgspec.structs.replace(
            self.names,
            roots=(*STEP_ROOTS, *extra),
            steps=self.views,
            later_steps=Later(self.ids, self.views),
            unreachable=Hidden(self.source.data, self.ids, place),
        )

    def seeing(self, names: Names, views: Views) -> Names:
        """The names with these steps."""
        return msgspec.structs.replace(names, steps=views, later_steps=Later(self.ids, views))

    def step(self, path: Path, item: dict[str, Any], key: str, extra: tuple[str, ...]) -> Step:
        source, desk = self.source, self.desk
        check_keys(source, path, item, STEP)
        id_ = self.id(path, item)
        key = id_ or key
        shape = find_shape(source, path, item)
        uses = read_uses(desk, path, item) if shape in ("action", "call") else ""
        if uses:
            item = desk.merge(uses, item, path)
        names = self.visible(extra, path)
        condition = None
        if "if" in item:
            early = {"item": BEFORE, "index": BEFORE} if "for_each" in item and "item" not in names.locals else {}
            known = msgspec.structs.replace(names, absent={**names.absent, **early})
            condition = compile_condition(desk, (*path, "if"), item["if"], known)
            names = msgspec.structs.replace(names, guard=names.guard | guarded_steps(condition.node))
        for_each, inside = None, names
        if "for_each" in item:
            for_each, inside = read_for_each(desk, (*path, "for_each"), item["for_each"], names)
        before = self.views
        inner = self.inner(path, item, key, shape, uses, inside, extra)
        raw = inside.adding("result", result=inner.result)
        if inner.views:
            raw = self.seeing(raw, {**before, **inner.views})
        output = compile_value(desk, (*path, "output"), item["output"], raw) if "output" in item else None
        kept = one = shape_of(output, raw, desk.catalog.filters) if output is not None else inner.result
        if for_each is not None:
            kept = list_of(nullable(kept) if for_each.on_item_error == "continue" else kept)
        if inner.views and for_each is None:
            self.views = {**before, **_doubted(inner.views, _doubt_inside(shape, item))}
        on_error = OnError()
        if "on_error" in item:
            on_error, kept = self.on_error((*path, "on_error"), item["on_error"], key, names, extra, kept)
        view = StepView(
            output=kept,
            doubt=_doubt(item, on_error),
            callee=inner.callee if output is None and for_each is None and on_error.mode == "fail" else "",
            loop=for_each is not None,
        )
        own = {id_: StepView(one)} if id_ is not None else {}
        compensate = self.compensate(path, item, key, inside, extra, {**before, **inner.views, **own})
        if id_ is not None:
            self.views = {**self.views, id_: view}
        self.last = view.output
        name = need_text(source, (*path, "name"), item["name"], "`name`") if "name" in item else (id_ or uses or key)
        place = source.marks.value(path)
        return Step(
            **inner.fields,
            **self.settings(path, item, uses, inside, raw),
            key=key,
            id=id_,
            name=name,
            uses=uses,
            position=Position(line=place.line, column=place.column),
            condition=condition,
            on_error=on_error,
            output=output,
            shape=shape,
            for_each=for_each,
            compensate=compensate,
            sensitive=read_sensitive(source, (*path, "sensitive"), item["sensitive"], view.output)
            if "sensitive" in item
            else False,
        )

    def id(self, path: Path, item: dict[str, Any]) -> str | None:
        if "id" not in item:
            return None
        id_ = need_id(self.source, (*path, "id"), item["id"], "`id`", STEP_ID)
        if id_ is not None and self.ids.get(id_) != path:
            line = self.source.marks.value((*self.ids[id_], "id")).line
            self.source.error("E110", (*path, "id"), f"there is a step `{id_}` already, on line {line}")
        return id_

    def inner(
        self, path: Path, item: dict[str, Any], key: str, shape: str, uses: str, names: Names, extra: tuple[str, ...]
    ) -> Inner:
        """What the step does, by its shape."""
        if shape == "action":
            action = read_action(self.desk, path, uses, item.get("with"), names)
            return Inner({"with_": action.with_}, action.result)
        if shape == "call":
            call = read_call(self.desk, path, uses, item.get("with"), names)
            return Inner({"with_": call.with_, "pipeline": call.pipeline}, call.result, callee=call.pipeline or "")
        fields: dict[str, Any] = {"with_": NO_WITH}
        before = self.views
        with self.place(names):
            result: Shape = NULL
            if shape == "group":
                fields["steps"] = self.filled((*path, "steps"), item["steps"], f"{key}.steps", extra)
                result = self.last
            elif shape == "parallel":
                fields["branches"] = self.parallel((*path, "parallel"), item["parallel"], key, extra)
            elif shape == "switch":
                fields["cases"] = self.switch((*path, "switch"), item["switch"], key, names, extra)
            else:

                def notify(where: Path, value: Any, known: Names) -> tuple[Step, ...]:
                    with self.place(known):
                        return self.read(where, value, f"{key}.notify", *extra)

                fields["wait"], result = read_wait(self.desk, (*path, "wait"), item["wait"], names, notify)
            inside = {name: view for name, view in self.views.items() if name not in before}
        self.views = before
        return Inner(fields, result, inside)

    def filled(self, path: Path, value: Any, prefix: str, extra: tuple[str, ...]) -> tuple[Step, ...]:
        """A list that must not be empty."""
        if empty(value):
            self.source.error("E104", path, f"`{path[-1]}` has no steps", "as in `- uses: http.request`", key=True)
        return self.read(path, value, prefix, *extra)

    def parallel(self, path: Path, value: Any, key: str, extra: tuple[str, ...]) -> dict[str, tuple[Step, ...]]:
        branches: dict[str, tuple[Step, ...]] = {}
        before = after = self.views
        for name, steps in find_branches(self.source, path, value):
            self.views = before
            branches[name] = self.filled((*path, name), steps, f"{key}.parallel.{name}", extra)
            after = {**after, **self.views}
        self.views = after
        return branches

    def switch(self, path: Path, value: Any, key: str, names: Names, extra: tuple[str, ...]) -> tuple[Case, ...]:
        cases: list[Case] = []
        before = after = self.views
        for index, case in find_cases(self.source, path, value):
            self.views = before
            where = (*path, index)
            condition, known = None, names
            if "if" in case:
                condition = compile_condition(self.desk, (*where, "if"), case["if"], names)
                known = msgspec.structs.replace(names, guard=names.guard | guarded_steps(condition.node))
            part = "else" if "else" in case else "steps"
            with self.place(known):
                steps = self.filled((*where, part), case.get(part), f"{key}.switch[{index}].{part}", extra)
            cases.append(Case(condition, steps))
            after = {**after, **self.views}
        self.views = after
        return tuple(cases)

    def on_error(
        self, path: Path, value: Any, key: str, names: Names, extra: tuple[str, ...], kept: Shape
    ) -> tuple[OnError, Shape]:
        """What happens after the last attempt, and what is known of the output then. kept: of the step's own."""
        known = names if "error" in names.roots else names.adding("error")
        known = self.seeing(known, self.views)
        if isinstance(value, list):
            before = self.views
            with self.place(names):
                steps = self.filled(path, value, f"{key}.on_error", tuple(dict.fromkeys((*extra, "error"))))
            inside = {name: view for name, view in self.views.items() if name not in before}
            self.views = {**before, **_doubted(inside, "may not have run: it is in an `on_error`")}
            return OnError(mode="steps", steps=steps), either(kept, self.last)
        if isinstance(value, dict):
            check_keys(self.source, path, value, ON_ERROR)
            if "output" not in value:
                hint = "`fail`, `continue`, `{output: value}`, or a list of steps"
                self.source.error("E104", path, "`on_error` needs `output`", hint)
                return OnError(), kept
            output = compile_value(self.desk, (*path, "output"), value["output"], known)
            return OnError(mode="output", output=output), either(
                kept, shape_of(output, known, self.desk.catalog.filters)
            )
        word = need_word(self.source, path, value, "`on_error`", FAIL_OR_CONTINUE)
        return OnError(mode=word or "fail"), kept

    def compensate(
        self, path: Path, item: dict[str, Any], key: str, names: Names, extra: tuple[str, ...], views: Views
    ) -> tuple[Step, ...]:
        """Steps that undo this one, for each item of a loop. views: this step, which has succeeded, and those above."""
        if "compensate" not in item:
            return ()
        after, self.views = self.views, views
        with self.place(names):
            roots = tuple(dict.fromkeys((*extra, "error")))
            steps = self.filled((*path, "compensate"), item["compensate"], f"{key}.compensate", roots)
        self.views = after
        return steps

    def settings(self, path: Path, item: dict[str, Any], uses: str, names: Names, raw: Names) -> dict[str, Any]:
        """Of the Step: what goes with actions and calls. names: with the item of a loop; raw: with the result too."""
        desk = self.desk
        found: dict[str, Any] = {}
        for key, read in (
            ("retry", read_retry),
            ("cache", read_cache),
            ("idempotency_key", read_key),
            ("concurrency", read_concurrency),
            ("rate_limit", read_rate_limit),
        ):
            if key in item:
                found[key] = read(desk, (*path, key), item[key], names)
        if "repeat" in item:
            found["repeat"] = read_repeat(desk, (*path, "repeat"), item["repeat"], raw)
        if "on_unknown" in item:
            found["on_unknown"] = read_on_unknown(desk, (*path, "on_unknown"), item["on_unknown"], uses)
        if "timeout" in item:
            found["timeout"] = need_duration(self.source, (*path, "timeout"), item["timeout"], "`timeout`")
        if "queue" in item:
            found["queue"] = read_queue(self.desk, (*path, "queue"), item["queue"], names)
        return found

    @contextmanager
    def place(self, names: Names) -> Iterator[None]:
        """Read steps inside of another one: with its loop names and what its conditions have made sure."""
        outer = self.names
        self.names = msgspec.structs.replace(outer, locals=names.locals, absent=names.absent, guard=names.guard)
        try:
            yield
        finally:
            self.names = outer


def _doubted(views: Views, doubt: str) -> dict[str, StepView]:
    if not doubt:
        return dict(views)
    return {name: msgspec.structs.replace(view, doubt=view.doubt or doubt) for name, view in views.items()}


def _doubt(item: dict[str, Any], on_error: OnError) -> str:
    """Why the step itself may have no output."""
    if "if" in item:
        return "may not have run: it has an `if`"
    return "may have failed: it has `on_error: continue`" if on_error.mode == "continue" else ""


def _doubt_inside(shape: str, item: dict[str, Any]) -> str:
    """Why a step inside of this one may have no output, seen from below."""
    if shape == "switch":
        return "may not have run: it is in a branch of a `switch`"
    if "if" in item:
        return "may not have run: it is inside of a step with an `if`"
    if item.get("on_error", "fail") != "fail":
        return "may not have run: it is inside of a step with an `on_error`"
    return ""
