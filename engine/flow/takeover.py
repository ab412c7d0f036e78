"""What a new run takes over from the one it repeats: variables, finished steps, idempotency keys."""

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from engine.core.run import AttemptStatus
from engine.errors import Conflict, NotFound, Unavailable
from engine.flow.attempts import ENDED, FAILURES
from engine.flow.execution import RECONNECT
from engine.pipeline.comparison import changed_values, changes, inner_steps
from engine.pipeline.spec import Pipeline, Step
from engine.runtime import Runtime
from engine.store import AttemptMark, ClaimedRun

MOST_TOLD = 20


class CannotTakeOver(Conflict):
    """What came before the step is not the same any more. `problems`: [{"name": step or input, "message"}]."""

    def __init__(self, step: str, problems: list[dict[str, str]]) -> None:
        listed = "; ".join(f"{item['name']}: {item['message']}" for item in problems[:MOST_TOLD])
        more = f"; and {len(problems) - MOST_TOLD} more" if len(problems) > MOST_TOLD else ""
        super().__init__(f"cannot go on from `{step}`: {listed}{more}")
        self.problems = problems[:MOST_TOLD]


async def take_over(runtime: Runtime, run: ClaimedRun) -> ClaimedRun:
    """The run with what its replay keeps for it. Waits while PostgreSQL is away."""
    while True:
        try:
            kept = await runtime.store.get_replay(run.id)
        except Unavailable:
            await asyncio.sleep(RECONNECT)
            continue
        if kept is None:
            return run
        return msgspec.structs.replace(run, key_run=kept.key_run, vars=run.vars if run.vars is not None else kept.vars)


def steps_to_take(
    step: str,
    old: Pipeline,
    new: Pipeline,
    *,
    inputs: tuple[bytes, bytes],
    marks: Sequence[AttemptMark],
) -> list[str]:
    """The keys whose attempts make up everything before the step. inputs: JSON of the old run's and of the new one's.

    NotFound: the new version has no such step, or none at which one can begin. CannotTakeOver lists what differs.
    """
    earlier = _find(new, step)
    problems = _changed_inputs(*inputs)
    problems += [{"name": f"vars.{name}", "message": "it has changed"} for name in changed_values(old.vars, new.vars)]
    known = {inner.key: inner for first in (*old.steps, *old.on_error, *old.finally_) for inner in inner_steps(first)}
    last = {mark.step: mark for mark in marks}
    taken: list[str] = []
    for found in earlier:
        name = found.id or found.key
        if (before := known.get(found.key)) is None:
            problems.append({"name": name, "message": "it is new, the old run has no output of it"})
        elif differing := changes(before, found, callees=(old, new)):
            problems.append({"name": name, "message": f"it has changed: {', '.join(differing)}"})
        elif (reason := _unfinished(old, found, last)) is not None:
            problems.append({"name": name, "message": reason})
        else:
            taken += _keys(found, last)
    if problems:
        raise CannotTakeOver(step, problems)
    return taken


def _find(pipeline: Pipeline, name: str) -> list[Step]:
    """The steps before the one of this name, those inside of others for themselves where it stands in one too."""
    found = _before(pipeline.steps, name)
    if found is not None:
        return found
    outer = next(
        (step for step in pipeline.steps for inner in inner_steps(step) if name in (inner.id, inner.key)), None
    )
    if outer is not None:
        raise NotFound(f"a run cannot begin at `{name}`, which is inside of `{outer.id or outer.key}`: name that one")
    names = ", ".join(step.id or step.key for step in pipeline.steps)
    raise NotFound(f"version {pipeline.version[:12]} of `{pipeline.id}` has no step `{name}`; there are: {names}")


def _before(steps: Sequence[Step], name: str) -> list[Step] | None:
    for index, step in enumerate(steps):
        if name in (step.id, step.key):
            return list(steps[:index])
        if step.for_each is not None or step.repeat is not None:
            continue  # one of many iterations
        for part in _sections(step):
            if (inside := _before(part, name)) is not None:
                return [*steps[:index], *inside]
    return None


def _sections(step: Step) -> Iterator[tuple[Step, ...]]:
    yield step.steps
    yield from step.branches.values()
    for case in step.cases:
        yield case.steps


def _changed_inputs(old: bytes, new: bytes) -> list[dict[str, str]]:
    one, other = msgspec.json.decode(old or b"{}"), msgspec.json.decode(new or b"{}")
    names = [name for name in dict.fromkeys((*one, *other)) if one.get(name) != other.get(name)]
    return [{"name": f"inputs.{name}", "message": "it is another value now"} for name in names]


def _unfinished(pipeline: Pipeline, step: Step, last: dict[str, AttemptMark]) -> str | None:
    """Why the old run's output of the step cannot be taken; None: it can."""
    mark = last.get(step.key)
    if mark is None:
        return "the old run has not come to it"
    if mark.status == AttemptStatus.SKIPPED:
        return None
    if mark.due or mark.status not in ENDED:
        return f"the old run has not finished it: it is {mark.status}"
    if mark.status in FAILURES and step.on_error.mode == "fail":
        return "it failed in the old run: begin there, or before"
    undoing = set(_compensations(pipeline, step))
    undone = any(key.rpartition("/")[2] in undoing for key in last)
    return "the old run has undone it: begin there, or before" if undone else None


def _compensations(pipeline: Pipeline, step: Step) -> Iterator[str]:
    """Keys, without what stands before them, of all steps that undo something in it."""
    for inner in inner_steps(step):
        yield from (undo.key for undo in inner.compensate)
        if (callee := pipeline.called.get(inner.pipeline or "")) is not None:
            for first in callee.steps:
                yield from _compensations(callee, first)


def _keys(step: Step, last: dict[str, AttemptMark]) -> list[str]:
    """All keys under which the step, and what it consists of, has attempts."""
    own = [inner.key for inner in inner_steps(step)]
    return [key for key in last if any(key == one or key.startswith(_inside(one)) for one in own)]


def _inside(key: str) -> tuple[str, ...]:
    """How the keys of its items, of its fallback, of the pipeline it calls begin."""
    return tuple(key + mark for mark in ("/", "[", "#", ".on_error"))
