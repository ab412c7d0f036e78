"""Where a run that ended badly goes on: which of its attempts count no more, and what the next ones begin with. Pure.

* A step that failed runs again, with the inputs it had: the same call under the same idempotency key.
* What it stands in is entered anew, with what was decided then: the branch of a switch, the items of a loop. Its time
  begins anew. Of a loop that failed only the items that failed run again.
* A call goes on within the attempt that failed.
* A step that was compensated was undone: it runs again. One whose compensation failed was not, and does not.
* `on_error` and `finally` of the pipeline, and every compensation, run again when it comes to that.
* Everything else keeps its outcome, failures that the pipeline tolerates included.

Nothing is deleted: the attempts that count no more keep their history under other keys. A step that goes on gets a
note in their place, an attempt of the status `interrupted` that hands on the inputs; it counts as no try.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

import msgspec

from engine.core.run import REOPENED, AttemptStatus, ErrorInfo
from engine.flow.stored import Place, Rows, failed, inner_parts, places, skipped, succeeded
from engine.pipeline.spec import Pipeline, Step
from engine.store import AttemptRow, StoredAttempt

TOLERANT = ("continue", "output")


class Given(NamedTuple):
    """What a person decided about a step: its inputs, its output, or that it is skipped."""

    kind: str  # input | output | skip | retry
    value: bytes = b"null"  # JSON; of an input as it is stored


class Plan(msgspec.Struct):
    """What becomes of a run's attempts. superseded: (step, number); written: takes their place."""

    superseded: list[tuple[str, int]]
    written: list[AttemptRow]
    goes_on: list[str]  # keys of the steps where it goes on, outermost first
    places: dict[str, Place]  # those that a decision can be about


class _Came(Enum):
    KEPT = 0
    AGAIN = 1  # something in it runs again
    FAILED = 2  # the run came no further than here


def plan_retry(
    pipeline: Pipeline,
    attempts: Sequence[StoredAttempt],
    *,
    error: ErrorInfo | None,
    now: datetime,
    note: str,
    decided: Mapping[str, Given] | None = None,
) -> Plan:
    """What has to change so that a failed or cancelled run goes on. error: the run's; note: why, for people.

    decided: about steps among the places of a plan without decisions.
    """
    walk = _Walk(Rows(attempts), now, note, error, decided or {})
    walk.pipeline(pipeline, "", retry=True)
    return walk.plan()


def open_places(pipeline: Pipeline, attempts: Sequence[StoredAttempt]) -> dict[str, Place]:
    """The steps of an open run that have begun and are not over, by key."""
    rows = Rows(attempts)
    return {
        place.key: place
        for place in places(pipeline, rows)
        if not (succeeded(last := rows.last(place.key)) or failed(last) or skipped(last))
    }


def plan_decision(attempts: Sequence[StoredAttempt], place: Place, given: Given, *, now: datetime, note: str) -> Plan:
    """What has to change so that a run that waits goes on with what a person decided about one of its open places."""
    walk = _Walk(Rows(attempts), now, note, None, {})
    walk.decide(place, given)
    return walk.plan()


