"""`vars` are evaluated once, from top to bottom, and stored: a resumed run sees the same values."""

import msgspec

from engine.flow.execution import Execution
from engine.flow.frame import Frame
from engine.pipeline.expression import ExpressionError


def evaluate_vars(execution: Execution, frame: Frame, stored: bytes | None) -> bytes | None:
    """Fill `vars` of the frame. Returns what has to be stored; None: nothing, or it is stored already."""
    values = frame.scope.roots["vars"]
    if stored is not None:
        values.update(msgspec.json.decode(stored))
        return None
    volatile = False
    for name, template in frame.pipeline.vars.items():
        try:
            values[name] = template.render(frame.scope)
        except ExpressionError as error:
            raise ExpressionError(f"vars.{name}: {error}") from None
        volatile = volatile or template.volatile or "env" in template.roots
    return execution.encode(values) if volatile else None  # others come out the same when they are evaluated again
