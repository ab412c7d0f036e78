"""Ids in a pipeline's data, wherever its steps stand, half-typed or not."""

from collections.abc import Iterator
from typing import Any

from engine.pipeline.marks import Path

LISTS = ("steps", "on_error", "compensate", "finally", "else", "notify")


def step_ids(data: Any) -> list[str]:
    """The ids of all steps in the order of the file."""
    return list(dict.fromkeys(name for name, _, _ in walk_steps(data) if name))


def find_step(data: Any, name: str) -> Path | None:
    """Where the step of this id stands."""
    return next((path for found, path, _ in walk_steps(data) if found == name), None)


def walk_steps(data: Any) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Id (or nothing), path and data of every step of a pipeline."""
    if isinstance(data, dict):
        for part in ("steps", "on_error", "finally"):
            yield from _walk_list(data.get(part), (part,))


def _walk_list(value: Any, path: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    for index, step in enumerate(value if isinstance(value, list) else ()):
        if isinstance(step, dict):
            name = step.get("id")
            yield name if isinstance(name, str) else "", (*path, index), step
            yield from _walk_inner(step, (*path, index))


def _walk_inner(step: dict[str, Any], path: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    for key, value in step.items():
        if key in LISTS:
            yield from _walk_list(value, (*path, key))
        elif key == "parallel" and isinstance(value, dict):
            for name, steps in value.items():
                yield from _walk_list(steps, (*path, key, name))
        elif key == "switch" and isinstance(value, list):
            for index, case in enumerate(value):
                if isinstance(case, dict):
                    yield from _walk_inner(case, (*path, key, index))
        elif key in ("wait", "approval") and isinstance(value, dict):
            yield from _walk_inner(value, (*path, key))
