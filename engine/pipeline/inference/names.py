"""Which names an expression may use in its place, and whether they exist."""

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

import msgspec

from engine.pipeline.expression.errors import did_you_mean, listing
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
from engine.pipeline.inference.types import (
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    SECRET,
    STRING,
    Shape,
    either,
    fields_of,
    list_of,
    map_of,
    nullable,
    object_of,
    word_of,
)

ROOTS = ("event", "inputs", "vars", "env", "run", "steps", "secrets", "error", "result")
LATER_ROOTS = ("events", "outputs", "incoming", "approval", "item", "index")  # of places that are not these
STATUSES = ("pending", "running", "succeeded", "recovered", "failed", "skipped", "cancelled")
OUTCOMES = ("succeeded", "failed", "cancelled")
EVENT: dict[str, Shape] = {
    "id": STRING,
    "source": STRING,
    "type": STRING,
    "time": STRING,
    "headers": map_of(STRING),
    "query": map_of(either(STRING, list_of(STRING))),  # a list if a name comes again
    "path_params": map_of(STRING),
    "body": None,
}
RUN: dict[str, Shape] = {
    "id": STRING,
    "url": STRING,
    "pipeline": STRING,
    "version": STRING,
    "started_at": STRING,
    "scheduled_at": nullable(STRING),
    "trigger": nullable(STRING),
    "labels": map_of(STRING),
    "parent": nullable(STRING),
    "replay_of": nullable(STRING),
    "outcome": nullable(word_of(*OUTCOMES)),
    "compensated": list_of(STRING),
}
ERROR: dict[str, Shape] = {
    "type": STRING,
    "message": STRING,
    "step": nullable(STRING),
    "attempt": nullable(INTEGER),
    "data": None,
}
STEP: dict[str, Shape] = {
    "output": None,
    "status": nullable(word_of(*STATUSES)),
    "error": nullable(object_of(ERROR)),
    "cached": nullable(BOOLEAN),
    "attempts": nullable(INTEGER),
    "started_at": nullable(STRING),
    "finished_at": nullable(STRING),
}
ERRORS = list_of(object_of({"index": INTEGER, "key": either(either(STRING, NUMBER), NULL), "error": object_of(ERROR)}))
ELSEWHERE = {  # why a root that exists is not here
    "error": "there is an `error` only in `on_error`, `compensate` and `retry.when`",
    "result": "there is a `result` only in a step's `output` and `repeat.until`; use `steps.ID.output`",
    "steps": "no step has run yet at this point",
    "vars": "`vars` are evaluated when the run starts",
    "inputs": "here only the event and the environment are known",
    "event": "here only `secrets` and `env` are known",
    "run": "there is no run yet at this point",
    "events": "there are `events` only if every trigger has a `batch`",
    "outputs": "there are `outputs` only in `respond`",
    "incoming": "there is an `incoming` only in `if` of `wait.events`",
    "approval": "there is an `approval` only in `approval.notify`",
    "item": "there is an `item` only inside of `for_each`",
    "index": "there is an `index` only inside of `for_each`",
}


class StepView(msgspec.Struct, frozen=True):
    """A step that an expression can see. doubt: why it may have no output."""

    output: Shape = None
    doubt: str = ""
    callee: str = ""  # id of the pipeline that it calls, if its output is that pipeline's outputs
    loop: bool = False  # whether it has `errors`


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
    later_vars: Set[str] = frozenset()
    steps: Mapping[str, StepView] = {}
    later_steps: Set[str] = frozenset()
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


class Resolved(msgspec.Struct, frozen=True):
    """What a root and the first of the names behind it are. used: how many of those are accounted for."""

    shape: Shape
    used: int = 0
    findings: tuple[Finding, ...] = ()


def references(node: Node, hidden: frozenset[str] = frozenset(), guarded: bool = False) -> Iterator[Reference]:
    """Every use of a root in an expression."""
    if isinstance(node, Name):
        if node.name not in hidden:
            yield Reference(node, node, (), False, guarded)
    elif isinstance(node, Access):
        if isinstance(node.base, Name):
            if node.base.name not in hidden:
                yield make_reference(node, node.base, guarded)
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


