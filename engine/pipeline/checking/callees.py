"""Which pipelines a pipeline calls, and whether the calls of a repository go in circles."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.pipeline.checking.step_ids import find_steps
from engine.pipeline.defaults import CALL
from engine.pipeline.expression.template import has_expression
from engine.pipeline.marks import Path

START = "pipeline.start"  # the step type that starts a pipeline and does not wait


def find_uses(data: Any) -> list[tuple[Path, str]]:
    """Every `uses` in the steps of a pipeline's data, tools of agents included: its path and what it names."""
    if not isinstance(data, dict):
        return []
    return [found for path, step in find_steps(data) for found in _in_step(path, step)]


def find_calls(data: Any) -> list[tuple[Path, str]]:
    """Every call in the data of a pipeline: the path of its `uses`, and the id of the callee."""
    return [(path, uses[len(CALL) :]) for path, uses in find_uses(data) if uses.startswith(CALL)]


def called_ids(data: Any) -> frozenset[str]:
    """The ids of all pipelines that the data of a pipeline names in calls."""
    return frozenset(name for _, name in find_calls(data))


def started_ids(data: Any) -> frozenset[str]:
    """The ids of all pipelines that the data of a pipeline starts without waiting, where they are written out."""
    if not isinstance(data, dict):
        return frozenset()
    found = (step.get("with") for _, step in find_steps(data) if step.get("uses") == START)
    names = (with_.get("pipeline") for with_ in found if isinstance(with_, dict))
    return frozenset(name for name in names if isinstance(name, str) and not has_expression(name))


def sort_calls(calls: Mapping[str, Iterable[str]]) -> list[str]:
    """The pipelines in an order in which callees come first, as far as there is one."""
    order: list[str] = []
    seen: set[str] = set()
    for start in calls:
        stack: list[tuple[str, Iterator[str]]] = []
        if start not in seen:
            seen.add(start)
            stack.append((start, iter(sorted(calls[start]))))
        while stack:
            name, rest = stack[-1]
            callee = next((item for item in rest if item in calls and item not in seen), None)
            if callee is None:
                order.append(name)
                stack.pop()
            else:
                seen.add(callee)
                stack.append((callee, iter(sorted(calls[callee]))))
    return order


def find_circle(calls: Mapping[str, Iterable[str]], caller: str, callee: str) -> list[str] | None:
    """The shortest way from a call back to the caller: `[ping, pong, ping]`; None if there is none."""
    before: dict[str, str] = {callee: caller}
    waiting = deque([callee])
    while waiting:
        name = waiting.popleft()
        if name == caller:
            way = [name]
            while True:
                name = before[name]
                way.append(name)
                if name == caller:
                    return way[::-1]
        for other in sorted(calls.get(name, ())):
            if other not in before:
                before[other] = name
                waiting.append(other)
    return None


def _in_step(path: Path, step: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    yield from _uses(path, step)
    with_ = step.get("with")
    tools = with_.get("tools") if isinstance(with_, dict) else None
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, dict):
            yield from _uses((*path, "with", "tools", index), tool)


def _uses(path: Path, item: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    uses = item.get("uses")
    if isinstance(uses, str):
        yield (*path, "uses"), uses
