"""Carry out one test: admission, then the engine's own interpreter in virtual time and with mocks."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from engine.core.catalog import Catalog
from engine.core.duration import parse_duration
from engine.core.run import FINISHED
from engine.flow.advance import advance_in
from engine.flow.execution import Hold
from engine.flow.frame import Frame
from engine.pipeline.expression.moments import CLOCK
from engine.pipeline.spec import Pipeline, Respond
from engine.simulation.coverage import Way
from engine.simulation.environment import SimulatedEnvironment
from engine.simulation.events import make_event
from engine.simulation.loop import NothingHappens, run_virtual
from engine.simulation.mocks import Mocks
from engine.simulation.names import called
from engine.simulation.recorder import Recorder
from engine.simulation.responding import respond
from engine.simulation.result import Result
from engine.simulation.setting import Setting
from engine.simulation.standins import prepare
from engine.simulation.starting import MANUAL, Start, admit, read_now
from engine.simulation.triggers import Mistake
from engine.simulation.world import RUN_ID, Clock
from engine.store import ClaimedRun


class GivenEvent:
    """An event that is there already, in the shape in which scopes take it."""

    def __init__(self, view: dict[str, Any]) -> None:
        self.view = view


class SimulatedRun(ClaimedRun, frozen=True, kw_only=True):
    """A run as a worker would have claimed it. events: of a batch, as expressions see them."""

    events: list[dict[str, Any]] | None = None  # type: ignore[assignment]


def simulate(
    data: Mapping[str, Any],
    pipeline: Pipeline,
    catalog: Catalog,
    *,
    env: Iterable[str] = (),
    taken: set[Way] | None = None,
) -> Result:
    """What the test's event or inputs come to. data: a merged test. env: the variables that project.yaml allows."""
    ways = taken if taken is not None else set()
    setting = Setting(pipeline, catalog, data, _variables(data, pipeline, env), read_now(data))
    token = CLOCK.set(lambda: setting.now)
    try:
        start = admit(setting)
    except Mistake as mistake:
        return Result("", problems=[str(mistake)])
    except Exception as error:  # noqa: BLE001 - a plugin's trigger may raise anything
        return Result("", problems=[f"the trigger failed: {type(error).__name__}: {error}"])
    finally:
        CLOCK.reset(token)
    ways |= _trigger_ways(setting, start)
    if start.outcome:
        return Result(start.outcome, reason=start.reason, error=start.error, response=start.response, notes=start.notes)
    clock = Clock(setting.now + timedelta(seconds=start.after))
    mocks = Mocks(data.get("mocks") or {}, catalog.filters)
    prepared = prepare(pipeline, mocks, data.get("vars") or {})
    recorder = Recorder(pipeline, clock, ways)
    environment = SimulatedEnvironment(setting, clock, recorder, mocks)
    token = CLOCK.set(clock.now)
    try:
        run_virtual(carry_out_run(environment, prepared, lambda turn: _claim(environment, pipeline, start, turn)))
    except NothingHappens as error:
        recorder.problem(f"the run never ends: {error}")
    except Exception as error:  # noqa: BLE001 - one broken run must not end all others
        recorder.problem(f"the engine failed: {type(error).__name__}: {error}")
    finally:
        CLOCK.reset(token)
    return _result(environment, start, setting)


