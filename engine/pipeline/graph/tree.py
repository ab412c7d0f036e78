"""The structure of a pipeline as a tree of blocks: what text, SVG and Mermaid are made from. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

from engine.pipeline.expression import Template
from engine.pipeline.spec import DEFAULT_RUN_TIMEOUT, ForEach, Limit, Pipeline, Repeat, Step, Trigger, Wait, WaitEvent

UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
BEYOND = {
    "drop": "more are refused",
    "cancel_running": "a newer one cancels it",
    "keep_latest": "only the latest waits",
}


class Section(msgspec.Struct, frozen=True):
    """A list of blocks inside a block.

    role: body | branch | case | handler (`on_error`) | undo (`compensate`) | notify. The last three stand beside the
    way that a run usually takes.
    """

    role: str
    title: str
    blocks: tuple["Block", ...]


class Block(msgspec.Struct, frozen=True):
    """One step. `notes` say under which conditions and how often it runs."""

    shape: str  # action | call | group | parallel | switch | wait
    key: str
    title: str  # the id, else what the shape is called
    detail: str  # the step type, what is waited for
    name: str  # for people; empty if it says no more than the title
    uses: str  # step type, empty for shapes without one
    line: int
    notes: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()

    @property
    def inner(self) -> tuple[Section, ...]:
        """The sections on the way of the run."""
        return tuple(section for section in self.sections if section.role in ("body", "branch", "case"))

    @property
    def aside(self) -> tuple[Section, ...]:
        """The sections beside it."""
        return tuple(section for section in self.sections if section.role not in ("body", "branch", "case"))


class Start(msgspec.Struct, frozen=True):
    """One trigger."""

    title: str
    notes: tuple[str, ...] = ()


class Graph(msgspec.Struct, frozen=True):
    """One pipeline."""

    id: str
    name: str
    description: str
    starts: tuple[Start, ...]
    notes: tuple[str, ...]
    blocks: tuple[Block, ...]
    on_error: tuple[Block, ...]
    finally_: tuple[Block, ...]
    outputs: tuple[str, ...]


def make_graph(pipeline: Pipeline) -> Graph:
    """The tree of a checked pipeline."""
    notes = [*_limits(pipeline.concurrency, pipeline.rate_limit)]
    if pipeline.timeout != DEFAULT_RUN_TIMEOUT:
        notes.append(f"timeout {short_duration(pipeline.timeout)}")
    return Graph(
        id=pipeline.id,
        name=pipeline.name if pipeline.name != pipeline.id else "",
        description=" ".join(pipeline.description.split()),
        starts=tuple(_start(trigger) for trigger in pipeline.triggers),
        notes=tuple(notes),
        blocks=_blocks(pipeline.steps),
        on_error=_blocks(pipeline.on_error),
        finally_=_blocks(pipeline.finally_),
        outputs=tuple(pipeline.outputs),
    )


def every_block(graph: Graph) -> Iterator[Block]:
    """All blocks of all sections, outer ones first."""

    def walk(blocks: tuple[Block, ...]) -> Iterator[Block]:
        for block in blocks:
            yield block
            for section in block.sections:
                yield from walk(section.blocks)

    for blocks in (graph.blocks, graph.on_error, graph.finally_):
        yield from walk(blocks)


def short_duration(seconds: float) -> str:
    """A duration as authors write it: `1h30m`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds % 604800 == 0:
        return f"{seconds / 604800:g}w"
    parts, rest = [], round(seconds)
    for unit, size in UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def source_of(template: Template | int | None) -> str:
    """What a template says on one line; a lone ``${{ }}`` without its braces, others as `{name}`."""
    value: Any = template.value if isinstance(template, Template) else template
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if isinstance(template, Template) and isinstance(value, str):
        for _, expression in template.expressions:
            whole = "${{" + expression.source + "}}"
            inner = expression.source.strip()
            text = text.replace(whole, inner if text.strip() == whole else f"{{{inner}}}", 1)
    return _one_line(text)


def _blocks(steps: tuple[Step, ...]) -> tuple[Block, ...]:
    return tuple(_block(step) for step in steps)


def _block(step: Step) -> Block:
    title = step.id or _default_title(step)
    detail = _detail(step)
    return Block(
        shape=step.shape,
        key=step.key,
        title=title,
        detail="" if detail == title else detail,
        name=step.name if step.name not in (step.id, step.key, step.uses, title) else "",
        uses=step.uses,
        line=step.position.line,
        notes=tuple(_notes(step)),
        sections=tuple(_sections(step)),
    )


def _default_title(step: Step) -> str:
    if step.uses:
        return step.uses
    return "approval" if step.wait is not None and step.wait.approval is not None else step.shape


def _detail(step: Step) -> str:
    if step.shape == "parallel":
        return f"{len(step.branches)} branches at the same time"
    if step.shape == "switch":
        return "the first that holds"
    if step.shape == "group":
        return ""
    if step.wait is not None:
        return _waits_for(step.wait)
    return step.uses


