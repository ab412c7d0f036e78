"""Lists of steps: `steps`, `on_error`, `finally`, and a step's own `on_error`."""

from typing import Any

import msgspec

from engine.core.retry import RetryPolicy
from engine.pipeline.check_config import ConfigCheck, is_free
from engine.pipeline.check_expressions import Desk, compile_condition, compile_value
from engine.pipeline.check_keys import check_keys
from engine.pipeline.check_names import Names, StepView, guarded_steps
from engine.pipeline.check_values import (
    STEP_ID,
    describe,
    need_bool,
    need_duration,
    need_id,
    need_integer,
    need_list,
    need_number,
    need_text,
    need_word,
)
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.grammar_steps import CACHE, ON_ERROR, RETRY, STEP
from engine.pipeline.marks import Path
from engine.pipeline.shapes import Shape, either, of_type, of_value
from engine.pipeline.spec import Cache, OnError, Position, Retry, Step

MAX_ATTEMPTS = 100
STEP_ROOTS = ("event", "inputs", "vars", "env", "run", "steps")


class StepReader:
    """Reads the steps of one pipeline in the order in which they run."""

    def __init__(self, desk: Desk, names: Names, ids: dict[str, Path]) -> None:
        self.desk = desk
        self.source = desk.source
        self.names = names  # what every step may use, `steps` aside
        self.ids = ids  # all step ids of the file, and where each is
        self.views: dict[str, StepView] = {}  # steps that have been read
        self.doubt = ""  # why the steps that are read now may not have run

    def read(self, path: Path, value: Any, prefix: str, *extra: str) -> tuple[Step, ...]:
        """The steps of a list. prefix: of the keys of steps without an id. extra: more roots, such as `error`."""
        steps: list[Step] = []
        for index, item in enumerate(need_list(self.source, path, value, f"`{path[-1]}`")):
            where = (*path, index)
            if not isinstance(item, dict):
                hint = "begin with `uses:`"
                self.source.error("E103", where, f"a step must be a map, this is {describe(item)}", hint)
                continue
            step = self.step(where, item, f"{prefix}[{index}]", extra)
            if step is not None:
                steps.append(step)
        return tuple(steps)

    def step(self, path: Path, item: dict[str, Any], key: str, extra: tuple[str, ...]) -> Step | None:
        source, desk = self.source, self.desk
        check_keys(source, path, item, STEP)
        id_ = need_id(source, (*path, "id"), item["id"], "`id`", STEP_ID) if "id" in item else None
        if id_ is not None and self.ids.get(id_) != path:
            line = source.marks.value((*self.ids[id_], "id")).line
            source.error("E110", (*path, "id"), f"there is a step `{id_}` already, on line {line}")
        key = id_ or key
        names = self.visible(extra)
        condition = compile_condition(desk, (*path, "if"), item["if"], names) if "if" in item else None
        if condition is not None:
            names = msgspec.structs.replace(names, guard=guarded_steps(condition.node))
        uses = self.uses(path, item)
        item = desk.merge(uses, item, path)
        type_ = desk.catalog.steps.get(uses)
        with_ = item.get("with")
        if type_ is not None:
            ConfigCheck(source, uses).check((*path, "with") if "with" in item else path, with_, type_.config)
        empty: Any = None if type_ is not None and is_free(type_.config) else {}
        template = compile_value(desk, (*path, "with"), empty if with_ is None else with_, names.adding("secrets"))
        result = of_type(type_.result) if type_ is not None else None
        if uses == "value" and not isinstance(with_, str):
            result = of_value(with_)
        raw = names.adding("result", result=result)
        output = compile_value(desk, (*path, "output"), item["output"], raw) if "output" in item else None
        shape = of_value(item["output"]) if "output" in item else result
        step = Step(
            key=key,
            id=id_,
            name=need_text(source, (*path, "name"), item["name"], "`name`") if "name" in item else (id_ or uses or key),
            uses=uses,
            with_=template,
            position=self.position(path),
            condition=condition,
            retry=self.retry((*path, "retry"), item["retry"], names) if "retry" in item else None,
            timeout=need_duration(source, (*path, "timeout"), item["timeout"], "`timeout`")
            if "timeout" in item
            else None,
            on_error=self.on_error((*path, "on_error"), item["on_error"], key, names, extra)
            if "on_error" in item
            else OnError(),
            output=output,
            cache=self.cache((*path, "cache"), item["cache"], names) if "cache" in item else None,
            idempotency_key=self.key((*path, "idempotency_key"), item["idempotency_key"], names)
            if "idempotency_key" in item
            else None,
        )
        if id_ is not None:
            self.views[id_] = self.view(step, item, shape)
        return step

    def visible(self, extra: tuple[str, ...]) -> Names:
        """What the next step may use."""
        later = frozenset(self.ids) - self.views.keys()
        roots = (*STEP_ROOTS, *extra)
        return msgspec.structs.replace(self.names, roots=roots, steps=dict(self.views), later_steps=later)

    def view(self, step: Step, item: dict[str, Any], shape: Shape) -> StepView:
        """What later steps know about this one."""
        doubt = self.doubt
        if step.on_error.mode == "continue":
            doubt = doubt or "may have failed: it has `on_error: continue`"
        elif step.on_error.mode == "output" and isinstance(item["on_error"], dict):
            shape = either(shape, of_value(item["on_error"].get("output")))
        elif step.on_error.mode == "steps":
            shape = None
        if step.condition is not None:
            doubt = "may not have run: it has an `if`"
        return StepView(output=shape, doubt=doubt)

    def uses(self, path: Path, item: dict[str, Any]) -> str:
        where = (*path, "uses")
        if "uses" not in item:
            if not any(key in item for key in ("steps", "parallel", "switch", "wait")):
                self.source.error("E104", path, "a step needs `uses`", "as in `uses: http.request`")
            return ""
        uses = need_text(self.source, where, item["uses"], "`uses`")
        if uses.startswith("pipeline:"):
            self.source.error("E102", where, "calling another pipeline is not supported yet")
        elif uses and uses not in self.desk.catalog.steps and "${{" not in uses:
            listing = "`hookwright plugins list` shows the installed ones"
            hint = did_you_mean(uses, self.desk.catalog.steps)
            message = f"there is no step type `{uses[:80]}`"
            self.source.error("E114", where, message, f"{hint} {listing}".strip())
        return uses

    def on_error(self, path: Path, value: Any, key: str, names: Names, extra: tuple[str, ...]) -> OnError:
        if isinstance(value, list):
            before, doubt = dict(self.views), self.doubt
            steps = self.read(path, value, f"{key}.on_error", *dict.fromkeys((*extra, "error")))
            self.doubt = doubt
            inner = {name: view for name, view in self.views.items() if name not in before}
            self.views = before | {
                name: StepView(view.output, "may not have run: it is in an `on_error`") for name, view in inner.items()
            }
            return OnError(mode="steps", steps=steps)
        if isinstance(value, dict):
            check_keys(self.source, path, value, ON_ERROR)
            if "output" not in value:
                hint = "`fail`, `continue`, `{output: value}`, or a list of steps"
                self.source.error("E104", path, "`on_error` needs `output`", hint)
                return OnError()
            known = names if "error" in names.roots else names.adding("error")
            return OnError(mode="output", output=compile_value(self.desk, (*path, "output"), value["output"], known))
        word = need_word(self.source, path, value, "`on_error`", ("fail", "continue"))
        return OnError(mode=word or "fail")

    def retry(self, path: Path, value: Any, names: Names) -> Retry | None:
        source = self.source
        if isinstance(value, int) and not isinstance(value, bool):
            attempts = need_integer(source, path, value, "`retry`", least=1, most=MAX_ATTEMPTS)
            return Retry(RetryPolicy(attempts=attempts or 1))
        if not isinstance(value, dict):
            hint = "as in `retry: 3` or `retry: {attempts: 3, delay: 2s}`"
            source.error("E103", path, f"`retry` must be a number or a map, this is {describe(value)}", hint)
            return None
        check_keys(source, path, value, RETRY)
        policy: dict[str, Any] = {"attempts": 3}
        if "attempts" in value:
            where = (*path, "attempts")
            number = need_integer(source, where, value["attempts"], "`attempts`", least=1, most=MAX_ATTEMPTS)
            policy["attempts"] = number or 1
        for name in ("delay", "max_delay", "max_elapsed"):
            if name in value:
                seconds = need_duration(source, (*path, name), value[name], f"`{name}`")
                policy |= {name: seconds} if seconds is not None else {}
        if "factor" in value:
            factor = need_number(source, (*path, "factor"), value["factor"], "`factor`", least=1, most=100)
            policy |= {"factor": float(factor)} if factor is not None else {}
        if "jitter" in value:
            policy["jitter"] = need_bool(source, (*path, "jitter"), value["jitter"], "`jitter`", default=True)
        if "errors" in value:
            errors = need_list(source, (*path, "errors"), value["errors"], "`errors`")
            policy["errors"] = tuple(
                need_text(source, (*path, "errors", index), item, "an error type") for index, item in enumerate(errors)
            )
        when = None
        if "when" in value:
            known = names if "error" in names.roots else names.adding("error")
            when = compile_condition(self.desk, (*path, "when"), value["when"], known)
        return Retry(RetryPolicy(**policy), when)

    def cache(self, path: Path, value: Any, names: Names) -> Cache | None:
        source = self.source
        if not isinstance(value, dict):
            seconds = need_duration(source, path, value, "`cache`")
            return Cache(ttl=seconds) if seconds is not None else None
        check_keys(source, path, value, CACHE)
        if "ttl" not in value:
            source.error("E104", path, "`cache` needs `ttl`", "as in `cache: {key: ..., ttl: 1h}`")
            return None
        seconds = need_duration(source, (*path, "ttl"), value["ttl"], "`ttl`")
        key = compile_value(self.desk, (*path, "key"), value["key"], names) if "key" in value else None
        return Cache(ttl=seconds, key=key) if seconds is not None else None

    def key(self, path: Path, value: Any, names: Names) -> Any:
        if not isinstance(value, str | int) or isinstance(value, bool):
            self.source.error("E103", path, f"`idempotency_key` must be a text, this is {describe(value)}")
        return compile_value(self.desk, path, value, names)

    def position(self, path: Path) -> Position:
        place = self.source.marks.value(path)
        return Position(line=place.line, column=place.column)


def find_ids(data: dict[str, Any]) -> dict[str, Path]:
    """Every step id of a pipeline and the path of its first step."""
    ids: dict[str, Path] = {}

    def visit(path: Path, value: Any) -> None:
        for index, item in enumerate(value if isinstance(value, list) else []):
            if isinstance(item, dict):
                name = item.get("id")
                if isinstance(name, str) and STEP_ID.fullmatch(name):
                    ids.setdefault(name, (*path, index))
                visit((*path, index, "on_error"), item.get("on_error"))

    for part in ("steps", "on_error", "finally"):
        visit((part,), data.get(part))
    return ids