def make_reference(node: Access, root: Name, guarded: bool) -> Reference:
    """A path that begins with a root."""
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


def resolve(reference: Reference, names: Names) -> Resolved:
    """What the root is in this place, and what is wrong with it."""
    root, fields = reference.root, reference.fields
    name = root.name
    if name == "secrets":
        return _secret(reference, names)
    if name in names.locals:
        return Resolved(names.locals[name])
    if name in names.absent:
        message = f"`{name}` is not available here: {names.absent[name]}"
        return _wrong(Finding("E206", message, root.start, reference.node.end))
    if name not in names.roots:
        return _wrong(_unknown_root(reference, names))
    if name == "event":
        if names.event:
            return Resolved(EVENT)
        message = "`event` is not available here: no trigger of this pipeline delivers one; use `inputs`"
        return _wrong(Finding("E206", message, root.start, reference.node.end))
    if name == "run":
        return _run(reference, names)
    if name == "error":
        return Resolved(ERROR)
    if name == "result":
        return Resolved(names.result)
    if name == "env":
        return _env(reference, names)
    if name == "inputs":
        return _declared(reference, names.inputs, "E207", "input") if fields else Resolved(object_of(names.inputs))
    if name == "vars":
        known = _declared(reference, names.vars, "E208", "variable", names.later_vars) if fields else None
        return known or Resolved(object_of(names.vars))
    if fields:
        return _step(reference, names)
    return Resolved(object_of({id_: object_of(step_fields(view)) for id_, view in names.steps.items()}))


def step_fields(view: StepView) -> dict[str, Shape]:
    """The fields of ``steps.ID``."""
    return {**STEP, "output": view.output, **({"errors": ERRORS} if view.loop else {})}


def _wrong(*findings: Finding) -> Resolved:
    return Resolved(None, 0, findings)


def _secret(reference: Reference, names: Names) -> Resolved:
    used = len(reference.fields)
    if "secrets" in names.roots:
        return Resolved(SECRET, used)
    help = "a secret must not reach conditions, labels, keys, outputs or responses"
    node = reference.node
    found = Finding("E305", "secrets can only be used inside `with:`", node.start, node.end, help)
    return Resolved(None, used, (found,))


def _run(reference: Reference, names: Names) -> Resolved:
    first = reference.fields[0] if reference.fields else ("", 0, 0)
    start = reference.root.start
    if first[0] == "outcome" and not names.outcome:
        message = "`run.outcome` is only known in `finally`"
        return _wrong(Finding("E206", message, start, first[2]))
    if first[0] == "compensated" and not names.compensated:
        message = "`run.compensated` is only known in the pipeline's `on_error` and in `finally`"
        return _wrong(Finding("E206", message, start, first[2]))
    hidden = {"outcome": names.outcome, "compensated": names.compensated}
    return Resolved(object_of({name: shape for name, shape in RUN.items() if hidden.get(name, True)}))


def _unknown_root(reference: Reference, names: Names) -> Finding:
    root = reference.root
    name = root.name
    if name in ROOTS or (name in LATER_ROOTS and name not in names.roots):
        return Finding("E206", f"`{name}` is not available here", root.start, reference.node.end, ELSEWHERE[name])
    known = tuple(dict.fromkeys((*names.locals, *names.roots)))
    help = did_you_mean(name, known)
    for kind, declared in (("steps", names.steps), ("inputs", names.inputs), ("vars", names.vars)):
        if name in declared and kind in names.roots:
            suffix = ".output" if kind == "steps" and not reference.fields else ""
            help = f"did you mean `{kind}.{name}{suffix}`?"
    if not help:
        help = f"there are: {listing(known)}; a text needs quotes: '{name}'"
    return Finding("E203", f"there is no `{name}`", root.start, root.end, help)


