"""Which names an expression may use in its place, and whether they exist."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.expression.nodes import (
    Access,
    Fallback,
    Field,
    Index,
    Lambda,
    Literal,
    Name,
    Node,
    Pipe,
    Test,
    children,
)
from engine.pipeline.shapes import Shape

ROOTS = ("event", "inputs", "vars", "env", "run", "steps", "secrets", "error", "result")
LATER_ROOTS = ("events", "outputs", "incoming", "approval", "item", "index")  # of keys that are not supported yet
EVENT = dict.fromkeys(("id", "source", "type", "time", "headers", "query", "path_params", "body"))
RUN = dict.fromkeys(
    (
        *("id", "url", "pipeline", "version", "started_at", "scheduled_at", "trigger", "labels", "parent"),
        *("replay_of", "outcome", "compensated"),
    )
)
ERROR = dict.fromkeys(("type", "message", "step", "attempt", "data"))
STEP = ("output", "status", "error", "cached", "attempts", "started_at", "finished_at")
ELSEWHERE = {  # why a root that exists is not here
    "error": "there is an `error` only in `on_error` and in `retry.when`",
    "result": "there is a `result` only in a step's `output`; use `steps.ID.output`",
    "steps": "no step has run yet at this point",
    "vars": "`vars` are evaluated when the run starts",
    "inputs": "here only the event and the environment are known",
    "event": "here only `secrets` and `env` are known",
    "run": "there is no run yet at this point",
}


class StepView(msgspec.Struct, frozen=True):
    """A step that an expression can see. doubt: why it may have no output."""

    output: Shape = None
    doubt: str = ""
    callee: str = ""  # id of the pipeline that it calls, if its output is that pipeline's outputs


class Names(msgspec.Struct, frozen=True):
    """The names in one place."""

    roots: tuple[str, ...]
    env: frozenset[str] = frozenset()
    event: bool = True  # whether a trigger delivers one
    absent: Mapping[str, str] = {}  # roots that are not here although one could expect them, and why
    outcome: bool = False  # whether the run's outcome is known
    compensated: bool = False  # whether `run.compensated` is known
    inputs: Mapping[str, Shape] = {}
    vars: Mapping[str, Shape] = {}
    later_vars: frozenset[str] = frozenset()
    steps: Mapping[str, StepView] = {}
    later_steps: frozenset[str] = frozenset()
    unreachable: Mapping[str, str] = {}  # steps that exist and cannot be seen from here, and why
    locals: Mapping[str, Shape] = {}  # further roots of this place: loop names, `index`, `incoming`, `approval`, ...
    result: Shape = None
    guard: frozenset[str] = frozenset()  # steps whose status the step's own `if` asks for

    def adding(self, *roots: str, **changes: Any) -> "Names":
        """The same with more roots."""
        return msgspec.structs.replace(self, roots=(*self.roots, *roots), **changes)


class Finding(msgspec.Struct, frozen=True):
    """Something wrong with a name; offsets in the expression."""

    code: str
    message: str
    start: int
    end: int
    help: str = ""


class Reference(msgspec.Struct, frozen=True):
    """A use of a root. fields: the names that follow, with the offset of each one's end."""

    root: Name
    node: Node
    fields: tuple[tuple[str, int, int], ...]
    dynamic: bool  # a computed index follows
    guarded: bool  # something catches it if it is not there


def references(node: Node, hidden: frozenset[str] = frozenset(), guarded: bool = False) -> Iterator[Reference]:
    """Every use of a root in an expression."""
    if isinstance(node, Name):
        if node.name not in hidden:
            yield Reference(node, node, (), False, guarded)
    elif isinstance(node, Access):
        if isinstance(node.base, Name):
            if node.base.name not in hidden:
                yield _reference(node, node.base, guarded)
        else:
            yield from references(node.base, hidden, guarded)
        for part in node.parts:
            for child in children(part):
                yield from references(child, hidden)
    elif isinstance(node, Pipe):
        caught = isinstance(node.stages[0], Fallback) or getattr(node.stages[0], "name", "") == "default"
        yield from references(node.base, hidden, guarded or caught)
        for index, stage in enumerate(node.stages):
            following = node.stages[index + 1 : index + 2]
            again = isinstance(stage, Fallback) and any(isinstance(item, Fallback) for item in following)
            for child in children(stage):
                yield from references(child, hidden, again)
    elif isinstance(node, Test):
        yield from references(node.value, hidden, node.test in ("defined", "null"))
    elif isinstance(node, Lambda):
        yield from references(node.body, hidden | {node.name})
    else:
        for child in children(node):
            yield from references(child, hidden)


