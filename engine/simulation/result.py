"""What a simulated run came to, and what a test says about it."""

from datetime import timedelta
from typing import Any

import msgspec

from engine.simulation.matching import MISSING, Path


class Line(msgspec.Struct, frozen=True):
    """One line of a run's story."""

    at: float  # virtual seconds since the start of the run
    what: str  # a step, or an event
    status: str
    detail: str = ""


class Result(msgspec.Struct):
    """One run, or why there was none."""

    outcome: str
    reason: str = ""  # not_triggered, refused: why
    error: dict[str, Any] | None = None
    message: str = ""
    outputs: Any = None
    labels: dict[str, str] = {}
    key: str | None = None
    response: dict[str, Any] | None = None
    emitted: list[dict[str, Any]] = []
    started: list[dict[str, Any]] = []
    compensated: list[str] = []
    steps: dict[str, dict[str, Any]] = {}  # by name: with, output, status, error, calls, ...
    order: list[str] = []  # names in the order in which they began to run
    elapsed: float = 0.0  # virtual seconds
    run: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    vars: dict[str, Any] = {}
    event: Any = None
    events: Any = None
    story: list[Line] = []
    problems: list[str] = []  # the test is wrong, or the engine broke a promise: nothing else counts then
    notes: list[str] = []  # worth knowing when something else is wrong

    @property
    def duration(self) -> str:
        """How long the run took, as Python writes it: `3 days, 1:00:00`."""
        return str(timedelta(seconds=self.elapsed))

    def scope(self) -> dict[str, Any]:
        """What assertions see."""
        return {
            "steps": self.steps,
            "outputs": self.outputs,
            "emitted": self.emitted,
            "started": self.started,
            "response": self.response,
            "error": self.error,
            "run": self.run,
            "elapsed": self.duration,
            "labels": self.labels,
            "message": self.message,
            "outcome": self.outcome,
            "compensated": self.compensated,
            "key": self.key,
            "inputs": self.inputs,
            "vars": self.vars,
            "event": self.event,
            "events": self.events,
        }


class Failure(msgspec.Struct, frozen=True):
    """One expectation that was not met. path: where it stands in the test, from the test's own keys."""

    what: str  # `expect.outputs.label`
    message: str
    path: Path = ()
    expected: Any = MISSING
    got: Any = MISSING
    line: int = 0  # in the test file
    column: int = 0
