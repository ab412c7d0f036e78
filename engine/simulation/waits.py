"""`wait:` in virtual time: durations, times, events with look-back, approvals."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from engine.core.duration import format_duration, parse_duration
from engine.core.run import ErrorInfo
from engine.flow.approval_rules import Question, find_refusal, render_question
from engine.flow.execution import Execution
from engine.flow.frame import Frame, StepGaveUp
from engine.flow.steps import run_steps
from engine.flow.waits import seconds_of
from engine.flow.wanted import Wanted
from engine.pipeline.expression import ExpressionError
from engine.pipeline.expression.moments import iso
from engine.pipeline.spec import Approval, Step, Wait, WaitEvent
from engine.simulation.recorder import Recorder
from engine.simulation.world import BASE_URL, Clock

SOMEBODY = "somebody@example.com"


class Arrival:
    """One event that came during the run."""

    def __init__(self, at: float, event: dict[str, Any]) -> None:
        self.at = at
        self.event = event
        self.taken = False


class Waiter:
    """One wait that is under way."""

    def __init__(self, frame: Frame, wanted: tuple[WaitEvent, ...]) -> None:
        self.wanted = [Wanted(event, frame.scope) for event in wanted]
        self.index = -1
        self.found: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def takes(self, event: dict[str, Any]) -> bool:
        """Whether the event ends the wait. ExpressionError if a condition cannot be evaluated."""
        for index, wanted in enumerate(self.wanted):
            if wanted.takes(event):
                self.index = index
                return True
        return False


class Waits:
    """All waits of one run. They outlive a crash, as production's would."""

    def __init__(self, clock: Clock, recorder: Recorder, approvals: Mapping[str, Any]) -> None:
        self.clock = clock
        self.recorder = recorder
        self.approvals = approvals
        self.arrivals: list[Arrival] = []
        self.waiters: list[Waiter] = []
        self.began: dict[str, float] = {}  # by key of the step
        self.got: dict[str, tuple[int, dict[str, Any]]] = {}  # by key of the step: the event that ended it
        self.asked: dict[str, int] = {}  # how many approvals of a name were asked for

    def arrive(self, event: dict[str, Any]) -> None:
        """An event comes in: the first wait that wants it gets it, else it is kept for later ones."""
        arrival = Arrival(self.clock.seconds(), event)
        self.arrivals.append(arrival)
        for waiter in list(self.waiters):
            if waiter.found.done():
                continue
            try:
                if waiter.takes(event):
                    arrival.taken = True
                    waiter.found.set_result(event)
                    return
            except ExpressionError as error:
                waiter.found.set_exception(error)
                return

    async def wait(
        self, execution: Execution, frame: Frame, step: Step, key: str, since: datetime, until: datetime | None
    ) -> Any:
        """The output of the step, once it has waited. since: when the wait began, perhaps before a crash.

        until: the time that it waits for; None: it waits for something else.

        StepGaveUp: nobody came, somebody said no, or it cannot be evaluated.
        """
        wait = step.wait
        assert wait is not None
        began = self.began.setdefault(key, (since - self.clock.start).total_seconds())
        name = self.recorder.begin(key)
        try:
            limit = seconds_of(wait.timeout, frame.scope, "timeout")
            deadline = None if limit is None else began + limit
            if wait.approval is not None:
                return await self._approval(execution, frame, step, key, name, deadline)
            if wait.events:
                return await self._event(frame, step, key, wait, deadline)
            assert until is not None
            return await self._time(key, until)
        except ExpressionError as error:
            self.recorder.tell_wait(key, "failed", str(error))
            raise _gave_up(step, "expression", f"wait: {error}") from None

    async def _time(self, key: str, until: datetime) -> Any:
        seconds = (until - self.clock.now()).total_seconds()
        if seconds > 0:
            self.recorder.tell_wait(key, "waits", format_duration(seconds))
            await asyncio.sleep(seconds)
        return {"timed_out": False, "event": None}

    async def _event(self, frame: Frame, step: Step, key: str, wait: Wait, deadline: float | None) -> Any:
        if key not in self.got:
            waiter = Waiter(frame, wait.events)
            if wait.since == "run_start":
                self._look_back(waiter)
            if not waiter.found.done():
                left = None if deadline is None else deadline - self.clock.seconds()
                text = "for an event" + (f", at most {format_duration(left)}" if left is not None else "")
                self.recorder.tell_wait(key, "waits", text)
                await self._wait_for(waiter, left)
            if not waiter.found.done():
                return self._timed_out(step, key, wait, {"timed_out": True, "event": None})
            self.got[key] = waiter.index, waiter.found.result()
        index, event = self.got[key]
        self.recorder.way(key, f"event {index}")
        self.recorder.tell_wait(key, "got", f"{event['source']} {event['type']}")
        return {"timed_out": False, "event": event}

    def _look_back(self, waiter: Waiter) -> None:
        for arrival in self.arrivals:
            if not arrival.taken and waiter.takes(arrival.event):
                arrival.taken = True
                waiter.found.set_result(arrival.event)
                return

    async def _wait_for(self, waiter: Waiter, left: float | None) -> None:
        self.waiters.append(waiter)
        try:
            async with asyncio.timeout(None if left is None else max(left, 0)):
                await asyncio.shield(waiter.found)
        except TimeoutError:
            pass
        finally:
            self.waiters.remove(waiter)

    def _timed_out(self, step: Step, key: str, wait: Wait, output: Any) -> Any:
        self.recorder.way(key, "timed out")
        self.recorder.tell_wait(key, "timed_out")
        if wait.on_timeout == "continue":
            return output
        waited = format_duration(self.clock.seconds() - self.began[key])
        raise _gave_up(step, "timeout", f"nothing came within {waited}")

    async def _approval(
        self, execution: Execution, frame: Frame, step: Step, key: str, name: str, deadline: float | None
    ) -> Any:
        approval, wait = step.wait.approval if step.wait else None, step.wait
        assert approval is not None
        assert wait is not None
        question = render_question(approval, frame.scope)
        self.recorder.given(key, msgspec.to_builtins(question))
        url = f"{BASE_URL}/approvals/{execution.run.id}/{key}"
        links = {"url": url, "approve_url": f"{url}/approve", "reject_url": f"{url}/reject"}
        self.recorder.tell_wait(key, "asks", question.prompt)
        if approval.notify:
            await run_steps(execution, frame.extended(approval=links), approval.notify)
        decision = self._decision(key, name, step, approval, question)
        at = self.began[key] + parse_duration(decision["after"]) if decision and "after" in decision else None
        at = self.clock.seconds() if decision and at is None else at
        if decision is None or (deadline is not None and at is not None and at > deadline):
            await _sleep_until(self.clock, deadline)
            output: dict[str, Any] = {
                "approved": False,
                "by": None,
                "at": None,
                "form": {},
                "timed_out": True,
                "event": None,
            }
            return self._timed_out(step, key, wait, output)
        await _sleep_until(self.clock, at)
        by = decision.get("by", SOMEBODY)
        output = {
            "approved": decision["approved"],
            "by": by,
            "at": iso(self.clock.now()),
            "form": _fill(approval, decision, self.recorder, name),
        }
        self.recorder.way(key, "approved" if decision["approved"] else "rejected")
        self.recorder.tell_wait(key, "approved" if decision["approved"] else "rejected", f"by {by}")
        if not decision["approved"] and wait.on_reject == "fail":
            raise _gave_up(step, "rejected", f"rejected by {by}")
        return output

    def _decision(
        self, key: str, name: str, step: Step, approval: Approval, question: Question
    ) -> dict[str, Any] | None:
        """What the test decides here; None: nobody answers, or somebody who may not."""
        given = self.approvals.get(name)
        number = self.asked.setdefault(key, sum(1 for other in self.asked if other != key and _same(other, key)))
        if isinstance(given, list):
            given = given[number] if number < len(given) else None
        if given is None:
            return None
        by = given.get("by", SOMEBODY)
        if refused := find_refusal(question.approvers, question.exclude, by, None):
            self.recorder.tell_wait(key, "refused", f"{by} may not decide: {refused}")
            return None
        return dict(given)


