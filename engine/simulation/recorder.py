"""Writes down what happens in a simulated run: calls, order, statuses, the ways that were taken, the story."""

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.core.outcome import Failed, Stopped, Succeeded
from engine.core.run import AttemptStatus
from engine.flow.execution import Done
from engine.pipeline.expression.moments import iso
from engine.pipeline.spec import Pipeline
from engine.simulation.coverage import Way
from engine.simulation.keys import Found, Keys
from engine.simulation.matching import show
from engine.simulation.names import called, walk
from engine.simulation.result import Line
from engine.simulation.standins import Kept
from engine.simulation.world import Clock
from engine.store import AttemptRow

FAILURES = (AttemptStatus.FAILED, AttemptStatus.TIMED_OUT)
LONGEST = 300  # characters of a detail in the story


class Recorder:
    """One run's memory."""

    def __init__(self, pipeline: Pipeline, clock: Clock, taken: set[Way]) -> None:
        self.keys = Keys(pipeline)
        self.clock = clock
        self.taken = taken
        self.order: list[str] = []
        self.story: list[Line] = []
        self.problems: list[str] = []
        self.begun: set[str] = set()  # keys
        self.skipped: set[str] = set()  # keys
        self.performed: set[str] = set()  # keys of which a call was noted
        self.steps: dict[str, dict[str, Any]] = {}
        self._own: set[str] = set()  # names of the pipeline's own steps
        for found in called(pipeline):
            for place in walk(found):
                self.steps.setdefault(place.name, blank())
                if found.id == pipeline.id:
                    self._own.add(place.name)

    def begin(self, key: str) -> str:
        """Note that a step is under way, and those it stands in; its name."""
        found = self.keys.find(key)
        if found is None:
            return key
        for step in (*found.around, found):
            if step.key not in self.begun:
                self.begun.add(step.key)
                if not step.item:
                    self._note(step)
        return found.name

    def _note(self, found: Found) -> None:
        self.order.append(found.name)
        self.taken.add((found.pipeline, found.place.step.key, "true"))
        if (step := self._shown(found))["status"] in ("not_run", "skipped"):
            step["status"], step["started_at"] = "running", iso(self.clock.now())

    def call(self, key: str, attempt: int, with_: Any, at: float, began: str, done: Done) -> None:
        """One attempt that has ended."""
        found = self.keys.find(key)
        self.begin(key)
        self.performed.add(key)
        outcome = done.outcome
        entry: dict[str, Any] = {"attempt": attempt, "at": began, "with": with_, "output": None, "error": None}
        status, detail = "succeeded", f"attempt {attempt}" if attempt > 1 else ""
        if isinstance(outcome, Failed):
            entry["error"] = msgspec.to_builtins(outcome.error)
            status = "timed_out" if outcome.timed_out else "failed"
            detail = f"{outcome.error.type}: {outcome.error.message}" + (f" ({detail})" if detail else "")
        elif isinstance(outcome, Succeeded | Stopped):
            entry["output"] = outcome.output.value if isinstance(outcome.output, Kept) else outcome.output
        if isinstance(outcome, Stopped):
            status, detail = "stops", outcome.message
        if found is not None:
            step = self._shown(found)
            step["with"] = with_
            step["calls"].append(entry)
            step["attempts"] = len(step["calls"])
        self.tell(self._label(key), status, detail, at)

    def given(self, key: str, with_: Any) -> None:
        """What a step without calls works with: the question of an approval."""
        found = self.keys.find(key)
        if found is not None:
            self._shown(found)["with"] = with_

    def row(self, row: AttemptRow) -> None:
        """An attempt as the engine keeps it: what became of the step."""
        found = self.keys.find(row.step)
        if found is None:
            return
        step = self._shown(found)
        if row.status == AttemptStatus.SKIPPED:
            self._skip(found, step)
            return
        self.begin(row.step)
        if row.input is not None:
            self._given(found, step, msgspec.json.decode(row.input))
        if row.status in (AttemptStatus.RUNNING, AttemptStatus.INTERRUPTED) or row.due_at is not None:
            return
        failed = row.status in FAILURES
        if failed and found.place.step.on_error.mode in ("continue", "output"):
            self.taken.add((found.pipeline, found.place.step.key, "handled"))
        error = msgspec.json.decode(row.error) if row.error is not None else None
        step["status"] = "failed" if failed else "succeeded"
        step["output"] = msgspec.json.decode(row.output) if row.output is not None else None
        step["error"] = error if failed else None
        step["errors"] = (error or {}).get("data") or [] if found.place.step.for_each is not None else []
        step["cached"], step["finished_at"] = row.cached, iso(row.finished_at or self.clock.now())
        if found.place.step.shape == "call" and (found.item or found.place.step.for_each is None):
            self._called(step, row)
        if row.cached:
            self.tell(self._label(row.step), "cached")

    def _given(self, found: Found, step: dict[str, Any], value: Any) -> None:
        """The input of a row: `with` of an action or a call; the decision of a switch or a loop."""
        place = found.place.step
        if place.for_each is not None and not found.item:
            if isinstance(value, dict) and value.get("items") == []:
                self.taken.add((found.pipeline, place.key, "no items"))
        elif place.shape == "switch":
            if isinstance(value, dict) and value.get("case") is None:
                self.taken.add((found.pipeline, place.key, "no case"))
        elif place.shape in ("action", "call") and step["with"] is None:
            step["with"] = value

    def _called(self, step: dict[str, Any], row: AttemptRow) -> None:
        """A pipeline that was called and carried out; if a mock answered, the call has been noted."""
        if row.step in self.performed:
            return
        step["calls"].append(
            {
                "attempt": row.number,
                "at": iso(row.started_at or self.clock.now()),
                "with": step["with"],
                "output": step["output"],
                "error": step["error"],
            }
        )
        step["attempts"] = len(step["calls"])

    def _skip(self, found: Found, step: dict[str, Any]) -> None:
        for outer in found.around:
            self.begin(outer.key)
        self.taken.add((found.pipeline, found.place.step.key, "false"))
        if found.key in self.skipped:
            return
        self.skipped.add(found.key)
        self.tell(self._label(found.key), "skipped")
        if step["status"] == "not_run":
            step["status"] = "skipped"

    def views(self, views: Mapping[str, Mapping[str, Any]], pipeline: str) -> None:
        """What expressions see as `steps` in the end; it knows what rows do not: `recovered`, lists of loops."""
        for name, view in views.items():
            if view.get("status") in (None, "pending") or name not in self.steps:
                continue
            if name in self._own and pipeline != self.keys.root:
                continue
            step = self.steps[name]
            step.update({key: value for key, value in view.items() if key in step and key != "attempts"})

    def way(self, key: str, what: str) -> None:
        """A way through the pipeline that was taken."""
        found = self.keys.find(key)
        if found is not None:
            self.taken.add((found.pipeline, found.place.step.key, what))

    def tell(self, what: str, status: str, detail: str = "", at: float | None = None) -> None:
        """A line of the story."""
        text = " ".join(detail.split())
        text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
        self.story.append(Line(self.clock.seconds() if at is None else at, what, status, text))

    def tell_wait(self, key: str, status: str, detail: str = "") -> None:
        """A line about a wait."""
        self.tell(self._label(key), status, detail)

    def event(self, event: Mapping[str, Any], status: str = "arrives") -> None:
        """An event in the story."""
        self.tell(f"{event['source']} {event['type']}".strip(), status, show(event.get("body"), 120))

    def problem(self, text: str) -> None:
        """Something that makes the test fail, whatever it expects."""
        if text not in self.problems:
            self.problems.append(text)

    def _shown(self, found: Found) -> dict[str, Any]:
        """What tests see of the step. Those of called pipelines are known by their path as well: `page/alert`."""
        if found.name in self._own and found.pipeline != self.keys.root:
            return self.steps.setdefault(found.path, blank())
        if found.pipeline != self.keys.root:
            self.steps.setdefault(found.path, self.steps[found.name])
        return self.steps[found.name]

    def _label(self, key: str) -> str:
        """The step in the story: its key, or its name where it has no id."""
        found = self.keys.find(key)
        if found is None or found.place.step.id is not None:
            return key
        return key.removesuffix(found.place.step.key) + found.name


def blank() -> dict[str, Any]:
    """A step that has not run."""
    return {
        "with": None, "output": None, "status": "not_run", "error": None, "errors": [], "calls": [], "attempts": 0,
        "cached": False, "started_at": None, "finished_at": None,
    }  # fmt: skip
