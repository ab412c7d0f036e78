"""What differs between an old run and a rehearsed one: steps, what they were given, what came of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from engine.core.run import FINISHED, AttemptStatus, ErrorInfo, RunStatus
from engine.pipeline.spec import Pipeline
from engine.simulation.answers import EARLIER, OPEN
from engine.simulation.keys import Found, Keys
from engine.simulation.matching import same, show_path
from engine.store import StoredAttempt

MOST_CHANGES = 20  # of one step that are listed
MOST_STEPS = 200
LONGEST = 2000  # characters of JSON of a value; the runs themselves have all of it
LONGEST_LIST = 1000  # items that are compared one by one


class Change(msgspec.Struct, frozen=True):
    """One value that differs. `only`: `before` or `after`, if the other side has no such value."""

    path: str  # `with.url`, `output.items[2]`
    before: Any = None
    after: Any = None
    only: str | None = None


class StepDifference(msgspec.Struct, frozen=True):
    """A step that differs. `what`: new (it would run now), gone (it would not any more), changed."""

    step: str
    uses: str
    what: str
    before: str | None  # status
    after: str | None
    changes: list[Change] = []
    more: int = 0  # changes that are not listed
    note: str = ""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An old run and what a version of its pipeline would do. `old_run` None: the event had started none."""

    pipeline: str
    trigger: str | None
    old_run: UUID | None
    old_version: str | None
    version: str | None  # None: it would not run
    same: bool
    before: str | None  # how the old run stands
    after: str | None  # how the new one would end; None: there would be none
    reason: str = ""  # why there would be none
    changes: list[Change] = []
    more: int = 0
    steps: list[StepDifference] = []
    more_steps: int = 0
    unchanged: int = 0  # steps
    notes: list[str] = []


class Side(msgspec.Struct, frozen=True):
    """One of the two runs."""

    status: str
    attempts: Sequence[StoredAttempt]
    inputs: bytes
    labels: dict[str, str]
    vars: bytes | None
    outputs: bytes | None
    error: ErrorInfo | None
    message: str | None


class StepSide(msgspec.Struct):
    """A step of one side: where it ended."""

    status: str
    given: bytes | None
    output: bytes | None
    error: bytes | None
    attempts: int
    cached: bool


def compare_runs(
    old: Side | None,
    new: Side,
    *,
    pipelines: tuple[Pipeline | None, Pipeline],
    versions: tuple[str | None, str],
    old_run: UUID | None,
    trigger: str | None,
    settled: frozenset[str],
    unknown: Mapping[str, str],
    notes: Sequence[str],
) -> Difference:
    """The difference. settled: keys of steps that are written as they were; unknown: notes by key."""
    before = _steps(old.attempts) if old is not None else {}
    after = _steps(new.attempts)
    keys = tuple(Keys(pipeline) if pipeline is not None else None for pipeline in pipelines)
    steps: list[StepDifference] = []
    unchanged = 0
    for key in dict.fromkeys((*after, *before)):
        found = _find(keys, key, after=key in after)
        if found is None:
            continue
        difference = _step(key, found, before.get(key), after.get(key), settled, unknown.get(key, ""))
        if difference is None:
            unchanged += 1
        else:
            steps.append(difference)
    changes = list(_run_changes(old, new, pipelines)) if old is not None else []
    told = list(notes)
    if old is not None and old.status not in FINISHED:
        told.append(f"the old run has not ended, it is {old.status}: what it has not come to yet looks new")
    if unknown and new.status == RunStatus.FAILED:
        told.append("answers that nobody knows are assumed to be null: with real ones the outcome may be another")
    return Difference(
        pipeline=pipelines[1].id,
        trigger=trigger,
        old_run=old_run,
        old_version=versions[0],
        version=versions[1],
        same=old is not None and not changes and not steps and old.status == new.status,
        before=old.status if old is not None else None,
        after=new.status,
        changes=changes[:MOST_CHANGES],
        more=max(len(changes) - MOST_CHANGES, 0),
        steps=steps[:MOST_STEPS],
        more_steps=max(len(steps) - MOST_STEPS, 0),
        unchanged=unchanged,
        notes=told,
    )