def _fill(approval: Approval, decision: Mapping[str, Any], recorder: Recorder, name: str) -> dict[str, Any]:
    """The form with its defaults; what does not fit makes the test fail."""
    given = decision.get("form") or {}
    form: dict[str, Any] = {}
    for field in given:
        if field not in approval.form:
            recorder.problem(f"approvals.{name}.form: there is no field `{field}`")
    for field, declared in approval.form.items():
        form[field] = given.get(field, declared.default)
        if field not in given:
            if declared.required and decision["approved"]:
                recorder.problem(f"approvals.{name}.form: `{field}` is required")
        elif declared.validator is not None:
            for message in declared.validator(given[field]):
                recorder.problem(f"approvals.{name}.form.{field}: {message}")
    return form


def _same(one: str, other: str) -> bool:
    """Whether two keys are the same step in different iterations."""
    return one.rpartition("/")[2] == other.rpartition("/")[2]


async def _sleep_until(clock: Clock, moment: float | None) -> None:
    """Until the moment; None: for ever, which the run's own timeout ends."""
    if moment is None:
        await asyncio.get_running_loop().create_future()
        return
    left = moment - clock.seconds()
    if left > 0:
        await asyncio.sleep(left)


def _gave_up(step: Step, type_: str, message: str) -> StepGaveUp:
    return StepGaveUp(ErrorInfo(type=type_, message=message, step=step.id or step.key))