async def carry_out_run(
    environment: SimulatedEnvironment, pipeline: Pipeline, claim: Callable[[int], ClaimedRun]
) -> None:
    """From its start to its end, through crashes. claim: the run as a worker has it in its first, second, ... turn."""
    loop = asyncio.get_running_loop()
    for number, item in enumerate(environment.setting.data.get("timeline") or [], 100):
        at = environment.clock.start + timedelta(seconds=parse_duration(item["after"]))
        event = make_event(item, number=number, at=at, source="test")
        loop.call_at(parse_duration(item["after"]), _arrive, environment, event)
    turn = 1
    while True:
        hold = Hold()
        run = claim(turn)
        task = loop.create_task(advance_in(environment, run, pipeline, hold))
        died = loop.create_task(environment.died.wait())
        await asyncio.wait((task, died), return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if task.done():
            await task
            return
        hold.reason = "lost"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        environment.revive()
        turn += 1


def _arrive(environment: SimulatedEnvironment, event: dict[str, Any]) -> None:
    environment.recorder.event(event)
    environment.waits.arrive(event)


def _claim(environment: SimulatedEnvironment, pipeline: Pipeline, start: Start, turn: int) -> SimulatedRun:
    began = environment.clock.start
    scheduled = start.scheduled_at
    return SimulatedRun(
        id=RUN_ID,
        pipeline=pipeline.id,
        version=pipeline.version,
        turn=turn,
        trigger=start.trigger.id if start.trigger is not None else MANUAL,
        labels=start.labels,
        inputs=msgspec.json.encode(start.inputs),
        vars=environment.ledger.run.vars,
        event=GivenEvent(start.event) if start.event is not None else None,  # type: ignore[arg-type]
        attempts=environment.ledger.attempts(),
        created_at=began,
        started_at=began,
        scheduled_at=None if scheduled is None else msgspec.convert(scheduled, type=type(began)),
        replay_of=None,
        cancel_requested=False,
        events=start.events,
    )


def _result(environment: SimulatedEnvironment, start: Start, setting: Setting) -> Result:
    recorder, final = environment.recorder, environment.ledger.run
    if final.status not in FINISHED and not recorder.problems:
        recorder.problem(f"the run did not end: it is {final.status}")
    root = _look(environment)
    scope = dict(root.scope.roots) if root is not None else {}
    error = msgspec.json.decode(final.error) if final.error else None
    outputs = msgspec.json.decode(final.outputs) if final.outputs else None
    elapsed = environment.finished_at or 0.0
    if environment.crash_after is not None and not recorder.problems:
        recorder.problem(f"crash_after: `{environment.crash_after}` did not finish in this run")
    run = {**scope.get("run", {}), "outcome": str(final.status), "labels": start.labels}
    result = Result(
        outcome=str(final.status),
        error=error,
        message=final.message or "",
        outputs=outputs,
        labels=start.labels,
        key=start.key,
        emitted=environment.emitted,
        started=environment.started,
        compensated=list(run.get("compensated") or []),
        steps=recorder.steps,
        order=recorder.order,
        elapsed=elapsed,
        run=run,
        inputs=start.inputs,
        vars=scope.get("vars") or {},
        event=start.event,
        events=start.events,
        story=sorted(recorder.story, key=lambda line: line.at),
        problems=recorder.problems,
        notes=start.notes + _unused(environment),
    )
    if start.trigger is not None and start.event is not None:
        names = {"env": setting.env, "event": start.event, "inputs": start.inputs}
        names |= scope | {"outputs": outputs or {}, "run": run}
        result.response = _answer(environment, start.trigger.respond, names, result)
    return result


def _look(environment: SimulatedEnvironment) -> Frame | None:
    """Take over what expressions saw as `steps` in the end, inner frames first; the run's own frame."""
    root = environment.root
    for frame in environment.frames.values():
        environment.recorder.views(frame.steps, frame.pipeline.id)
    if root is not None:
        environment.recorder.views(root.steps, root.pipeline.id)
    return root


def _answer(
    environment: SimulatedEnvironment, rule: Respond | None, names: dict[str, Any], result: Result
) -> dict[str, Any]:
    """The answer at the end of the run; or once the step of `after` was done, when nobody knew how it would end."""
    outcome, at = result.outcome, result.elapsed
    step = result.steps.get(rule.after) if rule is not None and rule.after is not None else None
    if step is not None and step["finished_at"] is not None and step["status"] in ("succeeded", "recovered"):
        moment = msgspec.convert(step["finished_at"], type=type(environment.clock.start))
        outcome, at = "succeeded", (moment - environment.clock.start).total_seconds()
        names = {**names, "run": {**names["run"], "outcome": None}}
    return respond(rule, names, outcome=outcome, error=result.error, answered_at=at)


def _unused(environment: SimulatedEnvironment) -> list[str]:
    """Mocks with an id that nobody asked: perhaps the step did not run."""
    ids = {place.step.id for places in environment.recorder.keys.places.values() for place in places.values()}
    unused = [f"`{name}`" for name in environment.mocks.unused() if name in ids]
    return [f"nobody asked the mock{'s' * (len(unused) > 1)} {', '.join(unused)}"] if unused else []


def _variables(data: Mapping[str, Any], pipeline: Pipeline, allowed: Iterable[str]) -> dict[str, str]:
    """What `env` shows: a dummy address for each allowed variable, the test's own values; null: not set."""
    names = {*allowed, *(name for found in called(pipeline) for name in found.env)}
    values: dict[str, Any] = {name: f"https://{name.lower()}.test" for name in sorted(names)}
    values |= data.get("env") or {}
    return {name: str(value) for name, value in values.items() if value is not None}


def _trigger_ways(setting: Setting, start: Start) -> set[Way]:
    pipeline = setting.pipeline
    if start.trigger is not None:
        return {(pipeline.id, f"trigger:{start.trigger.id}", "true")}
    if start.outcome != "not_triggered":
        return set()
    return {(pipeline.id, f"trigger:{name}", "false") for name in start.refused_by}
