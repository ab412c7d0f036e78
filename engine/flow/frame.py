"""Where steps run: the names they see, the prefix of their keys, and what ends them early."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.core.event import Event, view
from engine.core.run import ErrorInfo
from engine.errors import HookwrightError
from engine.pipeline.spec import Pipeline, Step


class TakenOver(HookwrightError):
    """Another worker holds this run now."""


class StepGaveUp(HookwrightError):
    """A step failed for good."""

    def __init__(self, error: ErrorInfo) -> None:
        super().__init__(error.message)
        self.error = error


class RunStopped(HookwrightError):
    """A `stop` step ended the run, or the called pipeline it stands in."""

    def __init__(self, message: str, output: Any) -> None:
        super().__init__(message)
        self.message = message
        self.output = output


class Parked(HookwrightError):
    """Nobody in this run has anything to do before a later time, or the worker stops: the run is let go."""


class OutOfTime(HookwrightError):
    """The time of the run, or of a group, was over before this visit: nothing new is begun."""


class LazyEvent:
    """An event that is only parsed when somebody reads it, once for all scopes of a run."""

    __slots__ = ("_event", "_view")

    def __init__(self, event: Event) -> None:
        self._event = event
        self._view: dict[str, Any] | None = None

    @property
    def view(self) -> dict[str, Any]:
        """The event as expressions see it."""
        if self._view is None:
            self._view = view(self._event)
        return self._view


class Scope(Mapping[str, Any]):
    """Roots of expressions."""

    __slots__ = ("_event", "roots")

    def __init__(self, roots: dict[str, Any], event: Event | LazyEvent | None) -> None:
        self.roots = roots
        self._event = LazyEvent(event) if isinstance(event, Event) else event

    def __getitem__(self, name: str) -> Any:
        if name == "event" and "event" not in self.roots and self._event is not None:
            self.roots["event"] = self._event.view
        return self.roots[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.roots)

    def __len__(self) -> int:
        return len(self.roots)

    def extended(self, **more: Any) -> "Scope":
        """The same scope with more roots, for `result`, `error`, the item of a loop."""
        return Scope({**self.roots, **more}, self._event)

    def replaced(self, roots: dict[str, Any]) -> "Scope":
        """Other roots with the same event, for a called pipeline."""
        return Scope(roots, self._event)


@dataclass(slots=True)
class Frame:
    """One place of execution. Branches share their frame; an iteration and a called pipeline have one of their own."""

    pipeline: Pipeline  # whose steps run here
    scope: Scope
    steps: dict[str, dict[str, Any]]  # what `steps.ID` shows here
    prefix: str = ""  # of the keys of its steps: "", `enrich[3]/`, `page/`
    outputs: dict[str, Any] = field(default_factory=dict)  # by the step's own key, what groups and fallbacks hand on
    recalling: bool = False  # only take over what is stored: the first step that is not finished raises OutOfTime
    depth: int = 0  # of calls
    queue: str | None = None  # of steps that name none: that of the call they stand in

    def key(self, step: Step) -> str:
        """Under which the attempts of this step are stored."""
        return self.prefix + step.key

    def extended(self, **roots: Any) -> "Frame":
        """The same place with more names."""
        scope = self.scope.extended(**roots)
        return Frame(
            self.pipeline, scope, self.steps, self.prefix, self.outputs, self.recalling, self.depth, self.queue
        )

    def recall(self, recalling: bool = True) -> "Frame":
        """The same place, where nothing new is begun."""
        return Frame(
            self.pipeline, self.scope, self.steps, self.prefix, self.outputs, recalling, self.depth, self.queue
        )

    def show(self, step: Step, status: str, **more: Any) -> None:
        """Set what `steps.ID` shows, and the output that others hand on."""
        if "output" in more:
            self.outputs[step.key] = more["output"]
        if step.id is not None:
            self.steps[step.id] = {"status": status, **more}


def pending(*sections: tuple[Step, ...]) -> dict[str, dict[str, Any]]:
    """`steps` before any of these, or of those within them, has run."""
    views: dict[str, dict[str, Any]] = {}
    for steps in sections:
        for step in steps:
            if step.id is not None:
                views[step.id] = {"status": "pending"}
            if step.shape != "action" or step.on_error.steps or step.compensate:
                views |= pending(*parts(step))
    return views


def parts(step: Step) -> Iterator[tuple[Step, ...]]:
    """The lists of steps directly within this one: of groups, branches, notices, fallbacks, compensations."""
    yield step.steps
    yield from step.branches.values()
    for case in step.cases:
        yield case.steps
    if step.wait is not None and step.wait.approval is not None:
        yield step.wait.approval.notify
    yield step.on_error.steps
    yield step.compensate