def _reference(node: Access, root: Name, guarded: bool) -> Reference:
    fields: list[tuple[str, int, int]] = []
    dynamic = False
    for part in node.parts:
        if isinstance(part, Field):
            fields.append((part.name, part.end - len(part.name), part.end))
        elif isinstance(part, Index) and isinstance(part.key, Literal) and isinstance(part.key.value, str):
            fields.append((part.key.value, part.start, part.end))
        else:
            dynamic = not fields
            break
    return Reference(root, node, tuple(fields), dynamic, guarded)


def check_names(node: Node, names: Names) -> Iterator[Finding]:
    """What is wrong with the names in an expression."""
    names = msgspec.structs.replace(names, guard=names.guard | guarded_steps(node))
    for reference in references(node):
        yield from _check(reference, names)


def _check(reference: Reference, names: Names) -> Iterator[Finding]:
    root, fields = reference.root, reference.fields
    name = root.name
    if name == "secrets":
        if "secrets" not in names.roots:
            help = "a secret must not reach conditions, labels, keys, outputs or responses"
            node = reference.node
            yield Finding("E305", "secrets can only be used inside `with:`", node.start, node.end, help)
        return
    if name in names.locals:
        yield from _fields(reference, names.locals[name], 0)
        return
    if name in names.absent:
        message = f"`{name}` is not available here: {names.absent[name]}"
        yield Finding("E206", message, root.start, reference.node.end)
        return
    if name not in names.roots:
        yield _unknown_root(reference, names)
        return
    if name == "event":
        if not names.event:
            message = "`event` is not available here: no trigger of this pipeline delivers one; use `inputs`"
            yield Finding("E206", message, root.start, reference.node.end)
            return
        yield from _fields(reference, EVENT, 0)
    elif name == "run":
        if fields and fields[0][0] == "outcome" and not names.outcome:
            yield Finding("E206", "`run.outcome` is only known in `finally`", root.start, fields[0][2])
            return
        if fields and fields[0][0] == "compensated" and not names.compensated:
            message = "`run.compensated` is only known in the pipeline's `on_error` and in `finally`"
            yield Finding("E206", message, root.start, fields[0][2])
            return
        yield from _fields(reference, RUN, 0)
    elif name == "error":
        yield from _fields(reference, ERROR, 0)
    elif name == "result":
        yield from _fields(reference, names.result, 0)
    elif name == "env":
        yield from _env(reference, names)
    elif fields and name == "inputs":
        yield from _declared(reference, names.inputs, "E207", "input", frozenset())
    elif fields and name == "vars":
        yield from _declared(reference, names.vars, "E208", "variable", names.later_vars)
    elif fields and name == "steps":
        yield from _step(reference, names)


def _unknown_root(reference: Reference, names: Names) -> Finding:
    root = reference.root
    name = root.name
    if name in ROOTS:
        return Finding("E206", f"`{name}` is not available here", root.start, reference.node.end, ELSEWHERE[name])
    if name in LATER_ROOTS:
        return Finding("E206", f"`{name}` is not supported yet", root.start, reference.node.end)
    help = did_you_mean(name, names.roots)
    for kind, known in (("steps", names.steps), ("inputs", names.inputs), ("vars", names.vars)):
        if name in known and kind in names.roots:
            suffix = ".output" if kind == "steps" and not reference.fields else ""
            help = f"did you mean `{kind}.{name}{suffix}`?"
    if not help:
        help = f"there are: {', '.join(names.roots)}; a text needs quotes: '{name}'"
    return Finding("E203", f"there is no `{name}`", root.start, root.end, help)