def _env(reference: Reference, names: Names) -> Resolved:
    root = reference.root
    if not reference.fields:
        help = "write `env.NAME`; a computed name could not be checked"
        message = "an environment variable is named literally"
        found = Finding("E209", message, root.start, reference.node.end, help)
        return Resolved(object_of(dict.fromkeys(sorted(names.env), STRING)), 0, (found,))
    name, start, end = reference.fields[0]
    if name in names.env:
        return Resolved(STRING, 1)
    help = did_you_mean(name, names.env, f"add it there: `env: [{name}]`")
    return _wrong(Finding("E209", f"`{name}` is not in `env:` of project.yaml", start, end, help))


def _declared(
    reference: Reference, known: Mapping[str, Shape], code: str, kind: str, later: Set[str] = frozenset()
) -> Resolved:
    name, _, end = reference.fields[0]
    start = reference.root.start
    if name in later:
        message = f"{kind} `{name}` has no value yet at this point"
        return _wrong(Finding(code, message, start, end, "move it below that one"))
    if name in known:
        return Resolved(known[name], 1)
    declared = f"it has: {listing(known)}" if known else f"it declares no {kind}s"
    message = f"this pipeline has no {kind} `{name}`"
    return _wrong(Finding(code, message, start, end, did_you_mean(name, known, declared)))


def _step(reference: Reference, names: Names) -> Resolved:
    name, _, end = reference.fields[0]
    node, start = reference.node, reference.root.start
    if name not in names.steps and name in names.unreachable:
        message = f"step `{name}` cannot be seen from here"
        return _wrong(Finding("E205", message, start, node.end, names.unreachable[name]))
    if name in names.later_steps:
        message = f"step `{name}` has not run yet at this point"
        return _wrong(Finding("E204", message, start, node.end, "move this step below it"))
    if name not in names.steps:
        ids = [*names.steps, *names.later_steps]
        help = did_you_mean(name, ids, f"there are: {listing(ids)}" if ids else "give the step an `id`")
        return _wrong(Finding("E205", f"there is no step `{name}`", start, end, help))
    view = names.steps[name]
    known = step_fields(view)
    if len(reference.fields) < 2:
        return Resolved(object_of(known), 1)
    field, begin, finish = reference.fields[1]
    if field not in known:
        return _wrong(Finding("E214", f"a step has no `{field}`", begin, finish, _step_help(name, field, view, known)))
    if field != "output":
        return Resolved(known[field], 2)
    findings: list[Finding] = []
    if view.doubt and not reference.guarded and name not in names.guard:
        help = f"add `?? <fallback>`, or test `steps.{name}.status == 'succeeded'` first"
        findings.append(Finding("W301", f"step `{name}` {view.doubt}", start, node.end, help))
    if view.callee and view.output is not None and len(reference.fields) > 2:
        outputs = fields_of(view.output)
        wanted, begin, finish = reference.fields[2]
        if wanted not in outputs:
            help = did_you_mean(wanted, outputs, f"it has: {listing(outputs) or 'none'}")
            findings.append(Finding("E403", f"pipeline `{view.callee}` has no output `{wanted}`", begin, finish, help))
            return Resolved(None, 2, tuple(findings))
    return Resolved(view.output, 2, tuple(findings))


def _step_help(name: str, field: str, view: StepView, known: Mapping[str, Shape]) -> str:
    if field == "errors":
        return "only a loop has them: one with `for_each`"
    help = did_you_mean(field, known)
    if not help and (view.output is None or field in fields_of(view.output)):
        return f"did you mean `steps.{name}.output.{field}`?"
    return help or f"it has: {listing(known)}"


def guarded_steps(node: Node) -> frozenset[str]:
    """Steps whose status a condition asks for."""
    return frozenset(
        reference.fields[0][0]
        for reference in references(node)
        if reference.root.name == "steps" and len(reference.fields) > 1 and reference.fields[1][0] == "status"
    )


EXPRESSION_LIKE = re.compile(r"(?<!\$)\{\{\s*[A-Za-z_][\w.]*[^{}]*\}\}")
