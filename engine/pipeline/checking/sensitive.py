"""`sensitive:` of a step: what is masked of its output."""

import re
from typing import Any

from engine.pipeline.checking.values import describe
from engine.pipeline.expression.errors import did_you_mean
from engine.pipeline.inference.types import NEVER, Shape, field_of, fields_of, without_null
from engine.pipeline.marks import Path
from engine.pipeline.source import Source

FIELD = re.compile(r"[^.\s\[\]]+(\[\])?(\.[^.\s\[\]]+(\[\])?)*")


def read_sensitive(source: Source, path: Path, value: Any, output: Shape) -> bool | tuple[str, ...]:
    """True, or paths such as `token`, `user.email` and `rows[].email`. output: what is known of it."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, list):
        hint = "as in `sensitive: true` or `sensitive: [token, user.email]`"
        source.error("E103", path, f"`sensitive` must be true or a list, this is {describe(value)}", hint)
        return False
    found: list[str] = []
    for index, item in enumerate(value):
        where = (*path, index)
        if not isinstance(item, str) or not FIELD.fullmatch(item):
            hint = "as in `token`, `user.email` or `rows[].email`"
            source.error("E103", where, "this is not the path of a field in the output", hint)
            continue
        found.append(item)
        name = item.partition(".")[0].removesuffix("[]")
        if field_of(without_null(output), name) is NEVER:
            known = list(fields_of(output))
            hint = did_you_mean(name, known, f"it has: {', '.join(known[:20]) or 'nothing'}")
            source.error("E214", where, f"there is no field `{name}` in the output", hint, offset=(0, len(name)))
    return tuple(found)
