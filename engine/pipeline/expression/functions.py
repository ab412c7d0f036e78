"""All built-in functions by name."""

import uuid as uuids
from collections.abc import Callable
from typing import Any

from engine.pipeline.expression import moments
from engine.pipeline.expression.arguments import need_integer, need_list
from engine.pipeline.expression.errors import Complaint
from engine.pipeline.expression.filters_lists import largest, smallest
from engine.pipeline.expression.jinja import compile_file
from engine.pipeline.expression.nodes import Arguments, Literal
from engine.pipeline.expression.signature import Builtin, table
from engine.pipeline.expression.values import Frame

MAX_RANGE = 100_000


def object_(frame: Frame, **fields: Any) -> dict[str, Any]:
    frame.charge(len(fields))
    return fields


def uuid(frame: Frame) -> str:
    return str(uuids.uuid4())


def range_(frame: Frame, start: Any, stop: Any = None, step: Any = 1) -> list[int]:
    """0 to start, or start to stop; the end is not in it."""
    low, high = (0, start) if stop is None else (start, stop)
    low, high = need_integer(low, "the start of `range`"), need_integer(high, "the end of `range`")
    width = need_integer(step, "the step of `range`")
    if width == 0:
        raise Complaint("the step of `range` is 0")
    numbers = range(low, high, width)
    if max(high - low, low - high) // abs(width) > MAX_RANGE:
        raise Complaint(f"`range` makes {MAX_RANGE} numbers at most", code="E222")
    frame.charge(len(numbers))
    return list(numbers)


def min_(frame: Frame, value: Any, *others: Any) -> Any:
    return smallest([value, *others] if others else need_list(value, "the only argument of `min`"))


def max_(frame: Frame, value: Any, *others: Any) -> Any:
    return largest([value, *others] if others else need_list(value, "the only argument of `max`"))


def file(frame: Frame, path: Any) -> str:
    """Replaced when the expression is compiled."""
    raise NotImplementedError


def template(frame: Frame, path: Any, **values: Any) -> str:
    """Replaced when the expression is compiled."""
    raise NotImplementedError


def _prepare_file(arguments: Arguments, files: Callable[[str], str] | None) -> Callable[..., str]:
    content = _content(arguments, files, "file")[1]
    return lambda frame, path: content


def _prepare_template(arguments: Arguments, files: Callable[[str], str] | None) -> Callable[..., str]:
    path, content = _content(arguments, files, "template")
    return compile_file(path, content, [name for name, _ in arguments.named])


def _content(arguments: Arguments, files: Callable[[str], str] | None, name: str) -> tuple[str, str]:
    node = arguments.positional[0] if arguments.positional else None
    if not isinstance(node, Literal) or not isinstance(node.value, str):
        raise Complaint(f"the path of `{name}` is a literal text", f"as in `{name}('prompts/triage.md')`", "E211")
    if files is None:
        raise Complaint(f"`{name}` can only be used in a pipeline's file", code="E211")
    return node.value, files(node.value)


FUNCTIONS = table(
    Builtin(object_, any_named=True, secrets=True),
    Builtin(moments.now, volatile=True),
    Builtin(moments.date),
    Builtin(moments.date_add),
    Builtin(moments.duration),
    Builtin(uuid, volatile=True),
    range_,
    min_,
    max_,
    Builtin(file, prepare=_prepare_file),
    Builtin(template, any_named=True, prepare=_prepare_template),
)