class _Walk:
    """Goes through the steps as the interpreter would, and notes what is to be done again."""

    def __init__(
        self, rows: Rows, now: datetime, note: str, error: ErrorInfo | None, decided: Mapping[str, Given]
    ) -> None:
        self.rows = rows
        self.now = now
        self.error = error
        self.note = ErrorInfo(type=REOPENED, message=note)
        self.decided = decided
        self.superseded: dict[tuple[str, int], None] = {}
        self.written: dict[str, AttemptRow] = {}
        self.goes_on: list[str] = []
        self.places: dict[str, Place] = {}

    def plan(self) -> Plan:
        return Plan(list(self.superseded), list(self.written.values()), self.goes_on, self.places)

    # Sections

    def pipeline(self, pipeline: Pipeline, prefix: str, *, retry: bool) -> _Came:
        """The steps of a pipeline; what follows its end follows again."""
        came = self.section(pipeline, prefix, pipeline.steps, retry=retry)
        if retry or came != _Came.KEPT:
            for steps in (pipeline.on_error, pipeline.finally_):
                self.drop(prefix, steps)
        return came

    def section(self, pipeline: Pipeline, prefix: str, steps: Sequence[Step], *, retry: bool) -> _Came:
        found = _Came.KEPT
        for step in steps:
            if found == _Came.FAILED:
                self.clear(prefix, step)
            else:
                came = self.step(pipeline, prefix, step, retry=retry)
                found = came if came != _Came.KEPT else found
        return found

    def step(self, pipeline: Pipeline, prefix: str, step: Step, *, retry: bool) -> _Came:
        """A step with its `on_error`."""
        key = prefix + step.key
        last = self.rows.last(key)
        if skipped(last):
            return _Came.KEPT
        if key in self.decided:
            self.drop(prefix, step.on_error.steps)
            return self.decide(Place(key, step, pipeline, prefix), self.decided[key])
        if not (failed(last) and retry) or step.on_error.mode == "fail":
            return self.attempt(pipeline, prefix, step, retry=retry)
        came = self.section(pipeline, prefix, step.on_error.steps, retry=retry)
        if came == _Came.FAILED:  # the fallback did: the step itself has failed for good, unless a person decides
            self.places[key] = Place(key, step, pipeline, prefix)
            return came
        if (
            came == _Came.KEPT
            and not self.fallback_failed(step, key)
            and not self.is_undone_inside(pipeline, prefix, step)
        ):
            return came
        self.drop(prefix, step.on_error.steps)
        self.supersede(f"{key}.on_error")
        return self.attempt(pipeline, prefix, step, retry=retry)

    def attempt(self, pipeline: Pipeline, prefix: str, step: Step, *, retry: bool) -> _Came:
        """A step without its `on_error`."""
        if step.for_each is None:
            return self.body(Place(prefix + step.key, step, pipeline, prefix), retry=retry)
        place = Place(prefix + step.key, step, pipeline, prefix)
        last = self.rows.last(place.key)
        again, deeper = False, False
        for item in self.rows.items(place.key):
            inner = Place(item, step, pipeline, f"{item}/", item=True)
            came = self.body(inner, retry=retry and failed(last))
            again, deeper = again or came != _Came.KEPT, deeper or came == _Came.FAILED
        return self.enter_again(place, last, again=again, deeper=deeper, retry=retry)

    def body(self, place: Place, *, retry: bool) -> _Came:
        """A step, or an iteration of a loop."""
        step, last = place.step, self.rows.last(place.key)
        if skipped(last):
            return _Came.KEPT
        if place.key in self.decided:
            return self.decide(place, self.decided[place.key])
        if step.compensate:
            undone = succeeded(last) and self.went_well(place.inside, step.compensate)
            self.drop(place.inside, step.compensate)
            if undone:
                self.clear_body(place.key, step, place.inside)
                self.goes_on.append(place.key)
                return _Came.AGAIN
        if step.shape == "call" and step.pipeline in place.pipeline.called:
            return self.call(place, last, retry=retry)
        if step.shape in ("action", "call", "wait"):
            return self.leaf(place, last, retry=retry)
        came = [
            self.section(place.pipeline, place.inside, part, retry=retry)
            for part in inner_parts(step)
            if part is not step.compensate
        ]
        return self.enter_again(
            place, last, again=any(each != _Came.KEPT for each in came), deeper=_Came.FAILED in came, retry=retry
        )

    def leaf(self, place: Place, last: StoredAttempt | None, *, retry: bool) -> _Came:
        """An action, or a wait: a wait that has failed begins anew, as does one for people."""
        if not failed(last):
            if last is not None and not succeeded(last):
                self.goes_on.append(place.key)
                self.places[place.key] = place
                if asks(place.step):
                    self.clear_body(place.key, place.step, place.inside)
            return _Came.KEPT
        if not retry:
            return _Came.KEPT
        given = self.input_of(place.key)
        self.clear_body(place.key, place.step, place.inside)
        if given is not None and place.step.shape != "wait":
            self.hand_on(place.key, 1, given)
        self.goes_on.append(place.key)
        self.places[place.key] = place
        return _Came.FAILED

    def call(self, place: Place, last: StoredAttempt | None, *, retry: bool) -> _Came:
        """It goes on within its last attempt, if that got anywhere."""
        if last is None or last.due_at is not None or (failed(last) and not retry):
            return _Came.KEPT
        prefix = self.rows.inside_call(place.key, last.number)
        callee = place.pipeline.called[place.step.pipeline or ""]
        if failed(last) and not self.rows.under(prefix):
            return self.leaf(place, last, retry=retry)
        if succeeded(last):
            # a compensation of its own, which did not succeed, has taken the place of those inside
            came = _Came.KEPT if place.step.compensate else self.pipeline(callee, prefix, retry=False)
            if came == _Came.KEPT:
                return came
        else:
            came = self.pipeline(callee, prefix, retry=True)
            if failed(last):
                self.places[place.key] = place
                if came != _Came.FAILED:
                    self.goes_on.append(place.key)
                came = _Came.FAILED
        given = self.input_of(place.key)
        self.superseded[place.key, last.number] = None
        self.hand_on(place.key, last.number, given)
        return came

    def enter_again(self, place: Place, last: StoredAttempt | None, *, again: bool, deeper: bool, retry: bool) -> _Came:
        """A group, parallel, switch or loop, once its inside has been looked through."""
        if last is None:
            return _Came.FAILED if deeper else _Came.AGAIN if again else _Came.KEPT
        if succeeded(last) or (failed(last) and not retry):
            if not again:
                return _Came.KEPT
            came = _Came.AGAIN
        elif failed(last):
            came = _Came.FAILED
            self.places[place.key] = place
            if not deeper:
                self.goes_on.append(place.key)
        else:
            came = _Came.AGAIN if again else _Came.KEPT
        self.supersede(place.key)
        if last.input is not None or self.has_begun(place):
            self.hand_on(place.key, 1, last.input)
        return came

    # Decisions of people

    def decide(self, place: Place, given: Given) -> _Came:
        """What a person decided takes the place of all attempts."""
        if given.kind in ("input", "retry"):
            value = given.value if given.kind == "input" else self.input_of(place.key)
            self.clear_body(place.key, place.step, place.inside)
            if value is not None and place.step.shape != "wait":
                self.hand_on(place.key, 1, value)
        else:
            self.supersede(place.key)
            self.written[place.key] = decided_row(place.key, 1, given, self.now)
        self.goes_on.append(place.key)
        self.places[place.key] = place
        return _Came.AGAIN

    # What was undone

    def went_well(self, prefix: str, steps: Sequence[Step]) -> bool:
        """Whether these steps ran, and none of them failed."""
        return all(self.step_went_well(prefix, step) for step in steps)

    def step_went_well(self, prefix: str, step: Step) -> bool:
        key = prefix + step.key
        last = self.rows.last(key)
        if succeeded(last) or skipped(last):
            return True
        if not failed(last) or step.on_error.mode == "fail":
            return False
        return step.on_error.mode in TOLERANT or self.went_well(prefix, step.on_error.steps)

    def is_undone_inside(self, pipeline: Pipeline, prefix: str, step: Step) -> bool:
        """Whether something within a step that failed was undone."""
        look = _Walk(self.rows, self.now, "", None, {})
        return look.attempt(pipeline, prefix, step, retry=False) != _Came.KEPT

    def fallback_failed(self, step: Step, key: str) -> bool:
        """Whether the run failed at what was to take the place of this step's output."""
        error = self.error
        if step.on_error.mode != "output" or error is None or error.type != "expression":
            return False
        at = (error.step or "").rpartition("/")[2]
        return error.message.startswith("on_error: ") and at == (step.id or key).rpartition("/")[2]

    # Rows

    def input_of(self, key: str) -> bytes | None:
        """What the step was called with: rendered once, for all its attempts."""
        return next((row.input for row in self.rows.of(key) if row.input is not None), None)

    def has_begun(self, place: Place) -> bool:
        """Whether anything in it is stored: then its condition has been true."""
        if self.rows.items(place.key):
            return True
        return any(self.rows.of(place.inside + inner.key) for part in inner_parts(place.step) for inner in part)

    def hand_on(self, key: str, number: int, given: bytes | None) -> None:
        self.written[key] = AttemptRow(
            step=key,
            number=number,
            status=AttemptStatus.INTERRUPTED,
            input=given,
            error=msgspec.json.encode(self.note),
            started_at=self.now,
            finished_at=self.now,
        )

    def supersede(self, key: str) -> None:
        """None of its attempts counts any more."""
        for row in self.rows.of(key):
            self.superseded[key, row.number] = None
        self.written.pop(key, None)

    def drop(self, prefix: str, steps: Sequence[Step]) -> None:
        for step in steps:
            self.clear(prefix, step)

    def clear(self, prefix: str, step: Step) -> None:
        """A step and everything in it, as if it had never been."""
        self.clear_body(prefix + step.key, step, prefix)
        self.supersede(f"{prefix}{step.key}.on_error")
        self.drop(prefix, step.on_error.steps)

    def clear_body(self, key: str, step: Step, inside: str) -> None:
        self.supersede(key)
        for mark in "/#[":  # what is in a call or an iteration, later attempts of a call, the items of a loop
            for inner in self.rows.under(key + mark):
                self.supersede(inner)
        if step.for_each is None:
            for part in inner_parts(step):
                self.drop(inside, part)


def asks(step: Step) -> bool:
    """Whether the step waits for people: its question is closed once its run has ended, a new one is asked."""
    return step.wait is not None and step.wait.approval is not None


def decided_row(key: str, number: int, given: Given, now: datetime) -> AttemptRow:
    """The attempt that stands for a decision: a given output, or a step that is skipped."""
    skip = given.kind == "skip"
    return AttemptRow(
        step=key,
        number=number,
        status=AttemptStatus.SKIPPED if skip else AttemptStatus.SUCCEEDED,
        output=None if skip else given.value,
        started_at=now,
        finished_at=now,
    )
