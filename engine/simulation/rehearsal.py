"""A dry run: a version of a pipeline on a stored event, with the old run's answers in the place of effects.

The interpreter is the engine's own, in virtual time and without a network. What an effect would have answered is taken
from the old run: by the key of the step, else from a step of the same type that was given the same. What nobody knows
is null, and is said.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from engine.core.catalog import Catalog, Effect
from engine.core.event import Event
from engine.core.outcome import Succeeded
from engine.core.run import ErrorInfo
from engine.flow.execution import Call, Done, Execution
from engine.pipeline.expression.moments import CLOCK
from engine.pipeline.spec import Pipeline
from engine.simulation.answers import OldAnswers, Recorded, read_answers
from engine.simulation.differences import Difference, Side, compare_runs
from engine.simulation.environment import REAL, SimulatedEnvironment
from engine.simulation.loop import NothingHappens, run_virtual
from engine.simulation.recorder import Recorder
from engine.simulation.running import SimulatedRun, carry_out_run
from engine.simulation.setting import Setting
from engine.simulation.standins import prepare
from engine.simulation.world import Clock
from engine.store import NewRun, RunRow, StoredAttempt

PATIENCE = 20.0  # real seconds
T = TypeVar("T")


class OldRun(msgspec.Struct, frozen=True):
    """The run that a rehearsal is compared with. `pipeline` None: its version cannot be read any more."""

    run: RunRow
    attempts: list[StoredAttempt]
    pipeline: Pipeline | None


class World(msgspec.Struct, frozen=True):
    """What a rehearsal takes from the installation."""

    catalog: Catalog
    env: Mapping[str, str]
    url: str  # of the installation
    redact: Callable[[bytes], bytes]
    redact_text: Callable[[str], str]


class RehearsedEnvironment(SimulatedEnvironment):
    """Nothing is an error that the old run cannot answer: it is unknown."""

    def __init__(self, setting: Setting, clock: Clock, recorder: Recorder, known: Recorded, world: World) -> None:
        super().__init__(setting, clock, recorder, OldAnswers(known.mocks))
        self.known = known
        self.world = world
        self.unknown: dict[str, str] = {}  # by key: what is assumed in the place of an answer

    def redact(self, data: bytes) -> bytes:
        """As it is stored: with secrets masked."""
        return self.world.redact(data)

    def redact_text(self, text: str) -> str:
        """The same."""
        return self.world.redact_text(text)

    def run_url(self, run_id: UUID) -> str:
        """Where people look at the run."""
        return f"{self.world.url}/runs/{run_id}"

    async def _for_real(self, execution: Execution, call: Call, attempt: int) -> Done:
        if call.type.effect is Effect.PURE or call.type.name in REAL:
            return await super()._for_real(execution, call, attempt)
        alike = self.known.alike.get((call.step.uses, call.stored))
        if alike is not None:
            self.unknown[call.key] = f"it is answered as `{alike.name}` was, which was given the same"
            return await self._answer(alike, call, attempt)
        self.unknown[call.key] = "nobody knows what it would answer: null is assumed"
        return Done(Succeeded(None))


def rehearse(
    new: NewRun, pipeline: Pipeline, event: Event | None, events: list[dict[str, Any]] | None, old: OldRun | None,
    world: World, now: datetime,
) -> Difference:  # fmt: skip
    """What the new run would do, compared with the old one. Blocks for up to PATIENCE seconds of work."""
    start = (old.run.started_at or old.run.created_at) if old is not None else now
    known = Recorded()
    if old is not None:
        known = read_answers(
            old.attempts, old.pipeline, pipeline, world.catalog, vars=old.run.vars, began=start.isoformat()
        )
    data = {"approvals": known.approvals, "timeline": known.timeline}
    clock = Clock(start)
    setting = Setting(pipeline, world.catalog, data, world.env, start)
    recorder = Recorder(pipeline, clock, set())
    environment = RehearsedEnvironment(setting, clock, recorder, known, world)
    prepared = prepare(pipeline, environment.mocks, known.vars)

    def claim(turn: int) -> SimulatedRun:
        return SimulatedRun(
            id=old.run.id if old is not None else new.id,
            pipeline=pipeline.id,
            version=pipeline.version,
            turn=turn,
            trigger=new.trigger,
            labels=new.labels,
            inputs=new.inputs,
            vars=environment.ledger.run.vars,
            event=event,
            attempts=environment.ledger.attempts(),
            created_at=start,
            started_at=start,
            scheduled_at=new.scheduled_at,
            replay_of=old.run.replay_of if old is not None else None,
            cancel_requested=False,
            batched=new.batched,
            events=events,
        )

    token = CLOCK.set(clock.now)
    try:
        run_virtual(carry_out_run(environment, prepared, claim), patience=PATIENCE)
    except NothingHappens as error:
        recorder.problem(f"the run never ends: {error}")
    except Exception as error:  # noqa: BLE001 - one broken run must not end all others
        recorder.problem(f"the engine failed: {type(error).__name__}: {error}")
    finally:
        CLOCK.reset(token)
    final = environment.ledger.run
    side = Side(
        status=str(final.status),
        attempts=environment.ledger.attempts(),
        inputs=new.inputs,
        labels=new.labels,
        vars=None,
        outputs=final.outputs,
        error=msgspec.json.decode(final.error, type=ErrorInfo) if final.error else None,
        message=final.message,
    )
    return compare_runs(
        _side(old) if old is not None else None,
        side,
        pipelines=(old.pipeline if old is not None else None, pipeline),
        versions=(old.run.version if old is not None else None, pipeline.version),
        old_run=old.run.id if old is not None else None,
        trigger=new.trigger,
        settled=known.settled,
        unknown=environment.unknown,
        notes=recorder.problems,
    )


def _side(old: OldRun) -> Side:
    run = old.run
    return Side(
        status=str(run.status),
        attempts=old.attempts,
        inputs=run.inputs,
        labels=run.labels,
        vars=run.vars,
        outputs=run.outputs,
        error=msgspec.json.decode(run.error, type=ErrorInfo) if run.error else None,
        message=run.message,
    )