def _env(reference: Reference, names: Names) -> Iterator[Finding]:
    root = reference.root
    if not reference.fields:
        help = "write `env.NAME`; a computed name could not be checked"
        yield Finding("E209", "an environment variable is named literally", root.start, reference.node.end, help)
        return
    name, start, end = reference.fields[0]
    if name not in names.env:
        help = did_you_mean(name, names.env, f"add it there: `env: [{name}]`")
        yield Finding("E209", f"`{name}` is not in `env:` of project.yaml", start, end, help)


def _declared(
    reference: Reference, known: Mapping[str, Shape], code: str, kind: str, later: frozenset[str]
) -> Iterator[Finding]:
    name, _, end = reference.fields[0]
    start = reference.root.start
    if name in later:
        message = f"{kind} `{name}` has no value yet at this point"
        yield Finding(code, message, start, end, "move it below that one")
        return
    if name not in known:
        declared = f"it has: {', '.join(known)}" if known else f"it declares no {kind}s"
        yield Finding(code, f"this pipeline has no {kind} `{name}`", start, end, did_you_mean(name, known, declared))
        return
    yield from _fields(reference, known[name], 1)


def _step(reference: Reference, names: Names) -> Iterator[Finding]:
    name, _, end = reference.fields[0]
    node, start = reference.node, reference.root.start
    if name in names.later_steps:
        yield Finding(
            "E204", f"step `{name}` has not run yet at this point", start, node.end, "move this step below it"
        )
        return
    if name in names.unreachable:
        yield Finding("E205", f"step `{name}` cannot be seen from here", start, node.end, names.unreachable[name])
        return
    if name not in names.steps:
        ids = [*names.steps, *names.later_steps]
        help = did_you_mean(name, ids, f"there are: {', '.join(ids)}" if ids else "give the step an `id`")
        yield Finding("E205", f"there is no step `{name}`", start, end, help)
        return
    view = names.steps[name]
    if len(reference.fields) < 2:
        return
    field, begin, finish = reference.fields[1]
    if field not in STEP:
        help = did_you_mean(field, STEP)
        if not help:
            known = view.output
            own = known is not None and field in known
            help = (
                f"did you mean `steps.{name}.output.{field}`?" if own or known is None else f"it has: {', '.join(STEP)}"
            )
        yield Finding("E214", f"a step has no `{field}`", begin, finish, help)
        return
    if field != "output":
        return
    if view.doubt and not reference.guarded and name not in names.guard:
        help = f"add `?? <fallback>`, or test `steps.{name}.status == 'succeeded'` first"
        yield Finding("W301", f"step `{name}` {view.doubt}", start, node.end, help)
    if view.callee and view.output is not None and len(reference.fields) > 2:
        wanted, begin, finish = reference.fields[2]
        if wanted not in view.output:
            help = did_you_mean(wanted, view.output, f"it has: {', '.join(view.output) or 'none'}")
            yield Finding("E403", f"pipeline `{view.callee}` has no output `{wanted}`", begin, finish, help)
            return
    yield from _fields(reference, view.output, 2)


def _fields(reference: Reference, shape: Shape, skip: int) -> Iterator[Finding]:
    """Follow the fields as far as they are known."""
    for name, start, end in reference.fields[skip:]:
        if shape is None:
            return
        if name not in shape:
            known = ", ".join(list(shape)[:20]) or "nothing"
            yield Finding(
                "E214", f"there is no field `{name}`", start, end, did_you_mean(name, shape, f"it has: {known}")
            )
            return
        shape = shape[name]


def guarded_steps(node: Node) -> frozenset[str]:
    """Steps whose status a condition asks for."""
    return frozenset(
        reference.fields[0][0]
        for reference in references(node)
        if reference.root.name == "steps" and len(reference.fields) > 1 and reference.fields[1][0] == "status"
    )


EXPRESSION_LIKE = re.compile(r"(?<!\$)\{\{\s*[A-Za-z_][\w.]*[^{}]*\}\}")
