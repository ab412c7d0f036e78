"""How many arguments a built-in filter or function takes."""

import inspect
from collections.abc import Callable
from typing import Any

from engine.pipeline.expression.errors import Complaint, did_you_mean


class Builtin:
    """A filter or function. `function(frame, ...)` gets plain values and raises Complaint."""

    __slots__ = ("any_named", "function", "least", "most", "name", "names", "prepare", "secrets", "volatile")

    def __init__(
        self,
        function: Callable[..., Any],
        name: str = "",
        *,
        secrets: bool = False,
        volatile: bool = False,
        any_named: bool = False,
        prepare: Callable[..., Any] | None = None,
    ) -> None:
        self.function = function
        self.name = name or function.__name__.rstrip("_")
        self.secrets = secrets  # whether it may see a secret
        self.volatile = volatile  # whether it yields something else each time
        self.any_named = any_named  # whether any name=value is welcome
        self.prepare = prepare  # (arguments, files) -> function, at compile time
        parameters = list(inspect.signature(function).parameters.values())[1:]
        plain = [item for item in parameters if item.kind in (item.POSITIONAL_OR_KEYWORD, item.POSITIONAL_ONLY)]
        self.least = sum(1 for item in plain if item.default is item.empty)
        endless = any(item.kind is item.VAR_POSITIONAL for item in parameters)
        self.most = None if endless else len(plain)
        self.names = [item.name.rstrip("_") for item in plain]

    def check(self, positional: int, named: list[str], offset: int) -> None:
        """Complain if these arguments cannot be meant. offset: 1 for filters, whose value counts as the first."""
        if not self.any_named:
            for key in named:
                if key not in self.names[positional:]:
                    hint = did_you_mean(
                        key, self.names[offset:], f"it takes: {', '.join(self.names[offset:]) or 'none'}"
                    )
                    raise Complaint(f"`{self.name}` has no argument `{key}`", hint, "E202")
        given = positional + (0 if self.any_named else len(named))
        if given < self.least:
            wanted = ", ".join(self.names[offset : self.least])
            raise Complaint(f"`{self.name}` needs {_arguments(self.least - offset)}: {wanted}", code="E202")
        if self.most is not None and positional > self.most:
            raise Complaint(f"`{self.name}` takes {_arguments(self.most - offset)}", code="E202")


def _arguments(count: int) -> str:
    return {0: "no arguments", 1: "one argument"}.get(count, f"{count} arguments")


def table(*functions: Builtin | Callable[..., Any]) -> dict[str, Builtin]:
    """The built-ins by name; a plain function is one with nothing special."""
    builtins = [item if isinstance(item, Builtin) else Builtin(item) for item in functions]
    return {builtin.name: builtin for builtin in builtins}