def _waits_for(wait: Wait) -> str:
    if wait.approval is not None:
        return f"asks: {source_of(wait.approval.prompt)}"
    if wait.events:
        return "waits for " + " or ".join(_event(event) for event in wait.events)
    if wait.until is not None:
        return f"waits until {source_of(wait.until)}"
    return f"waits {source_of(wait.for_)}"


def _event(event: WaitEvent) -> str:
    return " ".join(part for part in (event.source, event.type) if part) or "any event"


def _notes(step: Step) -> Iterator[str]:
    if step.condition is not None:
        yield f"if {_one_line(step.condition.source)}"
    if step.for_each is not None:
        yield _loop(step.for_each)
    if step.repeat is not None:
        yield _repeated(step.repeat)
    if step.wait is not None:
        yield from _wait_notes(step.wait)
    if step.timeout is not None:
        yield f"timeout {short_duration(step.timeout)}"
    if step.retry is not None:
        attempts = step.retry.policy.attempts
        yield "one attempt" if attempts == 1 else f"up to {attempts} attempts"
    if step.cache is not None:
        yield f"cached for {short_duration(step.cache.ttl)}"
    yield from _limits(step.concurrency, step.rate_limit)
    if step.queue is not None:
        yield f"queue {source_of(step.queue)}"
    if step.on_error.mode == "continue":
        yield "goes on after an error"
    elif step.on_error.mode == "output":
        yield "has a fallback output"


def _loop(loop: ForEach) -> str:
    parts = [f"for each {loop.name} in {source_of(loop.items)}"]
    if loop.concurrency > 1:
        parts.append(f"{loop.concurrency} at a time")
    if loop.on_item_error == "continue":
        parts.append("goes on after an error")
    if loop.max_errors is not None:
        parts.append(f"fails after {loop.max_errors} errors")
    if loop.max_errors_percent is not None:
        parts.append(f"fails after {loop.max_errors_percent:g}% errors")
    return ", ".join(parts)


def _repeated(repeat: Repeat) -> str:
    parts = [f"repeats every {short_duration(repeat.every)} until {_one_line(repeat.until.source)}"]
    if repeat.max is not None:
        parts.append(f"at most {repeat.max} times")
    if repeat.max_elapsed is not None:
        parts.append(f"for at most {short_duration(repeat.max_elapsed)}")
    return ", ".join(parts)


def _wait_notes(wait: Wait) -> Iterator[str]:
    conditions = dict.fromkeys(_one_line(event.condition.source) for event in wait.events if event.condition)
    yield from (f"if {condition}" for condition in conditions)
    if wait.timeout is not None:
        then = "then goes on" if wait.on_timeout == "continue" else "then fails"
        yield f"for at most {source_of(wait.timeout)}, {then}"
    if wait.approval is not None and wait.on_reject == "continue":
        yield "goes on if rejected"


def _limits(concurrency: Limit | None, rate: Limit | None) -> Iterator[str]:
    for limit in (concurrency, rate):
        if limit is None:
            continue
        many = source_of(limit.limit) if isinstance(limit.limit, Template) else str(limit.limit)
        text = f"{many} per {short_duration(limit.period)}" if limit is rate else f"{many} at a time"
        if limit.key is not None and limit.key.expressions:
            text += f" for each {source_of(limit.key)}"
        yield text + (f", {BEYOND[limit.on_limit]}" if limit.on_limit in BEYOND else "")


def _sections(step: Step) -> Iterator[Section]:
    if step.steps:
        yield Section("body", "", _blocks(step.steps))
    for name, steps in step.branches.items():
        yield Section("branch", name, _blocks(steps))
    for case in step.cases:
        title = "else" if case.condition is None else f"if {_one_line(case.condition.source)}"
        yield Section("case", title, _blocks(case.steps))
    if step.wait is not None and step.wait.approval is not None and step.wait.approval.notify:
        yield Section("notify", "notify", _blocks(step.wait.approval.notify))
    if step.on_error.steps:
        yield Section("handler", "on error", _blocks(step.on_error.steps))
    if step.compensate:
        yield Section("undo", "undo", _blocks(step.compensate))


def _start(trigger: Trigger) -> Start:
    notes = []
    settings = trigger.with_.value if isinstance(trigger.with_.value, dict) else {}
    for name in ("path", "cron", "type", "events", "pipelines"):
        if name in settings:
            value = settings[name]
            notes.append(", ".join(map(str, value)) if isinstance(value, list) else str(value))
    if trigger.condition is not None:
        notes.append(f"if {_one_line(trigger.condition.source)}")
    if trigger.debounce is not None:
        notes.append(f"after {short_duration(trigger.debounce.period)} of quiet")
    if trigger.batch is not None:
        notes.append("in batches" + (f" of {trigger.batch.max_size}" if trigger.batch.max_size else ""))
    if trigger.respond is not None and trigger.respond.mode == "sync":
        notes.append(f"answers after {trigger.respond.after}" if trigger.respond.after else "answers when it is done")
    return Start(trigger.id if trigger.id == trigger.uses else f"{trigger.id} ({trigger.uses})", tuple(notes))


def _one_line(text: str) -> str:
    return " ".join(text.split())
