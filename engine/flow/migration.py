"""Whether a run can go on in another version of its pipeline. Pure.

It can if every step that has begun is still there, in the same place, and does the same; and if what the steps that are
left need is there: inputs, variables, and outputs of steps that are over.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engine.flow.stored import Rows, Spot, failed, layout, places, skipped, succeeded
from engine.pipeline.expression import Expression, Template
from engine.pipeline.expression.nodes import Access, Fallback, Field, Index, Literal, Name, Node, Pipe, children
from engine.pipeline.match import InvalidInputs, validate_inputs
from engine.pipeline.spec import Pipeline, Step
from engine.store import StoredAttempt

Uses = tuple[str, ...]  # such as ("steps", "charge", "output", "id")


class Difference(msgspec.Struct, frozen=True):
    """Why the run cannot go on in the other version. line and column are those of the step there, else 0."""

    step: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0


def compare(
    old: Pipeline, new: Pipeline, attempts: Sequence[StoredAttempt], *, inputs: bytes, variables: bytes | None
) -> list[Difference]:
    """What keeps a run of the old version from going on in the new one; nothing: it can.

    attempts: those that count, and that it takes over. variables: of the run, if they are stored.
    """
    rows = Rows(attempts)
    there = layout(new)
    differences = _steps_that_differ(old, new, rows, there)
    differences += _inputs_that_differ(new, inputs)
    differences += _variables_that_differ(new, variables)
    if not differences:
        differences = _references_that_fail(old, new, rows, there)
    return differences


def inputs_for(new: Pipeline, inputs: bytes) -> bytes:
    """The inputs of a run as the other version wants them: defaults filled in, what it does not know left out."""
    values = msgspec.json.decode(inputs)
    return msgspec.json.encode(
        validate_inputs(new, {name: value for name, value in values.items() if name in new.inputs})
    )


def _steps_that_differ(old: Pipeline, new: Pipeline, rows: Rows, there: dict[str, Spot]) -> list[Difference]:
    before = layout(old)
    found: dict[str, Difference] = {}
    for place in places(old, rows):
        if place.static in found or any(place.static.startswith((f"{key}/", f"{key}[")) for key in found):
            continue
        message = _difference(place.step, before[place.static], there.get(place.static))
        if message is None and place.step.for_each is not None and not place.item:
            message = _items_that_differ(place.step, there[place.static].step, rows.last(place.key))
        if message is not None:
            spot = there.get(place.static)
            at = (new.file, spot.step.position) if spot is not None else (old.file, place.step.position)
            found[place.static] = Difference(place.step.id or place.key, message, at[0], at[1].line, at[1].column)
    return list(found.values())


def _difference(step: Step, before: Spot, spot: Spot | None) -> str | None:
    name = step.id or step.key
    if spot is None:
        return f"step `{name}` has begun in this run; the other version has no such step"
    other = spot.step
    if (step.for_each is None) != (other.for_each is None):
        return f"step `{name}` has begun; it {'is no loop any more' if step.for_each else 'has become a loop'}"
    if step.shape != other.shape or step.uses != other.uses:
        return f"step `{name}` has begun as `{step.uses or step.shape}`; it is `{other.uses or other.shape}` there"
    if spot.chain != before.chain:
        return f"step `{name}` has begun; it stands elsewhere there: {_within(spot)}, and not {_within(before)}"
    return None


def _items_that_differ(step: Step, other: Step, last: StoredAttempt | None) -> str | None:
    """Long lists of items do not stand in the row: while the loop is under way they are evaluated again."""
    if last is None or last.input is None or succeeded(last) or failed(last):
        return None
    if step.for_each == other.for_each or "items" in msgspec.json.decode(last.input):
        return None
    return f"step `{step.id or step.key}` is under way, and its items would be evaluated anew; they must not differ"


def _within(spot: Spot) -> str:
    return " in ".join(f"`{part}`" for part in reversed(spot.chain))


def _inputs_that_differ(new: Pipeline, inputs: bytes) -> list[Difference]:
    try:
        inputs_for(new, inputs)
    except InvalidInputs as error:
        return [
            Difference(f"inputs.{problem['name']}", f"input `{problem['name']}` of this run: {problem['message']}",
                       new.file)
            for problem in error.problems
        ]  # fmt: skip
    return []


def _variables_that_differ(new: Pipeline, variables: bytes | None) -> list[Difference]:
    if variables is None:  # they come out the same whenever they are evaluated
        return []
    known = msgspec.json.decode(variables)
    return [
        Difference(f"vars.{name}", f"variable `{name}` is new, and those of this run are evaluated already", new.file)
        for name in new.vars
        if name not in known
    ]


def _references_that_fail(old: Pipeline, new: Pipeline, rows: Rows, there: dict[str, Spot]) -> list[Difference]:
    over: dict[str, StoredAttempt] = {}
    for place in places(old, rows):
        last = rows.last(place.key)
        if last is not None and "[]" not in place.static and (succeeded(last) or failed(last) or skipped(last)):
            over[place.static] = last
    known = {uses for spot in layout(old).values() for uses, _ in _uses_of(spot.step)}
    found: dict[tuple[str, Uses], Difference] = {}
    for static, spot in there.items():
        if static in over or static.endswith("[]") or _is_over(spot, there, over):
            continue
        for uses, tolerant in _uses_of(spot.step):
            if uses[0] != "steps" or len(uses) < 2 or tolerant:
                continue
            target = _find(spot, uses[1], there)
            message = None
            if target is None:
                continue
            if target not in over and _is_over(there[target], there, over):
                message = f"uses `steps.{uses[1]}`, which is new in a place that this run is past already"
            elif target in over and uses not in known and not _has(over[target], uses[2:]):
                message = f"uses `{'.'.join(uses)}`, which the output of this run does not have"
            if message is not None:
                position = spot.step.position
                name = spot.step.id or static
                found[static, uses] = Difference(
                    name, f"step `{name}` {message}", new.file, position.line, position.column
                )
    return list(found.values())


def _is_over(spot: Spot, there: dict[str, Spot], over: dict[str, StoredAttempt]) -> bool:
    """Whether the run is past what this step stands in."""
    parent = spot.parent
    while parent is not None:
        if parent in over:
            return True
        parent = there[parent].parent
    return False


def _find(spot: Spot, name: str, there: dict[str, Spot]) -> str | None:
    """The static key of the step that `steps.NAME` means at this place."""
    prefix = spot.prefix
    while True:
        if prefix + name in there:
            return prefix + name
        if not prefix:
            return None
        prefix = prefix[: prefix.rstrip("/").rfind("/") + 1]


def _has(row: StoredAttempt, path: Uses) -> bool:
    """Whether the stored output has this field; True where that cannot be said."""
    if not path or path[0] != "output" or row.output is None or not succeeded(row):
        return True
    value: Any = msgspec.json.decode(row.output)
    for name in path[1:]:
        if not isinstance(value, dict):
            return True
        if name not in value:
            return False
        value = value[name]
    return True


def _uses_of(step: Step) -> Iterator[tuple[Uses, bool]]:
    """The paths that the step's own expressions read, and whether each may be missing."""
    for expression in _expressions(step, top=True):
        yield from _paths(expression.node, tolerant=False)


def _expressions(value: Any, *, top: bool = False) -> Iterator[Expression]:
    if isinstance(value, Template):
        for _, expression in value.expressions:
            yield expression
    elif isinstance(value, Expression):
        yield value
    elif isinstance(value, Step) and not top:
        return
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _expressions(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _expressions(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _expressions(item)


def _paths(node: Node, *, tolerant: bool) -> Iterator[tuple[Uses, bool]]:
    if isinstance(node, Pipe) and any(isinstance(stage, Fallback) for stage in node.stages):
        tolerant = True
    if isinstance(node, Access) and isinstance(node.base, Name):
        names = [node.base.name]
        for part in node.parts:
            if isinstance(part, Field):
                names.append(part.name)
            elif isinstance(part, Index) and isinstance(part.key, Literal) and isinstance(part.key.value, str):
                names.append(part.key.value)
            else:
                break
        yield tuple(names), tolerant
    for child in children(node):
        yield from _paths(child, tolerant=tolerant)
