"""The events that a wait is for, with all of its conditions that is known before they come."""

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.core.awaited import ANY, Awaited, Kind, Path, is_plain, key_for, key_of
from engine.flow.frame import Scope
from engine.pipeline.expression import ExpressionError
from engine.pipeline.expression.correlation import correlation
from engine.pipeline.spec import WaitEvent

MOST_SHOWN = 200  # characters of a condition that are shown


class Wanted:
    """One of the events that end a wait.

    A term `incoming.PATH == value` at the top level of its `if` decides at once about events that do not have this
    value there, or nothing at all: they are not meant, however the rest of the condition would take them.
    """

    def __init__(self, event: WaitEvent, scope: Scope) -> None:
        self._scope = scope
        self._condition = event.condition
        paths: list[Path] = []
        values: list[Any] = []
        self._shown: list[str] = []
        for term in correlation(event.condition) if event.condition is not None else ():
            try:
                value = term.value.evaluate(scope)
            except ExpressionError:  # the condition says so, if it comes to that
                continue
            if is_plain(value):
                paths.append(term.path)
                values.append(value)
                self._shown.append(f"{term.text} == {_spell(value)}")
        kind = Kind(event.source, event.type, tuple(paths))
        self.awaited = Awaited(kind, key_for(values) if paths else ANY)

    def takes(self, event: Mapping[str, Any]) -> bool:
        """Whether this event ends the wait. ExpressionError if the condition cannot be evaluated for it.

        event: as expressions see it.
        """
        kind, key = self.awaited
        if not kind.covers(str(event["source"]), str(event["type"])) or key_of(event, kind.paths) != key:
            return False
        if self._condition is None:
            return True
        return self._condition.condition(self._scope.extended(incoming=event))

    def describe(self) -> str:
        """As people read it: `stripe invoice.paid where incoming.body.id == 'in_1'`."""
        kind = self.awaited.kind
        text = f"{kind.source} {kind.type or 'events'}" if kind.source else kind.type or "any event"
        condition = " and ".join(self._shown)
        if not condition and self._condition is not None:
            condition = self._condition.source.strip()
        if len(condition) > MOST_SHOWN:
            condition = condition[: MOST_SHOWN - 1] + "…"
        return f"{text} where {condition}" if condition else text


def _spell(value: Any) -> str:
    """The value as expressions write it."""
    if isinstance(value, str):
        return repr(value)
    return msgspec.json.encode(value).decode()