def _steps(attempts: Sequence[StoredAttempt]) -> dict[str, StepSide]:
    """How each step ended, by key, in the order in which they began."""
    found: dict[str, StepSide] = {}
    for row in attempts:
        if row.status in OPEN or row.step.startswith(EARLIER):
            continue
        known = found.get(row.step)
        given = known.given if known is not None and known.given is not None else row.input
        count = (known.attempts if known is not None else 0) + (row.status != AttemptStatus.SKIPPED)
        found[row.step] = StepSide(str(row.status), given, row.output, row.error, count, row.cached)
    return found


def _find(keys: tuple[Keys | None, ...], key: str, *, after: bool) -> Found | None:
    for known in reversed(keys) if after else keys:
        if known is not None and (found := known.find(key)) is not None:
            return found
    return None


def _step(
    key: str, found: Found, before: StepSide | None, after: StepSide | None, settled: frozenset[str], note: str
) -> StepDifference | None:
    step = found.place.step
    uses = step.uses or ("for_each" if step.for_each is not None else step.shape)
    ran_before, ran_after = _ran(before), _ran(after)
    one, other = before.status if before else None, after.status if after else None
    if not ran_before and not ran_after:
        return None
    if after is None or not ran_after:
        return StepDifference(key, uses, "gone", one, other, note="its `if` is false now" if after else "")
    if before is None or not ran_before:
        changes = [Change("with", after=shorten(after.given), only="after")] if after.given is not None else []
        return StepDifference(key, uses, "new", one, other, changes, note=note)
    volatile = key in settled and (step.with_.volatile or step.wait is not None)
    changes = [] if volatile else list(diff("with", _decode(before.given), _decode(after.given)))
    changes += diff("output", _decode(before.output), _decode(after.output))
    changes += diff("error", _error(before.error), _error(after.error))
    if before.attempts != after.attempts and not (before.cached or after.cached):
        changes.append(Change("attempts", before.attempts, after.attempts))
    if not changes and one == other:
        return None
    more = max(len(changes) - MOST_CHANGES, 0)
    return StepDifference(key, uses, "changed", one, other, changes[:MOST_CHANGES], more, note)


def _ran(side: StepSide | None) -> bool:
    return side is not None and side.status != AttemptStatus.SKIPPED


def _run_changes(old: Side, new: Side, pipelines: tuple[Pipeline | None, Pipeline]) -> Iterator[Change]:
    yield from diff("inputs", _decode(old.inputs), _decode(new.inputs))
    yield from diff("labels", old.labels, new.labels)
    one, other = _decode(old.outputs), _decode(new.outputs)
    if isinstance(one, dict) and isinstance(other, dict) and pipelines[0] is not None:
        for name, template in pipelines[1].outputs.items():
            if template.volatile and pipelines[0].outputs.get(name) == template:
                one.pop(name, None)
                other.pop(name, None)
    yield from diff("outputs", one or None, other or None)
    yield from diff("error", _brief(old.error), _brief(new.error))
    yield from diff("message", old.message or None, new.message or None)


def diff(path: str, before: Any, after: Any) -> Iterator[Change]:
    """Every value that differs, by its path."""
    yield from _diff((path,), before, after)


def _diff(path: tuple[str | int, ...], before: Any, after: Any) -> Iterator[Change]:
    if same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            if name not in after:
                yield Change(show_path((*path, name)), before=_short(before[name]), only="before")
            elif name not in before:
                yield Change(show_path((*path, name)), after=_short(after[name]), only="after")
            else:
                yield from _diff((*path, name), before[name], after[name])
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after) <= LONGEST_LIST:
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _diff((*path, index), one, other)
    else:
        yield Change(show_path(path), _short(before), _short(after))


def shorten(data: bytes | None) -> Any:
    """Stored JSON as a value that is not too long to be shown."""
    return _short(_decode(data))


def _short(value: Any) -> Any:
    text = msgspec.json.encode(value).decode()
    return value if len(text) <= LONGEST else text[:LONGEST] + "…"


def _decode(data: bytes | None) -> Any:
    return None if data is None else msgspec.json.decode(data)


def _error(data: bytes | None) -> Any:
    return None if data is None else _brief(msgspec.json.decode(data, type=ErrorInfo))


def _brief(error: ErrorInfo | None) -> Any:
    return None if error is None else {"type": error.type, "message": error.message}
